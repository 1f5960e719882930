/** Small steps on files and directories that the lease store is made of; a missing one is an answer, not an error. */
import type { Dirent } from 'node:fs';
import { chmod, lstat, mkdir, readdir } from 'node:fs/promises';
import { AdError, messageOf } from '../errors.ts';

/** Permission bits of all directories of leases. */
export const DIRECTORY_MODE = 0o755;

export const fileError = (doing: string, path: string, e: unknown): AdError =>
  e instanceof AdError
    ? e
    : new AdError(
        'FILE',
        `cannot ${doing} ${path}: ${messageOf(e)}`,
        { path, errno: (e as NodeJS.ErrnoException).code },
        e,
      );

/** Readable for containers whatever the daemon's umask. */
export async function makeDirectory(path: string): Promise<void> {
  await mkdir(path);
  await chmod(path, DIRECTORY_MODE);
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
