/** What a kpasswd server says (RFC 3244 section 2), as errors; Active Directory puts its password policy where others put text. */
import { fromUtf8, Reader } from '../../bytes.ts';
import { AdError, type ErrorCode } from '../../errors.ts';
import { kpasswdResult, nameOf } from '../numbers.ts';
import { printable } from './errors.ts';

/** The domain's password policy, as Active Directory sends it with a refusal. */
export interface PasswordPolicy {
  readonly minLength: number;
  /** How many former passwords may not be used again. */
  readonly history: number;
  readonly complexity: boolean;
  /** Days a password must be kept before it may be changed again. */
  readonly minAgeDays: number;
  /** Days after which it expires; Infinity: never. */
  readonly maxAgeDays: number;
}

const POLICY_BYTES = 30;
/** DOMAIN_PASSWORD_COMPLEX, MS-SAMR 2.2.1.12 PASSWORD_PROPERTIES. */
const COMPLEX = 1;
const DAY = 24n * 3600n * 10_000_000n; // of 100 ns
const NEVER = 1n << 63n;

/**
 * Reads the policy: 30 bytes, big endian, that begin with two zero bytes where text would have its first letters (as
 * MIT's and Samba's clients know it; Microsoft documents it nowhere).
 * @returns undefined for anything else
 */
export function passwordPolicy(text: Uint8Array): PasswordPolicy | undefined {
  if (text.length !== POLICY_BYTES) return undefined;
  const r = new Reader(text, 'password policy');
  if (r.u16() !== 0) return undefined;
  const [minLength, history, properties] = [r.u32(), r.u32(), r.u32()];
  const [expire, minAge] = [r.u64(), r.u64()];
  return {
    minLength,
    history,
    complexity: (properties & COMPLEX) !== 0,
    minAgeDays: Number(minAge / DAY),
    maxAgeDays: expire === 0n || expire >= NEVER ? Number.POSITIVE_INFINITY : Number(expire / DAY),
  };
}

function policyInWords({ minLength, history, complexity, minAgeDays }: PasswordPolicy): string {
  const rules = [
    minLength > 0 && `at least ${minLength} characters`,
    complexity &&
      'three kinds of characters among capitals, small letters, digits and others, and not the account name',
    history > 0 && `none of the last ${history} passwords`,
    minAgeDays > 0 && `${minAgeDays} days after the last change`,
  ];
  return rules.filter(Boolean).join('; ');
}

const meaning: Partial<Record<keyof typeof kpasswdResult, { code: ErrorCode; advice: string }>> = {
  SOFTERROR: { code: 'INVALID_ARGUMENT', advice: 'the new password is not accepted' },
  ACCESSDENIED: { code: 'NOT_ALLOWED', advice: 'this account may not do that' },
  AUTHERROR: { code: 'KDC_ERROR', advice: 'the server does not accept the ticket' },
  INITIAL_FLAG_NEEDED: { code: 'KDC_ERROR', advice: 'the ticket was not got with the password itself' },
  BAD_VERSION: { code: 'KDC_ERROR', advice: 'the server knows the older protocol alone' },
};

/** @param whose account, in words or as a principal */
export function resultError(code: number, text: Uint8Array, whose: string, server: string): AdError {
  const name = Object.entries(kpasswdResult).find(([, value]) => value === code)?.[0];
  const known = meaning[name as keyof typeof kpasswdResult];
  const policy = passwordPolicy(text);
  const words = policy ? policyInWords(policy) : saying(text);
  return new AdError(
    known?.code ?? 'KDC_ERROR',
    `kpasswd server ${server} answered ${nameOf(kpasswdResult, code)} for ${whose}` +
      `${known ? `: ${known.advice}` : ''}${words ? ` (${words})` : ''}`,
    {
      server,
      kpasswdResult: name ?? code,
      ...(policy && { minLength: policy.minLength, history: policy.history, complexity: policy.complexity }),
    },
  );
}

function saying(text: Uint8Array): string {
  try {
    return printable(
      fromUtf8(text)
        .replace(/[\r\n\0]+/g, ' ')
        .trim(),
    );
  } catch {
    return '';
  }
}
