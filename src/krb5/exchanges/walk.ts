/**
 * The way to a service of another realm (RFC 4120 1.2 and 3.3.1, RFC 6806 section 8): from one realm's ticket-granting
 * ticket to the next. Each hop's reply passes `verify.ts` and comes from the realm that was asked; no realm is entered
 * twice, and there are few of them.
 */
import { AdError, isAdError } from '../../errors.ts';
import type { Credentials } from '../credentials.ts';
import { formatPrincipal, isKrbtgt, krbtgt, type Principal } from '../principal.ts';
import type { ExchangeContext } from './context.ts';
import { type TgsOptions, tgsExchange } from './tgs.ts';

export interface Walk {
  readonly context: ExchangeContext;
  /** The client's own ticket-granting ticket. */
  readonly start: Credentials;
  /** The realms from one to another, both included, where no KDC says otherwise. */
  readonly path: (from: string, to: string) => readonly string[];
  /** The realm of a host as configured; undefined where that is left to the KDCs. */
  readonly realmOfHost?: ((host: string) => string | undefined) | undefined;
  /** A ticket-granting ticket of a realm that is in hand already. */
  readonly held: (realm: string) => Credentials | undefined;
  /** Takes a ticket-granting ticket that later ways to its realm may begin with. */
  readonly keep: (tgt: Credentials) => void;
  /** True: the client's own KDC is asked in FAST. Of others' nobody said that they can. */
  readonly armored?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is asked for at the end of the way, beside the server. */
export type TicketWish = Omit<TgsOptions, 'tgt' | 'server' | 'signal'>;

/** Realms crossed at most on the way to a service. */
const MAX_HOPS = 10;

/**
 * A ticket for a service. Its realm is walked to first; where the name says none (''), configuration may know it, else
 * the client's own KDC serves or refers on, and last of all the host's domain is taken for its realm.
 * @throws AdError UNKNOWN_SERVICE when no way leads there, and what `tgsExchange` throws
 */
export async function serviceTicket(walk: Walk, server: Principal, wish: TicketWish = {}): Promise<Credentials> {
  const home = realmServed(walk.start);
  const host = server.realm === '' && server.components.length === 2 ? server.components[1]! : undefined;
  const realm = server.realm || (host && walk.realmOfHost?.(host)) || home;
  try {
    return await viaReferrals(walk, await tgtFor(walk, realm), server, wish);
  } catch (e) {
    // MIT falls back to the domain in capitals as well, for realms whose KDC knows no referrals.
    const domain = host?.slice(host.indexOf('.') + 1).toUpperCase();
    const guess = realm === home && host?.includes('.') && domain !== home ? domain : undefined;
    if (!guess || !isAdError(e, 'UNKNOWN_SERVICE')) throw e;
    const tgt = await tgtFor(walk, guess).catch((unknown) => {
      throw isAdError(unknown, 'UNKNOWN_SERVICE', 'UNREACHABLE') ? e : unknown;
    });
    return viaReferrals(walk, tgt, server, wish);
  }
}

/** RFC 6806 section 8: what comes back may be a ticket for the next realm's ticket-granting service instead. */
async function viaReferrals(walk: Walk, first: Credentials, server: Principal, wish: TicketWish): Promise<Credentials> {
  const visited = new Set<string>();
  for (let tgt = first; visited.size < MAX_HOPS; ) {
    visited.add(realmServed(tgt));
    const got = await tgsExchange(walk.context, { ...wish, ...asked(walk, tgt), server });
    if (!isKrbtgt(got.server) || isKrbtgt(server)) return got;
    if (visited.has(realmServed(got))) break;
    // Where the client's own KDC leads is good for later ways too; where another leads, for this service alone.
    if (tgt === walk.start) walk.keep(got);
    tgt = got;
  }
  throw circles(formatPrincipal(server));
}

/**
 * A ticket-granting ticket of another realm: its own KDC is asked for the farthest realm of the way first, then for
 * nearer ones, and may give one for any realm that is closer.
 * @throws AdError UNKNOWN_SERVICE when no realm on the way knows the next
 */
export async function tgtFor(walk: Walk, realm: string): Promise<Credentials> {
  const visited = new Set<string>();
  for (let tgt = walk.start; visited.size < MAX_HOPS; ) {
    const here = realmServed(tgt);
    if (sameRealm(here, realm)) return tgt;
    if (visited.has(here)) break;
    visited.add(here);
    tgt = await nextHop(walk, tgt, realm);
  }
  throw circles(`krbtgt/${realm}`);
}

async function nextHop(walk: Walk, tgt: Credentials, realm: string): Promise<Credentials> {
  const here = realmServed(tgt);
  let refusal: unknown;
  for (const candidate of walk.path(here, realm).slice(1).reverse()) {
    const held = walk.held(candidate);
    if (held) return held;
    try {
      const got = await tgsExchange(walk.context, { ...asked(walk, tgt), server: krbtgt(candidate, here) });
      // A realm on the way to one must not come to stand on the way to all others: it knows the keys of what it gave.
      if (tgt === walk.start || sameRealm(realmServed(got), realm)) walk.keep(got);
      return got;
    } catch (e) {
      if (!isAdError(e, 'UNKNOWN_SERVICE')) throw e;
      refusal ??= e;
    }
  }
  throw new AdError('UNKNOWN_SERVICE', `no way from realm ${here} to ${realm}`, { realm, from: here }, refusal);
}

function asked(walk: Walk, tgt: Credentials): Pick<TgsOptions, 'tgt' | 'armored' | 'signal'> {
  return { tgt, armored: walk.armored === true && tgt === walk.start, signal: walk.signal };
}

/** The realm a ticket-granting ticket is good in. */
export function realmServed(tgt: Credentials): string {
  return tgt.server.components[1] ?? tgt.server.realm;
}

/** Active Directory takes its realms in any case. */
function sameRealm(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function circles(what: string): AdError {
  return new AdError('UNKNOWN_SERVICE', `the KDCs refer in circles for ${what}`);
}
