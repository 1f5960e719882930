/** Where the daemon's socket is, as every command that asks the daemon finds it. */
import { UsageError } from '../flags.ts';
import type { FlagTable } from './command.ts';

export const socketFlag: FlagTable = {
  socket: {
    type: 'string',
    short: 's',
    value: 'PATH',
    completes: 'file',
    help: 'socket of the daemon [CREDENTIALS_FETCHER_HOST,\nCF_UNIX_DOMAIN_SOCKET_DIR/credentials_fetcher.sock,\n/var/credentials-fetcher/socket/credentials_fetcher.sock]',
  },
};

/**
 * The path of the socket: the one given, else that of the environment or the daemon's own default.
 * @throws UsageError for one that is not absolute
 */
export function socketPath(given: string | undefined, env: Readonly<Record<string, string | undefined>>): string {
  const host = env.CREDENTIALS_FETCHER_HOST || undefined;
  const named = (given ?? host)?.replace(/^unix:(\/\/)?/, '');
  const directory = env.CF_UNIX_DOMAIN_SOCKET_DIR || '/var/credentials-fetcher/socket';
  const path = named ?? `${directory}/credentials_fetcher.sock`;
  if (!path.startsWith('/')) throw new UsageError(`--socket must be an absolute path, not ${JSON.stringify(path)}`);
  return path;
}
