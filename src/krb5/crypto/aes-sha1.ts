/** RFC 3962: AES in CBC mode with ciphertext stealing, HMAC-SHA1 cut to 96 bits. Etypes 17 and 18 differ in the key's length only. */
import { cbc, ecb } from '@noble/ciphers/aes.js';
import { sha1 } from '@noble/hashes/legacy.js';
import { copy, utf8, wipe } from '../../bytes.ts';
import { cksumType, etype } from '../numbers.ts';
import { iterationCount, MIN_ITERATIONS } from './iterations.ts';
import { pbkdf2 } from './pbkdf2.ts';
import {
  deriveKey,
  type EncryptionProfile,
  type SimplifiedProfile,
  SimplifiedUsageKeys,
  simplifiedPrf,
} from './profile.ts';

const BLOCK_BYTES = 16;
const ZERO_IV = new Uint8Array(BLOCK_BYTES);
const RAW = { disablePadding: true } as const;

const cbcEncrypt = (key: Uint8Array, blocks: Uint8Array): Uint8Array => cbc(key, ZERO_IV, RAW).encrypt(blocks);

/**
 * CBC with ciphertext stealing as RFC 3962 section 5 has it: the last two blocks always change places, then the last
 * is cut to the length of the plaintext's last block. One block alone is plain CBC.
 * @param data at least 16 bytes
 */
export function ctsEncrypt(key: Uint8Array, data: Uint8Array): Uint8Array {
  if (data.length === BLOCK_BYTES) return cbcEncrypt(key, data);
  const last = lastBlockAt(data.length);
  const padded = new Uint8Array(last + BLOCK_BYTES);
  padded.set(data);
  const out = cbcEncrypt(key, padded);
  wipe(padded);
  const stolen = out.slice(last - BLOCK_BYTES, last);
  out.copyWithin(last - BLOCK_BYTES, last);
  out.set(stolen, last);
  return out.subarray(0, data.length);
}

/**
 * The way back. The last full block, decrypted alone, ends in the bytes that were stolen; with them the cut block is
 * whole again, and all is plain CBC. The plaintext of the last block is that decrypted block XOR the cut one.
 */
export function ctsDecrypt(key: Uint8Array, data: Uint8Array): Uint8Array {
  const cipher = cbc(key, ZERO_IV, RAW);
  if (data.length === BLOCK_BYTES) return cipher.decrypt(data);
  const last = lastBlockAt(data.length);
  const whole = ecb(key, RAW).decrypt(data.subarray(last - BLOCK_BYTES, last));
  const chained = copy(data.subarray(0, last));
  chained.set(whole, last - BLOCK_BYTES);
  chained.set(data.subarray(last), last - BLOCK_BYTES);
  const out = new Uint8Array(data.length);
  const head = cipher.decrypt(chained);
  out.set(head);
  for (let i = last; i < data.length; i++) out[i] = whole[i - last]! ^ data[i]!;
  wipe(whole, chained, head);
  return out;
}

/** Where the last block begins, cut or full, of a message longer than one block. */
function lastBlockAt(length: number): number {
  return Math.floor((length - 1) / BLOCK_BYTES) * BLOCK_BYTES;
}

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
