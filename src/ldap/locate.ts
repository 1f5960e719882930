/** Which domain controllers to ask: configured, or from DNS as Active Directory publishes them (MS-ADTS 6.3.6.1). */
import type { Endpoint, Locator } from '../krb5/network/locate.ts';

/** LDAP, and StartTLS. */
export const LDAP_PORT = 389;
/** LDAP over TLS from the first byte. */
export const LDAPS_PORT = 636;

/**
 * The DCs of a domain in the order to try, those of this machine's site first where the locator can tell it.
 * @param configured `host` or `host:port` entries that replace DNS
 * @throws AdError UNREACHABLE when DNS failed or knows none
 */
export async function locateDomainControllers(
  domain: string,
  locator: Locator,
  configured: readonly Endpoint[] = [],
): Promise<Endpoint[]> {
  if (configured.length > 0) return locator.inOrder(configured);
  const name = domain.toLowerCase();
  return locator.findNear(
    name,
    `_ldap._tcp.dc._msdcs.${name}`,
    (site) => `_ldap._tcp.${site}._sites.dc._msdcs.${name}`,
  );
}

/** The distinguished name of a domain's own naming context: a DC component for each label (RFC 2247). */
export function domainBase(domain: string): string {
  return domain
    .split('.')
    .map((label) => `DC=${label}`)
    .join(',');
}
