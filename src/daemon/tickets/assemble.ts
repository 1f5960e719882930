/** Puts the lease engine together from the daemon's configuration: Kerberos settings, DNS, servers, keytab. */
import { readFile } from 'node:fs/promises';
import { DEFAULT_KEYTAB } from '../../accounts/keytab.ts';
import { AdError, messageOf } from '../../errors.ts';
import { type Krb5Config, loadKrb5Config, realmOfHost } from '../../krb5/config.ts';
import { etypeName, findProfile } from '../../krb5/crypto/index.ts';
import { exchangeSettings, permittedEtypes } from '../../krb5/environment/environment.ts';
import type { ContextOptions } from '../../krb5/exchanges/context.ts';
import { type Endpoint, Locator, type SiteOf } from '../../krb5/network/locate.ts';
import { NetworkTransport, networkSettings } from '../../krb5/network/network.ts';
import { DnsResolver, type Resolver } from '../../krb5/network/resolver.ts';
import { LDAP_PORT } from '../../ldap/locate.ts';
import { Sites } from '../../ldap/sites.ts';
import type { TlsOptions } from '../../ldap/tls.ts';
import type { DaemonConfig } from '../config/config.ts';
import type { Log } from '../log.ts';
import { DirectoryEngine, type EngineOptions } from './fetch.ts';

/** @throws AdError INVALID_ARGUMENT or FILE when krb5.conf or a server name cannot be used */
export async function createEngine(
  config: Pick<
    DaemonConfig,
    'domainControllers' | 'krb5Config' | 'keytab' | 'ldapTimeout' | 'gmsaOu' | 'gmsaDistinguishedName'
  > &
    Partial<Pick<DaemonConfig, 'site' | 'ldapTls' | 'ldapCa'>>,
  log: Log,
  extras: Pick<EngineOptions, 'readSecret' | 'metrics'> = {},
): Promise<DirectoryEngine> {
  const krb5 = await loadKrb5Config(config.krb5Config, process.env);
  const resolver = new DnsResolver();
  const locator = new Locator({ resolver, clock: Date.now, siteOf: siteOf(config.site ?? 'auto', resolver) });
  const transport = new NetworkTransport({ resolver, locator, ...networkSettings(krb5) });
  return new DirectoryEngine({
    kerberos: { transport, ...kerberosSettings(krb5, log) },
    resolver,
    locator,
    clock: Date.now,
    domainControllers: config.domainControllers.map(domainController),
    // Active Directory names a realm after its domain; [domain_realm] may say otherwise.
    realmOf: (domain) => realmOfHost(krb5, domain) ?? domain.toUpperCase(),
    configuredRealm: (realm) => ({
      kdcs: krb5.realms.get(realm)?.kdc ?? [],
      hosts: [...krb5.domainRealm].flatMap(([host, of]) => (of === realm ? [host] : [])),
    }),
    keytab: (config.keytab ?? krb5.defaultKeytabName ?? DEFAULT_KEYTAB).replace(/^FILE:/, ''),
    operationTimeout: config.ldapTimeout * 1000,
    tls: await tlsOptions(config),
    places: { distinguishedName: config.gmsaDistinguishedName, ou: config.gmsaOu },
    log,
    ...extras,
  });
}

async function tlsOptions({
  ldapTls: mode = 'off',
  ldapCa,
}: Partial<Pick<DaemonConfig, 'ldapTls' | 'ldapCa'>>): Promise<TlsOptions | undefined> {
  if (mode === 'off') return undefined;
  if (ldapCa === undefined) return { mode };
  const ca = await readFile(ldapCa, 'utf8').catch((e: unknown) => {
    throw new AdError('FILE', `CF_LDAP_CA: cannot read ${ldapCa}: ${messageOf(e)}`, { path: ldapCa }, e);
  });
  if (!ca.includes('-----BEGIN CERTIFICATE-----'))
    throw new AdError('INVALID_ARGUMENT', `CF_LDAP_CA: ${ldapCa} holds no certificate in PEM`, { path: ldapCa });
  return { mode, ca };
}

/** The site by configuration, or what domain controllers say. */
function siteOf(setting: string, resolver: Resolver): SiteOf {
  if (setting === 'auto') return new Sites({ resolver, clock: Date.now }).siteOf;
  return async () => (setting === 'off' ? undefined : setting);
}

function kerberosSettings(krb5: Krb5Config, log: Log): Partial<ContextOptions> {
  for (const etype of permittedEtypes(krb5).filter((e) => findProfile(e)?.weak)) {
    log.warn(`krb5.conf permits the weak encryption type ${etypeName(etype)}`);
  }
  return exchangeSettings(krb5);
}

/** `host`, `host:port` or `[v6]:port` of DOMAIN_CONTROLLER_GMSA. */
function domainController(text: string): Endpoint {
  const [, v6, name, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = v6 ?? name;
  if (!host || Number(port) > 65_535 || Number(port) === 0) {
    throw new AdError('INVALID_ARGUMENT', `DOMAIN_CONTROLLER_GMSA: ${JSON.stringify(text)} is no host name`);
  }
  return { host, port: port === undefined ? LDAP_PORT : Number(port) };
}
