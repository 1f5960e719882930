import { isIPv6 } from 'node:net';
import { AdError, isAdError } from '../../errors.ts';
import { type ParsedFlags, UsageError } from '../../flags.ts';
import type { KrbClient } from '../../krb5/client.ts';
import { realmOfHost } from '../../krb5/config.ts';
import type { Endpoint } from '../../krb5/network/locate.ts';
import { type Principal, parsePrincipal } from '../../krb5/principal.ts';
import type { SealedConnection } from '../../ldap/client.ts';
import { connectDomain } from '../../ldap/domain.ts';
import { LDAP_PORT, locateDomainControllers } from '../../ldap/locate.ts';
import { type FlagTable, text } from '../command.ts';
import type { Terminal } from '../terminal.ts';
import {
  caches,
  keytabPath,
  keytabProof,
  noSecret,
  passwordProof,
  permittedEtypes,
  type Session,
  sessionClient,
  ticketsOf,
  usableTgt,
  wipeCache,
} from './session.ts';

/** Flags that say who reads, and where. */
export const readerFlags: FlagTable = {
  domain: { type: 'string', short: 'd', value: 'DOMAIN', help: "the domain's DNS name [default_realm of krb5.conf]" },
  server: { type: 'string', value: 'HOST', help: 'the domain controller to ask, instead of those of DNS' },
  principal: {
    type: 'string',
    short: 'p',
    value: 'PRINCIPAL',
    help: 'who reads; with its password, or with keys of -t',
  },
  keytab: { type: 'string', short: 't', value: 'FILE', completes: 'file', help: 'keytab of the reader [none]' },
  'password-file': {
    type: 'string',
    value: 'FILE',
    completes: 'file',
    help: "file with the reader's password, - for standard input",
  },
  cache: {
    type: 'string',
    short: 'c',
    value: 'NAME',
    completes: 'file',
    help: "the reader's ticket cache, without -p and -t [KRB5CCNAME, …]",
  },
};

/** The domain a command is about, in lower case. @throws UsageError when nothing tells it */
export function domainOf(parsed: ParsedFlags, session: Session): string {
  const domain = text(parsed, 'domain') ?? session.config.defaultRealm;
  if (!domain) throw new UsageError('--domain is required where krb5.conf has no default_realm');
  return domain.toLowerCase().replace(/\.$/, '');
}

/** Active Directory names a realm after its domain; [domain_realm] may say otherwise. */
export const realmOf = (domain: string, session: Session): string =>
  realmOfHost(session.config, domain) ?? domain.toUpperCase();

/** The reader's client: by keytab, by password, or by the tickets of a cache. */
export async function readerClient(
  session: Session,
  parsed: ParsedFlags,
  terminal: Terminal,
  realm: string,
): Promise<KrbClient> {
  const permitted = permittedEtypes(session.config);
  const [keytab, name] = [text(parsed, 'keytab'), text(parsed, 'principal')];
  const who: Principal | undefined = name === undefined ? undefined : parsePrincipal(name, realm);
  if (keytab !== undefined)
    return sessionClient(session, await keytabProof(keytabPath(keytab, session.config, terminal), who, permitted));
  if (who) return sessionClient(session, await passwordProof(who, text(parsed, 'password-file'), terminal, permitted));
  try {
    return await cachedClient(session, text(parsed, 'cache'), terminal);
  } catch (e) {
    if (!isAdError(e, 'NOT_FOUND')) throw e;
    throw new AdError('NOT_FOUND', `${e.message}; or name the reader with -p or -t`, e.details, e);
  }
}

/** A client that lives on the tickets of a cache. @throws AdError NOT_FOUND when there is none that lasts */
export async function cachedClient(session: Session, name: string | undefined, terminal: Terminal): Promise<KrbClient> {
  const cache = await (await caches(name, session.config, terminal).primary()).read();
  try {
    usableTgt(cache, Date.now());
    return sessionClient(session, { principal: cache.principal, secret: noSecret }, ticketsOf(cache));
  } finally {
    wipeCache(cache);
  }
}

/**
 * The domain controller that --server names, if any.
 * @throws UsageError for what is no host, host:port or [v6]:port
 */
export function namedController(parsed: ParsedFlags): Endpoint | undefined {
  const given = text(parsed, 'server');
  if (given === undefined) return undefined;
  const [, v6, name, port = LDAP_PORT] = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/i.exec(given) ?? [];
  const host = isIPv6(given) ? given : (v6 ?? name);
  if (!host || Number(port) > 65_535 || Number(port) === 0)
    throw new UsageError(`--server must be a host or host:port, not ${JSON.stringify(given)}`);
  return { host, port: Number(port) };
}

/** The domain controllers to ask. @throws AdError UNREACHABLE when DNS names none */
export async function controllers(session: Session, parsed: ParsedFlags, domain: string): Promise<Endpoint[]> {
  const named = namedController(parsed);
  return locateDomainControllers(domain, session.locator, named ? [named] : []);
}

/** A sealed connection to the first domain controller that answers; the caller closes it. */
export async function openDirectory(
  session: Session,
  client: KrbClient,
  servers: readonly Endpoint[],
  signal?: AbortSignal,
): Promise<SealedConnection> {
  return connectDomain(client.client.realm, { client, environment: session, servers, signal });
}
