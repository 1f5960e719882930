/** What a test domain is made of. Every part has a default, so `startTestDomain()` alone gives a working domain. */

/** What may be wrong with an account. */
export interface PrincipalState {
  readonly disabled?: boolean;
  /** Locked out after too many wrong passwords. */
  readonly locked?: boolean;
  /** The account itself has expired. */
  readonly expired?: boolean;
  readonly passwordExpired?: boolean;
  readonly mustChangePassword?: boolean;
}

interface AccountSpec extends PrincipalState {
  readonly name: string;
  /** Names of groups the account is a member of; they come into being by being named. */
  readonly groups?: readonly string[];
  readonly servicePrincipalNames?: readonly string[];
  /** Encryption types the account has keys for, strongest first; 18, 17 and 23 unless told otherwise. */
  readonly etypes?: readonly number[];
}

/** A user's account. */
export interface UserSpec extends AccountSpec {
  readonly password: string;
  /** `name@domain` unless told otherwise. */
  readonly userPrincipalName?: string;
}

/** A computer's account. */
export interface ComputerSpec extends AccountSpec {
  /** Without the `$`, such as HOST1. */
  readonly name: string;
  /** Random keys when neither this nor `keytab` is given; `keytab()` of the running domain hands them out. */
  readonly password?: string;
  /** Takes the keys of the entries for this account (`HOST1$`) out of a keytab. */
  readonly keytab?: Uint8Array;
}

/** A group managed service account. */
export interface GmsaSpec extends AccountSpec {
  /** Without the `$`, such as WebApp01. */
  readonly name: string;
  /** Users, computers and groups that may read the managed password. */
  readonly readers: readonly string[];
  readonly dnsHostName?: string;
  /** 30 unless told otherwise, as Active Directory does. */
  readonly managedPasswordIntervalDays?: number;
  /** When the account was made, in milliseconds since 1970; the start of the domain unless told otherwise. */
  readonly created?: number;
  readonly rootKey?: RootKeySpec;
}

/** The key that gMSAs' passwords are derived from (MS-GKDI). */
export interface RootKeySpec {
  /** GUID. */
  readonly id: string;
  /** 64 bytes. */
  readonly value: Uint8Array;
}

/** A service by its principal name. */
export interface ServiceSpec {
  /** Such as `HTTP/web.example.test`. */
  readonly spn: string;
  /** The account whose keys it has; one of its own with random keys when left out. */
  readonly account?: string;
}

/** Ways to be a bad server; all off at first, changed at any time with `setFaults()`. */
export interface Faults {
  /** Milliseconds the KDC waits before each answer. */
  readonly kdcDelayMs?: number;
  /** The KDC reads and never answers. */
  readonly kdcSilent?: boolean;
  /** The KDC answers everything with this error code of RFC 4120 7.5.9. */
  readonly kdcError?: number;
  /** The KDC closes a TCP connection after one answer, as MIT's does. */
  readonly kdcCloseAfterReply?: boolean;
  /** Whatever comes over UDP is answered with KRB_ERR_RESPONSE_TOO_BIG. */
  readonly udpTooBig?: boolean;
  /** Milliseconds the servers' clock runs ahead of `clock`. */
  readonly clockOffsetMs?: number;
  /** Replaces a KDC's answer on its way out: forgeries. */
  readonly rewriteKdcReply?: (reply: Uint8Array, request: Uint8Array) => Uint8Array;
  /** Milliseconds the directory waits before each answer. */
  readonly ldapDelayMs?: number;
  /** The directory reads and never answers. */
  readonly ldapSilent?: boolean;
  /** The directory drops the connection instead of answering a search. */
  readonly ldapDropOnSearch?: boolean;
  /**
   * Replication lag: the directory shows managed passwords as they were so many milliseconds ago. A function is asked
   * at each search.
   */
  readonly directoryLagMs?: number | (() => number);
  /** The directory refuses every bind with this result code. */
  readonly ldapBindResult?: number;
}

/** What a domain is made of; all of it has a default. */
export interface TestDomainOptions {
  /** DNS name; the realm is its upper-case form, the NetBIOS name its first label. `example.test` unless told otherwise. */
  readonly domain?: string;
  /** Host name of the domain controller without the domain: dc1. */
  readonly controller?: string;
  /** More names the directory is reachable by: each gets an `ldap/` service principal. localhost and `host` always do. */
  readonly controllerAliases?: readonly string[];
  /** Milliseconds since 1970. */
  readonly clock?: () => number;
  readonly users?: readonly UserSpec[];
  readonly computers?: readonly ComputerSpec[];
  readonly gmsas?: readonly GmsaSpec[];
  readonly services?: readonly ServiceSpec[];
  /** Groups without members yet. */
  readonly groups?: readonly string[];
  /** Root key of the gMSAs that name none; random unless told otherwise. */
  readonly rootKey?: RootKeySpec;
  /** `S-1-5-21-…` of the domain; random unless told otherwise. */
  readonly domainSid?: string;
  /** Address to listen on, 127.0.0.1 unless told otherwise. */
  readonly host?: string;
  /** Ports; 0, any free one, unless told otherwise. */
  readonly kdcPort?: number;
  readonly ldapPort?: number;
  /** Longest ticket life, 10 hours unless told otherwise, and longest renewable life, 7 days. Seconds. */
  readonly ticketSeconds?: number;
  readonly renewableSeconds?: number;
  /**
   * Security layers offered over GSSAPI (RFC 4752 3.3): 1 none, 2 integrity, 4 confidentiality, added up. 4 unless told
   * otherwise.
   */
  readonly securityLayers?: number;
  readonly faults?: Faults;
}

/** Counters since the start, to assert how many round trips something took. */
export interface Stats {
  /** AS and TGS requests, answered or refused, over both transports. */
  as: number;
  tgs: number;
  /** KRB-ERROR answers among them. */
  kdcErrors: number;
  kdcConnections: number;
  kdcDatagrams: number;
  ldapConnections: number;
  /** Bind requests; a GSSAPI bind takes three. */
  ldapBinds: number;
  ldapSearches: number;
}

export function newStats(): Stats {
  return {
    as: 0,
    tgs: 0,
    kdcErrors: 0,
    kdcConnections: 0,
    kdcDatagrams: 0,
    ldapConnections: 0,
    ldapBinds: 0,
    ldapSearches: 0,
  };
}
