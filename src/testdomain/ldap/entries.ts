/** The domain as LDAP entries, made from the accounts' state at the moment of the search. */
import { type Account, Gmsa } from '../accounts.ts';
import type { Directory, Group } from '../directory.ts';
import { guidToText } from '../gmsa/identifiers.ts';
import { supportedEncryptionTypes } from '../kdc/as.ts';
import type { Values } from './filter.ts';

export interface Entry {
  readonly dn: string;
  /** In the order they are sent. */
  readonly attributes: ReadonlyMap<string, readonly (string | Uint8Array)[]>;
  /** The same by names in lower case, for filters. */
  readonly values: Values;
  /** `normalDn(dn)` */
  readonly id: string;
  readonly account?: Account;
}

/** userAccountControl bits, MS-ADTS 2.2.16. */
const UAC = {
  disabled: 0x2,
  normal: 0x200,
  workstation: 0x1000,
  domainController: 0x2000,
  dontExpire: 0x10000,
} as const;

/** Same name, however it is spelt: case and blanks around separators do not count. */
export function normalDn(dn: string): string {
  return dn
    .trim()
    .toLowerCase()
    .replace(/\s*([,=])\s*/g, '$1');
}

function entry(
  dn: string,
  attributes: Record<string, undefined | string | Uint8Array | readonly (string | Uint8Array)[]>,
  account?: Account,
): Entry {
  const map = new Map<string, readonly (string | Uint8Array)[]>();
  for (const [name, value] of Object.entries({ ...attributes, distinguishedName: dn })) {
    if (value === undefined) continue;
    const values = Array.isArray(value) ? value : [value as string | Uint8Array];
    if (values.length > 0) map.set(name, values);
  }
  const byName = new Map([...map].map(([name, values]) => [name.toLowerCase(), values]));
  const made = { dn, attributes: map, values: (name: string) => byName.get(name) ?? [], id: normalDn(dn) };
  return account ? { ...made, account } : made;
}

/** The entries as they are at a moment, made anew only when an account has changed or a password has rolled. */
export class Entries {
  readonly #directory: Directory;
  #made: readonly Entry[] = [];
  #stamp = '';

  constructor(directory: Directory) {
    this.#directory = directory;
  }

  at(now: number): readonly Entry[] {
    const { revision, accounts } = this.#directory;
    const stamp = [revision, ...accounts.map((a) => (a instanceof Gmsa ? a.phase(now).kvno : 0))].join();
    if (stamp !== this.#stamp) {
      this.#made = entriesOf(this.#directory, now);
      this.#stamp = stamp;
    }
    return this.#made;
  }
}

function entriesOf(directory: Directory, now: number): Entry[] {
  const { baseDn } = directory;
  const container = (name: string): Entry =>
    entry(`CN=${name},${baseDn}`, { objectClass: ['top', 'container'], cn: name, name });
  return [
    entry(baseDn, {
      objectClass: ['top', 'domain', 'domainDNS'],
      objectSid: directory.sid,
      name: directory.domain.split('.')[0],
      dc: directory.domain.split('.')[0],
    }),
    container('Users'),
    container('Computers'),
    container('Managed Service Accounts'),
    entry(`OU=Domain Controllers,${baseDn}`, {
      objectClass: ['top', 'organizationalUnit'],
      ou: 'Domain Controllers',
      name: 'Domain Controllers',
    }),
    ...directory.groups.map((group) => groupEntry(directory, group)),
    ...directory.accounts.map((account) => accountEntry(directory, account, now)),
  ];
}

function groupEntry(directory: Directory, group: Group): Entry {
  return entry(group.dn, {
    objectClass: ['top', 'group'],
    cn: group.name,
    name: group.name,
    sAMAccountName: group.name,
    objectSid: group.sid,
    objectGUID: group.guid,
    sAMAccountType: '268435456',
    groupType: '-2147483646',
    member: directory.membersOf(group).map((a) => a.dn),
  });
}

