/** The registries of Kerberos, one table each. Code asks the table by name and never compares bare numbers. */

/** Looks a number up in a registry for messages: `KDC_ERR_PREAUTH_FAILED (24)`. */
export function nameOf(table: Readonly<Record<string, number>>, value: number, unknown = 'unknown'): string {
  const name = Object.keys(table).find((key) => table[key] === value);
  return `${name ?? unknown} (${value})`;
}

/** Name types, RFC 4120 7.5.8 and RFC 6111; ENTERPRISE from RFC 6806 section 5. */
export const nameType = {
  UNKNOWN: 0,
  PRINCIPAL: 1,
  SRV_INST: 2,
  SRV_HST: 3,
  SRV_XHST: 4,
  UID: 5,
  ENTERPRISE: 10,
  WELLKNOWN: 11,
} as const;

/** Message types, RFC 4120 7.5.7. They are the APPLICATION tags too. */
export const msgType = {
  AS_REQ: 10,
  AS_REP: 11,
  TGS_REQ: 12,
  TGS_REP: 13,
  AP_REQ: 14,
  AP_REP: 15,
  SAFE: 20,
  PRIV: 21,
  CRED: 22,
  ERROR: 30,
} as const;

/** Encryption types, IANA "Kerberos Encryption Type Numbers". */
export const etype = {
  AES128_CTS_HMAC_SHA1_96: 17,
  AES256_CTS_HMAC_SHA1_96: 18,
  AES128_CTS_HMAC_SHA256_128: 19,
  AES256_CTS_HMAC_SHA384_192: 20,
  RC4_HMAC: 23,
} as const;

/** Checksum types, IANA "Kerberos Checksum Type Numbers"; HMAC_MD5 from RFC 4757 section 4. */
export const cksumType = {
  HMAC_SHA1_96_AES128: 15,
  HMAC_SHA1_96_AES256: 16,
  HMAC_SHA256_128_AES128: 19,
  HMAC_SHA384_192_AES256: 20,
  HMAC_MD5: -138,
  GSS: 0x8003,
} as const;

/** Authorization data types, RFC 4120 7.5.4 and MS-KILE 2.2. */
export const adType = { IF_RELEVANT: 1, WIN2K_PAC: 128, AP_OPTIONS: 143 } as const;

/** Pre-authentication data types, RFC 4120 7.5.2, RFC 4556 3.1.3, RFC 6113, RFC 6806, RFC 8062, MS-KILE 2.2. */
export const paType = {
  TGS_REQ: 1,
  ENC_TIMESTAMP: 2,
  PW_SALT: 3,
  ETYPE_INFO: 11,
  PK_AS_REQ: 16,
  PK_AS_REP: 17,
  ETYPE_INFO2: 19,
  FOR_USER: 129,
  PAC_REQUEST: 128,
  S4U_X509_USER: 130,
  FX_COOKIE: 133,
  FX_FAST: 136,
  FX_ERROR: 137,
  ENCRYPTED_CHALLENGE: 138,
  PKINIT_KX: 147,
  REQ_ENC_PA_REP: 149,
  SUPPORTED_ETYPES: 165,
  PAC_OPTIONS: 167,
} as const;

