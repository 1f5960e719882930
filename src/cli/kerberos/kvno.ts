/** Gets service tickets and tells their key version numbers. */
import { fromDer } from '../../asn1.ts';
import { copy, wipe } from '../../bytes.ts';
import { AdError, isAdError } from '../../errors.ts';
import { type ParsedFlags, UsageError } from '../../flags.ts';
import { KrbClient } from '../../krb5/client.ts';
import { realmOfHost } from '../../krb5/config.ts';
import type { Credentials } from '../../krb5/credentials.ts';
import { etypeByName, etypeName, Key } from '../../krb5/crypto/index.ts';
import type { CCache } from '../../krb5/files/ccache.ts';
import type { KeytabEntry } from '../../krb5/files/keytab.ts';
import { loadKeytab, wipeEntries } from '../../krb5/files/keytab-edit.ts';
import { Ticket } from '../../krb5/messages.ts';
import { keyUsage } from '../../krb5/numbers.ts';
import { formatPrincipal, type Principal, samePrincipal, servicePrincipal } from '../../krb5/principal.ts';
import { type Command, text } from '../command.ts';
import type { Terminal } from '../terminal.ts';
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
HTTP/web.corp.example or, with -S, a host.`,
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
    'cached-only': { type: 'boolean', help: 'do not ask a KDC' },
    'no-store': { type: 'boolean', help: 'do not keep the tickets' },
  },
  operands: { synopsis: 'SERVICE...', most: 256, completes: 'word' },
  async run(parsed, terminal) {
    if (parsed.positionals.length === 0) throw new UsageError('at least one service is required');
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
  let failed = 0;
  try {
    for (const word of parsed.positionals) {
      const server = serviceOf(word, parsed, session, cache.principal);
      try {
        const ticket = cached(cache, server) ?? (await get(client, cache, server, parsed));
        if (!cache.credentials.includes(ticket)) fresh.push(ticket);
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
    if (fresh.length > 0 && !parsed.flags['no-store'])
      await handle.write({ ...cache, credentials: [...cache.credentials, ...fresh] });
  } finally {
    client.close();
    wipeCache(cache);
    wipe(...fresh.map((c) => c.key.value));
    if (entries) wipeEntries(entries);
  }
  return failed > 0 ? 1 : 0;
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
  if (service === undefined) return principalOf(word, { ...config, defaultRealm: config.defaultRealm ?? client.realm });
  return servicePrincipal(service, word.toLowerCase(), realmOfHost(config, word) ?? client.realm);
}

function cached(cache: CCache, server: Principal): Credentials | undefined {
  return cache.credentials.find((c) => samePrincipal(c.server, server) && c.endtime.getTime() > Date.now());
}

async function get(client: KrbClient, cache: CCache, server: Principal, parsed: ParsedFlags): Promise<Credentials> {
  if (parsed.flags['cached-only'])
    throw new AdError(
      'NOT_FOUND',
      `Matching credential not found: no ticket for ${formatPrincipal(server)} in the cache`,
    );
  usableTgt(cache, Date.now());
  const ticket = await client.ticket(server);
  // The client wipes its own when it is closed.
  return { ...ticket, key: { ...ticket.key, value: copy(ticket.key.value) } };
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
