/** From a managed password to Kerberos keys: the rules for its UTF-16, and which of two passwords is valid now. */
import { utf8, wipe } from '../bytes.ts';
import { AdError } from '../errors.ts';
import { profileOf } from '../krb5/crypto/index.ts';
import type { ManagedPassword } from './blob.ts';

const REPLACEMENT = 0xfffd;

/**
 * The UTF-8 that a DC feeds into string-to-key for a managed password. The password is random, hence not always text:
 * - a code unit 0000 becomes U+0001;
 * - a surrogate without its other half becomes U+FFFD, one for each code unit;
 * - a pair becomes the four bytes of its code point, and U+FEFF at the start is kept.
 * No string is made on the way: it could not be wiped.
 * @param password UTF-16 little endian, an even number of bytes
 * @returns a new array, which the caller wipes
 * @throws AdError INVALID_ARGUMENT for an odd length
 */
export function utf16ToUtf8(password: Uint8Array): Uint8Array {
  requireUtf16(password);
  // Three bytes for each code unit are the most there can be: a pair, two units, takes four.
  const out = new Uint8Array((password.length / 2) * 3);
  let length = 0;
  for (let at = 0; at < password.length; at += 2) {
    const unit = unitAt(password, at);
    let point = unit === 0 ? 1 : unit;
    if (isHighSurrogate(unit) && isLowSurrogate(unitAt(password, at + 2))) {
      at += 2;
      point = 0x10000 + ((unit - 0xd800) << 10) + (unitAt(password, at) - 0xdc00);
    } else if (isHighSurrogate(unit) || isLowSurrogate(unit)) {
      point = REPLACEMENT;
    }
    length = putUtf8(out, length, point);
  }
  const text = out.slice(0, length);
  wipe(out);
  return text;
}

/** Past the end it is 0, which is no surrogate. */
const unitAt = (utf16: Uint8Array, at: number): number => (utf16[at] ?? 0) | ((utf16[at + 1] ?? 0) << 8);
const isHighSurrogate = (unit: number): boolean => unit >> 10 === 0xd800 >> 10;
const isLowSurrogate = (unit: number): boolean => unit >> 10 === 0xdc00 >> 10;

/** Writes one code point (RFC 3629 section 3) and returns where the next goes. */
function putUtf8(out: Uint8Array, at: number, point: number): number {
  const tail = (shift: number): number => 0x80 | ((point >> shift) & 0x3f);
  const bytes =
    point < 0x80
      ? [point]
      : point < 0x800
        ? [0xc0 | (point >> 6), tail(0)]
        : point < 0x10000
          ? [0xe0 | (point >> 12), tail(6), tail(0)]
          : [0xf0 | (point >> 18), tail(12), tail(6), tail(0)];
  out.set(bytes, at);
  return at + bytes.length;
}

/**
 * The account's long-term keys. RC4 takes MD4 of the code units as they are; AES takes string-to-key of `utf16ToUtf8`.
 * @param password UTF-16 little endian without terminator, as `parseManagedPassword` gives it
 * @param salt from the KDC, or by the rule for computer accounts; a string is taken as UTF-8
 * @param params the KDC's string-to-key parameters, if it sent any
 * @returns key bytes by etype, which the caller wipes
 * @throws AdError ETYPE for an unknown etype or parameters out of bounds, INVALID_ARGUMENT for an empty password or an
 *   odd length
 */
export async function deriveKeys(
  password: Uint8Array,
  salt: string | Uint8Array,
  etypes: readonly number[],
  params?: Uint8Array,
): Promise<Map<number, Uint8Array>> {
  requireUtf16(password);
  if (password.length === 0) throw new AdError('INVALID_ARGUMENT', 'a managed password is never empty');
  const profiles = etypes.map(profileOf);
  const text = utf16ToUtf8(password);
  const saltBytes = typeof salt === 'string' ? utf8(salt) : salt;
  try {
    const keys = profiles.map(
      async (profile) =>
        [
          profile.etype,
          profile.utf16ToKey?.(password) ?? (await profile.stringToKey(text, saltBytes, params)),
        ] as const,
    );
    return new Map(await Promise.all(keys));
  } finally {
    wipe(text);
  }
}

function requireUtf16(password: Uint8Array): void {
  if (password.length % 2 !== 0) {
    throw new AdError(
      'INVALID_ARGUMENT',
      `a managed password has two bytes a character, not ${password.length} in all`,
    );
  }
}

/** Clocks of one domain may differ by five minutes; a DC hands out the next password that much before its time. */
export const CLOCK_SKEW_INTERVAL = 3_000_000_000n;

/**
 * The passwords to log on with, most likely first; the same arrays, not copies.
 *
 * A query interval of five minutes or less means that the DC answered within the skew before a roll: `current` is then
 * the next password, which no KDC takes yet, and `previous` the one that is valid. At any other time `current` is valid,
 * and `previous` may be the one known to a DC that has not heard of the roll.
 * An account in that window that never had a previous password has only `current` to try; the KDC will judge.
 * The interval counts from when the blob was read: use the result at once, do not keep it.
 */
export function validPasswords(managed: ManagedPassword): readonly Uint8Array[] {
  const { current, previous } = managed;
  if (previous === undefined) return [current];
  return managed.queryPasswordInterval <= CLOCK_SKEW_INTERVAL ? [previous, current] : [current, previous];
}
