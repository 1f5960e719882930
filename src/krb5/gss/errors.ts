/** Why a context did not come about, and what the acceptor sends the initiator about it. */
import { toDer } from '../../asn1.ts';
import { AdError, type ErrorDetails, isAdError, MalformedError } from '../../errors.ts';
import { KrbError, toPrincipalName } from '../messages.ts';
import { krbError, msgType } from '../numbers.ts';
import type { Principal } from '../principal.ts';
import { frameToken, gssTokenId } from './token.ts';

/** Calling and routine errors of RFC 2743 1.2.1.1 that an acceptor meets. */
export type MajorStatus =
  | 'BAD_BINDINGS'
  | 'BAD_MECH'
  | 'BAD_MIC'
  | 'CREDENTIALS_EXPIRED'
  | 'DEFECTIVE_CREDENTIAL'
  | 'DEFECTIVE_TOKEN'
  | 'DUPLICATE_TOKEN'
  | 'FAILURE'
  | 'NO_CRED';

type KrbErrorName = keyof typeof krbError;

/** A context that an acceptor refused. */
export class GssError extends AdError {
  override readonly name = 'GssError';
  readonly major: MajorStatus;
  /** What to send the initiator, so that it knows why; undefined where there is nothing sound to say. */
  readonly token: Uint8Array | undefined;

  constructor(cause: AdError, major: MajorStatus, token: Uint8Array | undefined) {
    super(cause.code, cause.message, cause.details, cause.cause ?? cause);
    this.major = major;
    this.token = token;
  }
}

const majors: Partial<Record<KrbErrorName, MajorStatus>> = {
  KRB_AP_ERR_TKT_EXPIRED: 'CREDENTIALS_EXPIRED',
  KRB_AP_ERR_REPEAT: 'DUPLICATE_TOKEN',
  KRB_AP_ERR_NOT_US: 'NO_CRED',
  KRB_AP_ERR_NOKEY: 'NO_CRED',
  KRB_AP_ERR_BADKEYVER: 'NO_CRED',
  KRB_AP_ERR_BADMATCH: 'DEFECTIVE_CREDENTIAL',
  KRB_AP_ERR_BAD_INTEGRITY: 'DEFECTIVE_CREDENTIAL',
  KRB_AP_ERR_MODIFIED: 'DEFECTIVE_CREDENTIAL',
  KRB_AP_ERR_MSG_TYPE: 'DEFECTIVE_TOKEN',
};

/** Where the checks of an AP-REQ did not name the KRB-ERROR themselves. */
function krbErrorName(e: AdError): KrbErrorName {
  const named = e.details.krbError;
  if (typeof named === 'string' && named in krbError) return named as KrbErrorName;
  if (e.code === 'INTEGRITY') return 'KRB_AP_ERR_BAD_INTEGRITY';
  if (e.code === 'ETYPE') return 'KDC_ERR_ETYPE_NOSUPP';
  return 'KRB_ERR_GENERIC';
}

/**
 * What an acceptor makes of a failure.
 * @param server whose ticket it was; undefined while that is not known, and nothing can be said to the initiator then
 * @param now milliseconds since 1970
 */
export function refusal(e: unknown, server: Principal | undefined, now: number): unknown {
  if (!isAdError(e) || e instanceof GssError) return e;
  const name = krbErrorName(e);
  const given = e.details.gssMajor as MajorStatus | undefined;
  const major = given ?? (e instanceof MalformedError ? 'DEFECTIVE_TOKEN' : (majors[name] ?? 'FAILURE'));
  return new GssError(e, major, server && frameToken(gssTokenId.ERROR, encodeError(name, server, now)));
}

/** RFC 4120 5.9.1. The text of the error stays here: it may say more than an unknown client should learn. */
function encodeError(name: KrbErrorName, server: Principal, now: number): Uint8Array {
  return toDer(KrbError, {
    pvno: 5,
    msgType: msgType.ERROR,
    stime: new Date(Math.floor(now / 1000) * 1000),
    susec: Math.floor(now % 1000) * 1000,
    errorCode: krbError[name],
    realm: server.realm,
    sname: toPrincipalName(server),
  });
}

/** An error of the acceptor's checks, with the KRB-ERROR that goes with it. */
export function refused(
  message: string,
  about: { readonly krbError?: KrbErrorName; readonly gssMajor?: MajorStatus } & ErrorDetails,
): AdError {
  return new AdError('REPLY_REJECTED', message, about);
}
