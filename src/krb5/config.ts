/**
 * The Kerberos configuration: what this library takes from krb5.conf, with MIT's defaults (MIT krb5 documentation,
 * "krb5.conf"). Settings it does not know are kept in `settings` and do no harm.
 */
import { readFile } from 'node:fs/promises';
import { AdError, messageOf } from '../errors.ts';
import { firstWord, parseKdcAddress } from './config/addresses.ts';
import { type EtypeSettings, etypeSettings } from './config/enctypes.ts';
import { expand, MAX_FILES } from './config/includes.ts';
import { configError, findNodes, type ProfileNode, parseProfile } from './config/profile.ts';

export { type KdcAddress, parseKdcAddress } from './config/addresses.ts';
export { capath, realmOfHost, realmOfHostByDns, realmPath } from './config/realms.ts';
export { parseDuration } from './config/values.ts';

import { parseBoolean, parseCanonicalize, parseCount, parseDuration, parseTimesync } from './config/values.ts';

/** One realm of `[realms]`. */
export interface RealmConfig {
  /** KDCs as written and checked; `parseKdcAddress` takes one apart. */
  readonly kdc: readonly string[];
  /** The KDCs that know of a password change first (`primary_kdc`, formerly `master_kdc`). */
  readonly primaryKdc: readonly string[];
  /** Servers that administer the realm (`admin_server`); passwords are changed there where `kpasswdServer` is empty. */
  readonly adminServer: readonly string[];
  readonly kpasswdServer: readonly string[];
  /** Certificates that vouch for KDC proxies, `FILE:`, `DIR:` or `ENV:`; empty: those of Node. */
  readonly httpAnchors: readonly string[];
  /** The site whose servers are to be asked first. */
  readonly sitename?: string;
}

/** What this library takes from krb5.conf; each setting has MIT's default. */
export interface Krb5Config extends EtypeSettings {
  readonly defaultRealm?: string;
  readonly realms: ReadonlyMap<string, RealmConfig>;
  /** Host or, with a leading dot, domain, in lower case, to realm. */
  readonly domainRealm: ReadonlyMap<string, string>;
  readonly allowWeakCrypto: boolean;
  readonly allowRc4: boolean;
  readonly dnsLookupKdc: boolean;
  /** Ask DNS for URI records besides SRV records. */
  readonly dnsUriLookup: boolean;
  /** Ask DNS for TXT records that tell a host's realm; whoever forges them chooses the realm. */
  readonly dnsLookupRealm: boolean;
  readonly clockskewSeconds: number;
  /** Learn the difference between the KDC's clock and ours. */
  readonly kdcTimesync: boolean;
  readonly ticketLifetimeSeconds: number;
  /** 0: tickets are not asked to be renewable. */
  readonly renewLifetimeSeconds: number;
  readonly forwardable: boolean;
  readonly proxiable: boolean;
  readonly canonicalize: boolean;
  readonly rdns: boolean;
  readonly dnsCanonicalizeHostname: 'true' | 'false' | 'fallback';
  /** Messages of up to so many bytes go by UDP first; absent: all by TCP first, unlike MIT, since AD's seldom fit. */
  readonly udpPreferenceLimit?: number;
  /** Tickets are asked for without addresses. */
  readonly noaddresses: boolean;
  readonly defaultKeytabName?: string;
  readonly defaultClientKeytabName?: string;
  readonly defaultCcacheName?: string;
  /** The whole tree, for `configValues`. */
  readonly settings: readonly ProfileNode[];
}

export const DEFAULT_PATH = '/etc/krb5.conf';

/**
 * Reads a configuration from text.
 * @param file name for errors
 * @throws AdError INVALID_ARGUMENT with file and line; also for include directives, which `loadKrb5Config` follows
 */
export function parseKrb5Conf(text: string, file = 'krb5.conf'): Krb5Config {
  const nodes = parseProfile(text, file).map((node) => {
    if ('include' in node) throw configError(node, 'include needs a file to be read');
    return node;
  });
  return interpret(nodes);
}

/**
 * Reads the files of `path`, else of `KRB5_CONFIG` (lists with colons between, the earlier wins), else /etc/krb5.conf,
 * and what they include. Files of these names that do not exist count as empty.
 * @throws AdError INVALID_ARGUMENT with file and line; FILE when a file cannot be read
 */
