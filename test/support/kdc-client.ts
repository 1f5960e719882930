/** A Kerberos client for tests against one KDC at a known port. */
import { utf8 } from '../../src/bytes.ts';
import { KrbClient, type KrbClientOptions } from '../../src/krb5/client.ts';
import { DEFAULT_ETYPES } from '../../src/krb5/crypto/index.ts';
import type { ContextOptions } from '../../src/krb5/exchanges/context.ts';
import { Locator } from '../../src/krb5/network/locate.ts';
import { NetworkTransport } from '../../src/krb5/network/network.ts';
import { DnsResolver } from '../../src/krb5/network/resolver.ts';
import type { KdcService } from '../../src/krb5/network/servers.ts';
import { principal } from '../../src/krb5/principal.ts';
import { KeySecret, PasswordSecret, type Secret } from '../../src/krb5/secret.ts';

/** A transport to 127.0.0.1:port, whatever the realm. */
export function localTransport(port: number): NetworkTransport {
  const resolver = new DnsResolver();
  const locator = new Locator({ resolver, clock: Date.now });
  return new NetworkTransport({ resolver, locator, kdcs: () => [{ host: '127.0.0.1', port }] });
}

/** A transport to one KDC a realm, each on 127.0.0.1. */
export function realmsTransport(
  ...realms: readonly { readonly realm: string; readonly port: number; readonly kpasswdPort?: number }[]
): NetworkTransport {
  const resolver = new DnsResolver();
  const locator = new Locator({ resolver, clock: Date.now });
  const kdcs = (name: string, service: KdcService) => {
    const found = realms.find(({ realm }) => realm === name);
    return found && [{ host: '127.0.0.1', port: service === 'kpasswd' ? found.kpasswdPort! : found.port }];
  };
  return new NetworkTransport({ resolver, locator, kdcs });
}

export interface TestClientOptions extends Partial<ContextOptions>, Pick<KrbClientOptions, 'config' | 'armor'> {
  readonly port: number;
  readonly realm: string;
  readonly name: string;
  readonly password?: string;
  readonly keys?: readonly { etype: number; value: Uint8Array }[];
}

/** The caller closes client and transport. */
export function testClient(options: TestClientOptions): KrbClient {
  const etypes = options.permittedEtypes ?? DEFAULT_ETYPES;
  const secret: Secret = options.keys
    ? new KeySecret(options.keys)
    : new PasswordSecret(utf8(options.password ?? ''), options.realm + options.name.replaceAll('/', ''), etypes);
  const transport = options.transport ?? localTransport(options.port);
  return new KrbClient({ ...options, transport, client: principal(options.realm, ...options.name.split('/')), secret });
}
