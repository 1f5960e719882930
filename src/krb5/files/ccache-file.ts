/** One ticket cache in a file: read whole, replaced whole, zeroed before it is removed. */
import { constants } from 'node:fs';
import { lstat, open, unlink } from 'node:fs/promises';
import { wipe } from '../../bytes.ts';
import { AdError, messageOf } from '../../errors.ts';
import { fileBefore, writeFileAtomic } from './atomic.ts';
import { type CCache, readCCache, writeCCache } from './ccache.ts';
import { readPlainFile } from './plain.ts';

/** A cache that can be had by name; it need not exist yet. */
export interface CacheHandle {
  /** As klist prints it: `FILE:/tmp/krb5cc_0`, `DIR::/run/user/0/krb5cc/tkt`, `MEMORY:name`. */
  readonly name: string;
  /**
   * The caller wipes the session keys.
   * @throws AdError NOT_FOUND when there is no such cache, FILE when it cannot be read; MalformedError
   */
  read(): Promise<CCache>;
  /** Makes or replaces the cache. @throws AdError FILE, INVALID_ARGUMENT as `writeCCache` */
  write(cache: CCache): Promise<void>;
  /** @throws AdError NOT_FOUND when there is no such cache, FILE */
  destroy(): Promise<void>;
}

const codeOf = (e: unknown): string | undefined => (e as NodeJS.ErrnoException).code;

/** The error of a cache that is not there. */
export function noCache(name: string, cause?: unknown): AdError {
  const path = name.replace(/^FILE:|^DIR::?/, '');
  return new AdError('NOT_FOUND', `No credentials cache found (filename: ${path})`, { cache: name }, cause);
}

/** @param name shown by klist; `FILE:path` when absent */
export function fileCache(path: string, name = `FILE:${path}`): CacheHandle {
  return {
    name,
    async read() {
      let bytes: Buffer;
      try {
        bytes = await readPlainFile(path);
      } catch (e) {
        if (codeOf(e) === 'ENOENT' || codeOf(e) === 'ENOTDIR') throw noCache(name, e);
        throw new AdError('FILE', `cannot read the ticket cache ${path}: ${messageOf(e)}`, { path }, e);
      }
      // MIT makes an empty file first and fills it later: there is nothing in it yet.
      if (bytes.length === 0) throw noCache(name);
      try {
        return readCCache(bytes);
      } finally {
        wipe(bytes);
      }
    },
    async write(cache) {
      const bytes = writeCCache(cache);
      try {
        await writeFileAtomic(path, bytes, await likeBefore(path));
      } finally {
        wipe(bytes);
      }
    },
    async destroy() {
      try {
        await zero(path);
        await unlink(path);
      } catch (e) {
        if (codeOf(e) === 'ENOENT') throw noCache(name, e);
        throw new AdError('FILE', `cannot remove the ticket cache ${path}: ${messageOf(e)}`, { path }, e);
      }
    },
  };
}

/**
 * The owner and mode a file has, for its successor; those of this process where there is none.
 * @throws AdError FILE when something else than a file is there
 */
export async function likeBefore(path: string): Promise<{ mode: number; uid?: number; gid?: number }> {
  const old = await fileBefore(path);
  if (!old) return { mode: 0o600 };
  return {
    mode: old.mode & 0o777,
    ...(old.uid !== process.getuid?.() && { uid: old.uid }),
    ...(old.gid !== process.getgid?.() && { gid: old.gid }),
  };
}

/** Writes zeros over a plain file that has no other name; anything else is only unlinked. */
async function zero(path: string): Promise<void> {
  const found = await lstat(path);
  if (!found.isFile() || found.nlink !== 1) return;
  const file = await open(path, constants.O_WRONLY | constants.O_NOFOLLOW).catch(() => undefined);
  if (!file) return; // unlink says what is wrong
  try {
    await file.write(new Uint8Array(Math.min(found.size, 1 << 24)));
    await file.datasync();
  } finally {
    await file.close();
  }
}
