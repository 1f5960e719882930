/**
 * Authenticators that were here already (RFC 4120 3.2.3): "The server MUST ... reject any authenticator that it has
 * seen". Kept for as long as the clock's tolerance would let one pass again; one cache serves all contexts of a service.
 */
import { createHash } from 'node:crypto';
import { AdError } from '../../errors.ts';

/** How much is remembered. */
export interface ReplayCacheOptions {
  /** Authenticators remembered at most. When so many are fresh, new ones are refused rather than old ones forgotten. */
  readonly limit?: number;
}

/** At five minutes' tolerance, some three hundred logons a second for ten minutes; about 30 MB. */
const DEFAULT_LIMIT = 200_000;

/** Remembers authenticators in this process; a service has one for all its contexts. */
export class ReplayCache {
  readonly #limit: number;
  /** Hash of an authenticator to the time when it is of no more use, ms; in the order they came. */
  readonly #seen = new Map<string, number>();

  constructor(options: ReplayCacheOptions = {}) {
    this.#limit = options.limit ?? DEFAULT_LIMIT;
  }

  /** Authenticators remembered now. */
  get size(): number {
    return this.#seen.size;
  }

  /**
   * Takes note of an authenticator that passed every other check.
   * @param expires when the clock's tolerance alone would refuse it, ms since 1970
   * @throws AdError REPLY_REJECTED when it was here before, or when the cache is full
   */
  add(authenticator: Uint8Array, expires: number, now: number): void {
    // Any change to the sealed authenticator breaks its checksum, so its bytes are its identity.
    const id = createHash('sha256').update(authenticator).digest('base64').slice(0, 22);
    if ((this.#seen.get(id) ?? Number.NEGATIVE_INFINITY) >= now)
      throw new AdError('REPLY_REJECTED', 'the authenticator was used before: a replay', {
        krbError: 'KRB_AP_ERR_REPEAT',
      });
    if (this.#seen.size >= this.#limit) this.#purge(now);
    if (this.#seen.size >= this.#limit)
      throw new AdError('REPLY_REJECTED', `the replay cache is full: ${this.#limit} logons within its time`, {
        krbError: 'KRB_ERR_GENERIC',
      });
    this.#seen.delete(id);
    this.#seen.set(id, expires);
    this.#dropOldest(now);
  }

  /** Two at a time as each comes in: the cache shrinks without ever being walked through. */
  #dropOldest(now: number): void {
    let looked = 0;
    for (const [id, expires] of this.#seen) {
      if (++looked > 2) return;
      if (expires < now) this.#seen.delete(id);
      else return;
    }
  }

  #purge(now: number): void {
    for (const [id, expires] of this.#seen) if (expires < now) this.#seen.delete(id);
  }
}
