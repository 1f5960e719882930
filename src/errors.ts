/**
 * Every error this project throws on purpose is an `AdError` with a `code` from the closed union below, so that a
 * caller can switch over codes and the compiler says when one is forgotten. `details` holds the facts an operator
 * needs (realm, principal, server address, etype, kvno, the protocol's own code by name), never a secret.
 */

/** What went wrong, as one stable word. The daemon maps each to a gRPC status in `daemon/status.ts`. */
export type ErrorCode =
  /** Bytes from outside do not have the structure their format demands. */
  | 'MALFORMED'
  /** A value handed in by the caller or found in a configuration file is not acceptable. */
  | 'INVALID_ARGUMENT'
  /** A file or directory could not be read or written. */
  | 'FILE'
  /** Decryption or a checksum failed: wrong key or tampered data. */
  | 'INTEGRITY'
  /** An encryption type is unknown, or weak and not permitted. */
  | 'ETYPE'
  /** The KDC answered with a KRB-ERROR; `details.kdcError` names it. */
  | 'KDC_ERROR'
  /** A KDC or server reply failed one of the checks that stop forgery (RFC 4120 3.1.5, 3.3.4). */
  | 'REPLY_REJECTED'
  /** The clocks differ by more than can be trusted. */
  | 'CLOCK_SKEW'
  /** No server of those known could be reached. */
  | 'UNREACHABLE'
  /** The deadline passed before an answer came. */
  | 'TIMEOUT'
  /** The caller gave up. */
  | 'ABORTED'
  /** The directory answered with an LDAP result code; `details.ldapResult` names it. */
  | 'LDAP'
  /** The directory has no such account, or it is not a gMSA. */
  | 'NO_SUCH_ACCOUNT'
  /** What a reference names is not there: a secret, an object, a parameter. */
  | 'NOT_FOUND'
  /** The account or secret exists, but this identity may not read it. */
  | 'NOT_ALLOWED'
  /** The directory refused to hand out a managed password over a connection that is not sealed. */
  | 'NOT_SEALED'
  /** The account is disabled, locked or expired. */
  | 'ACCOUNT_DISABLED'
  /** The account's password has expired or must be changed. */
  | 'PASSWORD_EXPIRED'
  /** The KDC or directory did not accept the password or key. */
  | 'WRONG_PASSWORD'
  /** No client principal of that name in the realm. */
  | 'UNKNOWN_PRINCIPAL'
  /** The service principal is not known to the KDC. */
  | 'UNKNOWN_SERVICE';

/** Facts for operators: realm, principal, server, the protocol's own code by name. Never a secret. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | undefined>>;

/** An error thrown on purpose: `code` says what went wrong, the message what to do, `details` of whom and where. */
export class AdError extends Error {
  override readonly name: string = 'AdError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }
}

/** The one error class of every decoder; `format` says which bytes were refused. */
export class MalformedError extends AdError {
  override readonly name = 'MalformedError';
  readonly format: string;

  constructor(format: string, message: string, cause?: unknown) {
    super('MALFORMED', `${format}: ${message}`, { format }, cause);
    this.format = format;
  }
}

/** The words of an unknown thrown value, for logs and for wrapping. */
export function messageOf(e: unknown): string {
  return e instanceof Error ? e.message : String(e);
}

/** True when `e` is an AdError, optionally with one of the given codes. */
export function isAdError(e: unknown, ...codes: ErrorCode[]): e is AdError {
  return e instanceof AdError && (codes.length === 0 || codes.includes(e.code));
}

/** Throws what an aborted signal means: TIMEOUT for `AbortSignal.timeout`, ABORTED otherwise. */
export function throwIfAborted(signal: AbortSignal | undefined, doing: string): void {
  if (signal?.aborted) throw abortError(signal, doing);
}

export function abortError(signal: AbortSignal, doing: string): AdError {
  const reason: unknown = signal.reason;
  if (reason instanceof AdError) return reason;
  const timedOut = reason instanceof Error && reason.name === 'TimeoutError';
  return timedOut
    ? new AdError('TIMEOUT', `deadline passed while ${doing}`, {}, reason)
    : new AdError('ABORTED', `given up by the caller while ${doing}`, {}, reason);
}
