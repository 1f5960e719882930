/** The domain's accounts and groups, found by the names Kerberos and LDAP use. */
import { randomBytes } from 'node:crypto';
import { AdError } from '../errors.ts';
import { etype } from '../krb5/numbers.ts';
import {
  type Account,
  accountSid,
  computerAccount,
  type DomainFacts,
  Gmsa,
  keysOnlyAccount,
  userAccount,
} from './accounts.ts';
import type { RootKey } from './gmsa/gkdi.ts';
import { guidToBytes, sidToBytes } from './gmsa/identifiers.ts';
import type { RootKeySpec, TestDomainOptions } from './options.ts';

export interface Group {
  readonly name: string;
  readonly dn: string;
  readonly sid: Uint8Array;
  readonly guid: Uint8Array;
}

const RID = { krbtgt: 502, domainController: 1000, first: 1104 } as const;
/** Service classes a HOST/ name stands for (the part of AD's sPNMappings that tests meet). */
const HOST_ALIASES = new Set(['cifs', 'dns', 'http', 'rpc', 'wsman']);

/** A random domain SID, S-1-5-21 and three parts. */
function randomSid(): string {
  const parts = new Uint32Array(3).map(() => randomBytes(4).readUInt32BE());
  return `S-1-5-21-${parts.join('-')}`;
}

function rootKey(spec: RootKeySpec | undefined): RootKey {
  if (spec === undefined) return { id: new Uint8Array(randomBytes(16)), value: new Uint8Array(randomBytes(64)) };
  return { id: guidToBytes(spec.id), value: spec.value.slice() };
}

export class Directory implements DomainFacts {
  readonly domain: string;
  readonly realm: string;
  readonly netbios: string;
  readonly baseDn: string;
  readonly sid: Uint8Array;
  readonly rootKey: RootKey;
  /** Fully qualified name of the domain controller. */
  readonly controllerName: string;
  readonly controller: Account;
  readonly krbtgt: Account;
  readonly #accounts = new Map<string, Account>();
  readonly #groups = new Map<string, Group>();
  #nextRid: number = RID.first;
  /** Goes up with every change of an account. */
  revision = 0;

  constructor(options: TestDomainOptions, now: number) {
    this.domain = (options.domain ?? 'example.test').toLowerCase();
    if (!/^[a-z0-9-]+(\.[a-z0-9-]+)+$/.test(this.domain)) {
      throw new AdError('INVALID_ARGUMENT', `not a domain name: ${this.domain}`);
    }
    this.realm = this.domain.toUpperCase();
    this.netbios = this.realm.split('.')[0]!.slice(0, 15);
    this.baseDn = this.domain
      .split('.')
      .map((label) => `DC=${label}`)
      .join(',');
    this.sid = sidToBytes(options.domainSid ?? randomSid());
    this.rootKey = rootKey(options.rootKey);

    const short = options.controller ?? 'dc1';
    this.controllerName = `${short}.${this.domain}`;
    const hosts = new Set([
      short,
      this.controllerName,
      'localhost',
      options.host ?? '127.0.0.1',
      ...(options.controllerAliases ?? []),
    ]);
    const spns = [...hosts]
      .map((h) => `ldap/${h}`)
      .concat(`ldap/${this.controllerName}/${this.domain}`, `GC/${this.controllerName}/${this.domain}`);
    const spec = { name: short.toUpperCase(), servicePrincipalNames: spns };
    this.controller = this.#add(computerAccount(this, spec, RID.domainController, 'OU=Domain Controllers'));
    this.krbtgt = this.#add(
      keysOnlyAccount(this, 'krbtgt', RID.krbtgt, ['kadmin/changepw'], [etype.AES256_CTS_HMAC_SHA1_96]),
    );

