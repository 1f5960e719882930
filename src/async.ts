/** Small promises: one resolved from outside, one given up with a signal, one shared by those who ask at once. */
import { abortError } from './errors.ts';

export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((ok, no) => {
    resolve = ok;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** `work` on every item, at most `limit` at a time; the results in the order of the items. */
export async function mapLimited<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const i = next++;
      try {
        results[i] = await work(items[i]!, i);
      } catch (e) {
        next = items.length; // nothing new is begun once the whole has failed
        throw e;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}

/**
 * A promise that is given up with the signal; the work behind it goes on for others who wait for it.
 * @throws AdError TIMEOUT or ABORTED by the signal, or what the promise rejected with
 */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined, doing: string): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(abortError(signal, doing));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/**
 * Does work under a signal that follows all those given, and lets go of them afterwards. (`AbortSignal.any` leaves a
 * trace in a long-lived signal at each call, for as long as that signal lives.)
 */
export async function underSignals<T>(
  signals: readonly (AbortSignal | undefined)[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const any = new AbortController();
  const stops = signals.map((source) => {
    const follow = () => any.abort(source?.reason);
    if (source?.aborted) follow();
    source?.addEventListener('abort', follow, { once: true });
    return () => source?.removeEventListener('abort', follow);
  });
  try {
    return await work(any.signal);
  } finally {
    for (const stop of stops) stop();
  }
}

/**
 * `work` as it is asked for by many: it runs once at a time, and those who ask while it runs share the next run, so
 * that everyone gets what was true when they asked, or later.
 */
export function inTurns<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<unknown> | undefined;
  let next: Promise<T> | undefined;
  const run = (): Promise<T> => {
    const result = work();
    const ended: Promise<unknown> = result
      .catch(() => undefined)
      .then(() => {
        if (running === ended) running = undefined;
      });
    running = ended;
    return result;
  };
  return () => {
    if (!running) return run();
    next ??= running.then(() => {
      next = undefined;
      return run();
    });
    return next;
  };
}
