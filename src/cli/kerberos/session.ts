/** What the Kerberos commands share: configuration, network, this user's ticket cache and keytab. */
import { hostname, userInfo } from 'node:os';
import { wipe } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import { type ParsedFlags, UsageError } from '../../flags.ts';
import { KrbClient } from '../../krb5/client.ts';
import { type Krb5Config, loadKrb5Config, parseDuration } from '../../krb5/config.ts';
import type { Credentials } from '../../krb5/credentials.ts';
import { DEFAULT_ETYPES } from '../../krb5/crypto/index.ts';
import { type ContextOptions, type ExchangeContext, exchangeContext } from '../../krb5/exchanges/context.ts';
import type { CCache } from '../../krb5/files/ccache.ts';
import { type CacheCollection, openCaches } from '../../krb5/files/ccache-collection.ts';
import { isConfigEntry } from '../../krb5/files/ccache-config.ts';
import { type CacheName, defaultCacheName, parseCacheName } from '../../krb5/files/ccache-name.ts';
import { findKeys, machinePrincipal } from '../../krb5/files/keytab.ts';
import { loadKeytab, wipeEntries } from '../../krb5/files/keytab-edit.ts';
import { Locator } from '../../krb5/network/locate.ts';
import { NetworkTransport, networkSettings } from '../../krb5/network/network.ts';
import { DnsResolver, type Resolver } from '../../krb5/network/resolver.ts';
import type { KdcTransport } from '../../krb5/network/transport.ts';
import {
  enterprisePrincipal,
  formatPrincipal,
  krbtgt,
  type Principal,
  parsePrincipal,
  samePrincipal,
} from '../../krb5/principal.ts';
import { KeySecret, PasswordSecret, type Secret } from '../../krb5/secret.ts';
import { text } from '../command.ts';
import { readPassword, type Terminal } from '../terminal.ts';

export interface Session {
  readonly config: Krb5Config;
  readonly resolver: Resolver;
  readonly locator: Locator;
  readonly transport: KdcTransport;
  /** Ends every socket and timer. */
  close(): void;
}

/** @throws AdError INVALID_ARGUMENT or FILE when krb5.conf cannot be used */
export async function openSession(terminal: Terminal): Promise<Session> {
  const config = await loadKrb5Config(undefined, terminal.env);
  const resolver = new DnsResolver();
  const locator = new Locator({ resolver, clock: Date.now });
  const transport = new NetworkTransport({ resolver, locator, ...networkSettings(config) });
  return { config, resolver, locator, transport, close: () => transport.close() };
}

/** Runs work with a session that is closed in the end. */
export async function withSession<T>(terminal: Terminal, work: (session: Session) => Promise<T>): Promise<T> {
  const session = await openSession(terminal);
  try {
    return await work(session);
  } finally {
    session.close();
  }
}

/** Encryption types to ask for. */
export function permittedEtypes(config: Krb5Config): readonly number[] {
  return config.permittedEtypes ?? DEFAULT_ETYPES;
}

/** What krb5.conf says about exchanges. */
export function contextOptions(session: Session, times: { life?: number; renew?: number } = {}): ContextOptions {
  const { config, transport } = session;
  const renew = times.renew ?? config.renewLifetimeSeconds;
  return {
    transport,
    permittedEtypes: permittedEtypes(config),
    ...(config.tktEtypes && { tktEtypes: config.tktEtypes }),
    ...(config.tgsEtypes && { tgsEtypes: config.tgsEtypes }),
    clockSkew: config.clockskewSeconds * 1000,
    ticketLifetime: (times.life ?? config.ticketLifetimeSeconds) * 1000,
    // Without a setting: what Active Directory grants at most by default. kinit asks for it only when told to.
    ...(renew > 0 && { renewLifetime: renew * 1000 }),
  };
}

export function sessionContext(session: Session, times: { life?: number; renew?: number } = {}): ExchangeContext {
  return exchangeContext(contextOptions(session, times));
}

/** A Kerberos client of the session. It takes the secret and the tickets over. */
export function sessionClient(session: Session, proof: Proof, tickets: readonly Credentials[] = []): KrbClient {
  return new KrbClient({
    ...contextOptions(session),
    config: session.config,
    client: proof.principal,
    secret: proof.secret,
    tickets,
  });
}

/** A flag with a time such as `10h`, in seconds. */
export function duration(parsed: ParsedFlags, flag: string): number | undefined {
  const given = text(parsed, flag);
  if (given === undefined) return undefined;
  const seconds = parseDuration(given);
  if (!seconds) throw new UsageError(`--${flag} must be a time such as 10h, 1d12h or 08:30, not ${given}`);
  return seconds;
}

