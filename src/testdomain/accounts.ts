/** The accounts of a test domain: who they are, which keys they have at a moment, who may read a managed password. */
import { randomBytes } from 'node:crypto';
import { concat } from '../bytes.ts';
import { readKeytab } from '../krb5/files/keytab.ts';
import { etype } from '../krb5/numbers.ts';
import { activeDirectorySalt } from '../krb5/principal.ts';
import { encodeManagedPassword } from './gmsa/blob.ts';
import { gkidOf, managedPassword, type RootKey } from './gmsa/gkdi.ts';
import { type Phase, phaseAt, type Schedule, scheduleOf } from './gmsa/schedule.ts';
import { AccountKeys, type KeySet } from './keys.ts';
import type { ComputerSpec, GmsaSpec, PrincipalState, UserSpec } from './options.ts';

const DEFAULT_ETYPES: readonly number[] = [
  etype.AES256_CTS_HMAC_SHA1_96,
  etype.AES128_CTS_HMAC_SHA1_96,
  etype.RC4_HMAC,
];

/** What every account needs to know of its domain. */
export interface DomainFacts {
  readonly domain: string;
  readonly realm: string;
  readonly netbios: string;
  readonly baseDn: string;
  readonly sid: Uint8Array;
  readonly rootKey: RootKey;
}

interface AccountInit {
  readonly kind: 'user' | 'computer' | 'gmsa' | 'service';
  readonly name: string;
  readonly cn: string;
  readonly container: string;
  readonly rid: number;
  readonly spec: PrincipalState & {
    readonly groups?: readonly string[];
    readonly servicePrincipalNames?: readonly string[];
    readonly etypes?: readonly number[];
  };
  readonly userPrincipalName?: string | undefined;
  readonly dnsHostName?: string | undefined;
}

export class Account {
  readonly kind: AccountInit['kind'];
  /** sAMAccountName. */
  readonly name: string;
  readonly cn: string;
  readonly dn: string;
  readonly rid: number;
  readonly sid: Uint8Array;
  readonly guid: Uint8Array = new Uint8Array(randomBytes(16));
  readonly userPrincipalName: string | undefined;
  readonly dnsHostName: string | undefined;
  readonly salt: string;
  readonly groups: Set<string>;
  readonly servicePrincipalNames: string[];
  readonly etypes: readonly number[];
  state: PrincipalState;
  #keys: AccountKeys;
  #kvno = 1;

  constructor(facts: DomainFacts, init: AccountInit, keys: (account: Account) => AccountKeys) {
    const { spec } = init;
    this.kind = init.kind;
    this.name = init.name;
    this.cn = init.cn;
    this.dn = `CN=${init.cn},${init.container},${facts.baseDn}`;
    this.rid = init.rid;
    this.sid = accountSid(facts.sid, init.rid);
    this.userPrincipalName = init.userPrincipalName;
    this.dnsHostName = init.dnsHostName;
    this.salt = activeDirectorySalt(init.kind === 'user' ? 'user' : 'computer', init.name, facts.realm);
    this.groups = new Set(spec.groups);
    this.servicePrincipalNames = [...(spec.servicePrincipalNames ?? [])];
    this.etypes = spec.etypes ?? DEFAULT_ETYPES;
    this.state = spec;
    this.#keys = keys(this);
  }

  keysAt(_now: number): KeySet {
    return { kvno: this.#kvno, current: this.#keys, alsoAccepted: [] };
  }

  /** Sets a new password: the key version goes up and the old keys are gone. */
  setPassword(password: string): void {
    this.#keys = AccountKeys.fromPassword(password, this.salt);
    this.#kvno++;
  }
}

/** A group managed service account: its keys follow the clock. */
export class Gmsa extends Account {
  readonly intervalDays: number;
  readers: readonly string[];
  readonly #schedule: Schedule;
  readonly #root: RootKey;
  readonly #passwords = new Map<number, { readonly password: Uint8Array; readonly keys: AccountKeys }>();

