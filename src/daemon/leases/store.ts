/**
 * The leases on disk:
 *
 *   <krbdir>/<lease>/<lease>_metadata.json      0644
 *   <krbdir>/<lease>/<account>/                 what `ticket-directory.ts` writes
 *
 * Modes and owners of directories and tickets are those of the policy.
 * A lease is built under a name that begins with a dot and renamed into place, so it is there whole or not at all,
 * also after a crash. Only files and directories of these names are ever removed: no recursion, and no step through a
 * symbolic link.
 */
import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { inTurns, mapLimited } from '../../async.ts';
import { hex, utf8 } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import { writeFileAtomic } from '../../krb5/files/atomic.ts';
import type { Log } from '../log.ts';
import { CCACHE, DEFAULT_FILE_POLICY, type FilePolicy, leaseDirectory, withWishes } from './file-policy.ts';
import { entries, fileError, giveDirectory, gone, isDirectory, isExhausted, makeDirectory } from './files.ts';
import { formatMetadata, parseMetadata, type TicketRecord } from './metadata.ts';
import { directoryNameProblem, leaseIdProblem } from './names.ts';
import { checkPlaces, recordOf } from './records.ts';
import {
  removeEmpty,
  removeTemporaries,
  removeTicket,
  type TicketFiles,
  temporaryName,
  writeTicket,
} from './ticket-directory.ts';

/** Everybody may go through the directory that holds all leases; each of them decides for itself. */
const KRBDIR_MODE = 0o755;
const METADATA_MODE = 0o644;
const draftName = /^\.[0-9a-f]{20}\.new$/;

/** A ticket to be put into a new lease. */
export interface NewTicket extends TicketFiles {
  /** Name of its directory. */
  readonly name: string;
  /** The gMSA, where the directory is not called like it. */
  readonly account?: string;
  readonly record: Omit<TicketRecord, 'krbFilePath' | 'serviceAccountName'>;
}

/** A ticket found on disk. */
export interface StoredTicket {
  readonly record: TicketRecord;
  readonly directory: string;
  readonly ccachePath: string;
}

export interface Lease {
  readonly id: string;
  readonly tickets: readonly StoredTicket[];
}

/** A lease that was written. */
export interface NewLease {
  readonly id: string;
  /** In the order of the tickets. */
  readonly directories: string[];
  /** Takes back what was new. */
  undo(): Promise<unknown>;
}

export interface LeaseStoreOptions {
  /** The krbdir, absolute. */
  readonly directory: string;
  readonly log: Log;
  readonly files?: FilePolicy;
  readonly random?: (length: number) => Uint8Array;
}

export class LeaseStore {
  readonly directory: string;
  readonly #log: Log;
  readonly #files: FilePolicy;
  readonly #random: (length: number) => Uint8Array;
  /** The call that last put a ticket into a directory, where the caller chose the lease. */
  readonly #putBy = new Map<string, symbol>();
  /** The last file operation on each lease; the next one waits for it. */
  readonly #busy = new Map<string, Promise<unknown>>();

  constructor(options: LeaseStoreOptions) {
    this.directory = options.directory;
    this.#log = options.log;
    this.#files = options.files ?? DEFAULT_FILE_POLICY;
    this.#random = options.random ?? randomBytes;
  }

  /**
   * Makes the krbdir when it is missing and removes what a killed predecessor left half built.
   * @throws AdError FILE when it cannot be used
   */
  async open(): Promise<void> {
    try {
      await mkdir(this.directory, { recursive: true, mode: KRBDIR_MODE });
      for (const entry of await readdir(this.directory, { withFileTypes: true })) {
        if (!entry.isDirectory()) continue;
        if (draftName.test(entry.name)) await this.#remove(entry.name);
        else if (!leaseIdProblem(entry.name)) {
          const lease = entry.name;
          await removeTemporaries(join(this.directory, lease)).catch((error) =>
            this.#log.warn('a lease cannot be tidied up', { lease, error }),
          );
        }
      }
    } catch (e) {
      throw fileError('use', this.directory, e);
    }
  }

