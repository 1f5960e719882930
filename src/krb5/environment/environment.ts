/** What this host says of Kerberos: krb5.conf, DNS and the way to KDCs. Clients that share it share what it learns. */
import { userInfo } from 'node:os';
import { AdError } from '../../errors.ts';
import { type Krb5Config, loadKrb5Config } from '../config.ts';
import { DEFAULT_ETYPES } from '../crypto/index.ts';
import type { Clock, ContextOptions } from '../exchanges/context.ts';
import { type CacheCollection, type MemoryCaches, openCaches } from '../files/ccache-collection.ts';
import { type CacheName, defaultCacheName, expandTokens, parseCacheName } from '../files/ccache-name.ts';
import { Locator, type SiteOf } from '../network/locate.ts';
import { NetworkTransport, networkSettings } from '../network/network.ts';
import { DnsResolver, type Resolver } from '../network/resolver.ts';
import type { KdcTransport } from '../network/transport.ts';

/** Variables of an environment, as `process.env`. */
export type Variables = Readonly<Record<string, string | undefined>>;

/** What an environment is made of; all of it has a default. */
export interface EnvironmentOptions {
  /** KRB5_CONFIG, KRB5CCNAME, KRB5_KTNAME and KRB5_CLIENT_KTNAME count; `process.env` unless told otherwise. */
  readonly env?: Variables;
  /** A configuration at hand, or the path of a krb5.conf; else the files of KRB5_CONFIG, else /etc/krb5.conf. */
  readonly config?: Krb5Config | string;
  /** DNS; Node's resolver unless told otherwise. */
  readonly resolver?: Resolver;
  /** Tells the Active Directory site whose servers go first; without it they come as DNS has them. */
  readonly siteOf?: SiteOf;
  readonly clock?: Clock;
}

/** This host's Kerberos: its configuration, its DNS and its ways to KDCs, which remember servers that failed. */
export interface Environment {
  readonly env: Variables;
  readonly config: Krb5Config;
  readonly resolver: Resolver;
  readonly locator: Locator;
  readonly transport: KdcTransport;
  readonly clock: Clock;
  /** Ends every socket and timer. */
  close(): void;
}

/**
 * Reads krb5.conf and makes what clients need to reach KDCs; nothing is asked yet. The caller closes it.
 * @throws AdError INVALID_ARGUMENT with file and line, FILE
 */
export async function loadEnvironment(options: EnvironmentOptions = {}): Promise<Environment> {
  const { env = process.env, config: given, resolver = new DnsResolver(), siteOf, clock = Date.now } = options;
  const config = typeof given === 'object' ? given : await loadKrb5Config(given, env);
  const locator = new Locator({ resolver, clock, ...(siteOf && { siteOf }) });
  const transport = new NetworkTransport({ resolver, locator, ...networkSettings(config) });
  return { env, config, resolver, locator, transport, clock, close: () => transport.close() };
}

/** What krb5.conf says about exchanges, as options of a client: encryption types, lifetimes, clocks. */
export function exchangeSettings(config: Krb5Config): Omit<ContextOptions, 'transport'> {
  return {
    permittedEtypes: permittedEtypes(config),
    ...(config.tktEtypes && { tktEtypes: config.tktEtypes }),
    ...(config.tgsEtypes && { tgsEtypes: config.tgsEtypes }),
    clockSkew: config.clockskewSeconds * 1000,
    kdcTimesync: config.kdcTimesync,
    ticketLifetime: config.ticketLifetimeSeconds * 1000,
    // Without a setting: what Active Directory grants at most by default.
    ...(config.renewLifetimeSeconds > 0 && { renewLifetime: config.renewLifetimeSeconds * 1000 }),
  };
}

/** Encryption types that krb5.conf permits, in order of preference. */
export function permittedEtypes(config: Krb5Config): readonly number[] {
  return config.permittedEtypes ?? DEFAULT_ETYPES;
}

/**
 * The name of a ticket cache: the one given, else that of KRB5CCNAME, krb5.conf or this user.
 * @throws AdError INVALID_ARGUMENT as `parseCacheName` and `defaultCacheName`
 */
export function cacheNameOf(
  given: string | undefined,
  config: Pick<Krb5Config, 'defaultCcacheName'> | undefined,
  env: Variables,
): CacheName {
  if (given !== undefined) return parseCacheName(given);
  const uid = process.getuid?.() ?? 0;
  const username = nameOfUser();
  return defaultCacheName({ env, configured: config?.defaultCcacheName, uid, ...(username && { username }) });
}

/** Undefined for a user without an entry in the system's list, as in many containers. */
function nameOfUser(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
}

/**
 * The caches that a name leads to, else those of KRB5CCNAME, krb5.conf or this user.
 * @param memory where `MEMORY:` caches are
 * @throws as `cacheNameOf`
 */
export function cachesOf(environment: Environment, name?: string, memory?: MemoryCaches): CacheCollection {
  return openCaches(cacheNameOf(name, environment.config, environment.env), memory);
}

/** Where a machine's keytab lies unless krb5.conf or KRB5_KTNAME say otherwise. */
export const DEFAULT_KEYTAB = '/etc/krb5.keytab';

/**
 * Path of a keytab: the one given, else that of KRB5_KTNAME, krb5.conf or /etc/krb5.keytab.
 * @param given a path, or `FILE:path`
 * @throws AdError INVALID_ARGUMENT for one that is no file
 */
export function keytabPath(
  given: string | undefined,
  config: Pick<Krb5Config, 'defaultKeytabName'> | undefined,
  env: Variables,
): string {
  return pathOf(given ?? (env.KRB5_KTNAME || config?.defaultKeytabName || DEFAULT_KEYTAB));
}

/** Where a user's keytab lies for programs that log on by themselves, unless told otherwise; as Debian has it. */
const CLIENT_KEYTAB = '/etc/krb5/user/%{euid}/client.keytab';

/**
 * Path of the keytab that clients log on with: the one given, else that of KRB5_CLIENT_KTNAME, krb5.conf's
 * default_client_keytab_name, or /etc/krb5/user/UID/client.keytab.
 * @param given a path, or `FILE:path`
 * @throws as `keytabPath`
 */
export function clientKeytabPath(
  given: string | undefined,
  config: Pick<Krb5Config, 'defaultClientKeytabName'> | undefined,
  env: Variables,
): string {
  const named = given ?? env.KRB5_CLIENT_KTNAME;
  if (named) return pathOf(named);
  const username = nameOfUser();
  const user = { env, uid: process.getuid?.() ?? 0, ...(username && { username }) };
  return pathOf(expandTokens(config?.defaultClientKeytabName ?? CLIENT_KEYTAB, user));
}

function pathOf(name: string): string {
  const [, type, path] = /^(?:([A-Z]+):)?(.*)$/s.exec(name) ?? [];
  if (type !== undefined && type !== 'FILE' && type !== 'WRFILE')
    throw new AdError('INVALID_ARGUMENT', `the keytab ${name} is no file, and only files can be read here`);
  return path!;
}
