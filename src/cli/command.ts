/** What every command of the client has in common: the socket, the time limit, the two forms of output. */
import { type Client, createClient } from '../client/index.ts';
import { type FlagOptions, type ParsedFlags, parseFlags, UsageError } from '../flags.ts';
import type { Terminal } from './terminal.ts';

export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** The whole help text. */
  readonly usage: string;
  /** @throws UsageError, ClientError, AdError */
  run(argv: readonly string[], terminal: Terminal): Promise<void>;
}

const callOptions: FlagOptions = {
  socket: { type: 'string', short: 's' },
  timeout: { type: 'string' },
  json: { type: 'boolean' },
};

export const callOptionsHelp = `  -s, --socket PATH         socket of the daemon [CF_UNIX_DOMAIN_SOCKET_DIR/credentials_fetcher.sock,
                            /var/credentials-fetcher/socket/credentials_fetcher.sock]
      --timeout SECONDS     time for the call [20]
      --json                machine-readable output
  -h, --help                this text`;

export const userOptions: FlagOptions = {
  username: { type: 'string', short: 'u' },
  domain: { type: 'string', short: 'd' },
  'password-file': { type: 'string', short: 'p' },
};

export const userOptionsHelp = `  -u, --username NAME       user whose password reads the gMSAs
  -d, --domain DOMAIN       the user's domain
  -p, --password-file FILE  file with the password, - for standard input;
                            without it the password is asked for on a terminal, else read from standard input`;

/** Parses a command's flags; the common ones are added. */
export function parseCall(argv: readonly string[], options: FlagOptions, positionals: number): ParsedFlags {
  return parseFlags(argv, { ...callOptions, ...options }, positionals);
}

/** The value of a flag that must be there. */
export function required(parsed: ParsedFlags, flag: string): string {
  const value = parsed.flags[flag];
  if (typeof value !== 'string' || value === '') throw new UsageError(`--${flag} is required`);
  return value;
}

/** A string flag, or undefined. */
export function text(parsed: ParsedFlags, flag: string): string | undefined {
  const value = parsed.flags[flag];
  return typeof value === 'string' ? value : undefined;
}

/** Connects, makes the call, prints its result as JSON or by `print`. */
export async function callDaemon<T extends object>(
  parsed: ParsedFlags,
  terminal: Terminal,
  call: (client: Client) => Promise<T>,
  print: (result: T) => string,
): Promise<void> {
  const client = createClient({ address: `unix:${socketPath(parsed, terminal)}`, timeoutMs: timeoutMs(parsed) });
  try {
    const result = await call(client);
    terminal.out(parsed.flags.json ? `${JSON.stringify(result)}\n` : print(result));
  } finally {
    client.close();
  }
}

function socketPath(parsed: ParsedFlags, terminal: Terminal): string {
  const given = text(parsed, 'socket')?.replace(/^unix:(\/\/)?/, '');
  const directory = terminal.env.CF_UNIX_DOMAIN_SOCKET_DIR || '/var/credentials-fetcher/socket';
  const path = given ?? `${directory}/credentials_fetcher.sock`;
  if (!path.startsWith('/')) throw new UsageError(`--socket must be an absolute path, not ${JSON.stringify(path)}`);
  return path;
}

function timeoutMs(parsed: ParsedFlags): number {
  const given = text(parsed, 'timeout');
  if (given === undefined) return 20_000;
  const seconds = Number(given);
  if (!(seconds > 0 && seconds <= 3600)) throw new UsageError('--timeout must be a number of seconds up to 3600');
  return seconds * 1000;
}

export const lines = (items: readonly string[]): string => items.map((item) => `${item}\n`).join('');
