/** Credspecs in files that the operator named, and leases of a fixed id made of them. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fromUtf8 } from '../bytes.ts';
import { AdError, messageOf } from '../errors.ts';
import type { Actions, NewWanted, OwnedTicket } from './actions.ts';
import { MAX_CREDSPEC_LENGTH } from './credspec.ts';
import { CCACHE } from './file-policy.ts';
import type { Lease, LeaseStore } from './leases.ts';
import type { Log } from './log.ts';
import { parseAccounts, type RequestedAccount } from './requests.ts';
import { domainlessUser } from './wanted.ts';

/**
 * Reads the gMSAs of credspec files. Links are followed: the operator named the file, and orchestrators mount by links.
 * @param domain in place of the one in each credspec
 * @throws AdError FILE with `details.errno`, INVALID_ARGUMENT when it is no credspec; both name the file
 */
export async function readCredspecFiles(paths: readonly string[], domain?: string): Promise<RequestedAccount[]> {
  const texts: string[] = [];
  for (const path of paths) {
    const text = await readText(path);
    try {
      parseAccounts([text], domain);
    } catch (e) {
      throw new AdError('INVALID_ARGUMENT', `${path}: ${messageOf(e)}`, { path }, e);
    }
    texts.push(text);
  }
  return parseAccounts(texts, domain);
}

async function readText(path: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    const file = await open(path);
    try {
      // Room for one byte more than is taken, whatever the size claims to be: it may be a pipe.
      const { bytesRead, buffer } = await file.read(new Uint8Array(4 * MAX_CREDSPEC_LENGTH + 1), 0);
      bytes = buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (e) {
    const errno = (e as NodeJS.ErrnoException).code;
    throw new AdError('FILE', `cannot read the credspec ${path}: ${messageOf(e)}`, { path, errno }, e);
  }
  try {
    return fromUtf8(bytes);
  } catch (e) {
    throw new AdError('INVALID_ARGUMENT', `${path}: credspec: is not UTF-8`, { path }, e);
  }
}

/**
 * Puts tickets into the lease of that id. Where it is there already for the same accounts, only its tickets are replaced,
 * so that containers keep what they mounted; a lease for others gives way.
 * @returns the paths of the caches, in the order of what is wanted
 * @throws StepError and what `Actions` throws; the old tickets are then untouched, unless they were other accounts'
 */
export async function holdLease(
  parts: { readonly actions: Actions; readonly store: LeaseStore; readonly log: Log },
  id: string,
  wanted: readonly NewWanted[],
  signal: AbortSignal,
): Promise<string[]> {
  const { actions, store, log } = parts;
  const lease = (await store.list()).find((l) => l.id === id);
  const owned = lease && sameAccounts(lease, wanted);
  if (owned) {
    let failure: unknown;
    await actions.replace(owned, signal, (_, outcome) => {
      if ('error' in outcome) failure ??= outcome.error;
    });
    for (const { ticket, reader } of owned) {
      const user = domainlessUser(reader);
      if (ticket.record.domainlessUser !== user) await store.changeUser(id, new Set([ticket.ccachePath]), user);
    }
    if (failure !== undefined) throw failure;
    return owned.map(({ ticket }) => ticket.ccachePath);
  }
  if (lease) {
    log.warn('a lease of this id is for other accounts and gives way', { lease: id });
    await actions.remove(id);
  }
  const { directories } = await actions.add(wanted, signal, id);
  return directories.map((directory) => join(directory, CCACHE));
}

/** What is wanted beside what the lease holds, if these are the same accounts. */
function sameAccounts(lease: Lease, wanted: readonly NewWanted[]): OwnedTicket[] | undefined {
  const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
  const owned = wanted.flatMap(({ reader, account }) => {
    const ticket = lease.tickets.find(
      ({ record }) => same(record.serviceAccountName, account.name) && same(record.domainName, account.domain),
    );
    return ticket ? [{ lease, ticket, reader, account }] : [];
  });
  return owned.length === wanted.length && owned.length === lease.tickets.length ? owned : undefined;
}
