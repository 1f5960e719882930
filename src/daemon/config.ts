/** What the daemon can be told: flags first, then the environment, then the defaults that clients expect. */
import { isSecretId } from '../accounts/aws/arn.ts';
import { type FlagOptions, parseFlags, UsageError } from '../flags.ts';
import { DEFAULT_FILE_POLICY, type FilePolicy } from './file-policy.ts';
import { type LogLevel, logLevels } from './log.ts';

export interface DaemonConfig {
  /** Where leases live. */
  readonly krbDir: string;
  /** Where the socket is made. */
  readonly socketDir: string;
  /** Where the log file is written. */
  readonly loggingDir: string;
  readonly logLevel: LogLevel;
  /** `auto`: for people on a terminal, JSON otherwise. */
  readonly logFormat: 'auto' | 'human' | 'json';
  /** Domain controllers to use instead of those in DNS, in order; empty: ask DNS. */
  readonly domainControllers: readonly string[];
  /** krb5.conf, or several with colons between, the earlier wins; undefined: /etc/krb5.conf where it exists. */
  readonly krb5Config: string | undefined;
  /** Keytab with the machine's account; undefined: the one krb5.conf names, else /etc/krb5.keytab. */
  readonly keytab: string | undefined;
  /** Where metrics are served; undefined: nowhere. */
  readonly metrics: string | undefined;
  /** The secret, by name or ARN, whose user reads for AddKerberosLease instead of the machine; undefined: none. */
  readonly secretId: string | undefined;
  readonly socketMode: number;
  /** Numeric group of the socket; the daemon's own when undefined. */
  readonly socketGid: number | undefined;
  readonly files: FilePolicy;
}

export type Command =
  | { readonly action: 'run'; readonly config: DaemonConfig; readonly warnings: readonly string[] }
  | { readonly action: 'healthcheck'; readonly config: DaemonConfig }
  | { readonly action: 'help' }
  | { readonly action: 'version' };

const base = '/var/credentials-fetcher';

/** Each setting once: its flag, its variable, its default. */
const settings = {
  'krb-dir': { env: 'CF_KRB_DIR', value: 'DIR', fallback: `${base}/krbdir`, help: 'leases' },
  'socket-dir': {
    env: 'CF_UNIX_DOMAIN_SOCKET_DIR',
    value: 'DIR',
    fallback: `${base}/socket`,
    help: 'where credentials_fetcher.sock is made',
  },
  'logging-dir': {
    env: 'CF_LOGGING_DIR',
    value: 'DIR',
    fallback: `${base}/logging`,
    help: 'where credentials-fetcher.log is written',
  },
  'log-level': { env: 'LOG_LEVEL', value: 'LEVEL', fallback: 'info', help: logLevels.join(', ') },
  'log-format': { env: 'LOG_FORMAT', value: 'FORMAT', fallback: 'auto', help: 'auto, human, json' },
  'domain-controller': {
    env: 'DOMAIN_CONTROLLER_GMSA',
    value: 'NAMES',
    fallback: '',
    help: 'domain controllers to use instead of those in DNS, comma separated',
  },
  'krb5-config': { env: 'KRB5_CONFIG', value: 'FILE', fallback: '', help: 'realms and KDCs, as MIT Kerberos reads it' },
  metrics: {
    env: 'CF_METRICS',
    value: 'ADDRESS',
    fallback: '',
    help: 'serve Prometheus metrics on a loopback port, such as 9464, or on unix:/path',
  },
  keytab: {
    env: 'KRB5_KTNAME',
    value: 'FILE',
    fallback: '',
    help: "the machine account's keys, else /etc/krb5.keytab",
  },
  aws_sm_secret_name: {
    env: 'CREDENTIALS_FETCHER_SECRET_NAME_FOR_DOMAINLESS_GMSA',
    value: 'NAME',
    short: 's',
    fallback: '',
    help: "secret of AWS Secrets Manager with the user that reads in the machine account's place",
  },
} as const;

