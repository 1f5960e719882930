/** The KDCs a configuration names, in the form the transport takes. */
import { type Krb5Config, parseKdcAddress } from '../config.ts';
import type { Endpoint } from './locate.ts';

export const KERBEROS_PORT = 88;

/**
 * The realm's `kdc` entries of krb5.conf that TCP can reach, in order; undefined where DNS shall be asked.
 */
export function configuredKdcs(config: Krb5Config, realm: string): Endpoint[] | undefined {
  const configured = config.realms.get(realm)?.kdc ?? [];
  const endpoints = configured.flatMap((text) => {
    const address = parseKdcAddress(text);
    return address && address.protocol !== 'udp' ? [{ host: address.host, port: address.port ?? KERBEROS_PORT }] : [];
  });
  return endpoints.length > 0 ? endpoints : undefined;
}
