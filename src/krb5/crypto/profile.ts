/**
 * RFC 3961: what an encryption type is, and the simplified profile from which most are made: keys derived for each
 * usage, a confounder, an HMAC over the plaintext.
 */
import type { CHash } from '@noble/hashes/utils.js';
import { concat, equal, utf8, wipe } from '../../bytes.ts';
import { UsageKeySet } from './usage-keys.ts';

/** One encryption type (RFC 3961 section 3) and the checksum type that goes with it (section 4), as a record. */
export interface EncryptionProfile {
  /** Number in the IANA registry "Kerberos Encryption Type Numbers". */
  readonly etype: number;
  /** The name MIT's tools print: 'aes256-cts-hmac-sha1-96'. */
  readonly name: string;
  /** Other names for it in krb5.conf. */
  readonly aliases: readonly string[];
  readonly keyBytes: number;
  /** Number of the checksum type made with a key of this etype. */
  readonly cksumType: number;
  readonly cksumBytes: number;
  /** True when the type is deprecated and must be permitted by name. */
  readonly weak: boolean;
  /**
   * @param password UTF-8 bytes
   * @param params the KDC's string-to-key parameters as in ETYPE-INFO2; undefined gives the etype's default
   * @returns `keyBytes` bytes
   * @throws AdError ETYPE when `params` is not what the etype defines or is out of bounds
   */
  stringToKey(
    password: Uint8Array,
    salt: Uint8Array,
    params?: Uint8Array,
    policy?: StringToKeyPolicy,
  ): Promise<Uint8Array>;
  /**
   * String-to-key of a password given as UTF-16 little endian code units, where that is the etype's own definition
   * and unpaired surrogates therefore survive. Absent where the definition takes UTF-8.
   */
  readonly utf16ToKey?: (password: Uint8Array) => Uint8Array;
  /** The pseudo-random function (RFC 3961 section 3 "pseudo-random"). @returns a fixed number of bytes, whatever the input */
  prf(key: Uint8Array, input: Uint8Array): Uint8Array;
  /** The operations of one key for one usage. `key` has `keyBytes` bytes and is not kept. */
  forUsage(key: Uint8Array, usage: number): UsageKeys;
}

/** How little stretching of a password is accepted. */
export interface StringToKeyPolicy {
  /** Fewest iterations accepted in `params`; the etype's default without it. */
  readonly minIterations?: number;
}

/** What a key does under one usage number; holds the keys derived for it. */
export interface UsageKeys {
  /** @param random fills the confounder */
  encrypt(plaintext: Uint8Array, random: RandomBytes): Uint8Array;
  /** The plaintext, or undefined when `ciphertext` is too short or was not made with this key and usage. */
  decrypt(ciphertext: Uint8Array): Uint8Array | undefined;
  checksum(data: Uint8Array): Uint8Array;
  /** Wipes the derived keys. */
  destroy(): void;
}

/** Gives `n` bytes that nobody can guess. */
export type RandomBytes = (n: number) => Uint8Array;

/**
 * Stretches or shrinks `input` to `bytes` bytes, each bit of it counting about the same (RFC 3961 section 5.1):
 * copies of the input, each rotated right by 13 bits more than the one before, are laid end to end up to the least
 * common multiple of the two lengths, cut into pieces of the output's length, and added in ones' complement.
 * @param input at least one byte
 */
export function nfold(input: Uint8Array, bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  const inputBits = input.length * 8;
  let carry = 0;
  // From the last byte to the first, so that the carry out of one piece's top byte enters the next piece at its last
  // byte: that is the end-around carry of ones' complement.
  for (let at = leastCommonMultiple(input.length, bytes) - 1; at >= 0; at--) {
    const rotation = 13 * Math.floor(at / input.length);
    const bit = (((at % input.length) * 8 - rotation) % inputBits) + inputBits;
    const from = Math.floor(bit / 8);
    const pair = (input[from % input.length]! << 8) | input[(from + 1) % input.length]!;
    carry += out[at % bytes]! + ((pair >> (8 - (bit % 8))) & 0xff);
    out[at % bytes] = carry;
    carry >>= 8;
  }
  for (let at = bytes - 1; carry > 0; at = (at + bytes - 1) % bytes) {
    carry += out[at]!;
    out[at] = carry;
    carry >>= 8;
  }
  return out;
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}

