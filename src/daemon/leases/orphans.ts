/**
 * Leases that nobody will ask for again. The ECS agent forgets the lease of a task's first credspec when it has two, a
 * client may be gone before it could delete, and an earlier daemon left empty directories behind failed calls. A lease
 * goes when nobody could have used or renewed any of its tickets for a week, found so twice, an hour apart; so does a
 * directory named as leases are that has no metadata, once it is that old.
 *
 * What is removed is what `LeaseStore.delete` removes, and only that: other names, other files and links stay.
 */
import type { Stats } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { systemTimers, type Timers } from '../calls/jobs.ts';
import type { Log } from '../log.ts';
import { ticketTimes } from '../renewal/ticket-times.ts';
import { CCACHE } from './file-policy.ts';
import { entries, isDirectory, isMissing } from './files.ts';
import { leaseIdProblem } from './names.ts';
import type { LeaseStore } from './store.ts';

/** How long a lease stays after its last ticket's `renew until`, ms; upstream's rule. */
export const KEPT_MS = 7 * 24 * 3_600_000;
const EVERY_MS = 3_600_000;
/** The first look comes when the daemon has begun to work. */
const FIRST_MS = 60_000;
/** Names that this daemon and those before it (20 digits), or ECS (a task's 32), give. Others may be anybody's. */
const generated = /^(?:[0-9a-f]{20}|[0-9a-f]{32})$/;

export interface OrphansParts {
  readonly store: LeaseStore;
  readonly log: Log;
  /** Of the machine: compared with tickets and with the times of files. */
  readonly clock?: () => number;
  readonly timers?: Timers;
}

export class Orphans {
  readonly #parts: OrphansParts;
  readonly #clock: () => number;
  #cancel: () => void = () => undefined;
  #round: Promise<unknown> = Promise.resolve();
  #closed = false;
  /** Those that hold files which are not ours. */
  readonly #kept = new Set<string>();
  /** Those that were orphans the last time as well: a clock that is wrong for a moment takes no lease away. */
  #before: ReadonlySet<string> = new Set();

  constructor(parts: OrphansParts) {
    this.#parts = parts;
    this.#clock = parts.clock ?? Date.now;
  }

  /** Looks once soon, then every hour. */
  start(): void {
    this.#next(FIRST_MS);
  }

  #next(ms: number): void {
    if (this.#closed) return;
    this.#cancel = (this.#parts.timers ?? systemTimers).after(ms, () => {
      this.#round = this.collect()
        .catch((error: unknown) => this.#parts.log.error('orphaned leases could not be looked for', { error }))
        .then(() => this.#next(EVERY_MS));
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    await this.#round;
  }

  /** Removes what is an orphan now and was one at the call before. @returns their ids */
  async collect(): Promise<string[]> {
    const { store, log } = this.#parts;
    const removed: string[] = [];
    const before = this.#before;
    const seen = new Set<string>();
    this.#before = seen;
    for (const entry of await entries(store.directory)) {
      if (this.#closed) break;
      if (!entry.isDirectory() || leaseIdProblem(entry.name) || this.#kept.has(entry.name)) continue;
      const lease = entry.name;
      try {
        let since: number | undefined;
        // Looked at again when nobody else is at work on the lease: a client may just have renewed it.
        const orphaned = async () => {
          since = await this.#uselessSince(lease);
          return since !== undefined && this.#clock() - since > KEPT_MS;
        };
        if (!(await orphaned())) continue;
        seen.add(lease);
        if (!before.has(lease)) continue;
        const caches = await store.delete(lease, orphaned);
        if (since === undefined || this.#clock() - since <= KEPT_MS) continue;
        if (await isDirectory(join(store.directory, lease))) {
          // What else lies there has been told by the store, once.
          this.#kept.add(lease);
          continue;
        }
        log.info('orphaned lease removed', { lease, count: caches.length });
        removed.push(lease);
      } catch (e) {
        log.warn('an orphaned lease could not be removed', { lease, error: messageOf(e) });
      }
    }
    return removed;
  }

  /** Since when a lease is of no use to anybody, ms; undefined when it is of use, or cannot be judged. */
  async #uselessSince(id: string): Promise<number | undefined> {
    const home = join(this.#parts.store.directory, id);
    const inside = await entries(home);
    const metadata = inside.filter((e) => e.isFile() && e.name.includes('_metadata'));
    if (metadata.length === 0 && !generated.test(id)) return undefined;
    // Metadata that cannot be read may be of a daemon to come.
    if (metadata.length > 0 && !(await this.#parts.store.find(id))) return undefined;
    let last = await changed(home);
    for (const { name } of metadata) last = Math.max(last, await changed(join(home, name)));
    for (const entry of inside.filter((e) => e.isDirectory())) {
      last = Math.max(last, await this.#lastUse(join(home, entry.name)));
    }
    return last;
  }

  /** Until when a ticket could be used or renewed; what is no ticket counts by the time it was written. */
  async #lastUse(directory: string): Promise<number> {
    const path = join(directory, CCACHE);
    const stat = await lstat(path).catch(absent);
    if (!stat?.isFile()) return changed(directory);
    try {
      const { ends, renewUntil } = await ticketTimes(path);
      return Math.max(ends, renewUntil);
    } catch {
      return stat.mtimeMs;
    }
  }
}

const absent = (e: unknown): undefined => {
  if (!isMissing(e)) throw e;
};

/** When something was last written; 0 when it is gone. */
async function changed(path: string): Promise<number> {
  const stat: Stats | undefined = await lstat(path).catch(absent);
  return stat?.mtimeMs ?? 0;
}
