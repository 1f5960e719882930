/** Small steps on files and directories that the lease store is made of; a missing one is an answer, not an error. */
import { constants, type Dirent } from 'node:fs';
import { chmod, lchown, lstat, mkdir, open, readdir } from 'node:fs/promises';
import { AdError, messageOf } from '../../errors.ts';
import { giveAway } from '../../krb5/files/atomic.ts';
import type { Ownership } from './file-policy.ts';

export const fileError = (doing: string, path: string, e: unknown): AdError =>
  e instanceof AdError
    ? e
    : new AdError(
        'FILE',
        `cannot ${doing} ${path}: ${messageOf(e)}`,
        { path, errno: (e as NodeJS.ErrnoException).code },
        e,
      );

/** Makes a directory that is nobody else's until it is as it shall be, whatever the daemon's umask. */
export async function makeDirectory(path: string, owner: Ownership): Promise<void> {
  await mkdir(path, { mode: 0o700 });
  await giveDirectory(path, owner);
}

/** @param path of a directory that nobody else can put something in the place of */
export function giveDirectory(path: string, owner: Ownership): Promise<void> {
  return giveAway(path, owner, {
    chown: (uid, gid) => lchown(path, uid, gid),
    chmod: (mode) => chmod(path, mode),
  });
}

/** Largest cache or keytab that is read back, in bytes. */
const MAX_FILE = 4 * 1024 * 1024;

/**
 * Reads a file of a ticket's directory, which may be a container's to write: a link leads to other containers' tickets, a
 * pipe to nothing for ever, and a file without an end to the end of our memory.
 * @returns the bytes, which the caller wipes
 * @throws Node's error, or Error for what is no plain file or too large
 */
export async function readFileOfTicket(path: string): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new Error('not a plain file');
    if (stat.size > MAX_FILE) throw new Error(`a file of ${stat.size} bytes`);
    // Not more than that, however fast it grows.
    const { bytesRead, buffer } = await file.read(Buffer.alloc(stat.size), 0, stat.size, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

export async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory();
  } catch (e) {
    if (isMissing(e)) return false;
    throw e;
  }
}

/** What is in a directory; nothing when it does not exist. Types are those of the entries, links not followed. */
export async function entries(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (e) {
    if (isMissing(e)) return [];
    throw e;
  }
}

/** Awaits a removal; false when there was nothing to remove. */
export async function gone(removal: Promise<void>): Promise<boolean> {
  try {
    await removal;
    return true;
  } catch (e) {
    if (isMissing(e)) return false;
    throw e;
  }
}

export const isExhausted = (e: unknown): boolean =>
  ['EMFILE', 'ENFILE', 'ENOMEM'].includes(String((e as NodeJS.ErrnoException).code));

export const isMissing = (e: unknown): boolean => (e as NodeJS.ErrnoException).code === 'ENOENT';