function accountEntry(directory: Directory, account: Account, now: number): Entry {
  const isUser = account.kind === 'user' || account.kind === 'service';
  const gmsa = account instanceof Gmsa ? account : undefined;
  const classes = ['top', 'person', 'organizationalPerson', 'user'];
  if (!isUser) classes.push('computer');
  if (gmsa) classes.push('msDS-GroupManagedServiceAccount');
  const kind = isUser ? UAC.normal : account === directory.controller ? UAC.domainController : UAC.workstation;
  const groups = new Set([...account.groups].map((g) => g.toLowerCase()));
  return entry(
    account.dn,
    {
      objectClass: classes,
      cn: account.cn,
      name: account.cn,
      sAMAccountName: account.name,
      sAMAccountType: isUser ? '805306368' : '805306369',
      objectSid: account.sid,
      objectGUID: account.guid,
      userPrincipalName: account.userPrincipalName,
      userAccountControl: String(kind | (account.state.disabled ? UAC.disabled : 0)),
      primaryGroupID: isUser ? '513' : account === directory.controller ? '516' : '515',
      accountExpires: account.state.expired ? '132000000000000000' : '9223372036854775807',
      lockoutTime: account.state.locked ? '132000000000000000' : undefined,
      memberOf: directory.groups.filter((g) => groups.has(g.name.toLowerCase())).map((g) => g.dn),
      servicePrincipalName: account.servicePrincipalNames,
      dNSHostName: account.dnsHostName,
      'msDS-KeyVersionNumber': String(account.keysAt(now).kvno),
      'msDS-SupportedEncryptionTypes': String(supportedEncryptionTypes(account)),
      'msDS-ManagedPasswordInterval': gmsa && String(gmsa.intervalDays),
    },
    account,
  );
}

/** What anyone may read without a bind (RFC 4512 5.1, MS-ADTS 3.1.1.3.2). */
export function rootDse(directory: Directory, now: number): Entry {
  const { baseDn, controllerName, domain, realm } = directory;
  const made = entry('', {
    currentTime: `${new Date(now).toISOString().replace(/[-:T]/g, '').slice(0, 14)}.0Z`,
    namingContexts: [baseDn, `CN=Configuration,${baseDn}`, `CN=Schema,CN=Configuration,${baseDn}`],
    defaultNamingContext: baseDn,
    rootDomainNamingContext: baseDn,
    configurationNamingContext: `CN=Configuration,${baseDn}`,
    schemaNamingContext: `CN=Schema,CN=Configuration,${baseDn}`,
    dnsHostName: controllerName,
    ldapServiceName: `${domain}:${controllerName.split('.')[0]}$@${realm}`,
    supportedLDAPVersion: ['3', '2'],
    supportedSASLMechanisms: ['GSSAPI'],
    supportedControl: ['1.2.840.113556.1.4.319', '1.2.840.113556.1.4.801'],
    supportedExtension: ['1.3.6.1.4.1.4203.1.11.3'],
    supportedCapabilities: ['1.2.840.113556.1.4.800', '1.2.840.113556.1.4.1670'],
    domainFunctionality: '7',
    forestFunctionality: '7',
    domainControllerFunctionality: '7',
    isSynchronized: 'TRUE',
    isGlobalCatalogReady: 'TRUE',
    dsServiceName: `CN=NTDS Settings,CN=${controllerName.split('.')[0]!.toUpperCase()},CN=Servers,CN=Default-First-Site-Name,CN=Sites,CN=Configuration,${baseDn}`,
  });
  const visible = new Map(made.attributes);
  visible.delete('distinguishedName');
  return { ...made, attributes: visible };
}

/** A base DN in AD's other spelling, `<GUID=…>`, as its entry's DN. */
export function dnByGuid(directory: Directory, text: string): string | undefined {
  const guid = /^<guid=([0-9a-f-]{36})>$/i.exec(text)?.[1]?.toLowerCase();
  return [...directory.accounts, ...directory.groups].find((a) => guid !== undefined && guidToText(a.guid) === guid)
    ?.dn;
}