  /**
   * Writes a whole lease, or nothing.
   * @param tickets with distinct names that `accountNameProblem` accepts
   * @param signal checked last before the lease appears
   * @param id a random one unless the caller has chosen it
   * @throws AdError FILE, or the signal's reason
   */
  async create(tickets: readonly NewTicket[], signal?: AbortSignal, id = hex(this.#random(10))): Promise<NewLease> {
    const draft = `.${hex(this.#random(10))}.new`;
    const home = join(this.directory, draft);
    const final = join(this.directory, id);
    const records = tickets.map((t) => recordOf(t, final));
    try {
      // Not synced to disk: what a power failure takes from a new lease its containers have lost as well.
      await mkdir(home, { mode: 0o700 });
      const metadata = utf8(formatMetadata(records));
      const written = await Promise.allSettled([
        writeFileAtomic(join(home, `${id}_metadata.json`), metadata, { mode: METADATA_MODE, draft: true }),
        ...tickets.map(async (t) => {
          const place = join(home, t.name);
          await mkdir(place, { mode: 0o700 });
          await writeTicket(place, t, this.policy(t.record), true);
          await giveDirectory(place, this.#files.directory);
        }),
      ]);
      for (const result of written) if (result.status === 'rejected') throw result.reason;
      signal?.throwIfAborted();
      await giveDirectory(home, leaseDirectory(this.#files));
      await rename(home, final);
    } catch (e) {
      await this.#remove(draft).catch((left) =>
        this.#log.warn('a failed lease left files', { path: home, error: left }),
      );
      throw e instanceof AdError || signal?.aborted ? e : fileError('write', final, e);
    }
    return { id, directories: tickets.map((t) => join(final, t.name)), undo: () => this.delete(id) };
  }

  /**
   * Puts tickets into a lease whose id the caller chose: a new lease, or more tickets of one that is there. A ticket
   * for the same credspec in the same place replaces the old one, so that a client may repeat itself.
   * @throws AdError INVALID_ARGUMENT when a place is another's, FILE, or the signal's reason
   */
  put(id: string, tickets: readonly NewTicket[], signal?: AbortSignal): Promise<NewLease> {
    return this.#alone(id, async () => {
      const home = join(this.directory, id);
      const call = Symbol(id);
      const note = () => tickets.forEach((t) => void this.#putBy.set(join(home, t.name), call));
      if (!(await isDirectory(home))) {
        const made = await this.create(tickets, signal, id);
        note();
        return { ...made, undo: () => this.#takeBack(id, tickets, call) };
      }
      const lease = await this.#read(id);
      if (!lease) throw new AdError('FILE', `lease ${id} is there already and cannot be read: delete it`);
      const old = new Map(lease.tickets.map((t) => [basename(t.directory), t.record]));
      const fresh = tickets.filter((t) => !old.has(t.name));
      checkPlaces(id, old, tickets);
      try {
        for (const ticket of tickets) {
          const place = join(home, ticket.name);
          if (!(await isDirectory(place))) await makeDirectory(place, this.#files.directory);
          await writeTicket(place, ticket, this.policy(ticket.record));
        }
        signal?.throwIfAborted();
        for (const ticket of tickets) old.set(ticket.name, recordOf(ticket, home));
        await this.#writeMetadata(id, [...old.values()]);
      } catch (e) {
        for (const { name } of fresh) await this.#removeTicket(join(home, name)).catch(() => undefined);
        throw e instanceof AdError || signal?.aborted ? e : fileError('write', home, e);
      }
      note();
      const undo = () => this.#takeBack(id, fresh, call);
      return { id, directories: tickets.map((t) => join(home, t.name)), undo };
    });
  }

  /** Takes back what a call put into a lease, but for what another one has put there since: a client repeats itself. */
  #takeBack(id: string, put: readonly NewTicket[], call: symbol): Promise<void> {
    return this.#alone(id, async () => {
      const lease = await this.#read(id);
      const mine = new Set(
        put.map((t) => join(this.directory, id, t.name)).filter((place) => this.#putBy.get(place) === call),
      );
      if (!lease || mine.size === 0) return;
      const stay = lease.tickets.filter((t) => !mine.has(t.directory));
      if (stay.length === 0) return void (await this.#remove(id));
      await this.#writeMetadata(
        id,
        stay.map((t) => t.record),
      );
      for (const place of mine) await this.#removeTicket(place);
    });
  }

  /**
   * Notes another user as the reader of some of a lease's tickets.
   * @param paths of their caches
   */
  changeUser(id: string, paths: ReadonlySet<string>, username: string): Promise<void> {
    return this.#alone(id, async () => {
      const lease = await this.#read(id);
      if (!lease) return;
      const records = lease.tickets.map(({ record, ccachePath }) =>
        paths.has(ccachePath) ? { ...record, domainlessUser: username } : record,
      );
      await this.#writeMetadata(id, records);
    });
  }

