/** Changing keytabs: entries added, removed and merged, and the file replaced whole with the owner and mode it had. */
import { readFile } from 'node:fs/promises';
import { equal, wipe } from '../../bytes.ts';
import { AdError, messageOf } from '../../errors.ts';
import { type Principal, samePrincipal } from '../principal.ts';
import { writeFileAtomic } from './atomic.ts';
import { likeBefore } from './ccache-file.ts';
import { type KeytabEntry, readKeytab, writeKeytab } from './keytab.ts';

/** Two entries stand for the same key when name, kvno and type agree. */
const sameSlot = (a: KeytabEntry, b: KeytabEntry): boolean =>
  a.kvno === b.kvno && a.key.etype === b.key.etype && samePrincipal(a.principal, b.principal);

/**
 * The entries with `added` behind them; one that names the same principal, kvno and type is replaced. Older kvnos stay:
 * tickets sealed with them live on for hours. Entries are shared with the arguments, not copied.
 */
export function addEntries(entries: readonly KeytabEntry[], added: readonly KeytabEntry[]): KeytabEntry[] {
  return [...entries.filter((old) => !added.some((one) => sameSlot(old, one))), ...added];
}

/** Which entries of a keytab are meant. */
export interface RemoveChoice {
  readonly principal?: Principal | undefined;
  readonly kvno?: number | undefined;
  readonly etype?: number | undefined;
  /** Leaves the newest kvno of each principal. */
  readonly old?: boolean | undefined;
}

/** Splits entries by a choice; all that is named in it must agree. */
export function removeEntries(
  entries: readonly KeytabEntry[],
  choice: RemoveChoice,
): { kept: KeytabEntry[]; removed: KeytabEntry[] } {
  const newest = (e: KeytabEntry): boolean =>
    !entries.some((other) => samePrincipal(other.principal, e.principal) && other.kvno > e.kvno);
  const goes = (e: KeytabEntry): boolean =>
    (choice.principal === undefined || samePrincipal(e.principal, choice.principal)) &&
    (choice.kvno === undefined || e.kvno === choice.kvno) &&
    (choice.etype === undefined || e.key.etype === choice.etype) &&
    (!choice.old || !newest(e));
  return { kept: entries.filter((e) => !goes(e)), removed: entries.filter(goes) };
}

/**
 * One list of several: an entry that stands in an earlier one with the same key is left out.
 * @throws AdError INVALID_ARGUMENT when two name the same principal, kvno and type with different keys: one is wrong,
 *   and which one cannot be told
 */
export function mergeEntries(lists: readonly (readonly KeytabEntry[])[]): KeytabEntry[] {
  const merged: KeytabEntry[] = [];
  for (const entry of lists.flat()) {
    const known = merged.find((one) => sameSlot(one, entry));
    if (!known) merged.push(entry);
    else if (!equal(known.key.value, entry.key.value)) {
      const name = entry.principal.components.join('/');
      throw new AdError(
        'INVALID_ARGUMENT',
        `two keytabs hold different keys of ${name}@${entry.principal.realm}, kvno ${entry.kvno}, type ` +
          `${entry.key.etype}: remove the wrong one first`,
      );
    }
  }
  return merged;
}

/**
 * The entries of a keytab file; the caller wipes them.
 * @throws AdError NOT_FOUND when there is none, FILE; MalformedError
 */
export async function loadKeytab(path: string): Promise<KeytabEntry[]> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT')
      throw new AdError('NOT_FOUND', `Key table file '${path}' not found`, { path }, e);
    throw new AdError('FILE', `cannot read the keytab ${path}: ${messageOf(e)}`, { path }, e);
  }
  try {
    return readKeytab(bytes);
  } finally {
    wipe(bytes);
  }
}

/** Replaces or makes a keytab file. @throws AdError FILE, and as `writeKeytab` */
export async function saveKeytab(path: string, entries: readonly KeytabEntry[]): Promise<void> {
  const bytes = writeKeytab(entries);
  try {
    await writeFileAtomic(path, bytes, await likeBefore(path));
  } finally {
    wipe(bytes);
  }
}

/** Wipes the keys of entries that are needed no more. */
export function wipeEntries(entries: readonly KeytabEntry[]): void {
  wipe(...entries.map((e) => e.key.value));
}
