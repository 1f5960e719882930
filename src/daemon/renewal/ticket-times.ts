/** When a ticket starts and ends, from the bytes of its cache. */
import { wipe } from '../../bytes.ts';
import { readFileOfTicket } from '../leases/files.ts';

/** Milliseconds since 1970 by this machine's clock; `renewUntil` is 0 for a ticket that cannot be renewed. */
export interface TicketTimes {
  readonly starts: number;
  readonly ends: number;
  readonly renewUntil: number;
}

/** What a cache says of itself. */
export interface CacheFacts extends TicketTimes {
  /** Whose it is: the default principal. */
  readonly owner: string;
}

/**
 * The times of the ticket in a cache that lives longest, and whose cache it is.
 * @throws AdError MALFORMED, or Node's error when the file cannot be read; Error when it is no file or holds no ticket
 */
export async function ticketTimes(path: string): Promise<CacheFacts> {
  const bytes = await readFileOfTicket(path);
  try {
    return await cacheFacts(bytes);
  } finally {
    wipe(bytes);
  }
}

/** @throws AdError MALFORMED; Error when it holds no ticket */
export async function cacheFacts(bytes: Uint8Array): Promise<CacheFacts> {
  // Not needed before somebody looks, and the daemon's start shall be short.
  const [{ readCCache }, { isConfigEntry }, { formatPrincipal }] = await Promise.all([
    import('../../krb5/files/ccache.ts'),
    import('../../krb5/files/ccache-config.ts'),
    import('../../krb5/principal.ts'),
  ]);
  const cache = readCCache(bytes);
  wipe(...cache.credentials.map((c) => c.key.value));
  const tickets = cache.credentials.filter((c) => !isConfigEntry(c));
  const last = tickets.toSorted((a, b) => b.endtime.getTime() - a.endtime.getTime())[0];
  if (!last) throw new Error('the cache holds no ticket');
  // Tickets have the KDC's time, and the cache how far that is from ours.
  const ours = (time: Date): number => time.getTime() - (cache.kdcOffset?.seconds ?? 0) * 1000;
  return {
    owner: formatPrincipal(cache.principal),
    starts: ours(last.starttime ?? last.authtime),
    ends: ours(last.endtime),
    renewUntil: last.renewTill ? ours(last.renewTill) : 0,
  };
}
