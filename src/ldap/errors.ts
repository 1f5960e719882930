/** LDAP result codes (RFC 4511 appendix A) and Active Directory's "data xxx" as this project's errors. */
import { AdError, type ErrorCode } from '../errors.ts';
import { adSubCode } from '../krb5/numbers.ts';

const ldapResult: Readonly<Record<number, string>> = {
  1: 'operationsError',
  2: 'protocolError',
  3: 'timeLimitExceeded',
  4: 'sizeLimitExceeded',
  7: 'authMethodNotSupported',
  8: 'strongerAuthRequired',
  10: 'referral',
  11: 'adminLimitExceeded',
  12: 'unavailableCriticalExtension',
  13: 'confidentialityRequired',
  14: 'saslBindInProgress',
  16: 'noSuchAttribute',
  32: 'noSuchObject',
  34: 'invalidDNSyntax',
  48: 'inappropriateAuthentication',
  49: 'invalidCredentials',
  50: 'insufficientAccessRights',
  51: 'busy',
  52: 'unavailable',
  53: 'unwillingToPerform',
  80: 'other',
};

/** Win32 codes that head a diagnosticMessage when a managed password was asked for without sealing (MS-ADTS 3.1.1.4.4). */
const NOT_SEALED = /^(0000202D|00002020: operational_search_post_process)/i;

const subCodes: Record<string, ErrorCode> = {
  '525': 'UNKNOWN_PRINCIPAL',
  '52e': 'WRONG_PASSWORD',
  '532': 'PASSWORD_EXPIRED',
  '773': 'PASSWORD_EXPIRED',
  '533': 'ACCOUNT_DISABLED',
  '701': 'ACCOUNT_DISABLED',
  '775': 'ACCOUNT_DISABLED',
};

/** @param doing 'bind' or 'search', for the message */
export function ldapResultError(status: number, diagnostic: string, doing: string, server: string): AdError {
  const name = ldapResult[status] ?? 'result';
  const data = /\bdata ([0-9a-f]+)\b/i.exec(diagnostic)?.[1]?.toLowerCase();
  const sub = data && adSubCode.find((s) => s.ldapData === data)?.name;
  const text = diagnostic.slice(0, 300).replace(/[^\x20-\x7e]/g, '?');
  return new AdError(
    codeFor(status, diagnostic, data),
    `DC ${server} answered the ${doing} with ${name} (${status})${sub ? ` [${sub}]` : ''}${text ? `: ${text}` : ''}`,
    { ldapResult: name, ldapStatus: status, adData: data, server },
  );
}

function codeFor(status: number, diagnostic: string, data: string | undefined): ErrorCode {
  if (status === 13 || (status === 1 && NOT_SEALED.test(diagnostic))) return 'NOT_SEALED';
  if (status === 49) return (data && subCodes[data]) || 'WRONG_PASSWORD';
  if (status === 50) return 'NOT_ALLOWED';
  // busy, unavailable: this server cannot, another may
  if (status === 51 || status === 52) return 'UNREACHABLE';
  return 'LDAP';
}
