/**
 * The calls under way: each gets a signal that fires when its client gives up, when its time is over or when the
 * daemon stops. Calls run side by side and do not wait for each other; beyond a number they are turned away at once, those of
 * whoever makes most of them first.
 */
import { AdError, abortError } from '../../errors.ts';
import { StatusError } from './status.ts';

/** Longest any call takes, in milliseconds: clients wait 20 s, then repeat. */
export const CALL_LIMIT_MS = 15_000;
/** Calls under way at once. */
export const MAX_CALLS = 256;

export interface Timers {
  /** Runs `then` after `ms`; the returned function takes it back. */
  after(ms: number, then: () => void): () => void;
}

export const systemTimers: Timers = {
  after(ms, then) {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
};

/** A call under way. */
interface Job {
  readonly from: unknown;
  readonly control: AbortController;
  readonly settled: Promise<unknown>;
}

export class Jobs {
  readonly #running = new Set<Job>();
  readonly #timers: Timers;
  readonly #limitMs: number;
  readonly #most: number;
  #stopping = false;

  constructor(options: { timers?: Timers; limitMs?: number; most?: number } = {}) {
    this.#timers = options.timers ?? systemTimers;
    this.#limitMs = options.limitMs ?? CALL_LIMIT_MS;
    this.#most = options.most ?? MAX_CALLS;
  }

  get size(): number {
    return this.#running.size;
  }

  /**
   * Runs `work`. When its signal fires the call is answered without waiting for it; `work` undoes what it did and its
   * end is waited for only by `drain`.
   * @param onCancel told a function to call when the client gives up
   * @param from whose call it is, by identity: when there is no room, whoever has most calls under way loses the latest
   *   of them to whoever has fewer
   * @throws StatusError RESOURCE_EXHAUSTED or UNAVAILABLE without starting, AdError TIMEOUT or ABORTED, and what `work` throws
   */
  async run<T>(
    doing: string,
    onCancel: (cancel: () => void) => void,
    work: (signal: AbortSignal) => Promise<T>,
    from?: unknown,
  ): Promise<T> {
    if (this.#stopping) throw new StatusError('UNAVAILABLE', 'ERROR: the daemon is stopping');
    this.#makeRoom(from);
    const controller = new AbortController();
    const { signal } = controller;
    const cancelTimer = this.#timers.after(this.#limitMs, () =>
      controller.abort(new AdError('TIMEOUT', `no result within ${this.#limitMs / 1000} s while ${doing}`)),
    );
    onCancel(() => controller.abort(new AdError('ABORTED', `given up by the client while ${doing}`)));
    const working = (async () => work(signal))();
    const settled = working
      .then(
        () => undefined,
        () => undefined,
      )
      .then(() => {
        cancelTimer();
        this.#running.delete(job);
      });
    const job: Job = { from, control: controller, settled };
    this.#running.add(job);
    const aborted = new Promise<never>((_, reject) => {
      const end = (): void => reject(signal.reason instanceof StatusError ? signal.reason : abortError(signal, doing));
      if (signal.aborted) end();
      else signal.addEventListener('abort', end, { once: true });
    });
    aborted.catch(() => undefined);
    return Promise.race([working, aborted]);
  }

  /** @throws StatusError RESOURCE_EXHAUSTED */
  #makeRoom(from: unknown): void {
    if (this.#running.size < this.#most) return;
    const full = () => new StatusError('RESOURCE_EXHAUSTED', `ERROR: ${this.#most} calls are under way already`);
    const byCaller = new Map<unknown, Job[]>();
    let under = 0;
    for (const job of this.#running) {
      if (job.control.signal.aborted) continue;
      under++;
      const theirs = byCaller.get(job.from) ?? [];
      theirs.push(job);
      byCaller.set(job.from, theirs);
    }
    // What was ended takes a moment to end, so there may be some more; but not any number.
    if (this.#running.size >= 2 * this.#most) throw full();
    if (under < this.#most) return;
    const greediest = [...byCaller.values()].reduce((a, b) => (b.length > a.length ? b : a));
    const mine = byCaller.get(from)?.length ?? 0;
    if (greediest.length <= mine + 1) throw full();
    greediest.at(-1)!.control.abort(full());
  }

  /**
   * Takes no more calls and waits for those under way; what is not done after `graceMs` is aborted and then waited
   * for once more, as long.
   */
  async drain(graceMs: number): Promise<void> {
    this.#stopping = true;
    if (await this.#idleWithin(graceMs)) return;
    for (const { control } of this.#running) {
      control.abort(new AdError('UNREACHABLE', 'the daemon is stopping'));
    }
    await this.#idleWithin(graceMs);
  }

  async #idleWithin(ms: number): Promise<boolean> {
    if (this.#running.size === 0) return true;
    let cancel = (): void => undefined;
    const late = new Promise<false>((resolve) => {
      cancel = this.#timers.after(ms, () => resolve(false));
    });
    const idle = Promise.all([...this.#running].map((job) => job.settled)).then(() => true as const);
    try {
      return await Promise.race([idle, late]);
    } finally {
      cancel();
    }
  }
}
