/** Encryption types as the rest of the project sees them: a table of records, and `Key`. */
import { utf8, wipe } from '../../bytes.ts';
import { Key } from './key.ts';
import type { StringToKeyPolicy } from './profile.ts';
import { profileOf } from './table.ts';

export { checksumByType, checksumBytes, verifyChecksumByType } from './checksums.ts';
export { MAX_ITERATIONS, MIN_ITERATIONS } from './iterations.ts';
export { Key } from './key.ts';
export { md4 } from './md4.ts';
export { cf2, prfPlus } from './prf.ts';
export type { EncryptionProfile, RandomBytes, StringToKeyPolicy } from './profile.ts';
export { DEFAULT_ETYPES, etypeByName, etypeName, findProfile, profileOf } from './table.ts';

/**
 * The key of a password (RFC 3961 section 3 "string-to-key").
 * @param password UTF-8 bytes; the caller wipes them
 * @param salt a string is taken as UTF-8
 * @param params the KDC's string-to-key parameters, if it sent any
 * @throws AdError ETYPE when the etype is unknown, or `params` ask for fewer than MIN_ITERATIONS (unless `policy`
 *   allows) or more than MAX_ITERATIONS
 */
export async function stringToKey(
  etype: number,
  password: Uint8Array,
  salt: Uint8Array | string,
  params?: Uint8Array,
  policy?: StringToKeyPolicy,
): Promise<Key> {
  const saltBytes = typeof salt === 'string' ? utf8(salt) : salt;
  const value = await profileOf(etype).stringToKey(password, saltBytes, params, policy);
  try {
    return new Key(etype, value);
  } finally {
    wipe(value);
  }
}
