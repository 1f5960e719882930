/** A sealed connection to a domain: to the first of its controllers that answers. */
import { isAdError } from '../errors.ts';
import type { KrbClient } from '../krb5/client.ts';
import { firstToAnswer } from '../krb5/network/failover.ts';
import { type Endpoint, endpointName, type Locator } from '../krb5/network/locate.ts';
import type { Resolver } from '../krb5/network/resolver.ts';
import { connectSealed, type SealedConnection, type SealedConnectionOptions } from './client.ts';
import { LDAPS_PORT, locateDomainControllers } from './locate.ts';

/** As whom, and which domain controllers. */
export interface DomainConnectionOptions
  extends Pick<SealedConnectionOptions, 'tls' | 'mechanism' | 'operationTimeout' | 'signal'> {
  /** Who binds. It stays the caller's. */
  readonly client: KrbClient;
  /** Where names are looked up, such as the environment that the client was opened in. */
  readonly environment: { readonly resolver: Resolver; readonly locator: Locator };
  /** Domain controllers to ask in place of those in DNS, in order. */
  readonly servers?: readonly Endpoint[];
}

/** How long one domain controller is waited for alone, ms. */
const STAGGER = 1000;

/**
 * Finds the domain controllers, connects to the first that answers, and binds. One that cannot prove itself or does not
 * know the protocol is passed over; a refusal of the client is final. The caller closes the connection.
 * @param domain DNS name
 * @throws AdError UNREACHABLE when none answers; what `connectSealed` throws
 */
export async function connectDomain(domain: string, options: DomainConnectionOptions): Promise<SealedConnection> {
  const { client, environment, servers = [], tls, mechanism, operationTimeout, signal } = options;
  const { resolver, locator } = environment;
  const found = await locateDomainControllers(domain, locator, servers);
  // DNS names the port of plain LDAP.
  const onPort = (e: Endpoint): Endpoint =>
    tls?.mode === 'ldaps' && servers.length === 0 ? { ...e, port: LDAPS_PORT } : e;
  const connect = (endpoint: Endpoint, own: AbortSignal) =>
    connectSealed({
      endpoint,
      client,
      resolver,
      ...(tls && { tls }),
      ...(mechanism && { mechanism }),
      ...(operationTimeout !== undefined && { operationTimeout }),
      signal: own,
    });
  return firstToAnswer(found.map(onPort), connect, endpointName, {
    stagger: STAGGER,
    signal,
    doing: `connecting to a domain controller of ${domain}`,
    goesOn: (e) => isAdError(e, 'UNREACHABLE', 'UNKNOWN_SERVICE', 'REPLY_REJECTED', 'MALFORMED'),
  });
}
