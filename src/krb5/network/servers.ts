/** Servers of a realm as the transports take them: where, and by which carrier. */
import { type KdcAddress, type Krb5Config, parseKdcAddress } from '../config.ts';
import { type Endpoint, endpointName } from './locate.ts';

/** What is asked for: tickets, or a change of password (RFC 3244). */
export type KdcService = 'kerberos' | 'kpasswd';

/** A KDC, and the one carrier it is reached by if it is not both TCP and UDP. */
export interface KdcServer extends Endpoint {
  /** Absent: TCP and UDP. 'https' is a proxy (MS-KKDCP). */
  readonly protocol?: 'tcp' | 'udp' | 'https';
  /** Of a proxy's URL, without the slash in front. */
  readonly path?: string;
}

export const servicePort = { kerberos: 88, kpasswd: 464 } as const satisfies Record<KdcService, number>;

/** `host:port`, or the URL of a proxy, for messages. */
export function serverName(server: KdcServer): string {
  return server.protocol === 'https' ? `https://${endpointName(server)}/${server.path ?? ''}` : endpointName(server);
}

/**
 * The realm's servers in krb5.conf, in order; undefined where DNS shall be asked. Passwords are changed at
 * `kpasswd_server`, else at `admin_server` with the port of that service.
 */
export function configuredKdcs(
  config: Pick<Krb5Config, 'realms'>,
  realm: string,
  service: KdcService = 'kerberos',
): KdcServer[] | undefined {
  const settings = config.realms.get(realm);
  const named = service === 'kerberos' ? settings?.kdc : settings?.kpasswdServer;
  const servers = (named ?? []).flatMap((text) => serverOf(parseKdcAddress(text), service));
  if (servers.length > 0) return servers;
  if (service === 'kerberos') return undefined;
  const admin = (settings?.adminServer ?? []).flatMap((text) => serverOf(parseKdcAddress(text), service));
  // The port of admin_server is that of another protocol.
  const same = admin.map((server) => (server.protocol === 'https' ? server : { ...server, port: servicePort.kpasswd }));
  return same.length > 0 ? same : undefined;
}

function serverOf(address: KdcAddress | undefined, service: KdcService): KdcServer[] {
  if (!address) return [];
  const { host, port, protocol, path } = address;
  const usual = protocol === 'https' ? 443 : servicePort[service];
  return [{ host, port: port ?? usual, ...(protocol && { protocol }), ...(path !== undefined && { path }) }];
}
