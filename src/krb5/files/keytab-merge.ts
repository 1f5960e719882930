/** A keytab written anew keeps the keys before its newest: tickets sealed with them live on for hours. */
import { wipe } from '../../bytes.ts';
import { formatPrincipal } from '../principal.ts';
import { type KeytabEntry, readKeytab, writeKeytab } from './keytab.ts';

/**
 * The new keytab with those entries of the old one that are of the generation before its newest, and of principals that
 * it names itself; so nothing comes in that does not belong to the account.
 * @returns a new array, which the caller wipes
 * @throws MalformedError when one of the two is no keytab
 */
export function withEarlierKeys(fresh: Uint8Array, old: Uint8Array): Uint8Array {
  const read: KeytabEntry[] = [];
  try {
    const entries = readKeytab(fresh);
    read.push(...entries);
    const before = readKeytab(old);
    read.push(...before);
    const lowest = new Map<string, number>();
    for (const { principal, kvno } of entries) {
      const name = formatPrincipal(principal);
      lowest.set(name, Math.min(kvno, lowest.get(name) ?? kvno));
    }
    const newest = Math.max(...entries.map((e) => e.kvno));
    const kept = before.filter(({ principal, kvno }) => {
      const least = lowest.get(formatPrincipal(principal));
      return least !== undefined && kvno < least && kvno >= newest - 1;
    });
    return writeKeytab([...entries, ...kept]);
  } finally {
    wipe(...read.map((e) => e.key.value));
  }
}
