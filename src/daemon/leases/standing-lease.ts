/** The lease of CF_CRED_SPEC_FILE: made at the start, tried again until it is there; the renewer keeps it fresh. */
import { underSignals } from '../../async.ts';
import { AdError, isAdError } from '../../errors.ts';
import type { Actions } from '../calls/actions.ts';
import { holdLease, readCredspecFiles } from '../calls/credspec-files.ts';
import { CALL_LIMIT_MS, systemTimers, type Timers } from '../calls/jobs.ts';
import { toStatus } from '../calls/status.ts';
import { machineOrSecret } from '../calls/wanted.ts';
import type { DaemonConfig } from '../config/config.ts';
import type { Log } from '../log.ts';
import type { LeaseStore } from './store.ts';

const FIRST_RETRY = 5_000;
/** While a server cannot be reached, ms. */
const LAST_RETRY = 60_000;
/** While the domain says no: a machine whose key is wrong must not be locked out for it. */
const LAST_RETRY_REFUSED = 10 * 60_000;

/** How long to wait after the n-th failure in a row (from 1), ms. */
export function nextTry(failures: number, error: unknown): number {
  const last = toStatus(error).name === 'UNAVAILABLE' ? LAST_RETRY : LAST_RETRY_REFUSED;
  return Math.min(last, FIRST_RETRY * 2 ** Math.min(failures - 1, 20));
}

export interface StandingLeaseParts {
  readonly actions: Actions;
  readonly store: LeaseStore;
  readonly log: Log;
  /** Looked at anew at each try. */
  readonly config: Partial<Pick<DaemonConfig, 'credspecFile' | 'secretId'>>;
  readonly timers?: Timers;
}

export class StandingLease {
  readonly #parts: StandingLeaseParts;
  readonly #timers: Timers;
  readonly #closing = new AbortController();
  #cancelTimer: () => void = () => undefined;
  #trying: Promise<void> = Promise.resolve();
  #failures = 0;

  constructor(parts: StandingLeaseParts) {
    this.#parts = parts;
    this.#timers = parts.timers ?? systemTimers;
  }

  /** Makes or refreshes the lease, now; called again after the configuration changed. */
  start(): void {
    this.#failures = 0;
    this.#cancelTimer();
    this.#trying = this.#trying.then(() => this.#try());
  }

  async close(): Promise<void> {
    this.#closing.abort(new AdError('ABORTED', 'the daemon is stopping'));
    this.#cancelTimer();
    await this.#trying;
  }

  async #try(): Promise<void> {
    this.#cancelTimer();
    const { config, log } = this.#parts;
    const credspec = config.credspecFile;
    if (!credspec || this.#closing.signal.aborted) return;
    const { path, leaseId: lease } = credspec;
    try {
      const accounts = await readCredspecFiles([path]);
      const wanted = machineOrSecret(accounts, config.secretId);
      const limit = AbortSignal.timeout(CALL_LIMIT_MS);
      await underSignals([limit, this.#closing.signal], (signal) => holdLease(this.#parts, lease, wanted, signal));
      log.info('the lease of the credspec file is there', { lease, path, account: accounts[0]!.name });
      this.#failures = 0;
    } catch (e) {
      if (this.#closing.signal.aborted) return;
      if (isMissing(e)) {
        log.warn('there is no credspec file, so no lease is made of it', { lease, path });
        return;
      }
      const error = e instanceof Error && e.cause instanceof AdError ? e.cause : e;
      const ms = nextTry(++this.#failures, e);
      log.error('the lease of the credspec file could not be made, trying again', { lease, path, ms, error });
      this.#cancelTimer = this.#timers.after(ms, () => {
        this.#trying = this.#try();
      });
    }
  }
}

/** Earlier daemons' unit files name a file that need not be there. */
const isMissing = (e: unknown): boolean => isAdError(e, 'FILE') && e.details.errno === 'ENOENT';

/**
 * Refuses a credspec file that can never become a lease; one that is missing is not refused.
 * @throws AdError INVALID_ARGUMENT, FILE
 */
export async function checkCredspecFile(config: Pick<DaemonConfig, 'credspecFile' | 'secretId'>): Promise<void> {
  if (!config.credspecFile) return;
  try {
    machineOrSecret(await readCredspecFiles([config.credspecFile.path]), config.secretId);
  } catch (e) {
    if (!isMissing(e)) throw e;
  }
}