/** Key usage numbers, RFC 4120 7.5.1, RFC 4121 section 2, MS-SFU 2.2, RFC 6113 section 7.6, RFC 6806 section 11, RFC 8062. */
export const keyUsage = {
  AS_REQ_PA_ENC_TIMESTAMP: 1,
  KDC_REP_TICKET: 2,
  AS_REP_ENC_PART: 3,
  TGS_REQ_AUTHDATA_SESSION_KEY: 4,
  TGS_REQ_AUTHDATA_SUBKEY: 5,
  TGS_REQ_AUTHENTICATOR_CKSUM: 6,
  TGS_REQ_AUTHENTICATOR: 7,
  TGS_REP_ENC_PART_SESSION_KEY: 8,
  TGS_REP_ENC_PART_SUBKEY: 9,
  AP_REQ_AUTHENTICATOR_CKSUM: 10,
  AP_REQ_AUTHENTICATOR: 11,
  AP_REP_ENC_PART: 12,
  KRB_PRIV: 13,
  KRB_CRED: 14,
  KRB_SAFE_CKSUM: 15,
  PAC_SIGNATURE: 17,
  GSS_ACCEPTOR_SEAL: 22,
  GSS_ACCEPTOR_SIGN: 23,
  GSS_INITIATOR_SEAL: 24,
  GSS_INITIATOR_SIGN: 25,
  PA_S4U_X509_USER_REQUEST: 26,
  PA_S4U_X509_USER_REPLY: 27,
  PA_PKINIT_KX: 44,
  FAST_REQ_CHKSUM: 50,
  FAST_ENC: 51,
  FAST_REP: 52,
  FAST_FINISHED: 53,
  ENC_CHALLENGE_CLIENT: 54,
  ENC_CHALLENGE_KDC: 55,
  AS_REQ: 56,
} as const;

/** KDC options, RFC 4120 5.4.1, as masks over 32 bits with bit 0 the most significant; CANONICALIZE from RFC 6806, REQUEST_ANONYMOUS from RFC 8062. */
export const kdcOption = {
  FORWARDABLE: 0x40000000,
  FORWARDED: 0x20000000,
  PROXIABLE: 0x10000000,
  PROXY: 0x08000000,
  ALLOW_POSTDATE: 0x04000000,
  POSTDATED: 0x02000000,
  RENEWABLE: 0x00800000,
  CNAME_IN_ADDL_TKT: 0x00020000,
  CANONICALIZE: 0x00010000,
  REQUEST_ANONYMOUS: 0x00008000,
  RENEWABLE_OK: 0x00000010,
  ENC_TKT_IN_SKEY: 0x00000008,
  RENEW: 0x00000002,
  VALIDATE: 0x00000001,
} as const;

/** Ticket flags, RFC 4120 5.3; ENC_PA_REP from RFC 6806 section 11. */
export const ticketFlag = {
  FORWARDABLE: 0x40000000,
  FORWARDED: 0x20000000,
  PROXIABLE: 0x10000000,
  PROXY: 0x08000000,
  MAY_POSTDATE: 0x04000000,
  POSTDATED: 0x02000000,
  INVALID: 0x01000000,
  RENEWABLE: 0x00800000,
  INITIAL: 0x00400000,
  PRE_AUTHENT: 0x00200000,
  HW_AUTHENT: 0x00100000,
  TRANSITED_POLICY_CHECKED: 0x00080000,
  OK_AS_DELEGATE: 0x00040000,
  ENC_PA_REP: 0x00010000,
  ANONYMOUS: 0x00008000,
} as const;

/** klist's letters for the flags, in klist's order. */
export const ticketFlagLetters: readonly (readonly [mask: number, letter: string])[] = [
  [ticketFlag.FORWARDABLE, 'F'],
  [ticketFlag.FORWARDED, 'f'],
  [ticketFlag.PROXIABLE, 'P'],
  [ticketFlag.PROXY, 'p'],
  [ticketFlag.MAY_POSTDATE, 'D'],
  [ticketFlag.POSTDATED, 'd'],
  [ticketFlag.INVALID, 'i'],
  [ticketFlag.RENEWABLE, 'R'],
  [ticketFlag.INITIAL, 'I'],
  [ticketFlag.HW_AUTHENT, 'H'],
  [ticketFlag.PRE_AUTHENT, 'A'],
  [ticketFlag.TRANSITED_POLICY_CHECKED, 'T'],
  [ticketFlag.OK_AS_DELEGATE, 'O'],
  [ticketFlag.ANONYMOUS, 'a'],
];

/** Address types, RFC 4120 7.5.3 and 7.1. */
export const addrType = { IPV4: 2, DIRECTIONAL: 3, NETBIOS: 20, IPV6: 24 } as const;

