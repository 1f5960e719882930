/** The daemon's command line beside its settings: what is to be done, and the help text. */
import { type FlagOptions, UsageError } from '../../flags.ts';
import { domainProblem, userNameProblem } from '../leases/names.ts';
import { fileSettings, type Setting, settings } from './settings.ts';
import { type CredspecFile, credspecFile, Nonsense } from './values.ts';

/** Flags that are no settings. */
export const commandOptions: FlagOptions = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'n' },
  healthcheck: { type: 'boolean' },
  'check-config': { type: 'boolean' },
  // The name that version 1 had for something like it.
  self_test: { type: 'boolean', short: 't' },
  once: { type: 'boolean' },
  output: { type: 'string' },
  username: { type: 'string' },
  domain: { type: 'string' },
  'password-file': { type: 'string' },
  // Taken and ignored, as ever; scripts pass it.
  verbosity: { type: 'string', short: 'v' },
};

/** What `--once` is to do. */
export interface OnceRequest {
  /** At least one. */
  readonly credspecs: readonly CredspecFile[];
  /** File for the one ticket, in place of a lease. */
  readonly output?: string;
  /** Who reads; without one a secret or the machine's account. */
  readonly user?: {
    readonly username: string;
    /** The credspec's domain when absent. */
    readonly domain?: string;
    /** `-`: standard input. */
    readonly passwordFile: string;
  };
}

const onlyOnce = ['output', 'username', 'domain', 'password-file'];

/**
 * @param configured the credspec of the settings, done when the command line names none
 * @returns undefined when it is not asked for
 * @throws UsageError
 */
export function onceRequest(
  flags: Readonly<Record<string, string | boolean | undefined>>,
  positionals: readonly string[],
  configured: CredspecFile | undefined,
): OnceRequest | undefined {
  if (!flags.once) {
    const stray = onlyOnce.find((name) => flags[name] !== undefined);
    if (stray) throw new UsageError(`--${stray} needs --once`);
    return undefined;
  }
  const text = (name: string): string | undefined => {
    const value = flags[name];
    if (value === '') throw new UsageError(`--${name} needs a value`);
    return typeof value === 'string' ? value : undefined;
  };
  const credspecs = positionals.length > 0 ? positionals.map(parseCredspecFile) : configured ? [configured] : [];
  if (credspecs.length === 0) throw new UsageError('--once needs a credspec: a file, or CF_CRED_SPEC_FILE');
  const output = text('output');
  if (output !== undefined && credspecs.length > 1) throw new UsageError('--output takes the ticket of one credspec');
  const [username, domain, passwordFile] = [text('username'), text('domain'), text('password-file')];
  const request = { credspecs, ...(output !== undefined && { output }) };
  if (username === undefined) {
    if (domain ?? passwordFile) throw new UsageError('--domain and --password-file need --username');
    return request;
  }
  if (passwordFile === undefined)
    throw new UsageError('--username needs --password-file: a file, or - for standard input');
  const nameWrong = userNameProblem(username);
  if (nameWrong) throw new UsageError(`--username ${nameWrong}`);
  const domainWrong = domain === undefined ? undefined : domainProblem(domain);
  if (domainWrong) throw new UsageError(`--domain ${domainWrong}`);
  return { ...request, user: { username, passwordFile, ...(domain !== undefined && { domain }) } };
}

function parseCredspecFile(text: string): CredspecFile {
  try {
    return credspecFile(text);
  } catch (e) {
    throw e instanceof Nonsense ? new UsageError(`${text} ${e.message}`) : e;
  }
}

/** The help text; documents and manual page are checked against it. */
export function usage(): string {
  const rows = Object.entries<Setting>({ ...settings, ...fileSettings }).map(([flag, s]) => {
    const left = `  --${flag} ${s.value}`.padEnd(29);
    return `${left} ${s.help}\n${' '.repeat(30)}[${s.env}${s.fallback ? `, ${s.fallback}` : ''}]`;
  });
  return `Usage: credentials-fetcherd [options]
       credentials-fetcherd --once [options] [CREDSPEC[:LEASE]...]

Fetches Kerberos tickets for group managed service accounts and keeps them as leases
for the clients of a unix socket.

Settings [environment variable, default]:
${rows.join('\n')}

A flag goes before the variable, the variable before --config, that before --ecs-config, and
the default comes last. In files a setting has its variable's name. SIGHUP reads them again.

Instead of running:
      --healthcheck           ask the running daemon; prints 0 and exits 0 when it is well, else 1
      --check-config          print each setting with its source; exits 2 when something makes no sense
  -t, --self_test             the same
      --once                  make the leases of credspec files, then exit; opens no socket
  -h, --help                  this text
  -n, --version               the version

With --once:
      --output FILE           write the ticket there, in place of a lease
      --username NAME         user who reads, else a secret or the machine's account
      --domain DOMAIN         the user's domain, else the credspec's
      --password-file FILE    the user's password, - for standard input

Exit codes: 0 stopped by a signal, or done; 1 cannot run; 2 the command line or a setting makes
no sense; of --once also 3 not a credspec, 4 refused by the domain, 5 not reachable, try again.
`;
}