/** The choices a simplified profile makes (RFC 3961 section 5.3 lists them; here for types whose message block is one byte). */
export interface SimplifiedProfile
  extends Omit<EncryptionProfile, 'forUsage' | 'stringToKey' | 'utf16ToKey' | 'prf' | 'cksumBytes'> {
  readonly hash: CHash;
  /** Length of the truncated HMAC. */
  readonly macBytes: number;
  /** Cipher block and confounder. */
  readonly blockBytes: number;
  /** The basic cipher with the zero initial state, for any length of at least one block. Chains whole blocks as CBC. */
  readonly seal: (key: Uint8Array, data: Uint8Array) => Uint8Array;
  readonly open: (key: Uint8Array, data: Uint8Array) => Uint8Array;
  /** Encrypts whole blocks in CBC mode with a zero vector. */
  readonly cbcEncrypt: (key: Uint8Array, blocks: Uint8Array) => Uint8Array;
}

/**
 * DK(key, constant) of RFC 3961 section 5.1 for ciphers whose random-to-key is the identity.
 * The RFC chains K1 = E(n-fold(constant)), K2 = E(K1), and so on. CBC over n-fold(constant) followed by zero blocks
 * computes just that, for each block is XORed with zeros only: one key schedule instead of one for each block.
 */
export function deriveKey(
  profile: Pick<SimplifiedProfile, 'keyBytes' | 'blockBytes' | 'cbcEncrypt'>,
  key: Uint8Array,
  constant: Uint8Array,
): Uint8Array {
  const { keyBytes, blockBytes, cbcEncrypt } = profile;
  const blocks = new Uint8Array(Math.ceil(keyBytes / blockBytes) * blockBytes);
  blocks.set(nfold(constant, blockBytes));
  const stream = cbcEncrypt(key, blocks);
  if (stream.length === keyBytes) return stream;
  const derived = stream.slice(0, keyBytes);
  wipe(stream);
  return derived;
}

const PRF_CONSTANT = utf8('prf');

/**
 * The pseudo-random function of the simplified profile (RFC 3961 section 5.3): the hash of the input, cut to whole
 * blocks, encrypted under DK(key, "prf").
 */
export function simplifiedPrf(profile: SimplifiedProfile, key: Uint8Array, input: Uint8Array): Uint8Array {
  const hashed = profile.hash(input);
  const derived = deriveKey(profile, key, PRF_CONSTANT);
  try {
    return profile.seal(derived, hashed.subarray(0, hashed.length - (hashed.length % profile.blockBytes)));
  } finally {
    wipe(derived);
  }
}

/** Sealing and opening under one usage in the simplified profile (RFC 3961 section 5.3). */
export class SimplifiedUsageKeys implements UsageKeys {
  readonly #profile: SimplifiedProfile;
  readonly #keys: UsageKeySet;

  constructor(profile: SimplifiedProfile, key: Uint8Array, usage: number) {
    const { hash, macBytes } = profile;
    const derive = (from: Uint8Array, constant: Uint8Array) => deriveKey(profile, from, constant);
    this.#profile = profile;
    this.#keys = new UsageKeySet({ hash, macBytes, derive }, key, usage);
  }

  /** Ciphertext | HMAC, over confounder | plaintext (RFC 3961 section 5.3, "encryption function"). */
  encrypt(plaintext: Uint8Array, random: RandomBytes): Uint8Array {
    const { blockBytes, seal } = this.#profile;
    const clear = concat(random(blockBytes), plaintext);
    try {
      return concat(seal(this.#keys.encryption, clear), this.#keys.integrity(clear));
    } finally {
      wipe(clear);
    }
  }

  decrypt(ciphertext: Uint8Array): Uint8Array | undefined {
    const { blockBytes, macBytes, open } = this.#profile;
    const sealedBytes = ciphertext.length - macBytes;
    if (sealedBytes < blockBytes) return undefined;
    const clear = open(this.#keys.encryption, ciphertext.subarray(0, sealedBytes));
    // RFC 3961 section 5.3: "if (H1 != HMAC(Ki, P1)[1..h]) report error". Nothing of the plaintext leaves before that.
    if (!equal(this.#keys.integrity(clear), ciphertext.subarray(sealedBytes))) {
      wipe(clear);
      return undefined;
    }
    return clear.subarray(blockBytes);
  }

  checksum(data: Uint8Array): Uint8Array {
    return this.#keys.checksum(data);
  }

  destroy(): void {
    this.#keys.destroy();
  }
}
