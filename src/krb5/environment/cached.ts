/** Ticket caches and clients: a client from what a cache holds, and a cache of what a client holds. */
import { copy, wipe } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import type { KrbClient } from '../client.ts';
import type { Credentials } from '../credentials.ts';
import type { ExchangeContext } from '../exchanges/context.ts';
import type { CCache } from '../files/ccache.ts';
import { isConfigEntry } from '../files/ccache-config.ts';
import { anonymousPrincipal, formatPrincipal, krbtgt, samePrincipal } from '../principal.ts';
import type { Secret } from '../secret.ts';

/**
 * The ticket-granting ticket of a cache's principal; undefined when there is none. Caches made for S4U2Proxy hold one of
 * the service that acts for the user: to take it for the user's would be to act as somebody else.
 */
export function tgtOf(cache: CCache): Credentials | undefined {
  // The name of nobody in particular tells no realm (RFC 8062): theirs is that of whichever realm gave it.
  const nobody = samePrincipal(cache.principal, anonymousPrincipal());
  const ofRealm = ({ server }: Credentials): boolean =>
    samePrincipal(server, krbtgt(nobody ? server.realm : cache.principal.realm));
  const own = (c: Credentials): boolean => samePrincipal(c.client, cache.principal) && ofRealm(c);
  return cache.credentials.findLast((c) => !isConfigEntry(c) && own(c));
}

/** A ticket with less left than this is of no use any more, ms. */
export const TGT_MARGIN = 2 * 60_000;

/**
 * As `tgtOf`, where it lasts long enough for use.
 * @param now milliseconds since 1970
 * @throws AdError NOT_FOUND with what to do
 */
export function usableTgt(cache: CCache, now: number): Credentials {
  const tgt = tgtOf(cache);
  const who = formatPrincipal(cache.principal);
  if (!tgt) throw new AdError('NOT_FOUND', `the cache holds no ticket-granting ticket of ${who}: kinit gets one`);
  if (tgt.endtime.getTime() - now <= TGT_MARGIN)
    throw new AdError(
      'NOT_FOUND',
      `the ticket of ${who} expired at ${tgt.endtime.toISOString()}: kinit gets a new one`,
    );
  return tgt;
}

/**
 * Copies of a cache's own tickets, for a client to take over; the cache's are the caller's to wipe. Those sealed with a
 * session key are for one user's session and not for whoever asks for the service.
 */
export function ticketsOf(cache: CCache): Credentials[] {
  return cache.credentials
    .filter((c) => !isConfigEntry(c) && !c.isSkey && samePrincipal(c.client, cache.principal))
    .map((c) => ({ ...c, key: { ...c.key, value: copy(c.key.value) } }));
}

/**
 * What a client holds, as a cache to write. The tickets stay the client's: write it before the client is closed.
 * @throws AdError INVALID_ARGUMENT when it holds no ticket-granting ticket: `login` gets one
 */
export function cacheContent(client: KrbClient): CCache {
  const credentials = [...client.held];
  const content = {
    // Nobody in particular asks by one name and is given another.
    principal: credentials[0]?.client ?? client.client,
    kdcOffset: kdcOffset(client.context),
    credentials,
  };
  if (!tgtOf(content)) throw new AdError('INVALID_ARGUMENT', `${formatPrincipal(client.client)} has not logged on`);
  return content;
}

/** The clock difference that a context learned, in a cache's form. */
export function kdcOffset(context: Pick<ExchangeContext, 'timeOffset'>): NonNullable<CCache['kdcOffset']> {
  const seconds = Math.trunc(context.timeOffset / 1000);
  return { seconds, microseconds: Math.round((context.timeOffset - seconds * 1000) * 1000) };
}

/** The difference that a cache tells, ms. */
export function offsetOf(cache: Pick<CCache, 'kdcOffset'>): number {
  return cache.kdcOffset ? cache.kdcOffset.seconds * 1000 + cache.kdcOffset.microseconds / 1000 : 0;
}

/** Wipes the session keys of a cache that was read. */
export function wipeCache(cache: CCache): void {
  wipe(...cache.credentials.map((c) => c.key.value));
}

/** The secret of a client that lives on tickets: it has nothing to get a new first ticket with. */
export const noSecret: Secret = {
  etypes: [],
  key: async () => undefined,
  remembered: undefined,
  destroy: () => undefined,
};
