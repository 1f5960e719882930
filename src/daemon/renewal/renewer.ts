/**
 * Keeps tickets fresh. Now and then the leases are read from disk, so those of a predecessor are picked up like any
 * other; each ticket has its own due time and its own failures, and no account stops another. A ticket on disk is
 * replaced only by its whole successor.
 */
import { mapLimited, underSignals } from '../../async.ts';
import { wipe } from '../../bytes.ts';
import { isAdError, messageOf } from '../../errors.ts';
import { type Actions, accountOf } from '../calls/actions.ts';
import { CALL_LIMIT_MS, systemTimers, type Timers } from '../calls/jobs.ts';
import type { DaemonConfig } from '../config/config.ts';
import type { TicketPlan } from '../grpc/overview.ts';
import { readFileOfTicket } from '../leases/files.ts';
import type { Lease, LeaseStore, StoredTicket } from '../leases/store.ts';
import type { Log } from '../log.ts';
import type { DaemonMetrics } from '../metrics/metrics.ts';
import type { FetchedTicket, LeaseEngine } from '../tickets/engine.ts';
import { dueAt, goesAlong, pauseAfter, retryDelay, type Way, wayOf } from './plan.ts';
import { type CacheFacts, cacheFacts, type TicketTimes, ticketTimes } from './ticket-times.ts';

/** Leases on disk are looked at this often at least, ms. */
const LOOK_EVERY = 5 * 60_000;
/** Two looks are this far apart at least, ms. */
const LOOK_SOONEST = 1_000;
/** A clock that goes back by more than this was set, ms; less is what keeps a clock right. */
const SET_BACK = 60_000;
/** Groups of tickets renewed at a time. */
const AT_A_TIME = 8;

/** What is known of a ticket beyond its file. */
interface Entry {
  ends: number;
  due: number | undefined;
  way: Way;
  failures: number;
  lastError?: string;
  passwordQueryAt?: number;
  renewedAt?: number;
}

interface Due {
  readonly lease: Lease;
  readonly ticket: StoredTicket;
  readonly times: CacheFacts;
  readonly entry: Entry;
}

export interface RenewerParts {
  readonly store: LeaseStore;
  readonly engine: LeaseEngine;
  readonly log: Log;
  /** Looked at in each round: whether a user's tickets are extended without the user. */
  readonly config?: Partial<Pick<DaemonConfig, 'renewUserTickets'>>;
  readonly clock?: () => number;
  readonly timers?: Timers;
  readonly metrics?: Pick<DaemonMetrics, 'renewals' | 'passwordAge'>;
}

export class Renewer {
  readonly #parts: RenewerParts;
  readonly #clock: () => number;
  readonly #timers: Timers;
  readonly #entries = new Map<string, Entry>();
  readonly #closing = new AbortController();
  #actions: Actions | undefined;
  #cancelTimer: () => void = () => undefined;
  #round: Promise<void> = Promise.resolve();
  #lastLook = 0;

