/**
 * The Kerberos configuration: what this library takes from krb5.conf, with MIT's defaults (MIT krb5 documentation,
 * "krb5.conf"). Settings it does not know are kept in `settings` and do no harm.
 */
import { readdir, readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { isAbsolute, join } from 'node:path';
import { AdError, messageOf } from '../errors.ts';
import { DEFAULT_ETYPES, etypeByName, findProfile } from './crypto/index.ts';
import { etype } from './numbers.ts';
import { configError, findNodes, type IncludeNode, type ProfileNode, parseProfile } from './profile.ts';

export interface RealmConfig {
  /** KDCs as written and checked; `parseKdcAddress` takes one apart. */
  readonly kdc: readonly string[];
  /** The KDCs that know of a password change first (`primary_kdc`, formerly `master_kdc`). */
  readonly primaryKdc: readonly string[];
}

export interface Krb5Config {
  readonly defaultRealm?: string;
  readonly realms: ReadonlyMap<string, RealmConfig>;
  /** Host or, with a leading dot, domain, in lower case, to realm. */
  readonly domainRealm: ReadonlyMap<string, string>;
  /** Types to ask for, the most wanted first; absent: the library's own. */
  readonly permittedEtypes?: readonly number[];
  readonly allowWeakCrypto: boolean;
  readonly dnsLookupKdc: boolean;
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
  /** Messages longer than this go by TCP first. */
  readonly udpPreferenceLimit: number;
  readonly defaultKeytabName?: string;
  readonly defaultCcacheName?: string;
  /** The whole tree, for `configValues`. */
  readonly settings: readonly ProfileNode[];
}

export const DEFAULT_PATH = '/etc/krb5.conf';
/** Files that include themselves, or each other many times over, end here. */
const MAX_INCLUDE_DEPTH = 10;
const MAX_FILES = 1000;

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
 * Reads `path`, else the files of `KRB5_CONFIG` (a list with colons between, the earlier wins), else /etc/krb5.conf,
 * and what they include. Files of these names that do not exist count as empty.
 * @throws AdError INVALID_ARGUMENT with file and line; FILE when a file cannot be read
 */
export async function loadKrb5Config(
  path?: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<Krb5Config> {
  const paths = path === undefined ? (env.KRB5_CONFIG || DEFAULT_PATH).split(':').filter(Boolean) : [path];
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

/** Appends nodes to `into`, each include directive replaced with the sections of its files. */
async function expand(
  nodes: readonly (ProfileNode | IncludeNode)[],
  into: ProfileNode[],
  depth: number,
  budget: { files: number },
): Promise<void> {
  for (const node of nodes) {
    if (!('include' in node)) {
      into.push(node);
      continue;
    }
    if (!isAbsolute(node.path)) throw configError(node, `include needs an absolute path, not ${node.path}`);
    if (depth >= MAX_INCLUDE_DEPTH) throw configError(node, `includes nested deeper than ${MAX_INCLUDE_DEPTH}`);
    for (const file of node.include === 'file' ? [node.path] : await filesOf(node)) {
      if (--budget.files < 0) throw configError(node, `more than ${MAX_FILES} files are included`);
      const text = await readFile(file, 'utf8').catch((e: unknown) => {
        throw configError(node, `cannot read ${file}: ${messageOf(e)}`);
      });
      await expand(parseProfile(text, file), into, depth + 1, budget);
    }
  }
}

/**
 * The files an `includedir` means, in the order of their names: "all files within the directory whose names consist
 * solely of alphanumeric characters, dashes, or underscores", and since MIT 1.15 "files with names ending in '.conf'
 * ... unless the name begins with '.'".
 */
async function filesOf(node: IncludeNode): Promise<string[]> {
  const names = await readdir(node.path).catch((e: unknown) => {
    throw configError(node, `cannot read the directory ${node.path}: ${messageOf(e)}`);
  });
  return names
    .filter((name) => /^[A-Za-z0-9_-]+$/.test(name) || /^[^.].*\.conf$/.test(name))
    .sort()
    .map((name) => join(node.path, name));
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
  const defaultCcacheName = text('default_ccache_name');
  const allowWeakCrypto = flag('allow_weak_crypto', false);
  const permittedEtypes = setting('permitted_enctypes', etypesByNames, undefined);
  return {
    ...(defaultRealm !== undefined && { defaultRealm }),
    realms: realmsOf(settings),
    domainRealm: domainRealmOf(settings),
    ...(permittedEtypes !== undefined && { permittedEtypes }),
    allowWeakCrypto,
    dnsLookupKdc: flag('dns_lookup_kdc', true),
    clockskewSeconds: seconds('clockskew', 300),
    kdcTimesync: setting('kdc_timesync', parseTimesync, true),
    ticketLifetimeSeconds: seconds('ticket_lifetime', 86_400),
    renewLifetimeSeconds: seconds('renew_lifetime', 0),
    forwardable: flag('forwardable', false),
    proxiable: flag('proxiable', false),
    canonicalize: flag('canonicalize', false),
    rdns: flag('rdns', true),
    dnsCanonicalizeHostname: setting('dns_canonicalize_hostname', parseCanonicalize, 'true'),
    udpPreferenceLimit: setting('udp_preference_limit', parseCount, 1465),
    ...(defaultKeytabName !== undefined && { defaultKeytabName }),
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
  const names = findNodes(settings, ['realms'])
    .flatMap((section) => section.children ?? [])
    .filter((node) => node.children)
    .map((node) => node.name);
  return new Map(
    [...new Set(names)].map((name) => [
      name,
      { kdc: addresses(name, 'kdc'), primaryKdc: addresses(name, 'primary_kdc', 'master_kdc') },
    ]),
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

/**
 * The realm of a host by [domain_realm]: the host itself, then each parent domain, `.domain` before `domain`.
 * Undefined when no entry fits.
 */
export function realmOfHost(config: Pick<Krb5Config, 'domainRealm'>, host: string): string | undefined {
  let name = host.toLowerCase().replace(/\.$/, '');
  while (name !== '' && name !== '.') {
    const realm = config.domainRealm.get(name);
    if (realm !== undefined) return realm;
    const dot = name.indexOf('.', 1);
    if (name.startsWith('.')) name = name.slice(1);
    else if (dot < 0) return undefined;
    else name = name.slice(dot);
  }
  return undefined;
}

export interface KdcAddress {
  readonly host: string;
  readonly port?: number;
  /** Named by a prefix; 'https' is an MS-KKDCP proxy. */
  readonly protocol?: 'tcp' | 'udp' | 'https';
  /** Of an https URL: without the leading slash. */
  readonly path?: string;
}

/** MIT takes the first word of a value, so that remarks after it do no harm. */
function firstWord(text: string): string {
  return text.trim().split(/\s/, 1)[0]!;
}

/**
 * Takes `host`, `host:port`, `[v6]`, `[v6]:port`, a bare IPv6 address, any of them after `tcp/` or `udp/`, or an
 * `https://host[:port][/path]` URL apart; undefined when it is none.
 */
export function parseKdcAddress(text: string): KdcAddress | undefined {
  const [, scheme, rest] = /^(?:(https:\/\/|tcp\/|udp\/))?(.*)$/.exec(firstWord(text))!;
  const protocol = scheme === undefined ? undefined : (scheme.replace(/\W/g, '') as 'tcp' | 'udp' | 'https');
  const slash = protocol === 'https' ? rest!.indexOf('/') : -1;
  const authority = slash < 0 ? rest! : rest!.slice(0, slash);
  const extras = { ...(protocol && { protocol }), ...(slash >= 0 && { path: rest!.slice(slash + 1) }) };
  if (isIPv6(authority)) return { host: authority, ...extras };
  const parts = /^(?:\[([^\]]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(authority);
  if (!parts) return undefined;
  const [, v6, name, digits] = parts;
  if (v6 !== undefined && !isIPv6(v6)) return undefined;
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  return { host: (v6 ?? name)!, ...(port !== undefined && { port }), ...extras };
}

/** Words that stand for several encryption types, in MIT's order (kdc.conf, "Encryption types"). */
const etypeFamilies: Readonly<Record<string, readonly number[]>> = {
  default: DEFAULT_ETYPES,
  aes: [
    etype.AES256_CTS_HMAC_SHA1_96,
    etype.AES128_CTS_HMAC_SHA1_96,
    etype.AES256_CTS_HMAC_SHA384_192,
    etype.AES128_CTS_HMAC_SHA256_128,
  ],
  rc4: [etype.RC4_HMAC],
};

/**
 * A list of encryption types with blanks or commas between: names, families, `-name` to take out again. Names of types
 * this library lacks are passed over, as MIT does; undefined when nothing is left.
 */
function etypesByNames(text: string): number[] | undefined {
  const list = new Set<number>();
  for (const word of text.split(/[\s,]+/).filter(Boolean)) {
    const name = word.replace(/^[+-]/, '').toLowerCase();
    const one = etypeByName(name);
    const types = Object.hasOwn(etypeFamilies, name) ? etypeFamilies[name]! : one === undefined ? [] : [one];
    for (const type of types.filter(findProfile)) {
      if (word.startsWith('-')) list.delete(type);
      else list.add(type);
    }
  }
  return list.size > 0 ? [...list] : undefined;
}

/** MIT's words for yes and no, in any case. */
function parseBoolean(text: string): boolean | undefined {
  const word = text.toLowerCase();
  if (['y', 'yes', 'true', 't', '1', 'on'].includes(word)) return true;
  if (['n', 'no', 'false', 'nil', '0', 'off'].includes(word)) return false;
  return undefined;
}

/** A number in MIT, of which zero is no; the words are understood too. */
function parseTimesync(text: string): boolean | undefined {
  const count = parseCount(text);
  return count === undefined ? parseBoolean(text) : count !== 0;
}

function parseCanonicalize(text: string): 'true' | 'false' | 'fallback' | undefined {
  if (text.toLowerCase() === 'fallback') return 'fallback';
  const yes = parseBoolean(text);
  return yes === undefined ? undefined : yes ? 'true' : 'false';
}

function parseCount(text: string): number | undefined {
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/**
 * Seconds of a duration in MIT's forms: `36000`, `10h`, `1d 12h30m`, `h:m`, `h:m:s`, `d-h:m:s`; undefined for others and
 * for those beyond 32 bits.
 */
export function parseDuration(text: string): number | undefined {
  const t = text.trim();
  const clock = /^(?:(\d+)-)?(\d+):(\d{1,2})(?::(\d{1,2}))?$/.exec(t);
  const units = /^(?:(\d+)\s*d)?\s*(?:(\d+)\s*h)?\s*(?:(\d+)\s*m)?\s*(?:(\d+)\s*s?)?$/i.exec(t);
  const parts = t === '' ? null : (clock ?? units);
  if (!parts) return undefined;
  const [d, h, m, s] = parts.slice(1).map((digits) => Number(digits ?? 0));
  const seconds = d! * 86_400 + h! * 3600 + m! * 60 + s!;
  return seconds <= 0x7fffffff ? seconds : undefined;
}
