/**
 * The directory of one ticket, `<lease>/<account>/`, which a container mounts:
 *
 *   krb5cc           the ticket
 *   krb5.keytab      the account's keys, where they are asked for
 *   krb5.conf        how the container finds the domain, likewise
 *   <second name>    a link to krb5cc in the same directory, so it leads right wherever the directory is mounted, and
 *                    to the new ticket when the old one is replaced
 *
 * Files are replaced one by one, each whole, and all of them are on disk before the first is seen; the keytab goes before
 * the ticket and keeps the keys before its newest, so a reader in between finds what fits together.
 */
import { randomBytes } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { readlink, rename, rmdir, symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { hex, wipe } from '../../bytes.ts';
import { writeFilesAtomic } from '../../krb5/files/atomic.ts';
import { withEarlierKeys } from '../../krb5/files/keytab-merge.ts';
import { CCACHE, type FilePolicy, KEYTAB, KRB5_CONF } from './file-policy.ts';
import { entries, gone, isMissing, readFileOfTicket } from './files.ts';

/** What `writeFilesAtomic` and `link` leave when the process is killed within them. */
export const temporaryName = /^\.[0-9a-f]{32}\.tmp$/;

export interface TicketFiles {
  readonly ccache: Uint8Array;
  /** Absent where the account's keys are not known: one that is there then stays. */
  readonly keytab?: Uint8Array | undefined;
  readonly krb5Conf?: Uint8Array | undefined;
}

/**
 * Writes the files of a ticket into its directory, which is there.
 * @param policy with the lease's own wishes
 * @param draft true when nobody looks into the directory yet
 * @throws AdError FILE; also what the file system says about links
 */
export async function writeTicket(
  directory: string,
  files: TicketFiles,
  policy: FilePolicy,
  draft = false,
): Promise<void> {
  const wanted: [name: string, bytes: Uint8Array | undefined][] = [
    [KRB5_CONF, policy.krb5Conf ? files.krb5Conf : undefined],
    [KEYTAB, policy.keytab ? files.keytab : undefined],
    [CCACHE, files.ccache],
  ];
  const keytab = wanted[1]![1];
  const merged = keytab && !draft ? await mergedKeytab(join(directory, KEYTAB), keytab) : undefined;
  if (merged) wanted[1]![1] = merged;
  try {
    await writeFilesAtomic(
      wanted.flatMap(([name, bytes]) =>
        bytes ? [{ path: join(directory, name), bytes, ...policy.ccache, draft }] : [],
      ),
    );
    if (!draft) await removeUnwanted(directory, policy);
    if (policy.secondName !== undefined) await link(directory, policy.secondName, draft);
  } finally {
    wipe(merged);
  }
}

/** New keys beside those that tickets still under way were sealed with. */
async function mergedKeytab(path: string, fresh: Uint8Array): Promise<Uint8Array | undefined> {
  let earlier: Uint8Array | undefined;
  try {
    earlier = await readFileOfTicket(path);
    return withEarlierKeys(fresh, earlier);
  } catch {
    // What cannot be read is replaced.
    return undefined;
  } finally {
    wipe(earlier);
  }
}

/** Takes away what an earlier policy put there and this one does not want. */
async function removeUnwanted(directory: string, policy: FilePolicy): Promise<void> {
  for (const entry of await entries(directory)) {
    const unwanted =
      (entry.name === KEYTAB && !policy.keytab) ||
      (entry.name === KRB5_CONF && !policy.krb5Conf) ||
      (entry.name !== policy.secondName && (await isLink(directory, entry)));
    if (unwanted && !entry.isDirectory()) await gone(unlink(join(directory, entry.name)));
  }
}

/** Makes the second name, by a rename over whatever has it. */
async function link(directory: string, name: string, draft: boolean): Promise<void> {
  const path = join(directory, name);
  if (draft) return symlink(CCACHE, path);
  if ((await target(path)) === CCACHE) return;
  const temporary = join(directory, `.${hex(randomBytes(16))}.tmp`);
  await symlink(CCACHE, temporary);
  try {
    await rename(temporary, path);
  } catch (e) {
    await unlink(temporary).catch(() => undefined);
    throw e;
  }
}

async function target(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (e) {
    if (isMissing(e) || (e as NodeJS.ErrnoException).code === 'EINVAL') return undefined;
    throw e;
  }
}

/** A second name, whatever it is. */
const isLink = async (directory: string, entry: Dirent): Promise<boolean> =>
  entry.isSymbolicLink() && (await target(join(directory, entry.name))) === CCACHE;

/**
 * Removes the files of a ticket, and its directory if nothing else is in it.
 * @returns the ticket cache, if there was one, and whether the directory is gone
 */
export async function removeTicket(directory: string): Promise<{ removed: string[]; emptied: boolean }> {
  const removed: string[] = [];
  const ours = [CCACHE, KEYTAB, KRB5_CONF];
  for (const entry of await entries(directory)) {
    if (entry.isDirectory()) continue;
    const mine = ours.includes(entry.name) || temporaryName.test(entry.name) || (await isLink(directory, entry));
    if (!mine) continue;
    const path = join(directory, entry.name);
    if ((await gone(unlink(path))) && entry.name === CCACHE) removed.push(path);
  }
  return { removed, emptied: await removeEmpty(directory) };
}

/** Removes what a killed daemon left half written in a lease: it may hold keys. Links are not followed. */
export async function removeTemporaries(lease: string): Promise<void> {
  const inside = await entries(lease);
  const directories = inside.filter((e) => e.isDirectory()).map((e) => join(lease, e.name));
  for (const directory of [lease, ...directories]) {
    for (const entry of directory === lease ? inside : await entries(directory)) {
      if (!entry.isDirectory() && temporaryName.test(entry.name)) await gone(unlink(join(directory, entry.name)));
    }
  }
}

/** @returns false when something is in the directory, which then stays */
export async function removeEmpty(path: string): Promise<boolean> {
  try {
    await gone(rmdir(path));
    return true;
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw e;
    return false;
  }
}
