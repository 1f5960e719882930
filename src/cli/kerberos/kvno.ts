/** Gets service tickets and tells their key version numbers. */
import { fromDer } from '../../asn1.ts';
import { wipe } from '../../bytes.ts';
import { AdError, isAdError } from '../../errors.ts';
import { type ParsedFlags, UsageError } from '../../flags.ts';
import { KrbClient } from '../../krb5/client.ts';
import { realmOfHost } from '../../krb5/config.ts';
import type { Credentials } from '../../krb5/credentials.ts';
import { etypeByName, etypeName, Key } from '../../krb5/crypto/index.ts';
import type { CCache } from '../../krb5/files/ccache.ts';
import type { CacheHandle } from '../../krb5/files/ccache-file.ts';
import type { KeytabEntry } from '../../krb5/files/keytab.ts';
import { loadKeytab, wipeEntries } from '../../krb5/files/keytab-edit.ts';
import { Ticket } from '../../krb5/messages.ts';
import { keyUsage, nameType } from '../../krb5/numbers.ts';
import { formatPrincipal, type Principal, samePrincipal, servicePrincipal } from '../../krb5/principal.ts';
import { type Command, text } from '../command.ts';
import type { Terminal } from '../terminal.ts';
import { behalfFlags, checkBehalf, type WayToTickets, wayToTickets } from './behalf.ts';
import {
  caches,
  contextOptions,
  keytabPath,
  noSecret,
  principalOf,
  type Session,
  ticketsOf,
  usableTgt,
  wipeCache,
  withSession,
} from './session.ts';

export const kvno: Command = {
  name: 'kvno',
  summary: 'get tickets for services and tell their key versions',
  description: `Gets a ticket for each SERVICE with the cache's ticket-granting ticket, keeps it in the cache, and
prints the version number of the key it is sealed with. A SERVICE is a principal such as
HTTP/web.corp.example or, with -S, a host. With -U the ticket is in a user's name, for the account that the
cache is of (S4U2Self); with -P too, it is for the SERVICE, where the domain lets the account act so (S4U2Proxy).`,
  examples: [
    'credentials-fetcher kvno -S HTTP web.corp.example',
    'credentials-fetcher kvno -U jo@corp.example -P --out-cache jo.cc MSSQLSvc/sql.corp.example:1433',
  ],
  flags: {
    cache: {
      type: 'string',
      short: 'c',
      value: 'NAME',
      completes: 'file',
      help: 'ticket cache [KRB5CCNAME, krb5.conf, /tmp/krb5cc_UID]',
    },
    etype: { type: 'string', short: 'e', value: 'NAME', help: 'ask for a session key of this encryption type' },
    keytab: {
      type: 'string',
      short: 'k',
      value: 'FILE',
      completes: 'file',
      help: 'open the tickets with the keys of this keytab',
    },
    quiet: { type: 'boolean', short: 'q', help: 'print errors only' },
    'service-name': {
      type: 'string',
      short: 'S',
      value: 'NAME',
      help: 'each SERVICE is a host, and this its service, such as HTTP',
    },
    'unknown-name': { type: 'boolean', short: 'u', help: 'ask for the SERVICE by a name of unknown type' },
    ...behalfFlags,
    'cached-only': { type: 'boolean', help: 'do not ask a KDC' },
    'no-store': { type: 'boolean', help: 'do not keep the tickets' },
    'out-cache': {
      type: 'string',
      value: 'NAME',
      completes: 'file',
      help: 'keep them in this new cache instead, when there are all',
    },
  },
  operands: { synopsis: 'SERVICE...', most: 256, completes: 'word' },
  async run(parsed, terminal) {
    if (parsed.positionals.length === 0) throw new UsageError('at least one service is required');
    if (parsed.flags['unknown-name'] && parsed.flags['service-name'] !== undefined)
      throw new UsageError('-u and -S exclude each other');
    checkBehalf(parsed);
    return withSession(terminal, (session) => getAll(session, parsed, terminal));
  },
};

