/** Credspecs in files that the operator named, and leases of a fixed id made of them. */
import { close, constants, fstat, open, read } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fromUtf8 } from '../../bytes.ts';
import { AdError, abortError, messageOf } from '../../errors.ts';
import { CCACHE } from '../leases/file-policy.ts';
import type { Lease, LeaseStore } from '../leases/store.ts';
import type { Log } from '../log.ts';
import type { Actions, NewWanted, OwnedTicket } from './actions.ts';
import { MAX_CREDSPEC_LENGTH } from './credspec.ts';
import { parseAccounts, type RequestedAccount } from './requests.ts';
import { domainlessUser } from './wanted.ts';

/** Room for one byte more than is taken, whatever the size claims to be. */
const MAX_BYTES = 4 * MAX_CREDSPEC_LENGTH + 1;

/**
 * Reads the gMSAs of credspec files. Links are followed: the operator named the file, and orchestrators mount by links.
 * @param pipes ends the wait for a pipe's writer; without it a pipe is refused, for it can be read once only
 * @throws AdError FILE with `details.errno`, INVALID_ARGUMENT when it is no credspec; both name the file. ABORTED
 */
export async function readCredspecFiles(paths: readonly string[], pipes?: AbortSignal): Promise<RequestedAccount[]> {
  const texts: string[] = [];
  for (const path of paths) {
    const text = await readText(path, pipes);
    try {
      parseAccounts([text]);
    } catch (e) {
      throw new AdError('INVALID_ARGUMENT', `${path}: ${messageOf(e)}`, { path }, e);
    }
    texts.push(text);
  }
  return parseAccounts(texts);
}

async function readText(path: string, pipes: AbortSignal | undefined): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readBytes(path, pipes);
  } catch (e) {
    if (e instanceof AdError) throw e;
    const errno = (e as NodeJS.ErrnoException).code;
    throw new AdError('FILE', `cannot read the credspec ${path}: ${messageOf(e)}`, { path, errno }, e);
  }
  try {
    return fromUtf8(bytes);
  } catch (e) {
    throw new AdError('INVALID_ARGUMENT', `${path}: credspec: is not UTF-8`, { path }, e);
  }
}

async function readBytes(path: string, pipes: AbortSignal | undefined): Promise<Uint8Array> {
  // A pipe that nobody writes to would hold up any other open, and with it the end of the process.
  const fd = await files.open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  let mine = true;
  try {
    const stat = await files.fstat(fd);
    if (stat.isFIFO() && pipes) {
      mine = false;
      return await readPipe(fd, pipes, path);
    }
    if (!stat.isFile()) throw new Error(stat.isDirectory() ? 'it is a directory' : 'it is no plain file');
    const { bytesRead, buffer } = await files.read(fd, new Uint8Array(MAX_BYTES), 0, MAX_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    if (mine) await files.close(fd);
  }
}

/** With plain descriptors, as a socket takes one over; the one a pipe was first opened by sees the end of its writer. */
const files = { open: promisify(open), fstat: promisify(fstat), read: promisify(read), close: promisify(close) };

/** All that comes through a pipe, from whenever somebody begins to write. Closes it. */
function readPipe(fd: number, signal: AbortSignal, path: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    // Not by fs: its threads wait where nobody can call them back.
    const pipe = new Socket({ fd, readable: true, writable: false, signal });
    const chunks: Buffer[] = [];
    let length = 0;
    pipe.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= MAX_BYTES) pipe.destroy(new Error('more than a credspec can be'));
    });
    pipe.once('end', () => resolve(Buffer.concat(chunks)));
    pipe.once('error', (e) => reject(signal.aborted ? abortError(signal, `reading ${path}`) : e));
  });
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
