/** Keyed checksums by their own numbers, for structures that name the type beside the bytes: PAC signatures, PA-FOR-USER. */
import { equal } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import { cksumType as types } from '../numbers.ts';
import type { Key } from './key.ts';
import type { EncryptionProfile } from './profile.ts';
import { etypeName, findProfileOfChecksum } from './table.ts';

/**
 * Types made with any key: RFC 4757 section 4 has HMAC-MD5 take "K", whatever it is for, and MS-SFU section 2.2.1 wants
 * it in PA-FOR-USER under the session key, which is an AES one today.
 */
const ANY_KEY: readonly number[] = [types.HMAC_MD5];

function profileFor(cksumType: number, key: Key): EncryptionProfile {
  const profile = findProfileOfChecksum(cksumType);
  if (!profile) throw new AdError('ETYPE', `checksum type ${cksumType} is not supported`, { cksumType });
  if (profile.etype !== key.etype && !ANY_KEY.includes(cksumType)) {
    throw new AdError(
      'ETYPE',
      `a checksum of type ${cksumType} is made with a key of ${profile.name}, not of ${etypeName(key.etype)}`,
      { cksumType, etype: key.etype },
    );
  }
  return profile;
}

/** Length of a checksum of this type, or undefined for a type that is not supported. */
export function checksumBytes(cksumType: number): number | undefined {
  return findProfileOfChecksum(cksumType)?.cksumBytes;
}

/**
 * A checksum of the given type (RFC 3961 section 4 "get_mic").
 * @param cksumType 15, 16, 19 or 20, each with keys of one etype, or -138 (HMAC-MD5) with a key of any
 * @throws AdError ETYPE for another type, or a key of an etype that does not go with it
 */
export function checksumByType(cksumType: number, key: Key, usage: number, data: Uint8Array): Uint8Array {
  const profile = profileFor(cksumType, key);
  if (profile.etype === key.etype) return key.checksum(usage, data);
  if (key.destroyed) throw new AdError('INVALID_ARGUMENT', 'the key was destroyed before this use of it');
  const keys = profile.forUsage(key.value, usage);
  try {
    return keys.checksum(data);
  } finally {
    keys.destroy();
  }
}

/**
 * Compares in constant time. HMAC-MD5 passes with a key of any etype: who expects the key's own type, as for the
 * signatures of a PAC, compares the types first, lest a weaker one be slipped in.
 * @throws AdError ETYPE as `checksumByType`; a checksum of the wrong length is no error, but false
 */
export function verifyChecksumByType(
  cksumType: number,
  key: Key,
  usage: number,
  data: Uint8Array,
  checksum: Uint8Array,
): boolean {
  return equal(checksumByType(cksumType, key, usage, data), checksum);
}