async function getAll(session: Session, parsed: ParsedFlags, terminal: Terminal): Promise<number> {
  const handle = await caches(text(parsed, 'cache'), session.config, terminal).primary();
  const cache = await handle.read();
  const keytab = text(parsed, 'keytab');
  const entries = keytab === undefined ? undefined : await loadKeytab(keytabPath(keytab, session.config, terminal));
  const client = clientOf(session, cache, parsed);
  const fresh: Credentials[] = [];
  const shown: Credentials[] = [];
  let failed = 0;
  let way: WayToTickets | undefined;
  try {
    way = await wayToTickets(client, cache, session, parsed, terminal);
    for (const word of parsed.positionals) {
      const server = serviceOf(word, parsed, session, cache.principal);
      try {
        const held = way.find(server);
        const ticket = held ?? (await get(cache, server, parsed, way));
        if (!held) fresh.push(ticket);
        shown.push(ticket);
        const number = fromDer(Ticket, ticket.ticket).encPart.kvno ?? 0;
        const checked = entries ? keytabWord(ticket, entries) : '';
        if (!parsed.flags.quiet) terminal.out(`${formatPrincipal(ticket.server)}: kvno = ${number}${checked}\n`);
        if (checked.includes('invalid')) failed++;
      } catch (e) {
        if (!(e instanceof AdError)) throw e;
        failed++;
        terminal.err(`kvno: ${e.message} while getting credentials for ${formatPrincipal(server)}\n`);
      }
    }
    const all = failed === 0 ? shown : [];
    await keep(handle, cache, [...way.evidence, ...fresh], all, session, parsed, terminal);
  } finally {
    way?.close();
    client.close();
    wipeCache(cache);
    wipe(...fresh.map((c) => c.key.value));
    if (entries) wipeEntries(entries);
  }
  return failed > 0 ? 1 : 0;
}

/**
 * In the cache that was read, or in a new one of the tickets' own client.
 * @param shown those for a new cache, which MIT writes only when it got all
 */
async function keep(
  handle: CacheHandle,
  cache: CCache,
  fresh: readonly Credentials[],
  shown: readonly Credentials[],
  { config }: Session,
  parsed: ParsedFlags,
  terminal: Terminal,
): Promise<void> {
  const out = text(parsed, 'out-cache');
  const [first] = shown;
  if (out !== undefined && first) {
    const { kdcOffset } = cache;
    const content = { principal: first.client, ...(kdcOffset && { kdcOffset }), credentials: [...shown] };
    await (await caches(out, config, terminal).primary()).write(content);
  } else if (out === undefined && fresh.length > 0 && !parsed.flags['no-store'])
    await handle.write({ ...cache, credentials: [...cache.credentials, ...fresh] });
}

/** Copies of the cache's tickets: the client wipes what it is given. */
function clientOf(session: Session, cache: CCache, parsed: ParsedFlags): KrbClient {
  const { config } = session;
  const named = text(parsed, 'etype');
  const etype = named === undefined ? undefined : etypeByName(named);
  if (named !== undefined && etype === undefined) throw new UsageError(`there is no encryption type ${named}`);
  return new KrbClient({
    ...contextOptions(session),
    ...(etype !== undefined && { permittedEtypes: [etype], tgsEtypes: [etype] }),
    config,
    client: cache.principal,
    secret: noSecret,
    tickets: ticketsOf(cache),
  });
}

function serviceOf(word: string, parsed: ParsedFlags, { config }: Session, client: Principal): Principal {
  const service = text(parsed, 'service-name');
  if (service !== undefined)
    return servicePrincipal(service, word.toLowerCase(), realmOfHost(config, word) ?? client.realm);
  const named = principalOf(word, { ...config, defaultRealm: config.defaultRealm ?? client.realm });
  return parsed.flags['unknown-name'] ? { ...named, nameType: nameType.UNKNOWN } : named;
}

async function get(cache: CCache, server: Principal, parsed: ParsedFlags, way: WayToTickets): Promise<Credentials> {
  if (parsed.flags['cached-only'])
    throw new AdError(
      'NOT_FOUND',
      `Matching credential not found: no ticket for ${formatPrincipal(server)} in the cache`,
    );
  usableTgt(cache, Date.now());
  return way.ticket(server);
}

/** Whether a key of the keytab opens the ticket, and if not, which one would be needed. */
function keytabWord(ticket: Credentials, entries: readonly KeytabEntry[]): string {
  const { encPart } = fromDer(Ticket, ticket.ticket);
  const needed = `${etypeName(encPart.etype)}, kvno ${encPart.kvno ?? 'not told'}`;
  const fitting = entries.filter(
    (e) =>
      samePrincipal(e.principal, ticket.server) && e.key.etype === encPart.etype && (encPart.kvno ?? e.kvno) === e.kvno,
  );
  for (const { key } of fitting) {
    const opener = new Key(key.etype, key.value);
    try {
      wipe(opener.decrypt(keyUsage.KDC_REP_TICKET, encPart.cipher));
      return ', keytab entry valid';
    } catch (e) {
      if (!isAdError(e, 'INTEGRITY')) throw e;
    } finally {
      opener.destroy();
    }
  }
  return fitting.length > 0
    ? `, keytab entry invalid: its key does not open the ticket (${needed})`
    : `, keytab entry invalid: there is no key for ${needed}`;
}
