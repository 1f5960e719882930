/**
 * Ticket caches by name: a file, a directory of caches (`DIR:`, MIT krb5 documentation, "Credential cache": a file
 * `primary` names the one in use), or memory.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { utf8, wipe } from '../../bytes.ts';
import { AdError, messageOf } from '../../errors.ts';
import { type Principal, samePrincipal } from '../principal.ts';
import { writeFileAtomic } from './atomic.ts';
import { readCCache, writeCCache } from './ccache.ts';
import { type CacheHandle, fileCache, noCache } from './ccache-file.ts';
import { type CacheName, isSubsidiaryFile } from './ccache-name.ts';
import { readPlainFile } from './plain.ts';

/** The caches that one name leads to. */
export interface CacheCollection {
  /** True when it can hold several, of which one is primary. */
  readonly switchable: boolean;
  /** The cache in use; it need not exist. @throws AdError FILE, INVALID_ARGUMENT for a broken `primary` file */
  primary(): Promise<CacheHandle>;
  /** Those that exist, the primary first. @throws as `primary` */
  list(): Promise<CacheHandle[]>;
  /** A cache under a new name, not written yet. @throws AdError INVALID_ARGUMENT where there can be only one */
  create(): Promise<CacheHandle>;
  /** Makes a cache the primary one. @throws AdError INVALID_ARGUMENT where there can be only one; FILE */
  switchTo(cache: CacheHandle): Promise<void>;
}

/** Caches of this process, by name; the holder decides how long they live. */
export class MemoryCaches {
  readonly #caches = new Map<string, Uint8Array>();

  /** The cache of that name, without `MEMORY:`; it need not exist yet. */
  handle(name: string): CacheHandle {
    const full = `MEMORY:${name}`;
    const forget = (): void => {
      const old = this.#caches.get(name);
      if (old) wipe(old);
      this.#caches.delete(name);
    };
    return {
      name: full,
      read: async () => {
        const bytes = this.#caches.get(name);
        if (!bytes) throw noCache(full);
        return readCCache(bytes);
      },
      write: async (cache) => {
        const bytes = writeCCache(cache);
        forget();
        this.#caches.set(name, bytes);
      },
      destroy: async () => {
        if (!this.#caches.has(name)) throw noCache(full);
        forget();
      },
    };
  }

  /** Whether there is a cache of that name. */
  has(name: string): boolean {
    return this.#caches.has(name);
  }

  /** Wipes all. */
  close(): void {
    for (const bytes of this.#caches.values()) wipe(bytes);
    this.#caches.clear();
  }
}

/**
 * @param memory where `MEMORY:` caches are; without it there are none
 */
export function openCaches(name: CacheName, memory = new MemoryCaches()): CacheCollection {
  if (name.type === 'DIR' && !('file' in name)) return directoryOf(name.directory);
  if (name.type === 'DIR') return single(subsidiary(name.directory, name.file));
  if (name.type === 'FILE') return single(fileCache(name.path));
  return single(memory.handle(name.name));
}

function single(cache: CacheHandle): CacheCollection {
  const alone = async (): Promise<never> => {
    throw new AdError(
      'INVALID_ARGUMENT',
      `${cache.name} is a single ticket cache: only a DIR: collection holds several`,
    );
  };
  return {
    switchable: false,
    primary: async () => cache,
    list: async () => ((await exists(cache)) ? [cache] : []),
    create: alone,
    switchTo: alone,
  };
}

async function exists(cache: CacheHandle): Promise<boolean> {
  try {
    for (const c of (await cache.read()).credentials) wipe(c.key.value);
    return true;
  } catch (e) {
    return !(e instanceof AdError && e.code === 'NOT_FOUND');
  }
}

const subsidiary = (directory: string, file: string): CacheHandle =>
  fileCache(`${directory}/${file}`, `DIR::${directory}/${file}`);

/** "The primary file ... If the file does not exist, the primary is tkt." */
const FIRST = 'tkt';
/** Letters of `mkstemp`, as in MIT's own names. */
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

function directoryOf(directory: string): CacheCollection {
  const marker = join(directory, 'primary');
  const primaryFile = async (): Promise<string> => {
    let text: string;
    try {
      text = (await readPlainFile(marker)).toString('utf8');
    } catch (e) {
      if (['ENOENT', 'ENOTDIR'].includes((e as NodeJS.ErrnoException).code ?? '')) return FIRST;
      throw new AdError('FILE', `cannot read ${marker}: ${messageOf(e)}`, { path: marker }, e);
    }
    const file = text.replace(/\n$/, '');
    // The name is joined to the directory: it must not lead out of it.
    if (!isSubsidiaryFile(file) || /[\n\0]/.test(file)) {
      throw new AdError('INVALID_ARGUMENT', `${marker} contains an invalid file name: remove it`, { path: marker });
    }
    return file;
  };
  /** Only the last part of the path is made: a missing parent is a mistake in the name. */
  const make = async (): Promise<void> => {
    await mkdir(directory, { mode: 0o700 }).catch((e: NodeJS.ErrnoException) => {
      if (e.code !== 'EEXIST')
        throw new AdError('FILE', `cannot make ${directory}: ${messageOf(e)}`, { path: directory }, e);
    });
  };
  const member = (file: string): CacheHandle => {
    const cache = subsidiary(directory, file);
    const write: CacheHandle['write'] = async (content) => {
      await make();
      await cache.write(content);
    };
    return { ...cache, write };
  };
  return {
    switchable: true,
    primary: async () => member(await primaryFile()),
    async list() {
      const first = await primaryFile();
      const files = await readdir(directory).catch((): string[] => []);
      const others = files.filter((f) => isSubsidiaryFile(f) && f !== first);
      const all = [...(files.includes(first) ? [first] : []), ...others.sort()].map(member);
      const there = await Promise.all(all.map(exists));
      return all.filter((_, i) => there[i]);
    },
    async create() {
      const name = [...randomBytes(6)].map((b) => LETTERS[b % LETTERS.length]).join('');
      return member(`tkt${name}`);
    },
    async switchTo(cache) {
      const prefix = `DIR::${directory}/`;
      const file = cache.name.slice(prefix.length);
      if (!cache.name.startsWith(prefix) || !isSubsidiaryFile(file))
        throw new AdError('INVALID_ARGUMENT', `${cache.name} is not in DIR:${directory}`);
      await make();
      await writeFileAtomic(marker, utf8(`${file}\n`));
    },
  };
}

/** The first cache of a principal; unreadable ones are passed over. */
export async function cacheOf(collection: CacheCollection, who: Principal): Promise<CacheHandle | undefined> {
  for (const cache of await collection.list()) {
    const owner = await ownerOf(cache);
    if (owner && samePrincipal(owner, who)) return cache;
  }
  return undefined;
}

/** Whose cache it is; undefined when it is not there or cannot be read. */
export async function ownerOf(cache: CacheHandle): Promise<Principal | undefined> {
  try {
    const { principal, credentials } = await cache.read();
    for (const c of credentials) wipe(c.key.value);
    return principal;
  } catch (e) {
    if (e instanceof AdError) return undefined;
    throw e;
  }
}
