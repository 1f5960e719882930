/**
 * An Active-Directory-like domain inside this process: a KDC and an LDAP directory with group managed service accounts
 * whose passwords are derived, and roll, as a domain controller's do. For tests, demonstrations and users' own CI. It
 * is no server for production: nothing is stored, and anybody may connect.
 */
import { AdError } from '../errors.ts';
import { writeKeytab } from '../krb5/files/keytab.ts';
import { type Principal, parsePrincipal, principal } from '../krb5/principal.ts';
import { Gmsa } from './accounts.ts';
import { Directory } from './directory.ts';
import { KdcServer } from './kdc/server.ts';
import type { KdcContext } from './kdc/tickets.ts';
import { LdapServer } from './ldap/server.ts';
import { type Faults, newStats, type PrincipalState, type Stats, type TestDomainOptions } from './options.ts';

export type {
  ComputerSpec,
  Faults,
  GmsaSpec,
  PrincipalState,
  RootKeySpec,
  ServiceSpec,
  Stats,
  TestDomainOptions,
  UserSpec,
} from './options.ts';

/** What may change while the domain runs; what is left out stays. */
export interface AccountUpdate extends PrincipalState {
  readonly password?: string;
  /** gMSAs only. */
  readonly readers?: readonly string[];
}

/** A running domain. */
export interface TestDomain {
  /** Such as EXAMPLE.TEST. */
  readonly realm: string;
  /** Such as example.test. */
  readonly domain: string;
  /** Such as EXAMPLE. */
  readonly netbiosName: string;
  /** Such as DC=example,DC=test. */
  readonly baseDn: string;
  /** Fully qualified name of the domain controller, such as dc1.example.test. It need not resolve. */
  readonly controllerName: string;
  /** Address both servers listen on. */
  readonly host: string;
  /** TCP and UDP. */
  readonly kdcPort: number;
  readonly ldapPort: number;
  /** `ldap://host:port` */
  readonly ldapUrl: string;
  /** Text for a file that KRB5_CONFIG names: it finds this KDC without DNS. */
  readonly krb5Conf: string;
  /** Counters since the start. */
  readonly stats: Readonly<Stats>;
  /**
   * A keytab (version 2) with the current keys of an account or service: `HOST1$`, `HTTP/web.example.test`.
   * @throws AdError NO_SUCH_ACCOUNT
   */
  keytab(principal: string): Promise<Uint8Array>;
  /** The password of a gMSA that is in force: 256 bytes. @throws AdError NO_SUCH_ACCOUNT */
  managedPassword(name: string): Uint8Array;
  /** msDS-ManagedPassword of a gMSA as a permitted reader sees it now. @throws AdError NO_SUCH_ACCOUNT */
  managedPasswordBlob(name: string): Uint8Array;
  /** Changes an account. @throws AdError NO_SUCH_ACCOUNT, INVALID_ARGUMENT */
  update(name: string, change: AccountUpdate): void;
  /** Replaces the faults set before; `{}` ends them all. */
  setFaults(faults: Faults): void;
  /** Cuts every LDAP connection. */
  dropLdapConnections(): void;
  /** Ends every socket and timer. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts a domain; ready when the promise settles, in tens of milliseconds.
 * @throws AdError INVALID_ARGUMENT for contradictory options, or the socket's error when a port cannot be had
 */
export async function startTestDomain(options: TestDomainOptions = {}): Promise<TestDomain> {
  const clock = options.clock ?? Date.now;
  let faults: Faults = options.faults ?? {};
  const now = (): number => clock() + (faults.clockOffsetMs ?? 0);
  const directory = new Directory(options, now());
  const stats = newStats();
  const context: KdcContext = {
    directory,
    now,
    maxLifeMs: (options.ticketSeconds ?? 10 * 3600) * 1000,
    maxRenewMs: (options.renewableSeconds ?? 7 * 86_400) * 1000,
  };
  const host = options.host ?? '127.0.0.1';
  const kdc = new KdcServer(context, stats, () => faults);
  const ldap = new LdapServer({ context, stats, faults: () => faults, securityLayers: options.securityLayers ?? 4 });
  const close = async (): Promise<void> => {
    await Promise.all([kdc.close(), ldap.close()]);
  };
  let ports: readonly [number, number];
  try {
    ports = await Promise.all([kdc.listen(host, options.kdcPort ?? 0), ldap.listen(host, options.ldapPort ?? 0)]);
  } catch (e) {
    await close();
    throw e;
  }
  const [kdcPort, ldapPort] = ports;
  const { realm, domain } = directory;
  const shownHost = host.includes(':') ? `[${host}]` : host;

  return {
    realm,
    domain,
    netbiosName: directory.netbios,
    baseDn: directory.baseDn,
    controllerName: directory.controllerName,
    host,
    kdcPort,
    ldapPort,
    ldapUrl: `ldap://${shownHost}:${ldapPort}`,
    krb5Conf: krb5Conf(realm, domain, `${shownHost}:${kdcPort}`),
    stats,
    keytab: (name) => keytabOf(directory, name, now()),
    managedPassword: (name) => directory.gmsa(name).passwordAt(now()),
    managedPasswordBlob: (name) => directory.gmsa(name).blobAt(now()),
    update(name, { password, readers, ...state }) {
      const account = directory.account(name);
      if (account instanceof Gmsa ? password !== undefined : readers !== undefined) {
        throw new AdError(
          'INVALID_ARGUMENT',
          `${account.name}: a gMSA has readers and no password, other accounts the reverse`,
        );
      }
      directory.revision++;
      account.state = { ...account.state, ...state };
      if (password !== undefined) account.setPassword(password);
      if (readers !== undefined && account instanceof Gmsa) account.readers = readers;
    },
    setFaults(next) {
      faults = next;
    },
    dropLdapConnections: () => ldap.dropConnections(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function keytabOf(directory: Directory, text: string, now: number): Promise<Uint8Array> {
  const asked = parsePrincipal(text, directory.realm);
  const account = directory.findByService(asked.components);
  if (account === undefined) throw new AdError('NO_SUCH_ACCOUNT', `the test domain has no principal ${text}`);
  // The account's own name is written as the directory spells it, as exports from a controller are.
  const name: Principal = asked.components.length === 1 ? principal(directory.realm, account.name) : asked;
  const { kvno, current } = account.keysAt(now);
  const timestamp = new Date(Math.floor(now / 1000) * 1000);
  const entries = account.etypes.map(async (etype) => {
    const { value } = await current.get(etype);
    return { principal: name, timestamp, kvno, key: { etype, value } };
  });
  return writeKeytab(await Promise.all(entries));
}

function krb5Conf(realm: string, domain: string, kdc: string): string {
  return `[libdefaults]
  default_realm = ${realm}
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false

[realms]
  ${realm} = {
    kdc = ${kdc}
    kpasswd_server = ${kdc}
  }

[domain_realm]
  .${domain} = ${realm}
  ${domain} = ${realm}
  localhost = ${realm}
`;
}
