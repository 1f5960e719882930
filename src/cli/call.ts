/** What the commands that ask the daemon have in common: the socket, the time limit, the two forms of output. */
import { type Client, createClient } from '../client/index.ts';
import { type ParsedFlags, UsageError } from '../flags.ts';
import { type FlagTable, text } from './command.ts';
import { socketFlag, socketPath } from './socket.ts';
import type { Terminal } from './terminal.ts';

export const callFlags: FlagTable = {
  ...socketFlag,
  timeout: { type: 'string', value: 'SECONDS', help: 'time for the call [20]' },
  json: { type: 'boolean', help: 'machine-readable output' },
};

export const userFlags: FlagTable = {
  username: { type: 'string', short: 'u', value: 'NAME', help: 'user whose password reads the gMSAs' },
  domain: { type: 'string', short: 'd', value: 'DOMAIN', help: "the user's domain" },
  'password-file': {
    type: 'string',
    short: 'p',
    value: 'FILE',
    completes: 'file',
    help: 'file with the password, - for standard input; without it the password\nis asked for on a terminal, else read from standard input',
  },
};

/** Connects, makes the call, prints its result as JSON or by `print`. */
export async function callDaemon<T extends object>(
  parsed: ParsedFlags,
  terminal: Terminal,
  call: (client: Client) => Promise<T>,
  print: (result: T) => string,
): Promise<void> {
  const client = createClient({
    address: `unix:${socketPath(text(parsed, 'socket'), terminal.env)}`,
    timeoutMs: timeoutMs(parsed),
  });
  try {
    const result = await call(client);
    terminal.out(parsed.flags.json ? `${JSON.stringify(result)}\n` : print(result));
  } finally {
    client.close();
  }
}

function timeoutMs(parsed: ParsedFlags): number {
  const given = text(parsed, 'timeout');
  if (given === undefined) return 20_000;
  const seconds = Number(given);
  if (!(seconds > 0 && seconds <= 3600)) throw new UsageError('--timeout must be a number of seconds up to 3600');
  return seconds * 1000;
}
