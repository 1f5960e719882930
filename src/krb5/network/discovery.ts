/**
 * Servers of a realm in DNS: URI records as MIT reads them (its documentation, "Realm configuration decisions", "URI
 * records"), and SRV records (RFC 4120 7.2.3.2), those of this machine's Active Directory site first.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { abortable } from '../../async.ts';
import { isAdError } from '../../errors.ts';
import { parseKdcAddress } from '../config.ts';
import type { Endpoint, Locator } from './locate.ts';
import { type KdcServer, type KdcService, servicePort } from './servers.ts';

/** URI records are rare: when SRV records are there already, so long is an answer about them still waited for, ms. */
const URI_GRACE = 200;

export interface DiscoveryOptions {
  readonly uri: boolean;
  readonly sitename?: string | undefined;
}

/**
 * The servers in the order to try: those of URI records where there are any, else of SRV records.
 * @throws AdError UNREACHABLE when DNS failed or knows none
 */
export async function discoverServers(
  locator: Locator,
  realm: string,
  service: KdcService,
  options: DiscoveryOptions,
): Promise<KdcServer[]> {
  const srv = srvServers(locator, realm, service, options.sitename);
  if (!options.uri || !locator.resolver.uri) return srv;
  const grace = new AbortController();
  const uri = uriServers(locator, realm, service, grace.signal);
  try {
    const late = srv.then(() => delay(URI_GRACE, [], { signal: grace.signal }).catch(() => []));
    // Where SRV failed, URI has the time it needs.
    const first = await Promise.race([uri, late.catch(() => uri)]);
    return first.length > 0 ? locator.inOrder(first) : await srv;
  } finally {
    grace.abort();
    srv.catch(() => undefined);
  }
}

async function srvServers(
  locator: Locator,
  realm: string,
  service: KdcService,
  site: string | undefined,
): Promise<KdcServer[]> {
  const domain = realm.toLowerCase();
  const find = (protocol: 'tcp' | 'udp'): Promise<Endpoint[]> => {
    const name = `_${service}._${protocol}`;
    const named = `${name}.${domain}`;
    // There are no records of sites for changes of passwords.
    if (service === 'kpasswd') return locator.find(named);
    return locator.findNear(domain, named, (here) => `${name}.${here}._sites.${domain}`, site);
  };
  try {
    return await find('tcp');
  } catch (e) {
    if (!isAdError(e, 'UNREACHABLE') || e.cause !== undefined) throw e; // DNS is down
    // RFC 4120 7.2.3.2 wants records for UDP first of all; those of TCP may be missing.
    return find('udp').catch(() => {
      throw e;
    });
  }
}

/** What fails or comes too late counts as none, and is remembered so: else every exchange would wait for it again. */
function uriServers(
  locator: Locator,
  realm: string,
  service: KdcService,
  signal: AbortSignal,
): Promise<readonly KdcServer[]> {
  const name = `_${service}.${realm.toLowerCase()}`;
  return locator.remember(`URI ${name}`, async () => {
    const records = await abortable(locator.resolver.uri!(name, signal), signal, 'asking DNS').catch(() => []);
    return locator.ordered(records).flatMap(({ target }) => uriServer(target, service) ?? []);
  });
}

/**
 * Takes `krb5srv:[flags]:{udp|tcp|kkdcp}:{host[:port]|url}` apart. The flags (`m`, the primary server) change nothing
 * here; undefined for other schemes and carriers.
 */
export function uriServer(target: string, service: KdcService): KdcServer | undefined {
  const [, carrier, rest] = /^krb5srv:[a-z]*:(udp|tcp|kkdcp):(.+)$/i.exec(target) ?? [];
  if (!carrier) return undefined;
  const kind = carrier.toLowerCase();
  const proxy = kind === 'kkdcp';
  // A prefix of krb5.conf within the record would contradict its carrier.
  if (proxy !== /^https:\/\//i.test(rest!) || /^(tcp|udp)\//.test(rest!)) return undefined;
  const address = parseKdcAddress(proxy ? rest!.replace(/^https/i, 'https') : `${kind}/${rest}`);
  if (!address?.protocol) return undefined;
  const { host, port = proxy ? 443 : servicePort[service], protocol, path } = address;
  return { host, port, protocol, ...(path !== undefined && { path }) };
}
