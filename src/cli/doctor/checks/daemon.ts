import { access, constants, stat } from 'node:fs/promises';
import { messageOf } from '../../../errors.ts';
import { text } from '../../command.ts';
import { socketPath } from '../../socket.ts';
import { type Check, type Finding, fail, ok, warn } from '../check.ts';

/** The daemon answers at once when it is well, ms. */
const PATIENCE = 4000;

const RESTART = 'systemctl restart credentials-fetcher, and look at its log (journalctl -u credentials-fetcher)';

/** Whether a daemon listens on this host, who may connect to it, and whether it answers. */
export const daemon: Check = {
  id: 'daemon',
  title: 'Daemon',
  needs: [],
  seconds: 6,
  async run({ parsed, terminal, askDaemon }) {
    let path: string;
    try {
      path = socketPath(text(parsed, 'socket'), terminal.env);
    } catch (e) {
      return [warn(messageOf(e), 'mend CREDENTIALS_FETCHER_HOST: it must be the path of a unix socket')];
    }
    const found = await stat(path).catch((e: NodeJS.ErrnoException) => e);
    if (found instanceof Error) return [absent(path, found)];
    if (!found.isSocket()) return [fail(`${path} is no socket`, 'remove it, and start the daemon')];
    const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
    const facts = `${path} has mode ${mode}, owner ${found.uid}, group ${found.gid}`;
    const findings: Finding[] = [
      found.mode & 0o002
        ? warn(`${facts}: everybody may ask for leases`, 'set CF_SOCKET_MODE to 0660, and CF_SOCKET_GID')
        : ok(facts),
    ];
    const may = await access(path, constants.W_OK).then(
      () => true,
      () => false,
    );
    if (!may) return [...findings, warn('this user may not connect', `run it as root or in group ${found.gid}`)];
    return [...findings, await answer(path, askDaemon)];
  },
};

function absent(path: string, e: NodeJS.ErrnoException): Finding {
  if (e.code === 'ENOENT' || e.code === 'ENOTDIR')
    return warn(
      `no daemon listens at ${path}`,
      'start credentials-fetcherd if this host shall have it, or name --socket',
    );
  return warn(messageOf(e), 'run it as a user that may look at the socket');
}

async function answer(path: string, ask: (path: string, timeoutMs: number) => Promise<string>): Promise<Finding> {
  try {
    return ok(`the daemon says ${await ask(path, PATIENCE)}`);
  } catch (e) {
    return fail(`the daemon does not answer: ${messageOf(e)}`, RESTART);
  }
}
