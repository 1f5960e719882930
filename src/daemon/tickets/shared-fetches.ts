/**
 * Identical questions to the engine, answered once. A client that repeats itself while its first call is still under
 * way, or soon after it gave that call up, and many clients that ask for the same at the same moment, share one fetch of
 * tickets. What they get is theirs alone: copies, each wiped by whoever asked.
 *
 * Identical means: the same reader with the same credential, and the same accounts with the same wishes, to the byte.
 * The credential is compared by a hash under a key of this process and is not kept once the fetch is over.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { abortable } from '../../async.ts';
import { copy, utf8, wipe } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import { CALL_LIMIT_MS, systemTimers, type Timers } from '../calls/jobs.ts';
import { type FetchOutcome, type FetchRequest, isFailure, type LeaseEngine, type ReaderIdentity } from './engine.ts';

/** How long a fetch that nobody waits for any more goes on, and its tickets wait for a client that repeats itself, ms. */
export const LINGER_MS = 10_000;
/** A fetch under way for longer takes nobody in: whatever holds it up shall not hold up every repetition too, ms. */
export const JOIN_WITHIN_MS = 10_000;
/** Fetches that nobody waits for go on side by side up to this number: giving up calls shall not be a way to make work. */
const MOST_LINGERING = 32;
/** No fetch takes longer, however many wait for it, ms. */
const LONGEST_MS = 2 * CALL_LIMIT_MS;

interface Flight {
  readonly began: number;
  readonly control: AbortController;
  readonly outcomes: Promise<FetchOutcome[]>;
  /** How many want the outcomes and have not got them. */
  waiting: number;
  done: boolean;
  stopLinger: () => void;
}

export interface SharedFetchesOptions {
  readonly timers?: Timers;
  /** Milliseconds from anywhere, only ever forwards. */
  readonly clock?: () => number;
  readonly lingerMs?: number;
}

export class SharedFetches implements LeaseEngine {
  readonly #engine: LeaseEngine;
  readonly #timers: Timers;
  readonly #clock: () => number;
  readonly #lingerMs: number;
  readonly #hashKey = randomBytes(32);
  /** Those that may take somebody in, and all that are not over. */
  readonly #open = new Map<string, Flight>();
  readonly #all = new Set<Flight>();

  constructor(engine: LeaseEngine, options: SharedFetchesOptions = {}) {
    this.#engine = engine;
    this.#timers = options.timers ?? systemTimers;
    this.#clock = options.clock ?? (() => performance.now());
    this.#lingerMs = options.lingerMs ?? LINGER_MS;
  }

  /** As the engine's. The request's signal gives up this request alone, not what others wait for. */
  async fetch(request: FetchRequest): Promise<FetchOutcome[]> {
    const id = this.#idOf(request);
    const there = this.#open.get(id);
    const flight = there && this.#takesIn(there) ? there : this.#begin(id, request);
    flight.stopLinger();
    flight.waiting++;
    try {
      const outcomes = await abortable(flight.outcomes, request.signal, 'fetching tickets');
      return outcomes.map(ownCopy);
    } finally {
      flight.waiting--;
      if (flight.waiting === 0) this.#left(flight, request.signal.aborted);
    }
  }

  renew(ccache: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    return this.#engine.renew(ccache, signal);
  }

  async close(): Promise<void> {
    const flights = [...this.#all];
    for (const flight of flights) this.#end(flight);
    await Promise.allSettled(flights.map((flight) => flight.outcomes));
    await this.#engine.close();
    wipe(this.#hashKey);
  }

  /** What is done waits for whoever repeats itself; what is under way for too long does not. */
  #takesIn(flight: Flight): boolean {
    return flight.done || this.#clock() - flight.began < JOIN_WITHIN_MS;
  }

  #begin(id: string, request: FetchRequest): Flight {
    const control = new AbortController();
    // Whoever asked first wipes its password when it gives up; the others still need it.
    const identity = ownIdentity(request.identity);
    const stopLimit = this.#timers.after(LONGEST_MS, () =>
      control.abort(new AdError('TIMEOUT', `no tickets within ${LONGEST_MS / 1000} s`)),
    );
    const outcomes = (async () => this.#engine.fetch({ ...request, identity, signal: control.signal }))().finally(
      () => {
        stopLimit();
        if (identity.kind === 'password') wipe(identity.password);
        flight.done = true;
      },
    );
    const stopLinger = (): void => undefined;
    const flight: Flight = { began: this.#clock(), control, outcomes, waiting: 0, done: false, stopLinger };
    this.#open.set(id, flight);
    this.#all.add(flight);
    // A failure is told to those who wait, and to nobody who comes later.
    outcomes.catch(() => this.#end(flight));
    return flight;
  }

  #left(flight: Flight, gaveUp: boolean): void {
    if (!this.#all.has(flight)) return;
    const lingering = [...this.#all].filter((f) => f.waiting === 0).length;
    if (!gaveUp || this.#lingerMs === 0 || lingering > MOST_LINGERING) this.#end(flight);
    else flight.stopLinger = this.#timers.after(this.#lingerMs, () => this.#end(flight));
  }

  /** Takes nobody in any more, ends what is under way and wipes what came of it. */
  #end(flight: Flight): void {
    flight.stopLinger();
    this.#all.delete(flight);
    for (const [id, open] of this.#open) if (open === flight) this.#open.delete(id);
    if (!flight.done) flight.control.abort(new AdError('ABORTED', 'nobody waits for these tickets any more'));
    flight.outcomes.then(
      (all) => wipe(...all.flatMap((o) => (isFailure(o) ? [] : [o.ccache, o.keytab]))),
      () => undefined,
    );
  }

  /** Equal for identical requests alone: JSON ends where the line ends, and what follows is the password. */
  #idOf({ identity, accounts }: FetchRequest): string {
    const hash = createHmac('sha256', this.#hashKey);
    const { kind } = identity;
    const reader =
      kind === 'password'
        ? [kind, identity.username, identity.domain]
        : kind === 'secret'
          ? [kind, identity.secretId]
          : [kind];
    hash.update(utf8(`${JSON.stringify([reader, accounts])}\n`));
    if (kind === 'password') hash.update(identity.password);
    return hash.digest('base64');
  }
}

const ownIdentity = (identity: ReaderIdentity): ReaderIdentity =>
  identity.kind === 'password' ? { ...identity, password: copy(identity.password) } : identity;

const ownCopy = (outcome: FetchOutcome): FetchOutcome =>
  isFailure(outcome)
    ? outcome
    : { ...outcome, ccache: copy(outcome.ccache), ...(outcome.keytab && { keytab: copy(outcome.keytab) }) };
