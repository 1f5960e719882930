/** Trying several servers: in order, but never waiting long for a silent one. */
import { deferred } from '../../async.ts';
import { AdError, abortError, isAdError, messageOf, throwIfAborted } from '../../errors.ts';

export interface FailoverOptions<S> {
  /** How long a silent server is alone, ms; then the next is tried beside it and the first answer wins. */
  readonly stagger: number;
  /** As `stagger`, from the moment a server has the request: what two servers have is done twice. */
  readonly patience?: number;
  readonly signal?: AbortSignal | undefined;
  /** What is being done, for errors: 'asking a KDC of EXAMPLE.COM'. */
  readonly doing: string;
  /** Errors that another server would answer the same way end the search; by default only UNREACHABLE goes on. */
  readonly goesOn?: (e: unknown) => boolean;
  /** True for a server that shall not be asked any more when its turn comes. */
  readonly skip?: (server: S) => boolean;
  /** Told of each server that was still silent when one tried after it had answered. */
  readonly overtaken?: (server: S) => void;
}

/** Why losers are aborted: made once, for a DOMException of its own, with its stack, costs as much as a small exchange. */
const DECIDED = new AdError('ABORTED', 'another server answered, or nobody waits any more');

/**
 * Runs `attempt` on each server until one succeeds. A server that fails is followed by the next at once; one that is
 * silent for `stagger` ms gets company, or, when the attempt says that it has sent its request, for `patience` ms from
 * then. Losers are aborted through their signal.
 * @throws what an attempt threw when `goesOn` is false for it; AdError UNREACHABLE with every server's reason when all
 *   failed; TIMEOUT or ABORTED by the signal
 */
export async function firstToAnswer<S, T>(
  servers: readonly S[],
  attempt: (server: S, signal: AbortSignal, sent: () => void) => Promise<T>,
  name: (server: S) => string,
  options: FailoverOptions<S>,
): Promise<T> {
  throwIfAborted(options.signal, options.doing);
  const goesOn = options.goesOn ?? ((e) => isAdError(e, 'UNREACHABLE'));
  const losers = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const failures: string[] = [];
  const { promise, resolve, reject } = deferred<T>();
  const onAbort = () => reject(abortError(options.signal!, options.doing));
  options.signal?.addEventListener('abort', onAbort, { once: true });

  const silent = new Set<S>(); // in the order they were tried
  const decided = (by: S): void => {
    if (losers.signal.aborted) return;
    for (const server of silent) {
      if (server === by) return;
      options.overtaken?.(server);
    }
  };
  const runOne = async (server: S, sent: () => void): Promise<void> => {
    silent.add(server);
    try {
      const result = await attempt(server, losers.signal, sent);
      decided(server);
      resolve(result);
    } catch (e) {
      if (!goesOn(e)) {
        decided(server);
        reject(e);
      } else failures.push(`${name(server)}: ${messageOf(e)}`);
    } finally {
      silent.delete(server);
    }
  };
  const runAll = async (): Promise<void> => {
    const running: Promise<void>[] = [];
    for (const [i, server] of servers.entries()) {
      if (losers.signal.aborted) return;
      if (options.skip?.(server)) continue;
      const { promise: waited, resolve: go } = deferred<void>();
      const wait = (ms: number) => {
        clearTimeout(timer);
        timer = setTimeout(go, ms).unref(); // does not hold the process open
      };
      // Word that the request is out changes nothing once the next server's turn has come, or where there is none.
      let alone = i < servers.length - 1;
      if (alone) wait(options.stagger);
      const run = runOne(server, () => alone && wait(options.patience ?? options.stagger));
      running.push(run);
      if (!alone) break;
      await Promise.race([run, waited]);
      alone = false;
      clearTimeout(timer);
    }
    await Promise.all(running);
    if (failures.length < running.length) return;
    reject(
      new AdError(
        'UNREACHABLE',
        `no server answered while ${options.doing} (${failures.join('; ') || 'none is known'})`,
      ),
    );
  };
  try {
    runAll().catch(reject);
    return await promise;
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
    clearTimeout(timer);
    losers.abort(DECIDED);
  }
}