type Setting = keyof typeof settings;

export function usage(): string {
  const rows = Object.entries(settings).map(([flag, s]) => {
    const left = `  --${flag} ${s.value}`.padEnd(28);
    return `${left}${s.help}\n${' '.repeat(28)}[${s.env}${s.fallback ? `, ${s.fallback}` : ''}]`;
  });
  return `Usage: credentials-fetcherd [options]

Fetches Kerberos tickets for group managed service accounts and keeps them as leases
for the clients of a unix socket.

Options [environment variable, default]:
${rows.join('\n')}
      --healthcheck         ask the running daemon; prints 0 and exits 0 when it is well, else 1
  -h, --help                this text
  -n, --version             the version

Exit codes: 0 stopped by a signal, 1 cannot run, 2 the command line or environment makes no sense.
`;
}

/**
 * Reads command line and environment.
 * @param argv without the program's name
 * @throws UsageError
 */
export function parseCommand(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): Command {
  const options: FlagOptions = {
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean', short: 'n' },
    healthcheck: { type: 'boolean' },
    // Taken and ignored, as ever; scripts pass it.
    verbosity: { type: 'string', short: 'v' },
  };
  for (const [flag, setting] of Object.entries(settings)) {
    options[flag] = { type: 'string', ...('short' in setting && { short: setting.short }) };
  }
  const { flags } = parseFlags(argv, options);
  if (flags.help) return { action: 'help' };
  if (flags.version) return { action: 'version' };

  const warnings = flags.verbosity === undefined ? [] : ['--verbosity has no effect, use --log-level'];
  const get = (name: Setting): string => {
    const flag = flags[name];
    if (flag === '') throw new UsageError(`--${name} needs a value`);
    // A variable that is set to nothing counts as not set, as in the shell's ${X:-default}.
    return typeof flag === 'string' ? flag : env[settings[name].env] || settings[name].fallback;
  };
  const directory = (name: Setting): string => {
    const path = get(name);
    if (!path.startsWith('/')) throw new UsageError(`${source(name)} must be an absolute path, not ${quote(path)}`);
    if (path.includes('\0')) throw new UsageError(`${source(name)} contains a zero byte`);
    return path.length > 1 ? path.replace(/\/+$/, '') || '/' : path;
  };
  const source = (name: Setting): string => (flags[name] === undefined ? settings[name].env : `--${name}`);
  const choice = <T extends string>(name: Setting, choices: readonly T[]): T => {
    const value = get(name);
    const found = choices.find((c) => c === value.toLowerCase());
    if (!found) throw new UsageError(`${source(name)} is ${quote(value)}, but must be one of ${choices.join(', ')}`);
    return found;
  };
  const secretId = (): string | undefined => {
    const id = get('aws_sm_secret_name');
    if (id === '' || isSecretId(id)) return id || undefined;
    throw new UsageError(
      `${source('aws_sm_secret_name')} is ${quote(id)}, which is neither a secret's name nor its ARN`,
    );
  };
  const config: DaemonConfig = {
    krbDir: directory('krb-dir'),
    socketDir: directory('socket-dir'),
    loggingDir: directory('logging-dir'),
    logLevel: choice('log-level', logLevels),
    logFormat: choice('log-format', ['auto', 'human', 'json']),
    domainControllers: get('domain-controller')
      .split(/[\s,]+/)
      .map((name) => name.replace(/\.$/, ''))
      .filter((name) => name !== ''),
    krb5Config: get('krb5-config') || undefined,
    keytab: get('keytab') || undefined,
    metrics: get('metrics') || undefined,
    secretId: secretId(),
    socketMode: 0o660,
    socketGid: undefined,
    files: DEFAULT_FILE_POLICY,
  };
  return flags.healthcheck ? { action: 'healthcheck', config } : { action: 'run', config, warnings };
}

const quote = (text: string): string => JSON.stringify(text.slice(0, 200));