/** Result codes of a password change, RFC 3244 section 2. */
export const kpasswdResult = {
  SUCCESS: 0,
  MALFORMED: 1,
  HARDERROR: 2,
  AUTHERROR: 3,
  SOFTERROR: 4,
  ACCESSDENIED: 5,
  BAD_VERSION: 6,
  INITIAL_FLAG_NEEDED: 7,
} as const;

/** Armor types of FAST, RFC 6113 section 7.4. */
export const fastArmor = { AP_REQUEST: 1 } as const;

/** Flags of PA-PAC-OPTIONS, MS-SFU 2.2.5 and MS-KILE 2.2.10. */
export const pacOption = {
  CLAIMS: 0x80000000,
  BRANCH_AWARE: 0x40000000,
  FORWARD_TO_FULL_DC: 0x20000000,
  RESOURCE_BASED_CONSTRAINED_DELEGATION: 0x10000000,
} as const;

/** Options of S4UUserID, MS-SFU 2.2.2. */
export const s4uOption = { LOGON_HOURS: 0x40000000, USE_REPLY_KEY_USAGE: 0x20000000 } as const;

/** AP options, RFC 4120 5.5.1. */
export const apOption = { USE_SESSION_KEY: 0x40000000, MUTUAL_REQUIRED: 0x20000000 } as const;

/** Error codes, RFC 4120 7.5.9, RFC 4556, RFC 6806 and RFC 8636. */
export const krbError = {
  KDC_ERR_NONE: 0,
  KDC_ERR_NAME_EXP: 1,
  KDC_ERR_SERVICE_EXP: 2,
  KDC_ERR_BAD_PVNO: 3,
  KDC_ERR_C_OLD_MAST_KVNO: 4,
  KDC_ERR_S_OLD_MAST_KVNO: 5,
  KDC_ERR_C_PRINCIPAL_UNKNOWN: 6,
  KDC_ERR_S_PRINCIPAL_UNKNOWN: 7,
  KDC_ERR_PRINCIPAL_NOT_UNIQUE: 8,
  KDC_ERR_NULL_KEY: 9,
  KDC_ERR_CANNOT_POSTDATE: 10,
  KDC_ERR_NEVER_VALID: 11,
  KDC_ERR_POLICY: 12,
  KDC_ERR_BADOPTION: 13,
  KDC_ERR_ETYPE_NOSUPP: 14,
  KDC_ERR_SUMTYPE_NOSUPP: 15,
  KDC_ERR_PADATA_TYPE_NOSUPP: 16,
  KDC_ERR_TRTYPE_NOSUPP: 17,
  KDC_ERR_CLIENT_REVOKED: 18,
  KDC_ERR_SERVICE_REVOKED: 19,
  KDC_ERR_TGT_REVOKED: 20,
  KDC_ERR_CLIENT_NOTYET: 21,
  KDC_ERR_SERVICE_NOTYET: 22,
  KDC_ERR_KEY_EXPIRED: 23,
  KDC_ERR_PREAUTH_FAILED: 24,
  KDC_ERR_PREAUTH_REQUIRED: 25,
  KDC_ERR_SERVER_NOMATCH: 26,
  KDC_ERR_MUST_USE_USER2USER: 27,
  KDC_ERR_PATH_NOT_ACCEPTED: 28,
  KDC_ERR_SVC_UNAVAILABLE: 29,
  KRB_AP_ERR_BAD_INTEGRITY: 31,
  KRB_AP_ERR_TKT_EXPIRED: 32,
  KRB_AP_ERR_TKT_NYV: 33,
  KRB_AP_ERR_REPEAT: 34,
  KRB_AP_ERR_NOT_US: 35,
  KRB_AP_ERR_BADMATCH: 36,
  KRB_AP_ERR_SKEW: 37,
  KRB_AP_ERR_BADADDR: 38,
  KRB_AP_ERR_BADVERSION: 39,
  KRB_AP_ERR_MSG_TYPE: 40,
  KRB_AP_ERR_MODIFIED: 41,
  KRB_AP_ERR_BADORDER: 42,
  KRB_AP_ERR_BADKEYVER: 44,
  KRB_AP_ERR_NOKEY: 45,
  KRB_AP_ERR_MUT_FAIL: 46,
  KRB_AP_ERR_BADDIRECTION: 47,
  KRB_AP_ERR_METHOD: 48,
  KRB_AP_ERR_BADSEQ: 49,
  KRB_AP_ERR_INAPP_CKSUM: 50,
  KRB_AP_PATH_NOT_ACCEPTED: 51,
  KRB_ERR_RESPONSE_TOO_BIG: 52,
  KRB_ERR_GENERIC: 60,
  KRB_ERR_FIELD_TOOLONG: 61,
  KDC_ERR_CLIENT_NOT_TRUSTED: 62,
  KDC_ERR_KDC_NOT_TRUSTED: 63,
  KDC_ERR_INVALID_SIG: 64,
  KDC_ERR_DH_KEY_PARAMETERS_NOT_ACCEPTED: 65,
  KDC_ERR_WRONG_REALM: 68,
  KDC_ERR_CANT_VERIFY_CERTIFICATE: 70,
  KDC_ERR_INVALID_CERTIFICATE: 71,
  KDC_ERR_REVOKED_CERTIFICATE: 72,
  KDC_ERR_REVOCATION_STATUS_UNKNOWN: 73,
  KDC_ERR_CLIENT_NAME_MISMATCH: 75,
  KDC_ERR_INCONSISTENT_KEY_PURPOSE: 77,
  KDC_ERR_DIGEST_IN_CERT_NOT_ACCEPTED: 78,
  KDC_ERR_PA_CHECKSUM_MUST_BE_INCLUDED: 79,
  KDC_ERR_DIGEST_IN_SIGNED_DATA_NOT_ACCEPTED: 80,
  KDC_ERR_PUBLIC_KEY_ENCRYPTION_NOT_SUPPORTED: 81,
  KDC_ERR_PREAUTH_EXPIRED: 90,
  KDC_ERR_MORE_PREAUTH_DATA_REQUIRED: 91,
  KDC_ERR_UNKNOWN_CRITICAL_FAST_OPTIONS: 93,
  KDC_ERR_NO_ACCEPTABLE_KDF: 100,
} as const;

