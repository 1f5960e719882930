/** KRB-ERROR (RFC 4120 5.9.1) as this project's errors: the code by name, Active Directory's sub-code, what to do. */
import { fromDer } from '../../asn1.ts';
import { AdError, type ErrorCode, isAdError } from '../../errors.ts';
import { KerbErrorData, type KrbError, MethodData, type PaData } from '../messages.ts';
import { adSubCode, krbError, nameOf, paType } from '../numbers.ts';

/** What the client asked for, in words for the message. */
export interface Asked {
  readonly what: string;
  readonly realm: string;
  readonly server: string;
  /** What was presented instead of a password or key. */
  readonly by?: 'ticket' | 'certificate' | undefined;
}

const meaning: Partial<Record<keyof typeof krbError, { code: ErrorCode; advice: string }>> = {
  KDC_ERR_C_PRINCIPAL_UNKNOWN: {
    code: 'UNKNOWN_PRINCIPAL',
    advice: 'no such account in the realm: check name and domain',
  },
  KDC_ERR_WRONG_REALM: { code: 'UNKNOWN_PRINCIPAL', advice: 'the account is of another realm' },
  KDC_ERR_S_PRINCIPAL_UNKNOWN: {
    code: 'UNKNOWN_SERVICE',
    advice: 'the KDC knows no such service: check its servicePrincipalName',
  },
  KDC_ERR_PREAUTH_FAILED: { code: 'WRONG_PASSWORD', advice: 'wrong password or key' },
  KRB_AP_ERR_BAD_INTEGRITY: { code: 'WRONG_PASSWORD', advice: 'wrong password or key' },
  KDC_ERR_CLIENT_REVOKED: { code: 'ACCOUNT_DISABLED', advice: 'the account is disabled, locked or expired' },
  KDC_ERR_NAME_EXP: { code: 'ACCOUNT_DISABLED', advice: 'the account has expired' },
  KDC_ERR_KEY_EXPIRED: { code: 'PASSWORD_EXPIRED', advice: 'the password has expired or must be changed' },
  KDC_ERR_ETYPE_NOSUPP: { code: 'ETYPE', advice: 'the account has no key of a permitted encryption type' },
  KRB_AP_ERR_SKEW: { code: 'CLOCK_SKEW', advice: "set this host's clock" },
  KDC_ERR_BADOPTION: { code: 'KDC_ERROR', advice: 'the KDC does not allow it: delegation, renewal or the like' },
  KDC_ERR_POLICY: { code: 'KDC_ERROR', advice: "the realm's policy forbids it" },
  KDC_ERR_MUST_USE_USER2USER: {
    code: 'KDC_ERROR',
    advice: "the service has no key of its own: ask with its user's ticket-granting ticket (user-to-user)",
  },
  KDC_ERR_CLIENT_NOT_TRUSTED: { code: 'KDC_ERROR', advice: "the KDC does not trust the certificate's authority" },
  KDC_ERR_CANT_VERIFY_CERTIFICATE: { code: 'KDC_ERROR', advice: "the KDC does not trust the certificate's authority" },
  KDC_ERR_CLIENT_NAME_MISMATCH: { code: 'KDC_ERROR', advice: 'the certificate is not that of the account' },
  KDC_ERR_INCONSISTENT_KEY_PURPOSE: { code: 'KDC_ERROR', advice: 'the certificate is not for logons' },
  KDC_ERR_DH_KEY_PARAMETERS_NOT_ACCEPTED: {
    code: 'KDC_ERROR',
    advice: 'the KDC wants more bits: pkinit_dh_min_bits = 4096',
  },
  KDC_ERR_SVC_UNAVAILABLE: { code: 'UNREACHABLE', advice: 'the KDC cannot serve now' },
};

/** NTSTATUS codes that say more than the Kerberos code does (MS-KILE 2.2.1 KERB-EXT-ERROR). */
const subCodeMeaning: Record<string, ErrorCode> = {
  PASSWORD_EXPIRED: 'PASSWORD_EXPIRED',
  PASSWORD_MUST_CHANGE: 'PASSWORD_EXPIRED',
  ACCOUNT_DISABLED: 'ACCOUNT_DISABLED',
  ACCOUNT_EXPIRED: 'ACCOUNT_DISABLED',
  ACCOUNT_LOCKED_OUT: 'ACCOUNT_DISABLED',
  NO_SUCH_USER: 'UNKNOWN_PRINCIPAL',
};

/** What a proof that the KDC did not accept means where it was no password or key. */
const refusedProof = {
  // A ticket that does not open is out of date: the KDC's or the service's key has changed since.
  ticket: { code: 'KDC_ERROR', advice: 'the ticket is no longer accepted: log on anew' },
  certificate: { code: 'KDC_ERROR', advice: 'the KDC does not take the certificate' },
} as const;

export function krbErrorToAdError(error: KrbError, asked: Asked): AdError {
  const name = Object.entries(krbError).find(([, code]) => code === error.errorCode)?.[0];
  const usual = meaning[name as keyof typeof krbError];
  const known = asked.by && usual?.code === 'WRONG_PASSWORD' ? refusedProof[asked.by] : usual;
  const sub = ntStatusName(error);
  const code = (sub === undefined ? undefined : subCodeMeaning[sub]) ?? known?.code ?? 'KDC_ERROR';
  const advice = known ? `: ${known.advice}` : '';
  const text = error.eText ? ` "${printable(error.eText)}"` : '';
  const subText = sub ? ` [NTSTATUS ${sub}]` : '';
  return new AdError(
    code,
    `KDC ${asked.server} answered ${nameOf(krbError, error.errorCode)}${subText}${text} to ${asked.what}${advice}`,
    { kdcError: name ?? error.errorCode, ntStatus: sub, realm: asked.realm, server: asked.server },
  );
}

/** The pre-authentication data in a KRB-ERROR's e-data, or none where it holds something else. */
export function methodData(error: KrbError): PaData[] {
  if (!error.eData) return [];
  try {
    return fromDer(MethodData, error.eData);
  } catch (e) {
    if (isAdError(e, 'MALFORMED')) return []; // e-data is free-form for other error codes
    throw e;
  }
}

/** The name of the NTSTATUS that Active Directory put into e-data, or its number, or undefined. */
function ntStatusName(error: KrbError): string | undefined {
  const value = extendedError(error);
  if (!value || value.length < 4) return undefined;
  const status = new DataView(value.buffer, value.byteOffset).getUint32(0, true);
  if (status === 0) return undefined;
  return adSubCode.find((s) => s.ntstatus === status)?.name ?? `0x${status.toString(16)}`;
}

/** KERB_EXT_ERROR, bare (data-type 3) or as PA-PW-SALT inside METHOD-DATA, as Windows sends it (MS-KILE 2.2.1). */
function extendedError(error: KrbError): Uint8Array | undefined {
  if (!error.eData) return undefined;
  try {
    const data = fromDer(KerbErrorData, error.eData);
    return data.dataType === 3 ? data.dataValue : undefined;
  } catch (e) {
    if (!isAdError(e, 'MALFORMED')) throw e;
    const salt = methodData(error).find((p) => p.padataType === paType.PW_SALT)?.padataValue;
    return salt?.length === 12 ? salt : undefined;
  }
}

/** Text of a stranger, made safe for a log line. */
export function printable(text: string): string {
  return text.slice(0, 200).replace(/[^\x20-\x7e]/g, '?');
}