  #writeMetadata(id: string, records: readonly TicketRecord[]): Promise<void> {
    const path = join(this.directory, id, `${id}_metadata.json`);
    return writeFileAtomic(path, utf8(formatMetadata(records)), { mode: METADATA_MODE });
  }

  /**
   * Removes a lease. An unknown one is no error.
   * @param when asked once nobody else is at work on the lease; false: it stays
   * @returns the ticket caches that were removed
   * @throws AdError INVALID_ARGUMENT for what cannot be a lease's id, FILE when something resists
   */
  async delete(id: string, when?: () => Promise<boolean>): Promise<string[]> {
    const problem = leaseIdProblem(id);
    if (problem) throw new AdError('INVALID_ARGUMENT', `lease_id ${problem}`);
    return this.#alone(id, async () => {
      try {
        return when && !(await when()) ? [] : await this.#remove(id);
      } catch (e) {
        throw fileError('delete', join(this.directory, id), e);
      }
    });
  }

  /**
   * Every lease on disk that can be read; broken ones are logged and skipped.
   * @throws AdError FILE when the directory cannot be read, or no more files can be opened
   */
  list(): Promise<Lease[]> {
    return this.#listing();
  }

  /** One lease; undefined when there is none that can be read. */
  find(id: string): Promise<Lease | undefined> {
    return this.#read(id);
  }

  /** However many ask, the disk is read by one at a time. */
  readonly #listing = inTurns(async (): Promise<Lease[]> => {
    try {
      const names = (await entries(this.directory))
        .filter((e) => e.isDirectory() && !leaseIdProblem(e.name))
        .map((e) => e.name);
      const leases = await mapLimited(names, 16, (id) => this.#read(id));
      return leases.filter((lease) => lease !== undefined);
    } catch (e) {
      throw fileError('read', this.directory, e);
    }
  });

  /** Who may read the files of a ticket and which there are: the daemon's policy, and what its lease wishes. */
  policy(record: Pick<TicketRecord, 'files'>): FilePolicy {
    return withWishes(this.#files, record.files);
  }

  /**
   * Puts a new ticket in the place of an old one, in the same directory.
   * @param beside what else is known of the account now
   * @returns false when the lease or the account's directory is gone meanwhile
   * @throws AdError FILE; the old ticket is then untouched
   */
  async replace(
    leaseId: string,
    ticket: StoredTicket,
    ccache: Uint8Array,
    beside: Omit<TicketFiles, 'ccache'> = {},
  ): Promise<boolean> {
    return this.#alone(leaseId, async () => {
      if (!(await isDirectory(join(this.directory, leaseId))) || !(await isDirectory(ticket.directory))) return false;
      try {
        await writeTicket(ticket.directory, { ...beside, ccache }, this.policy(ticket.record));
      } catch (e) {
        throw fileError('write', ticket.directory, e);
      }
      return true;
    });
  }

  async #read(id: string): Promise<Lease | undefined> {
    const home = join(this.directory, id);
    try {
      const files = (await entries(home)).filter((e) => e.isFile() && e.name.includes('_metadata'));
      const file = files.find((e) => e.name === `${id}_metadata.json`) ?? files[0];
      if (!file) return undefined;
      const tickets: StoredTicket[] = [];
      for (const record of parseMetadata(await readFile(join(home, file.name), 'utf8'))) {
        const ticket = await this.#locate(id, record);
        if (ticket) tickets.push(ticket);
        else this.#log.warn('a ticket in the metadata is not there', { lease: id, account: record.serviceAccountName });
      }
      return { id, tickets };
    } catch (e) {
      // That is not this lease's fault, and nobody must take it for gone.
      if (isExhausted(e)) throw e;
      this.#log.warn('a lease cannot be read and is left alone', { lease: id, error: e });
      return undefined;
    }
  }

  /**
   * The recorded path must have the shape `…/<lease>/<account>/krb5cc` and is then looked up below our own directory,
   * whatever stands before: a metadata file cannot point anywhere else.
   */
  async #locate(id: string, record: TicketRecord): Promise<StoredTicket | undefined> {
    const name = basename(dirname(record.krbFilePath));
    const shaped = basename(record.krbFilePath) === CCACHE && basename(dirname(dirname(record.krbFilePath))) === id;
    if (!shaped || directoryNameProblem(name)) return undefined;
    const directory = join(this.directory, id, name);
    const ccachePath = join(directory, CCACHE);
    if (!(await isDirectory(directory))) return undefined;
    const stat = await lstat(ccachePath).catch(() => undefined);
    return stat?.isFile() ? { record, directory, ccachePath } : undefined;
  }

  /**
   * Removes what leases consist of from the directory `name`, tickets first and the metadata last, so that a crash
   * half way leaves a lease that can be deleted again. What else lies there stays, and is logged.
   */
  async #remove(name: string): Promise<string[]> {
    const home = join(this.directory, name);
    if (!(await isDirectory(home))) return [];
    const removed: string[] = [];
    const inside = await entries(home);
    for (const entry of inside.filter((e) => e.isDirectory())) {
      removed.push(...(await this.#removeTicket(join(home, entry.name))));
    }
    for (const file of inside) {
      if (file.isDirectory() || !(file.name.includes('_metadata') || temporaryName.test(file.name))) continue;
      await gone(unlink(join(home, file.name)));
    }
    if (!(await removeEmpty(home))) this.#stays(home);
    return removed;
  }

  /** @returns the ticket cache, if there was one */
  async #removeTicket(account: string): Promise<string[]> {
    this.#putBy.delete(account);
    const { removed, emptied } = await removeTicket(account);
    if (!emptied) this.#stays(account);
    return removed;
  }

  #stays(path: string): void {
    this.#log.warn('a directory holds files that are not ours and stays', { path });
  }

  /** Runs `work` when every earlier work on this lease has ended. */
  #alone<T>(id: string, work: () => Promise<T>): Promise<T> {
    const mine = (this.#busy.get(id) ?? Promise.resolve()).then(work);
    const settled = mine.then(
      () => undefined,
      () => undefined,
    );
    this.#busy.set(id, settled);
    settled.then(() => this.#busy.get(id) === settled && this.#busy.delete(id));
    return mine;
  }
}