/**
 * NTSTATUS values Active Directory puts into KRB-ERROR e-data and Windows codes it puts into LDAP's "data xxx",
 * by name (MS-ERREF 2.3; the LDAP column is the Win32 code in hexadecimal).
 */
export const adSubCode: readonly { readonly name: string; readonly ntstatus: number; readonly ldapData: string }[] = [
  { name: 'NO_SUCH_USER', ntstatus: 0xc0000064, ldapData: '525' },
  { name: 'LOGON_FAILURE', ntstatus: 0xc000006d, ldapData: '52e' },
  { name: 'WRONG_PASSWORD', ntstatus: 0xc000006a, ldapData: '52e' },
  { name: 'ACCOUNT_RESTRICTION', ntstatus: 0xc000006e, ldapData: '52f' },
  { name: 'INVALID_LOGON_HOURS', ntstatus: 0xc000006f, ldapData: '530' },
  { name: 'INVALID_WORKSTATION', ntstatus: 0xc0000070, ldapData: '531' },
  { name: 'PASSWORD_EXPIRED', ntstatus: 0xc0000071, ldapData: '532' },
  { name: 'ACCOUNT_DISABLED', ntstatus: 0xc0000072, ldapData: '533' },
  { name: 'LOGON_TYPE_NOT_GRANTED', ntstatus: 0xc000015b, ldapData: '569' },
  { name: 'ACCOUNT_EXPIRED', ntstatus: 0xc0000193, ldapData: '701' },
  { name: 'PASSWORD_MUST_CHANGE', ntstatus: 0xc0000224, ldapData: '773' },
  { name: 'ACCOUNT_LOCKED_OUT', ntstatus: 0xc0000234, ldapData: '775' },
];
