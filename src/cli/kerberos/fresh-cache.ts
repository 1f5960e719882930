/** Keeps a ticket cache fresh: a new ticket at half of the old one's life, at once when told to, again after a failure. */
import { messageOf } from '../../errors.ts';

export interface FreshCacheOptions {
  /** Gets a ticket, writes it, and tells when it ends, ms since the epoch. */
  readonly refresh: (signal: AbortSignal) => Promise<number>;
  /** Told of failures; the old ticket stays. */
  readonly failed: (message: string) => void;
  readonly clock?: () => number;
  readonly setTimer?: (work: () => void, ms: number) => { unref(): unknown };
  readonly clearTimer?: (timer: unknown) => void;
}

export interface FreshCache {
  /** A new ticket now; while one is being got, that one. */
  refreshNow(): Promise<void>;
  /** Ends the timer and what is under way. */
  close(): void;
}

const SECOND = 1000;
/** After a failure: a second, then twice as long each time, up to a minute. */
const FIRST_RETRY = SECOND;
const LAST_RETRY = 60 * SECOND;
/** A timer counts in 31 bits; a ticket of weeks is looked at before. */
const LONGEST = 24 * 3600 * SECOND;

/** When the next ticket is due: at half of the life that is left, never sooner than in a second. */
export function dueIn(endtime: number, now: number): number {
  return Math.min(Math.max((endtime - now) / 2, SECOND), LONGEST);
}

/**
 * Starts with a first ticket.
 * @throws what the first `refresh` throws: a cache that never worked is not kept
 */
export async function keepFresh(options: FreshCacheOptions): Promise<FreshCache> {
  const { clock = Date.now, setTimer = setTimeout, clearTimer = (t) => clearTimeout(t as NodeJS.Timeout) } = options;
  const closing = new AbortController();
  let timer: { unref(): unknown } | undefined;
  let running: Promise<void> | undefined;
  let retry = FIRST_RETRY;

  const plan = (ms: number): void => {
    clearTimer(timer);
    if (closing.signal.aborted) return;
    timer = setTimer(() => void refreshNow(), ms);
    timer.unref();
  };
  const once = async (): Promise<void> => {
    const endtime = await options.refresh(closing.signal);
    retry = FIRST_RETRY;
    plan(dueIn(endtime, clock()));
  };
  const refreshNow = (): Promise<void> => {
    running ??= once()
      .catch((e: unknown) => {
        if (closing.signal.aborted) return;
        options.failed(messageOf(e));
        plan(retry);
        retry = Math.min(retry * 2, LAST_RETRY);
      })
      .finally(() => {
        running = undefined;
      });
    return running;
  };
  await once();
  return {
    refreshNow,
    close() {
      closing.abort();
      clearTimer(timer);
    },
  };
}
