/** RFC 8009: AES in CTS mode with HMAC-SHA2 over the ciphertext. Etypes 19 and 20 differ in hash and lengths only. */
import { hmac } from '@noble/hashes/hmac.js';
import { sha256, sha384 } from '@noble/hashes/sha2.js';
import type { CHash } from '@noble/hashes/utils.js';
import { concat, equal, utf8, wipe } from '../../bytes.ts';
import { cksumType, etype } from '../numbers.ts';
import { BLOCK_BYTES, ctsDecrypt, ctsEncrypt } from './cts.ts';
import { iterationCount } from './iterations.ts';
import { pbkdf2 } from './pbkdf2.ts';
import type { EncryptionProfile, RandomBytes, UsageKeys } from './profile.ts';
import { UsageKeySet } from './usage-keys.ts';

/**
 * Section 4: "The default string-to-key parameters are represented as ... 00 00 80 00". Also the fewest accepted from
 * a KDC, since none is known to ask for less: MIT's cannot, Heimdal's names this count.
 */
const SHA2_ITERATIONS = 32_768;

/** The cipher state that a message begins with; section 5 has it under the HMAC, before the ciphertext. */
const ZERO_IV = new Uint8Array(BLOCK_BYTES);

interface Sha2Choices
  extends Pick<EncryptionProfile, 'etype' | 'name' | 'aliases' | 'keyBytes' | 'cksumType' | 'cksumBytes'> {
  readonly hash: CHash;
  readonly hashName: 'sha256' | 'sha384';
}

/**
 * KDF-HMAC-SHA2(key, label, context, bytes) of section 3: one step of SP 800-108's counter mode,
 * HMAC(key, 00000001 | label | 00 | context | length in bits), cut to `bytes`, which the hash's output is never less than.
 */
export function kdfHmacSha2(
  hash: CHash,
  key: Uint8Array,
  label: Uint8Array,
  context: Uint8Array,
  bytes: number,
): Uint8Array {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, bytes * 8);
  const stream = hmac(hash, key, concat(Uint8Array.of(0, 0, 0, 1), label, Uint8Array.of(0), context, length));
  const derived = stream.slice(0, bytes);
  wipe(stream);
  return derived;
}

const NO_CONTEXT = new Uint8Array();
const STRING_TO_KEY_LABEL = utf8('kerberos');
const PRF_LABEL = utf8('prf');

/** Sealing and opening under one usage (section 5). */
class Sha2UsageKeys implements UsageKeys {
  readonly #macBytes: number;
  readonly #keys: UsageKeySet;

  constructor({ hash, keyBytes, cksumBytes }: Sha2Choices, key: Uint8Array, usage: number) {
    this.#macBytes = cksumBytes;
    const rule = {
      hash,
      macBytes: cksumBytes,
      // "Kc = ... 128 or 192, Ke = ... 128 or 256, Ki = ... 128 or 192": a key for an HMAC is as long as its result.
      derive: (from: Uint8Array, constant: Uint8Array, purpose: 'encryption' | 'mac') =>
        kdfHmacSha2(hash, from, constant, NO_CONTEXT, purpose === 'encryption' ? keyBytes : cksumBytes),
    };
    this.#keys = new UsageKeySet(rule, key, usage);
  }

  /** C | HMAC(Ki, IV | C), where C is the ciphertext of confounder | plaintext. */
  encrypt(plaintext: Uint8Array, random: RandomBytes): Uint8Array {
    const clear = concat(random(BLOCK_BYTES), plaintext);
    try {
      const sealed = ctsEncrypt(this.#keys.encryption, clear);
      return concat(sealed, this.#keys.integrity(ZERO_IV, sealed));
    } finally {
      wipe(clear);
    }
  }

  decrypt(ciphertext: Uint8Array): Uint8Array | undefined {
    const sealedBytes = ciphertext.length - this.#macBytes;
    if (sealedBytes < BLOCK_BYTES) return undefined;
    const sealed = ciphertext.subarray(0, sealedBytes);
    // Section 5, "decryption function": "if H != HMAC(Ki, IV | C)[1..h] stop, report error", before anything is opened.
    if (!equal(this.#keys.integrity(ZERO_IV, sealed), ciphertext.subarray(sealedBytes))) return undefined;
    return ctsDecrypt(this.#keys.encryption, sealed).subarray(BLOCK_BYTES);
  }

  checksum(data: Uint8Array): Uint8Array {
    return this.#keys.checksum(data);
  }

  destroy(): void {
    this.#keys.destroy();
  }
}

function aesSha2(choices: Sha2Choices): EncryptionProfile {
  const { hash, hashName, ...record } = choices;
  return {
    ...record,
    weak: false,
    /** Section 4: KDF(PBKDF2(password, name | 00 | salt, iterations, key length), "kerberos"). */
    async stringToKey(password, salt, params, policy) {
      const iterations = iterationCount(params, SHA2_ITERATIONS, policy?.minIterations ?? SHA2_ITERATIONS);
      const named = concat(utf8(record.name), Uint8Array.of(0), salt);
      const stretched = await pbkdf2(hashName, password, named, iterations, record.keyBytes);
      try {
        return kdfHmacSha2(hash, stretched, STRING_TO_KEY_LABEL, NO_CONTEXT, record.keyBytes);
      } finally {
        wipe(stretched);
      }
    },
    /** Section 5: as many bytes as the hash has. */
    prf: (key, input) => kdfHmacSha2(hash, key, PRF_LABEL, input, hash.outputLen),
    forUsage: (key, usage) => new Sha2UsageKeys(choices, key, usage),
  };
}

export const aes128Sha2: EncryptionProfile = aesSha2({
  etype: etype.AES128_CTS_HMAC_SHA256_128,
  name: 'aes128-cts-hmac-sha256-128',
  aliases: ['aes128-sha2'],
  keyBytes: 16,
  cksumType: cksumType.HMAC_SHA256_128_AES128,
  cksumBytes: 16,
  hash: sha256,
  hashName: 'sha256',
});

export const aes256Sha2: EncryptionProfile = aesSha2({
  etype: etype.AES256_CTS_HMAC_SHA384_192,
  name: 'aes256-cts-hmac-sha384-192',
  aliases: ['aes256-sha2'],
  keyBytes: 32,
  cksumType: cksumType.HMAC_SHA384_192_AES256,
  cksumBytes: 24,
  hash: sha384,
  hashName: 'sha384',
});
