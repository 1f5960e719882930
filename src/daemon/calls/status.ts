/** What a client is told when a call fails: one table from our error codes to gRPC's, and the words around them. */
import { AdError, type ErrorCode, isAdError, messageOf } from '../../errors.ts';

/** The gRPC codes this daemon answers with (google.rpc.Code). */
export const grpcCode = {
  OK: 0,
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

export type GrpcCodeName = keyof typeof grpcCode;

/** An answer decided by the shell itself; its text is sent as it is. */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  readonly status: GrpcCodeName;

  constructor(status: GrpcCodeName, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * Clients repeat UNAVAILABLE, RESOURCE_EXHAUSTED and INTERNAL and give up at once on the others, so a code here says
 * whether trying again without changing anything can help.
 */
const statusOf: Record<ErrorCode, GrpcCodeName> = {
  INVALID_ARGUMENT: 'INVALID_ARGUMENT',
  // Somebody must change something on this machine or in the directory first.
  FILE: 'FAILED_PRECONDITION',
  ETYPE: 'FAILED_PRECONDITION',
  KDC_ERROR: 'FAILED_PRECONDITION',
  CLOCK_SKEW: 'FAILED_PRECONDITION',
  LDAP: 'FAILED_PRECONDITION',
  NO_SUCH_ACCOUNT: 'FAILED_PRECONDITION',
  NOT_FOUND: 'FAILED_PRECONDITION',
  NOT_SEALED: 'FAILED_PRECONDITION',
  ACCOUNT_DISABLED: 'FAILED_PRECONDITION',
  PASSWORD_EXPIRED: 'FAILED_PRECONDITION',
  UNKNOWN_SERVICE: 'FAILED_PRECONDITION',
  NOT_ALLOWED: 'PERMISSION_DENIED',
  WRONG_PASSWORD: 'UNAUTHENTICATED',
  UNKNOWN_PRINCIPAL: 'UNAUTHENTICATED',
  // Another attempt may meet another server or a better moment.
  UNREACHABLE: 'UNAVAILABLE',
  TIMEOUT: 'UNAVAILABLE',
  // A server said something it should not have, or somebody spoke in its place.
  MALFORMED: 'INTERNAL',
  INTEGRITY: 'INTERNAL',
  REPLY_REJECTED: 'INTERNAL',
  ABORTED: 'CANCELLED',
};

/**
 * The words v1 put before what went wrong with the reader (`null`: no account could be asked for) or with one account.
 */
export function stepWords(e: unknown, reader: 'password' | 'machine' | 'secret', account: string | null): string {
  if (account !== null) return `ERROR: Cannot get gMSA krb ticket: ${account}`;
  const refused: ErrorCode[] = ['WRONG_PASSWORD', 'UNKNOWN_PRINCIPAL', 'ACCOUNT_DISABLED', 'PASSWORD_EXPIRED'];
  if (!isAdError(e, ...refused)) return 'ERROR: Cannot get gMSA krb ticket';
  return reader === 'machine'
    ? 'ERROR: cannot get machine krb ticket'
    : 'ERROR: Invalid credentials for domainless user';
}

/** Longest text sent, in characters: it travels in an HTTP/2 header. */
const MAX_TEXT = 1000;

/** An AdError with the words of the step it ended. */
export class StepError extends Error {
  override readonly name = 'StepError';
  override readonly cause: unknown;

  constructor(words: string, cause: unknown) {
    super(words);
    this.cause = cause;
  }
}

export interface Status {
  readonly name: GrpcCodeName;
  readonly code: number;
  readonly text: string;
}

/** The answer for whatever a call threw. */
export function toStatus(e: unknown): Status {
  if (e instanceof StatusError) return status(e.status, e.message);
  if (e instanceof StepError && e.cause instanceof AdError) {
    // The request was checked before any step: what is wrong now is this machine's configuration.
    const name = e.cause.code === 'INVALID_ARGUMENT' ? 'FAILED_PRECONDITION' : nameFor(e.cause);
    return status(name, `${e.message}: ${e.cause.message}`);
  }
  if (e instanceof AdError) return status(nameFor(e), `ERROR: ${e.message}`);
  // A fault of ours. Its message may hold anything, so it goes to the log and not to the client.
  return status('INTERNAL', 'ERROR: internal error, see the log of the daemon');
}

function nameFor(e: AdError): GrpcCodeName {
  const full = e.code === 'FILE' && ['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE'].includes(String(e.details.errno));
  return full ? 'RESOURCE_EXHAUSTED' : statusOf[e.code];
}

/** Control characters and halves of surrogate pairs do not survive a header. */
const status = (name: GrpcCodeName, text: string): Status => ({
  name,
  code: grpcCode[name],
  text: text.slice(0, MAX_TEXT).replace(/[\p{Cc}\p{Cs}]+/gu, ' '),
});

/** For the log: what really happened. */
export function causeOf(e: unknown): string {
  const seen: string[] = [];
  for (let at: unknown = e, depth = 0; at !== undefined && depth < 5; depth++) {
    seen.push(messageOf(at));
    at = at instanceof Error ? at.cause : undefined;
  }
  return seen.join(' <- ');
}
