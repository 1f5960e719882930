/** Kerberos principal names (RFC 4120 6.2, RFC 1964 2.1.1 text form) and Active Directory's salt rule. */
import { AdError } from '../errors.ts';
import { nameType } from './numbers.ts';

/** The name of a user, host or service: `alice@REALM`, `HTTP/web.example.com@REALM`. */
export interface Principal {
  readonly nameType: number;
  readonly components: readonly string[];
  readonly realm: string;
}

/** Builds a principal; the name type defaults to NT-PRINCIPAL for one component and NT-SRV-INST for krbtgt. */
export function principal(realm: string, ...components: string[]): Principal {
  const type = components[0] === 'krbtgt' && components.length === 2 ? nameType.SRV_INST : nameType.PRINCIPAL;
  return { nameType: type, components, realm };
}

/** The ticket-granting service of `realm` as seen in `within` (RFC 4120 7.3). */
export function krbtgt(realm: string, within: string = realm): Principal {
  return { nameType: nameType.SRV_INST, components: ['krbtgt', realm], realm: within };
}

/** Whose tickets nobody's are: the realm that no KDC serves (RFC 8062 section 3). */
const ANONYMOUS_REALM = 'WELLKNOWN:ANONYMOUS';

/**
 * Nobody in particular (RFC 8062 section 3).
 * @param realm whose KDC is asked; absent: the name that its tickets bear, which hides the realm as well
 */
export function anonymousPrincipal(realm = ANONYMOUS_REALM): Principal {
  return { nameType: nameType.WELLKNOWN, components: ['WELLKNOWN', 'ANONYMOUS'], realm };
}

/**
 * A host-based service such as `ldap/dc1.example.com`.
 * @param realm '' unless told otherwise: the KDCs know, and a client follows where they refer to
 */
export function servicePrincipal(service: string, host: string, realm = ''): Principal {
  return { nameType: nameType.SRV_HST, components: [service, host], realm };
}

/**
 * A user principal name such as `alice@corp.example` whose suffix need not be its realm (NT-ENTERPRISE, RFC 6806 5).
 * @param realm where it is looked for first; that realm's KDC knows or refers on
 */
export function enterprisePrincipal(upn: string, realm: string): Principal {
  return { nameType: nameType.ENTERPRISE, components: [upn], realm };
}

/**
 * Parses `component/component@REALM` with MIT's escapes (`\/`, `\@`, `\\`, `\n`, `\t`, `\b`, `\0`).
 * @param defaultRealm used when the text names no realm
 * @throws AdError INVALID_ARGUMENT for an empty component or realm, a dangling escape, or a missing realm
 */
export function parsePrincipal(text: string, defaultRealm?: string): Principal {
  const escapes: Record<string, string> = { n: '\n', t: '\t', b: '\b', '0': '\0' };
  const components: string[] = [];
  let current = '';
  let realm: string | undefined;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (c === '\\') {
      const next = text[++i];
      if (next === undefined)
        throw new AdError('INVALID_ARGUMENT', `principal ${JSON.stringify(text)} ends in a backslash`);
      current += escapes[next] ?? next;
    } else if (c === '/' && realm === undefined) {
      components.push(current);
      current = '';
    } else if (c === '@') {
      if (realm !== undefined)
        throw new AdError('INVALID_ARGUMENT', `principal ${JSON.stringify(text)} names two realms`);
      components.push(current);
      current = '';
      realm = '';
    } else current += c;
  }
  if (realm === undefined) {
    components.push(current);
    realm = defaultRealm ?? '';
  } else realm = current;
  if (components.some((c) => c === ''))
    throw new AdError('INVALID_ARGUMENT', `principal ${JSON.stringify(text)} has an empty name`);
  if (realm === '') throw new AdError('INVALID_ARGUMENT', `principal ${JSON.stringify(text)} names no realm`);
  return principal(realm, ...components);
}

const escapeWith = (pattern: RegExp) => (s: string) =>
  s.replace(pattern, (c) => ({ '\n': '\\n', '\t': '\\t', '\b': '\\b', '\0': '\\0' })[c] ?? `\\${c}`);
const escapeName = escapeWith(/[\\/@\n\t\b\0]/g);
const escapeRealm = escapeWith(/[\\@\n\t\b\0]/g);

/** The text form with escapes, as klist prints it. */
export function formatPrincipal(p: Principal): string {
  return `${p.components.map(escapeName).join('/')}@${escapeRealm(p.realm)}`;
}

/** Same realm and components; name types are advice only (RFC 4120 6.2) and do not count. */
export function samePrincipal(a: Principal, b: Principal): boolean {
  return a.realm === b.realm && sameName(a, b);
}

export function sameName(
  a: { readonly components: readonly string[] },
  b: { readonly components: readonly string[] },
): boolean {
  return a.components.length === b.components.length && a.components.every((c, i) => c === b.components[i]);
}

export function isKrbtgt(p: Principal): boolean {
  return p.components.length === 2 && p.components[0] === 'krbtgt';
}

/** The salt of a password where the KDC names none: "the principal's realm and name components" run together (RFC 4120 4). */
export function defaultSalt({ realm, components }: Principal): string {
  return realm + components.join('');
}

/**
 * The salt Active Directory uses when the KDC does not say one (MS-KILE 3.1.1.2): users REALM + name, computers and
 * gMSAs REALM + "host" + lower-case name without one trailing "$" + "." + lower-case realm.
 */
export function activeDirectorySalt(kind: 'user' | 'computer', accountName: string, realm: string): string {
  const upper = realm.toUpperCase();
  return kind === 'user'
    ? upper + accountName
    : `${upper}host${accountName.replace(/\$$/, '').toLowerCase()}.${realm.toLowerCase()}`;
}
