/** Opening a file of settings: a plain one, of a size that somebody wrote, and not one that strangers may write. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import { MAX_SETTINGS_FILE } from './files.ts';

/** The longest that the characters allowed can be in UTF-8, with one byte to tell that there are more. */
const MAX_BYTES = 4 * MAX_SETTINGS_FILE + 1;

const missing = (e: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(String((e as NodeJS.ErrnoException).code));

/**
 * The text of a file, or undefined when there is none. Links are followed: orchestrators mount files by links. A pipe is
 * refused: a reload would wait for its writer and stand still with the whole daemon.
 * @throws Node's error, or Error for what is no file
 */
export function readSettingsFile(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (e) {
    if (missing(e)) return undefined;
    throw e;
  }
  try {
    const stat = fstatSync(fd);
    // How to say that there are no settings.
    if (path === '/dev/null') return '';
    if (!stat.isFile()) throw new Error(stat.isDirectory() ? 'it is a directory' : 'it is no plain file');
    const bytes = Buffer.alloc(Math.min(stat.size, MAX_BYTES));
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0)).toString('utf8');
  } finally {
    closeSync(fd);
  }
}

/** Whoever may write a file besides root and the daemon's own user. */
export type Writer = 'everybody' | 'its group' | 'its owner';

/** Who writes a file of settings decides who may read tickets. @returns undefined when it is nobody else */
export function writerOf(path: string): Writer | undefined {
  let stat: Stats;
  try {
    stat = statSync(path);
  } catch {
    return undefined; // reading it says what is wrong
  }
  if (!stat.isFile()) return undefined;
  if (stat.mode & 0o002) return 'everybody';
  if (stat.mode & 0o020) return 'its group';
  return stat.uid === 0 || stat.uid === process.geteuid?.() ? undefined : 'its owner';
}