  constructor(parts: RenewerParts) {
    this.#parts = parts;
    this.#clock = parts.clock ?? Date.now;
    this.#timers = parts.timers ?? systemTimers;
    parts.metrics?.passwordAge.from(() => this.#passwordAges());
  }

  /** Begins, with the leases that are there already. */
  start(actions: Actions): void {
    this.#actions = actions;
    this.#next(0);
  }

  /** A ticket was fetched by a call: its managed password says when it is to be read again. */
  fetched(path: string, ticket: Pick<FetchedTicket, 'passwordQueryAt'>): void {
    if (!ticket.passwordQueryAt) return;
    const known = this.#entries.get(path);
    const entry = known ?? { ends: 0, due: undefined, way: { kind: 'extend' }, failures: 0 };
    this.#entries.set(path, { ...entry, passwordQueryAt: ticket.passwordQueryAt.getTime() });
  }

  /** What comes next for the ticket in a file. */
  plan(path: string): TicketPlan | undefined {
    const entry = this.#entries.get(path);
    if (!entry) return undefined;
    const waits = entry.way.kind === 'extend' ? "waits for the client's Renew" : '';
    const action = entry.way.kind === 'fetch' ? 'read the password and log on' : 'extend the ticket';
    return {
      action: entry.due === undefined ? waits : action,
      ...(entry.due !== undefined && { at: entry.due }),
      ...(entry.lastError !== undefined && { lastError: entry.lastError }),
    };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#cancelTimer();
    await this.#round;
  }

  #next(ms: number): void {
    if (this.#closing.signal.aborted) return;
    this.#cancelTimer = this.#timers.after(ms, () => {
      this.#round = this.#look()
        .catch((error: unknown) => this.#parts.log.error('the leases could not be looked at', { error }))
        .then(() => this.#next(this.#untilNext()));
    });
  }

  #untilNext(): number {
    const now = this.#clock();
    const soonest = Math.min(...[...this.#entries.values()].map((e) => e.due ?? Infinity));
    return Math.min(LOOK_EVERY, Math.max(LOOK_SOONEST, soonest - now));
  }

  /** One round: what is due now, account by account. */
  async #look(): Promise<void> {
    const setBack = this.#wasSetBack();
    const tickets = await this.#read();
    if (setBack) for (const { entry } of tickets) if (entry.due !== undefined) entry.due = this.#clock();
    const groups = new Map<string, Due[]>();
    for (const due of tickets) {
      const key = groupOf(due);
      groups.set(key, [...(groups.get(key) ?? []), due]);
    }
    const now = this.#clock();
    // What ends first goes first: should many be out of reach, they take their time.
    const ends = (group: readonly Due[]): number => Math.min(...group.map((d) => d.times.ends));
    const dueGroups = [...groups.values()]
      .filter((g) => g.some((d) => (d.entry.due ?? Infinity) <= now))
      .sort((a, b) => ends(a) - ends(b));
    await mapLimited(dueGroups, AT_A_TIME, async (group) => {
      if (this.#closing.signal.aborted) return;
      const due = group.filter((d) => (d.entry.due ?? Infinity) <= now || goesAlong(d.times, now));
      const limit = AbortSignal.timeout(CALL_LIMIT_MS);
      await underSignals([limit, this.#closing.signal], (signal) => this.#renew(due, signal));
    });
    // What was written has times of its own, and the next look shall not come after them.
    if (dueGroups.length > 0 && !this.#closing.signal.aborted) await this.#read();
  }

  /**
   * True when this machine's clock was set back, as after a boot before the time is known. Whatever was planned by the old
   * one would come too late, and caches written by it say how far it was from the KDC's, which is wrong by now.
   */
  #wasSetBack(): boolean {
    const last = this.#lastLook;
    this.#lastLook = this.#clock();
    if (this.#lastLook >= last - SET_BACK) return false;
    this.#parts.log.warn('the clock was set back, so every ticket is renewed', { ms: last - this.#lastLook });
    this.#entries.clear();
    return true;
  }

  /** Every ticket on disk with its entry brought up to date; entries of tickets that are gone are dropped. */
  async #read(): Promise<Due[]> {
    const found: Due[] = [];
    const leases = await this.#parts.store.list();
    const all = leases.flatMap((lease) => lease.tickets.map((ticket) => ({ lease, ticket })));
    for (const { lease, ticket } of all) {
      try {
        const times = await ticketTimes(ticket.ccachePath);
        found.push({ lease, ticket, times, entry: this.#entry(ticket, times) });
      } catch (e) {
        // A cache that cannot be read is as good as expired: its successor is due at once, where we can fetch one.
        const times = { owner: '', starts: 0, ends: 0, renewUntil: 0 };
        const entry = this.#entry(ticket, times);
        entry.lastError ??= messageOf(e);
        found.push({ lease, ticket, times, entry });
      }
    }
    const there = new Set(all.map(({ ticket }) => ticket.ccachePath));
    for (const path of this.#entries.keys()) if (!there.has(path)) this.#entries.delete(path);
    return found;
  }

  #entry(ticket: StoredTicket, times: TicketTimes): Entry {
    const path = ticket.ccachePath;
    const known = this.#entries.get(path);
    const way = wayOf(ticket.record);
    const ofUser = way.kind === 'extend' && ticket.record.credspecInfo === '';
    const left = ofUser && this.#parts.config?.renewUserTickets === false;
    if (!left && known && known.ends === times.ends && (known.failures > 0 || known.due !== undefined)) return known;
    const account = `${ticket.record.serviceAccountName}@${ticket.record.domainName}`.toLowerCase();
    const { passwordQueryAt, renewedAt } = known ?? {};
    // After a restart nobody knows how old the keys in a keytab are.
    const unsure = way.kind === 'fetch' && this.#parts.store.policy(ticket.record).keytab ? this.#clock() : undefined;
    const due = left ? undefined : dueAt(times, way, account, passwordQueryAt ?? unsure);
    const entry: Entry = {
      ends: times.ends,
      due: due === undefined || renewedAt === undefined ? due : Math.max(due, renewedAt + pauseAfter(times)),
      way,
      failures: 0,
      ...(passwordQueryAt !== undefined && { passwordQueryAt }),
      ...(renewedAt !== undefined && { renewedAt }),
    };
    this.#entries.set(path, entry);
    return entry;
  }

  async #renew(group: readonly Due[], signal: AbortSignal): Promise<void> {
    const first = group[0]!;
    if (first.entry.way.kind === 'extend') {
      await this.#extend(group, signal);
      return;
    }
    const { reader } = first.entry.way;
    const owned = group.map(({ lease, ticket }) => ({ reader, lease, ticket, account: accountOf(ticket) }));
    const outcomes = new Map<string, FetchedTicket | { error: unknown }>();
    try {
      await this.#actions!.replace(owned, signal, (ticket, outcome) => outcomes.set(ticket.ccachePath, outcome));
    } catch (error) {
      for (const { ticket } of owned) if (!outcomes.has(ticket.ccachePath)) outcomes.set(ticket.ccachePath, { error });
    }
    for (const due of group) {
      const outcome = outcomes.get(due.ticket.ccachePath);
      if (outcome && 'error' in outcome) this.#failed(due, outcome.error);
      else this.#done(due, outcome?.passwordQueryAt?.getTime());
    }
  }

  /**
   * Extends ticket-granting tickets of one account and one reader, whose password is not at hand: the one that can be
   * extended longest, for all of them. Where the KDC refuses it, the next one has its turn.
   */
  async #extend(group: readonly Due[], signal: AbortSignal): Promise<void> {
    const left = group.toSorted((a, b) => b.times.renewUntil - a.times.renewUntil);
    while (left.length > 0) {
      const best = left[0]!;
      let old: Buffer | undefined;
      let renewed: Uint8Array | undefined;
      try {
        old = await readFileOfTicket(best.ticket.ccachePath);
        // A container may write to its directory: what it has put there since goes to no other one.
        const { owner } = await cacheFacts(old);
        if (owner !== best.times.owner) throw new Error(`the cache is one of ${owner} by now`);
        renewed = await this.#parts.engine.renew(old, signal);
        for (const due of left.splice(0)) await this.#put(due, renewed);
      } catch (e) {
        // What is no answer of a KDC is the same for all.
        const all = isAdError(e, 'UNREACHABLE', 'TIMEOUT', 'ABORTED');
        for (const due of left.splice(0, all ? left.length : 1)) this.#failed(due, e);
      } finally {
        wipe(old, renewed);
      }
    }
  }

  async #put(due: Due, ccache: Uint8Array): Promise<void> {
    try {
      await this.#parts.store.replace(due.lease.id, due.ticket, ccache);
      this.#done(due);
    } catch (e) {
      this.#failed(due, e);
    }
  }

  #done(due: Due, passwordQueryAt?: number): void {
    this.#parts.metrics?.renewals.add({ result: 'ok' });
    this.#parts.log.info('ticket renewed', { lease: due.lease.id, account: due.ticket.record.serviceAccountName });
    // The next look reads the new times.
    const entry: Entry = { ends: 0, due: undefined, way: due.entry.way, failures: 0, renewedAt: this.#clock() };
    this.#entries.set(due.ticket.ccachePath, {
      ...entry,
      ...(passwordQueryAt !== undefined && { passwordQueryAt }),
    });
  }

  #failed(due: Due, error: unknown): void {
    const { entry, lease, ticket } = due;
    if (this.#closing.signal.aborted) return;
    entry.failures++;
    entry.due = this.#clock() + retryDelay(entry.failures);
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    entry.lastError = messageOf(cause);
    this.#parts.metrics?.renewals.add({ result: isAdError(cause) ? cause.code : 'FAULT' });
    const account = ticket.record.serviceAccountName;
    this.#parts.log.warn('a ticket was not renewed, the old one stays', { lease: lease.id, account, error: cause });
  }

  *#passwordAges(): Generator<readonly [{ account: string }, number]> {
    const now = this.#clock();
    const seen = new Set<string>();
    for (const [path, { passwordQueryAt }] of this.#entries) {
      const account = path.split('/').at(-2) ?? '';
      if (passwordQueryAt === undefined || seen.has(account)) continue;
      seen.add(account);
      yield [{ account }, (passwordQueryAt - now) / 1000];
    }
  }
}

/**
 * Tickets that one search and one login, or one extension, can serve: same reader, same account, same source. What is
 * extended is the cache itself, so it must say that it is the same account's, too.
 */
function groupOf({ ticket, entry, times }: Due): string {
  const { domainlessUser, serviceAccountName, domainName, credspecInfo } = ticket.record;
  const account = `${serviceAccountName}@${domainName}`.toLowerCase();
  // Users' names know no case, secrets' do.
  const { kind } = entry.way;
  const reader = kind === 'extend' ? domainlessUser.toLowerCase() : domainlessUser;
  const owner = kind === 'extend' ? times.owner : '';
  return JSON.stringify([kind, reader, account, credspecInfo.split('#', 1)[0], owner]);
}
