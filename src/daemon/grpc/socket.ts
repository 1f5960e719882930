/** The unix socket: taken over from a dead daemon, never from a live one, and never open to more than its mode. */
import { chmodSync, lchownSync } from 'node:fs';
import { lstat, mkdir, unlink } from 'node:fs/promises';
import net from 'node:net';
import { dirname } from 'node:path';
import { AdError, messageOf } from '../../errors.ts';

/** `sun_path` of Linux holds 108 bytes, the last of them zero. */
const MAX_PATH_BYTES = 107;

/**
 * Listens on `path`. Connections come paused, so that nothing they say is lost until somebody listens.
 * @param mode permission bits of the socket; until it has them and its group, nobody but the daemon's user may connect
 * @param gid its group; the daemon's own when absent
 * @throws AdError FILE with what to do: another daemon answers there, something else lies there, the path is too long
 */
export async function listenOnSocket(path: string, mode = 0o660, gid?: number): Promise<net.Server> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES)
    throw new AdError('FILE', `the socket's path is longer than ${MAX_PATH_BYTES} bytes: ${path}`, { path });
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await removeStale(path);
    return await listen(path, mode, gid);
  } catch (e) {
    if (e instanceof AdError) throw e;
    const errno = (e as NodeJS.ErrnoException).code;
    throw new AdError('FILE', `cannot listen on ${path}: ${messageOf(e)}`, { path, errno }, e);
  }
}

/** The first descriptor that systemd hands over (sd_listen_fds(3)). */
const FIRST_PASSED = 3;

/**
 * The listening socket that systemd opened for this process, if any: it stays in place while daemons come and go, and with
 * it every bind mount of its file.
 */
export function passedSocket(env: Readonly<Record<string, string | undefined>>, pid: number): number | undefined {
  return env.LISTEN_PID === String(pid) && Number(env.LISTEN_FDS) >= 1 ? FIRST_PASSED : undefined;
}

/** Accepts on a descriptor that listens already. @throws AdError FILE when it does not */
export function listenOnDescriptor(fd: number): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    const server = net.createServer({ pauseOnConnect: true });
    server.once('error', (e) =>
      reject(new AdError('FILE', `the passed descriptor ${fd} does not listen: ${messageOf(e)}`, {}, e)),
    );
    server.listen({ fd }, () => resolve(server));
  });
}

async function removeStale(path: string): Promise<void> {
  const stat = await lstat(path).catch((e: NodeJS.ErrnoException) => {
    if (e.code === 'ENOENT') return undefined;
    throw e;
  });
  if (!stat) return;
  if (!stat.isSocket()) throw new AdError('FILE', `${path} is not a socket; it was left alone`, { path });
  if (await answers(path))
    throw new AdError('FILE', `another daemon answers on ${path}; stop it first or choose another --socket-dir`, {
      path,
    });
  await unlink(path);
}

/** True when somebody accepts connections there. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = net.connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (e: NodeJS.ErrnoException) => {
      if (e.code === 'ECONNREFUSED' || e.code === 'ENOENT') resolve(false);
      // A full queue is somebody's queue.
      else if (e.code === 'EAGAIN') resolve(true);
      else reject(e);
    });
  });
}

function listen(path: string, mode: number, gid: number | undefined): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    const server = net.createServer({ pauseOnConnect: true });
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      try {
        if (gid !== undefined) giveToGroup(path, gid);
        chmodSync(path, mode);
        resolve(server);
      } catch (e) {
        server.close();
        reject(e);
      }
    });
    // Node makes the socket file within listen(), so nothing else is made under this mask.
    const before = process.umask(0o177);
    try {
      server.listen({ path, backlog: 128 });
    } finally {
      process.umask(before);
    }
  });
}

function giveToGroup(path: string, gid: number): void {
  try {
    lchownSync(path, -1, gid);
  } catch (e) {
    const remedy = 'the daemon must be a member of the group or have CAP_CHOWN (deploy/systemd: ticket-owner.conf)';
    const errno = (e as NodeJS.ErrnoException).code;
    throw new AdError('FILE', `cannot give ${path} to group ${gid}: ${messageOf(e)}: ${remedy}`, { path, errno }, e);
  }
}
