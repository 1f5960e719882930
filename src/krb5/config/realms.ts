/** Which realm a host is in, and through which realms one gets to another. */
import { isIP } from 'node:net';
import type { Krb5Config } from '../config.ts';
import { firstWord } from './addresses.ts';
import { findNodes } from './profile.ts';

/**
 * The realm of a host by [domain_realm]: the host itself, then each parent domain, `.domain` before `domain`.
 * Undefined when no entry fits; an address has no domain.
 */
export function realmOfHost(config: Pick<Krb5Config, 'domainRealm'>, host: string): string | undefined {
  let name = host.toLowerCase().replace(/\.$/, '');
  if (isIP(name)) return undefined;
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

/**
 * As `realmOfHost`, and where that is silent and `dns_lookup_realm` is on, by the TXT record `_kerberos` of the host or
 * of the nearest parent domain that has one. (The records are not secured: a forged one leads into another realm, whose
 * tickets the service then has to refuse.)
 * @param txt the texts of a name's TXT records, each put together; none when there are none
 */
export async function realmOfHostByDns(
  config: Pick<Krb5Config, 'domainRealm' | 'dnsLookupRealm'>,
  host: string,
  txt: (name: string) => Promise<readonly string[]>,
): Promise<string | undefined> {
  const configured = realmOfHost(config, host);
  if (configured !== undefined || !config.dnsLookupRealm || isIP(host)) return configured;
  const labels = host.toLowerCase().replace(/\.$/, '').split('.').filter(Boolean);
  for (let i = 0; i < labels.length; i++) {
    const [realm] = await txt(`_kerberos.${labels.slice(i).join('.')}.`);
    if (realm) return realm.replace(/\.$/, '');
  }
  return undefined;
}

/**
 * The realms between the client's and the server's by [capaths], in the order they are passed; empty when the client's
 * realm shares a key with the server's; undefined where [capaths] does not say.
 */
export function capath(
  config: Pick<Krb5Config, 'settings'>,
  clientRealm: string,
  serverRealm: string,
): string[] | undefined {
  const values = findNodes(config.settings, ['capaths', clientRealm, serverRealm]).flatMap((n) =>
    n.value ? firstWord(n.value) : [],
  );
  if (values.length === 0) return undefined;
  // MIT krb5 documentation, "krb5.conf", [capaths]: "a value of "." means that the two realms share a key directly".
  return values[0]!.startsWith('.') ? [] : values;
}

/**
 * All realms from the client's to the server's, both included: by [capaths], else up the domain names to the part both
 * share and down again (RFC 4120 1.2, "the hierarchy of realms").
 */
export function realmPath(config: Pick<Krb5Config, 'settings'>, clientRealm: string, serverRealm: string): string[] {
  if (clientRealm === serverRealm) return [clientRealm];
  const between = capath(config, clientRealm, serverRealm);
  if (between) return [clientRealm, ...between, serverRealm];
  const [up, down] = [parents(clientRealm), parents(serverRealm)];
  const shared = up.findIndex((realm) => down.includes(realm));
  // Realms that share no part go by their topmost ones, as in MIT's walk.
  if (shared < 0) return [...up, ...down.reverse()];
  return [...up.slice(0, shared + 1), ...down.slice(0, down.indexOf(up[shared]!)).reverse()];
}

/** The realm and each of its parent domains. */
function parents(realm: string): string[] {
  const labels = realm.split('.');
  return labels.map((_, i) => labels.slice(i).join('.'));
}
