/** RFC 3962: AES in CTS mode, HMAC-SHA1 cut to 96 bits. Etypes 17 and 18 differ in the key's length only. */
import { sha1 } from '@noble/hashes/legacy.js';
import { utf8, wipe } from '../../bytes.ts';
import { cksumType, etype } from '../numbers.ts';
import { BLOCK_BYTES, cbcEncrypt, ctsDecrypt, ctsEncrypt } from './cts.ts';
import { iterationCount, MIN_ITERATIONS } from './iterations.ts';
import { pbkdf2 } from './pbkdf2.ts';
import {
  deriveKey,
  type EncryptionProfile,
  type SimplifiedProfile,
  SimplifiedUsageKeys,
  simplifiedPrf,
} from './profile.ts';

const STRING_TO_KEY_CONSTANT = utf8('kerberos');

function aesSha1(
  choices: Pick<EncryptionProfile, 'etype' | 'name' | 'aliases' | 'keyBytes' | 'cksumType'>,
): EncryptionProfile {
  const macBytes = 12;
  const simplified: SimplifiedProfile = {
    ...choices,
    weak: false,
    hash: sha1,
    macBytes,
    blockBytes: BLOCK_BYTES,
    seal: ctsEncrypt,
    open: ctsDecrypt,
    cbcEncrypt,
  };
  return {
    ...choices,
    weak: false,
    cksumBytes: macBytes,
    /** RFC 3962 section 4: DK(random-to-key(PBKDF2(password, salt, iterations, key length)), "kerberos"). */
    async stringToKey(password, salt, params, policy) {
      const iterations = iterationCount(params, MIN_ITERATIONS, policy?.minIterations);
      const stretched = await pbkdf2('sha1', password, salt, iterations, choices.keyBytes);
      try {
        return deriveKey(simplified, stretched, STRING_TO_KEY_CONSTANT);
      } finally {
        wipe(stretched);
      }
    },
    prf: (key, input) => simplifiedPrf(simplified, key, input),
    forUsage: (key, usage) => new SimplifiedUsageKeys(simplified, key, usage),
  };
}

export const aes128Sha1: EncryptionProfile = aesSha1({
  etype: etype.AES128_CTS_HMAC_SHA1_96,
  name: 'aes128-cts-hmac-sha1-96',
  aliases: ['aes128-cts', 'aes128-sha1'],
  keyBytes: 16,
  cksumType: cksumType.HMAC_SHA1_96_AES128,
});

export const aes256Sha1: EncryptionProfile = aesSha1({
  etype: etype.AES256_CTS_HMAC_SHA1_96,
  name: 'aes256-cts-hmac-sha1-96',
  aliases: ['aes256-cts', 'aes256-sha1'],
  keyBytes: 32,
  cksumType: cksumType.HMAC_SHA1_96_AES256,
});