  constructor(facts: DomainFacts, spec: GmsaSpec, rid: number, now: number, root: RootKey) {
    const dnsHostName = spec.dnsHostName ?? `${spec.name.toLowerCase()}.${facts.domain}`;
    super(
      facts,
      {
        kind: 'gmsa',
        name: `${spec.name}$`,
        cn: spec.name,
        container: 'CN=Managed Service Accounts',
        rid,
        spec,
        dnsHostName,
      },
      () => AccountKeys.random(),
    );
    this.intervalDays = spec.managedPasswordIntervalDays ?? 30;
    this.readers = spec.readers;
    this.#schedule = scheduleOf(spec.created ?? now, this.intervalDays);
    this.#root = root;
  }

  #of(cycle: number): { readonly password: Uint8Array; readonly keys: AccountKeys } {
    let made = this.#passwords.get(cycle);
    if (made === undefined) {
      const password = managedPassword(this.#root, gkidOf(cycle), this.sid);
      made = { password, keys: AccountKeys.fromManagedPassword(password, this.salt) };
      this.#passwords.set(cycle, made);
    }
    return made;
  }

  phase(now: number): Phase {
    return phaseAt(this.#schedule, now);
  }

  override keysAt(now: number): KeySet {
    const phase = this.phase(now);
    return {
      kvno: phase.kvno,
      current: this.#of(phase.inForce).keys,
      alsoAccepted: phase.alsoAccepted === undefined ? [] : [this.#of(phase.alsoAccepted).keys],
    };
  }

  /** The 256 bytes in force. */
  passwordAt(now: number): Uint8Array {
    return this.#of(this.phase(now).inForce).password.slice();
  }

  /** msDS-ManagedPassword as a reader sees it. */
  blobAt(now: number): Uint8Array {
    const { shown } = this.phase(now);
    return encodeManagedPassword({
      current: this.#of(shown.current).password,
      previous: shown.previous === undefined ? undefined : this.#of(shown.previous).password,
      queryMs: shown.queryMs,
      unchangedMs: shown.unchangedMs,
    });
  }
}

export function accountSid(domainSid: Uint8Array, rid: number): Uint8Array {
  const out = concat(domainSid, new Uint8Array(4));
  out[1] = domainSid[1]! + 1;
  new DataView(out.buffer).setUint32(domainSid.length, rid, true);
  return out;
}

export function userAccount(facts: DomainFacts, spec: UserSpec, rid: number): Account {
  const { name } = spec;
  const userPrincipalName = spec.userPrincipalName ?? `${name}@${facts.domain}`;
  const init = { kind: 'user', name, cn: name, container: 'CN=Users', rid, spec, userPrincipalName } as const;
  return new Account(facts, init, (a) => AccountKeys.fromPassword(spec.password, a.salt));
}

export function computerAccount(
  facts: DomainFacts,
  spec: ComputerSpec,
  rid: number,
  container = 'CN=Computers',
): Account {
  const dnsHostName = `${spec.name.toLowerCase()}.${facts.domain}`;
  const host = [`HOST/${spec.name}`, `HOST/${dnsHostName}`];
  const withHost = { ...spec, servicePrincipalNames: [...host, ...(spec.servicePrincipalNames ?? [])] };
  const init = {
    kind: 'computer',
    name: `${spec.name}$`,
    cn: spec.name,
    container,
    rid,
    spec: withHost,
    dnsHostName,
  } as const;
  return new Account(facts, init, (a) => {
    if (spec.password !== undefined) return AccountKeys.fromPassword(spec.password, a.salt);
    if (spec.keytab === undefined) return AccountKeys.random();
    const own = readKeytab(spec.keytab).filter(
      (e) => e.principal.components.join('/').toLowerCase() === a.name.toLowerCase(),
    );
    const newest = Math.max(...own.map((e) => e.kvno));
    return AccountKeys.fixed(own.filter((e) => e.kvno === newest).map((e) => e.key));
  });
}

/** An account for nothing but keys: krbtgt, and services that named no account. */
export function keysOnlyAccount(
  facts: DomainFacts,
  name: string,
  rid: number,
  spns: readonly string[],
  etypes?: readonly number[],
): Account {
  const spec = etypes === undefined ? { servicePrincipalNames: spns } : { servicePrincipalNames: spns, etypes };
  return new Account(facts, { kind: 'service', name, cn: name, container: 'CN=Users', rid, spec }, () =>
    AccountKeys.random(),
  );
}