    for (const name of options.groups ?? []) this.#group(name);
    for (const user of options.users ?? []) this.#add(userAccount(this, user, this.#nextRid++));
    for (const computer of options.computers ?? []) this.#add(computerAccount(this, computer, this.#nextRid++));
    for (const gmsa of options.gmsas ?? []) {
      const root = gmsa.rootKey === undefined ? this.rootKey : rootKey(gmsa.rootKey);
      this.#add(new Gmsa(this, gmsa, this.#nextRid++, now, root));
    }
    for (const { spn, account } of options.services ?? []) {
      if (account === undefined) this.#add(keysOnlyAccount(this, `svc-${this.#nextRid}`, this.#nextRid++, [spn]));
      else this.account(account).servicePrincipalNames.push(spn);
    }
    for (const gmsa of this.accounts) {
      if (gmsa instanceof Gmsa) for (const reader of gmsa.readers) this.#checkReader(gmsa, reader);
    }
  }

  #add<T extends Account>(account: T): T {
    const id = account.name.toLowerCase();
    if (this.#accounts.has(id)) throw new AdError('INVALID_ARGUMENT', `two accounts are named ${account.name}`);
    this.#accounts.set(id, account);
    for (const name of account.groups) this.#group(name);
    return account;
  }

  #group(name: string): void {
    const id = name.toLowerCase();
    if (this.#groups.has(id)) return;
    const sid = accountSid(this.sid, this.#nextRid++);
    this.#groups.set(id, {
      name,
      dn: `CN=${name},CN=Users,${this.baseDn}`,
      sid,
      guid: new Uint8Array(randomBytes(16)),
    });
  }

  /** A misspelt reader would look like a denial later, so it is refused at once. */
  #checkReader(gmsa: Gmsa, reader: string): void {
    if (this.#groups.has(reader.toLowerCase()) || this.find(reader)) return;
    throw new AdError(
      'INVALID_ARGUMENT',
      `reader ${reader} of ${gmsa.name} is neither an account nor a group of the domain`,
    );
  }

  get accounts(): readonly Account[] {
    return [...this.#accounts.values()];
  }

  get groups(): readonly Group[] {
    return [...this.#groups.values()];
  }

  membersOf(group: Group): Account[] {
    const id = group.name.toLowerCase();
    return this.accounts.filter((a) => [...a.groups].some((g) => g.toLowerCase() === id));
  }

  /** By sAMAccountName, any case; a computer or gMSA is found without its `$` too. */
  find(name: string): Account | undefined {
    const id = name.toLowerCase();
    return this.#accounts.get(id) ?? this.#accounts.get(`${id}$`);
  }

  /** As `find`. @throws AdError NO_SUCH_ACCOUNT */
  account(name: string): Account {
    return this.find(name) ?? fail(`the test domain has no account ${name}`);
  }

  /** As `account`, for a gMSA. @throws AdError NO_SUCH_ACCOUNT */
  gmsa(name: string): Gmsa {
    const account = this.account(name);
    return account instanceof Gmsa ? account : fail(`${account.name} is not a gMSA`);
  }

  /** By user principal name; the implicit `name@domain` and `NETBIOS\name` count too. */
  findByUserName(text: string): Account | undefined {
    const id = text.toLowerCase();
    const explicit = this.accounts.find((a) => a.userPrincipalName?.toLowerCase() === id);
    if (explicit) return explicit;
    const at = id.lastIndexOf('@');
    if (at > 0) {
      const suffix = id.slice(at + 1);
      return suffix === this.domain || suffix === this.netbios.toLowerCase() ? this.find(id.slice(0, at)) : undefined;
    }
    const [before, after] = id.split('\\');
    if (after !== undefined) return before === this.netbios.toLowerCase() ? this.find(after) : undefined;
    return this.find(id);
  }

  /** By service principal name such as `ldap/dc1.example.test`, any case. */
  findByService(components: readonly string[]): Account | undefined {
    const [service, ...rest] = components.map((c) => c.toLowerCase());
    if (service === undefined) return undefined;
    if (rest.length === 0) return this.find(service);
    if (service === 'krbtgt') return this.#isOwnRealm(rest[0]!) ? this.krbtgt : undefined;
    const by = (name: string): Account | undefined =>
      this.accounts.find((a) => a.servicePrincipalNames.some((spn) => spn.toLowerCase() === name));
    const exact = by([service, ...rest].join('/'));
    return exact ?? (HOST_ALIASES.has(service) ? by(['host', ...rest].join('/')) : undefined);
  }

  #isOwnRealm(name: string): boolean {
    return name === this.domain || name === this.netbios.toLowerCase();
  }

  /** Whether a realm as written by a client means this domain: any case, or the NetBIOS name. */
  isOwnRealm(name: string): boolean {
    return this.#isOwnRealm(name.toLowerCase());
  }

  /** PrincipalsAllowedToRetrieveManagedPassword: the reader itself or one of its groups. */
  mayRead(reader: Account, gmsa: Gmsa): boolean {
    const names = new Set([reader.name, reader.name.replace(/\$$/, ''), ...reader.groups].map((n) => n.toLowerCase()));
    return gmsa.readers.some((r) => names.has(r.toLowerCase()));
  }
}

function fail(message: string): never {
  throw new AdError('NO_SUCH_ACCOUNT', message);
}