export async function loadKrb5Config(
  path?: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<Krb5Config> {
  const paths = (path ?? (env.KRB5_CONFIG || DEFAULT_PATH)).split(':').filter(Boolean);
  const nodes: ProfileNode[] = [];
  const budget = { files: MAX_FILES };
  for (const file of paths) {
    let text: string;
    try {
      text = await readFile(file, 'utf8');
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw new AdError('FILE', `cannot read ${file}: ${messageOf(e)}`, { path: file }, e);
    }
    await expand(parseProfile(text, file), nodes, 0, budget);
  }
  return interpret(nodes);
}

/** Every value at a path such as ('realms', 'EXAMPLE.COM', 'kdc'), those that win first. */
export function configValues(config: Pick<Krb5Config, 'settings'>, ...path: string[]): string[] {
  return findNodes(config.settings, path).flatMap((node) => node.value ?? []);
}

function interpret(settings: readonly ProfileNode[]): Krb5Config {
  /** The relation of [libdefaults] that wins, read by `read`, or `otherwise` when there is none. */
  const setting = <T, D>(name: string, read: (text: string) => T | undefined, otherwise: D): T | D => {
    const node = findNodes(settings, ['libdefaults', name]).find((n) => n.value !== undefined);
    return node ? readValue(node, read) : otherwise;
  };
  const text = (name: string) => setting(name, (value) => value || undefined, undefined);
  const flag = (name: string, otherwise: boolean) => setting(name, parseBoolean, otherwise);
  const seconds = (name: string, otherwise: number) => setting(name, parseDuration, otherwise);

  const defaultRealm = text('default_realm');
  const defaultKeytabName = text('default_keytab_name');
  const defaultClientKeytabName = text('default_client_keytab_name');
  const defaultCcacheName = text('default_ccache_name');
  const allowWeakCrypto = flag('allow_weak_crypto', false);
  const udpPreferenceLimit = setting('udp_preference_limit', parseCount, undefined);
  const allowRc4 = flag('allow_rc4', false);
  return {
    ...(defaultRealm !== undefined && { defaultRealm }),
    realms: realmsOf(settings),
    domainRealm: domainRealmOf(settings),
    ...etypeSettings(settings, { weak: allowWeakCrypto, rc4: allowRc4 }),
    allowWeakCrypto,
    allowRc4,
    dnsLookupKdc: flag('dns_lookup_kdc', flag('dns_fallback', true)),
    dnsUriLookup: flag('dns_uri_lookup', true),
    dnsLookupRealm: flag('dns_lookup_realm', flag('dns_fallback', false)),
    clockskewSeconds: seconds('clockskew', 300),
    kdcTimesync: setting('kdc_timesync', parseTimesync, true),
    ticketLifetimeSeconds: seconds('ticket_lifetime', 86_400),
    renewLifetimeSeconds: seconds('renew_lifetime', 0),
    forwardable: flag('forwardable', false),
    proxiable: flag('proxiable', false),
    canonicalize: flag('canonicalize', false),
    rdns: flag('rdns', true),
    dnsCanonicalizeHostname: setting('dns_canonicalize_hostname', parseCanonicalize, 'true'),
    ...(udpPreferenceLimit !== undefined && { udpPreferenceLimit }),
    noaddresses: flag('noaddresses', true),
    ...(defaultKeytabName !== undefined && { defaultKeytabName }),
    ...(defaultClientKeytabName !== undefined && { defaultClientKeytabName }),
    ...(defaultCcacheName !== undefined && { defaultCcacheName }),
    settings,
  };
}

/** Reads a value, or says where the value is that cannot be read. */
function readValue<T>(node: ProfileNode, read: (text: string) => T | undefined): T {
  const value = read(node.value!);
  if (value === undefined) throw configError(node, `${node.name} cannot be ${JSON.stringify(node.value)}`);
  return value;
}

function realmsOf(settings: readonly ProfileNode[]): Map<string, RealmConfig> {
  const addresses = (realm: string, ...names: string[]) =>
    names
      .flatMap((name) => findNodes(settings, ['realms', realm, name]))
      .filter((node) => node.value !== undefined)
      .map((node) => readValue(node, (value) => (parseKdcAddress(value) ? firstWord(value) : undefined)));
  const texts = (realm: string, name: string) => configValues({ settings }, 'realms', realm, name);
  const names = findNodes(settings, ['realms'])
    .flatMap((section) => section.children ?? [])
    .filter((node) => node.children)
    .map((node) => node.name);
  return new Map(
    [...new Set(names)].map((name) => {
      const [sitename] = texts(name, 'sitename');
      const realm: RealmConfig = {
        kdc: addresses(name, 'kdc'),
        primaryKdc: addresses(name, 'primary_kdc', 'master_kdc'),
        adminServer: addresses(name, 'admin_server'),
        kpasswdServer: addresses(name, 'kpasswd_server'),
        httpAnchors: texts(name, 'http_anchors'),
        ...(sitename && { sitename }),
      };
      return [name, realm];
    }),
  );
}

function domainRealmOf(settings: readonly ProfileNode[]): Map<string, string> {
  const map = new Map<string, string>();
  for (const node of findNodes(settings, ['domain_realm']).flatMap((section) => section.children ?? [])) {
    const name = node.name.toLowerCase();
    if (node.value !== undefined && !map.has(name)) map.set(name, node.value);
  }
  return map;
}
