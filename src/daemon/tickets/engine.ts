/** What the daemon asks of the part that speaks Kerberos and LDAP. The shell knows nothing else of it. */
import type { AdError } from '../../errors.ts';

/** Who reads the managed passwords. */
export type ReaderIdentity =
  | {
      readonly kind: 'password';
      readonly username: string;
      /** DNS name of the user's domain. */
      readonly domain: string;
      /** UTF-8. The engine copies what it keeps; the caller wipes its own when `fetch` has settled. */
      readonly password: Uint8Array;
    }
  /** This machine's account, by its keytab. */
  | { readonly kind: 'machine' }
  /** The user in a secret, an ARN or a name, read anew with the instance's role. */
  | { readonly kind: 'secret'; readonly secretId: string };

/** One gMSA. */
export interface GmsaRef {
  /** sAMAccountName without its '$', case as the credspec wrote it. */
  readonly name: string;
  /** DNS name of its domain. */
  readonly domain: string;
  /** Where it is looked for when `domain` has no such account: a credspec may name another domain than the request. */
  readonly otherDomain?: string;
  /** Where it is in the directory, when known: spares nothing but may settle doubts. */
  readonly distinguishedName?: string;
  /** Asks for `FetchedTicket.keytab`; costs one exchange with the KDC. */
  readonly keytab?: boolean;
  /** Asks for `FetchedTicket.krb5Conf`. */
  readonly krb5Conf?: boolean;
}

/** A ticket for one gMSA. */
export interface FetchedTicket {
  /** As requested, with the distinguished name that the directory gave. */
  readonly account: GmsaRef;
  /** A whole credential cache file, ready to be written. */
  readonly ccache: Uint8Array;
  /** A whole keytab file with the account's keys, for its services too. The caller wipes it. */
  readonly keytab?: Uint8Array;
  /** A krb5.conf for a container that mounts the ticket. */
  readonly krb5Conf?: Uint8Array;
  readonly endtime: Date;
  readonly renewTill?: Date;
  /** When the managed password is to be read again: the next one is there by then. */
  readonly passwordQueryAt?: Date;
}

/** Why there is no ticket for one gMSA, while there may be for the others of the request. */
export interface FetchFailure {
  readonly account: GmsaRef;
  readonly error: AdError;
}

export type FetchOutcome = FetchedTicket | FetchFailure;

export interface FetchRequest {
  readonly identity: ReaderIdentity;
  /** Distinct accounts, at least one. */
  readonly accounts: readonly GmsaRef[];
  /** Aborts on cancellation, deadline and shutdown; its reason says which. */
  readonly signal: AbortSignal;
}

export interface LeaseEngine {
  /**
   * Fetches tickets for all accounts of one request. The outcomes come in the order of the accounts.
   * @throws AdError when it is the reader that fails (wrong password, no KDC, no DC): then no account has a ticket
   */
  fetch(request: FetchRequest): Promise<FetchOutcome[]>;
  /**
   * Extends the ticket-granting ticket in a credential cache (RFC 4120 2.3), where nothing else is known of its reader.
   * @returns a whole cache with the new ticket, which the caller wipes
   * @throws AdError INVALID_ARGUMENT when the cache holds none that can be renewed, and what the KDC makes of it
   */
  renew(ccache: Uint8Array, signal: AbortSignal): Promise<Uint8Array>;
  /** Ends connections and timers and wipes what is kept. Runs once, after the last fetch has settled. */
  close(): Promise<void>;
}

export function isFailure(outcome: FetchOutcome): outcome is FetchFailure {
  return 'error' in outcome;
}
