/** When a ticket is to be renewed and how, as pure rules over times. */

import { type Reader, SECRET_PREFIX } from '../calls/wanted.ts';
import type { TicketRecord } from '../leases/metadata.ts';
import type { TicketTimes } from './ticket-times.ts';

/** A ticket is renewed when this share of its life has passed, so that there is time for many tries. */
const SHARE = 0.5;
/** Up to this share more, different for each account, so that a host's accounts do not all come at once. */
const SPREAD = 0.1;
/** Tickets of one account are renewed together once the oldest is due, if this share of their life has passed. */
const TOGETHER = 0.25;
const FIRST_RETRY = 5_000;
const LAST_RETRY = 60_000;

/** How a ticket gets its successor. */
export type Way =
  /** The managed password is read anew. */
  | { readonly kind: 'fetch'; readonly reader: Reader }
  /** Whose password the daemon no longer holds: the ticket itself is extended until `renew until`. */
  | { readonly kind: 'extend' };

export function wayOf(record: TicketRecord): Way {
  // A reference was read with the caller's own keys, which are gone.
  if (record.credspecInfo !== '') return { kind: 'extend' };
  if (record.domainlessUser === '') return { kind: 'fetch', reader: { kind: 'machine' } };
  if (record.domainlessUser.startsWith(SECRET_PREFIX)) {
    return { kind: 'fetch', reader: { kind: 'secret', secretId: record.domainlessUser.slice(SECRET_PREFIX.length) } };
  }
  return { kind: 'extend' };
}

/** A number in [0, 1) that is always the same for a text (FNV-1a). */
export function spreadOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0) / 2 ** 32;
}

/**
 * When the next attempt is due, milliseconds since 1970; undefined when nothing can be done any more.
 * @param account for the spread
 * @param passwordQueryAt when the managed password is to be read again, if known
 */
export function dueAt(times: TicketTimes, way: Way, account: string, passwordQueryAt?: number): number | undefined {
  const life = times.ends - times.starts;
  const share = times.starts + life * (SHARE + SPREAD * spreadOf(account));
  if (way.kind === 'fetch') {
    // A little after the date, or every client of the account would ask at once.
    const query = passwordQueryAt === undefined ? Infinity : passwordQueryAt + LAST_RETRY * spreadOf(account);
    // Within the last moments before a roll the date is now, again and again.
    return Math.min(share, Math.max(query, times.starts + LAST_RETRY));
  }
  // Extending ends with `renew until`; a ticket that ends there has been extended for the last time.
  return times.renewUntil > times.ends ? share : undefined;
}

/**
 * The soonest that a ticket just renewed is renewed again, ms from then: however short its life, or odd its times, the
 * servers are not asked without a pause.
 */
export function pauseAfter(times: TicketTimes): number {
  return Math.max(FIRST_RETRY, Math.min(LAST_RETRY, (times.ends - times.starts) / 4));
}

/** True when a ticket may go along with an older one of its account. */
export function goesAlong(times: TicketTimes, now: number): boolean {
  return now >= times.starts + (times.ends - times.starts) * TOGETHER;
}

/** How long to wait after the n-th failure in a row (from 1), ms: doubled each time, to once a minute. */
export function retryDelay(failures: number, random: () => number = Math.random): number {
  return Math.min(LAST_RETRY, FIRST_RETRY * 2 ** (failures - 1)) * (0.75 + 0.25 * random());
}
