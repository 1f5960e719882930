/** Replacing a file that holds secrets, so that no reader ever sees a part of it and no stranger any of it. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AdError, messageOf } from '../../errors.ts';

export interface AtomicOptions {
  /** Permission bits, whatever the umask; 0o600 when absent. */
  readonly mode?: number;
  /** Owner and group; those of the process when absent. */
  readonly uid?: number;
  readonly gid?: number;
  /**
   * True for a file that is not there yet, in a directory that nobody looks into before it is renamed as a whole: written
   * in place and not synced to disk, so after a power failure it may be empty.
   */
  readonly draft?: boolean;
}

/**
 * Writes `bytes` beside `path` under an unpredictable name, with the final owner and mode before the first byte, then
 * renames it into place. A symbolic link at `path` is replaced, never followed; the directory stays the same inode.
 * On failure nothing is left behind and what was at `path` is untouched.
 * @throws AdError FILE, with `details.path` and `details.errno`
 */
export async function writeFileAtomic(path: string, bytes: Uint8Array, options: AtomicOptions = {}): Promise<void> {
  const temporary = options.draft ? path : join(dirname(path), `.${randomBytes(16).toString('hex')}.tmp`);
  let file: FileHandle | undefined;
  try {
    // O_EXCL makes the file or fails, so it cannot be someone else's; nobody but the owner may open it from here on.
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
    file = await open(temporary, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o600);
    if (options.uid !== undefined || options.gid !== undefined) await file.chown(options.uid ?? -1, options.gid ?? -1);
    await file.chmod(options.mode ?? 0o600);
    await file.writeFile(bytes);
    if (!options.draft) await file.sync();
    await file.close();
    if (!options.draft) await rename(temporary, path);
  } catch (e) {
    if (file) {
      await file.close().catch(() => undefined);
      await unlink(temporary).catch(() => undefined);
    }
    const errno = (e as NodeJS.ErrnoException).code;
    throw new AdError('FILE', `cannot write ${path}: ${messageOf(e)}`, { path, errno }, e);
  }
}
