/** kvno in other ways than plainly: in a user's name (S4U, MS-SFU), and for a session of a user (user-to-user). */
import { copy, equal, wipe } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import { type ParsedFlags, UsageError } from '../../flags.ts';
import type { KrbClient } from '../../krb5/client.ts';
import type { Credentials } from '../../krb5/credentials.ts';
import type { CCache } from '../../krb5/files/ccache.ts';
import { enterprisePrincipal, formatPrincipal, type Principal, samePrincipal } from '../../krb5/principal.ts';
import { type FlagTable, text } from '../command.ts';
import type { Terminal } from '../terminal.ts';
import { caches, principalOf, type Session, usableTgt, wipeCache } from './session.ts';

export const behalfFlags: FlagTable = {
  'for-user': {
    type: 'string',
    short: 'I',
    value: 'USER',
    completes: 'word',
    help: "in this user's name (S4U2Self); without -P, SERVICE is the\naccount that the cache is of",
  },
  'for-enterprise-user': {
    type: 'string',
    short: 'U',
    value: 'USER',
    completes: 'word',
    help: 'as -I, for an enterprise name (UPN) such as jo@corp.example',
  },
  proxy: { type: 'boolean', short: 'P', help: 'with -I or -U: for the SERVICE, by delegation (S4U2Proxy)' },
  u2u: {
    type: 'string',
    value: 'NAME',
    completes: 'file',
    help: 'user-to-user: SERVICE is a user, whose ticket is in this cache',
  },
};

/** How a run of kvno gets its tickets. */
export interface WayToTickets {
  /** A ticket of the cache that will do, which is the cache's to wipe. */
  find(server: Principal): Credentials | undefined;
  /** The ticket is the caller's to wipe. */
  ticket(server: Principal): Promise<Credentials>;
  /** What tickets were got with and is as good as they are: the user's ticket to the account itself. */
  readonly evidence: readonly Credentials[];
  /** Wipes `evidence`. */
  close(): void;
}

/** @throws UsageError for what does not go together */
export function checkBehalf(parsed: ParsedFlags): void {
  const { flags } = parsed;
  const users = ['for-user', 'for-enterprise-user'].filter((flag) => flags[flag] !== undefined);
  if (users.length > 1) throw new UsageError('-I and -U exclude each other');
  if (flags.proxy && users.length === 0) throw new UsageError('-P goes with -I or -U: in whose name?');
  if (flags.u2u !== undefined && users.length > 0) throw new UsageError('--u2u goes neither with -I nor with -U');
  if (flags.u2u !== undefined && flags.keytab !== undefined)
    throw new UsageError('--u2u makes tickets that no key of a keytab opens: it does not go with -k');
}

/** @throws AdError NOT_FOUND for a user-to-user cache without a ticket */
export async function wayToTickets(
  client: KrbClient,
  cache: CCache,
  session: Session,
  parsed: ParsedFlags,
  terminal: Terminal,
): Promise<WayToTickets> {
  const user = userOf(cache, session, parsed);
  const other = text(parsed, 'u2u');
  const plain = { evidence: [], close: () => undefined };
  if (other !== undefined) {
    const userToUser = await ticketIn(other, session, terminal);
    const ticket = async (server: Principal) => own(await client.ticket(server, { userToUser }), userToUser);
    return { ...plain, find: (server) => held(cache, cache.principal, server, userToUser), ticket };
  }
  const find = (server: Principal) => held(cache, user ?? cache.principal, server);
  if (!user) return { ...plain, find, ticket: async (server) => own(await client.ticket(server)) };
  if (!parsed.flags.proxy) return { ...plain, find, ticket: (server) => forSelf(client, user, server) };
  const evidence: Credentials[] = [];
  return {
    find,
    ticket: async (server) => {
      const known = evidence[0] ?? find(cache.principal);
      if (!known) evidence.push(await client.s4u2self(user));
      return client.s4u2proxy(known ?? evidence[0]!, server);
    },
    evidence,
    close: () => wipe(...evidence.map((c) => c.key.value)),
  };
}

/**
 * A ticket of the cache in the right name that still lasts. One in a user's name is not the account's own, nor the other
 * way round; one for a session of a user is for that session.
 */
function held(
  cache: CCache,
  holder: Principal,
  server: Principal,
  session: Uint8Array = new Uint8Array(0),
): Credentials | undefined {
  return cache.credentials.find(
    (c) =>
      (c.isSkey ? equal(c.secondTicket, session) : session.length === 0) &&
      samePrincipal(c.client, holder) &&
      samePrincipal(c.server, server) &&
      c.endtime.getTime() > Date.now(),
  );
}

/** A copy: the client wipes its own when it is closed. */
function own(ticket: Credentials, secondTicket = ticket.secondTicket): Credentials {
  return { ...ticket, secondTicket, key: { ...ticket.key, value: copy(ticket.key.value) } };
}

function userOf(cache: CCache, { config }: Session, parsed: ParsedFlags): Principal | undefined {
  const [plain, enterprise] = [text(parsed, 'for-user'), text(parsed, 'for-enterprise-user')];
  const { realm } = cache.principal;
  if (enterprise !== undefined) return enterprisePrincipal(enterprise, realm);
  return plain === undefined ? undefined : principalOf(plain, { ...config, defaultRealm: realm });
}

async function forSelf(client: KrbClient, user: Principal, server: Principal): Promise<Credentials> {
  if (!samePrincipal(server, client.client))
    throw new AdError(
      'INVALID_ARGUMENT',
      `in a user's name ${formatPrincipal(client.client)} gets tickets for itself; for others it takes -P`,
    );
  return client.s4u2self(user);
}

/** DER of the ticket-granting ticket in a cache. */
async function ticketIn(name: string, session: Session, terminal: Terminal): Promise<Uint8Array> {
  const content = await (await caches(name, session.config, terminal).primary()).read();
  try {
    return usableTgt(content, session.clock()).ticket;
  } finally {
    wipeCache(content);
  }
}