/** The cache that a flag names, else that of KRB5CCNAME, krb5.conf or the user. */
export function cacheName(given: string | undefined, config: Krb5Config | undefined, terminal: Terminal): CacheName {
  if (given !== undefined) return parseCacheName(given);
  const { uid, username } = userInfo();
  return defaultCacheName({ env: terminal.env, configured: config?.defaultCcacheName, uid, username });
}

export function caches(given: string | undefined, config: Krb5Config, terminal: Terminal): CacheCollection {
  return openCaches(cacheName(given, config, terminal));
}

export const DEFAULT_KEYTAB = '/etc/krb5.keytab';

/** Path of the keytab that a flag names, else that of KRB5_KTNAME or krb5.conf. */
export function keytabPath(given: string | undefined, config: Krb5Config | undefined, terminal: Terminal): string {
  const name = given ?? (terminal.env.KRB5_KTNAME || config?.defaultKeytabName || DEFAULT_KEYTAB);
  const [, type, path] = /^(?:([A-Z]+):)?(.*)$/s.exec(name) ?? [];
  if (type !== undefined && type !== 'FILE' && type !== 'WRFILE')
    throw new AdError('INVALID_ARGUMENT', `the keytab ${name} is no file, and only files can be read here`);
  return path!;
}

/** @throws AdError INVALID_ARGUMENT; the message says that a realm is missing */
export function principalOf(name: string, config: Krb5Config): Principal {
  return parsePrincipal(name, config.defaultRealm);
}

/** An enterprise name (UPN) whose KDC is that of the default realm. */
export function enterpriseOf(name: string, config: Krb5Config): Principal {
  if (!config.defaultRealm)
    throw new AdError('INVALID_ARGUMENT', 'an enterprise name needs default_realm in krb5.conf: whose KDC is asked?');
  return enterprisePrincipal(name, config.defaultRealm);
}

export interface Proof {
  readonly principal: Principal;
  readonly secret: Secret;
}

/**
 * A principal with its keys from a keytab.
 * @param who absent: this machine's account, else the first entry
 * @throws AdError NOT_FOUND, FILE, MALFORMED; ETYPE when none of its keys is permitted
 */
export async function keytabProof(
  path: string,
  who: Principal | undefined,
  permitted: readonly number[],
): Promise<Proof> {
  const entries = await loadKeytab(path);
  try {
    const principal = who ?? machinePrincipal(entries, hostname()) ?? entries[0]?.principal;
    if (!principal) throw new AdError('NOT_FOUND', `the keytab ${path} is empty`, { path });
    const all = findKeys(entries, principal);
    if (all.length === 0) {
      const names = [...new Set(entries.map((e) => formatPrincipal(e.principal)))].join(', ');
      throw new AdError('NOT_FOUND', `Keytab contains no keys for ${formatPrincipal(principal)}: it has ${names}`, {
        path,
      });
    }
    const keys = permitted.flatMap((etype) => all.filter((e) => e.key.etype === etype).map((e) => e.key));
    if (keys.length === 0)
      throw new AdError(
        'ETYPE',
        `no key of ${formatPrincipal(principal)} in ${path} is of a permitted encryption type`,
      );
    return { principal, secret: new KeySecret(keys) };
  } finally {
    wipeEntries(entries);
  }
}

/** A principal with the password that a file, a prompt or standard input gives. */
export async function passwordProof(
  principal: Principal,
  file: string | undefined,
  terminal: Terminal,
  permitted: readonly number[],
): Promise<Proof> {
  const typed = await readPassword(file, terminal, `Password for ${formatPrincipal(principal)}: `);
  const password = Buffer.from(typed, 'utf8');
  try {
    const salt = principal.realm + principal.components.join('');
    return { principal, secret: new PasswordSecret(password, salt, permitted) };
  } finally {
    wipe(password);
  }
}

/** The ticket-granting ticket of a cache's own realm; undefined when there is none. */
export function tgtOf(cache: CCache): Credentials | undefined {
  const tgs = krbtgt(cache.principal.realm);
  return cache.credentials.findLast((c) => !isConfigEntry(c) && samePrincipal(c.server, tgs));
}

export const TGT_MARGIN = 2 * 60_000;

/** As `tgtOf`, where it lasts long enough for use. @throws AdError NOT_FOUND with what to do */
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

/** The clock difference that a cache tells, and its form for a new one, ms. */
export function kdcOffset(context: ExchangeContext): NonNullable<CCache['kdcOffset']> {
  const seconds = Math.trunc(context.timeOffset / 1000);
  return { seconds, microseconds: Math.round((context.timeOffset - seconds * 1000) * 1000) };
}

export function wipeCache(cache: CCache): void {
  wipe(...cache.credentials.map((c) => c.key.value));
}

/** A client that lives on the tickets of a cache: it has nothing to get a new first ticket with. */
export const noSecret: Secret = {
  etypes: [],
  key: async () => undefined,
  remembered: undefined,
  destroy: () => undefined,
};
