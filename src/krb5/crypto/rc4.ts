/**
 * RFC 4757: RC4-HMAC, etype 23. Weak: the key is an unsalted MD4 of the password, the cipher RC4. It is here because
 * Active Directory still has such keys and tickets; no request offers it unless the caller permits it by name.
 */
import { hmac } from '@noble/hashes/hmac.js';
import { md5, sha1 } from '@noble/hashes/legacy.js';
import { concat, equal, fromUtf8, utf8, wipe } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import { cksumType, etype, keyUsage } from '../numbers.ts';
import { md4 } from './md4.ts';
import type { EncryptionProfile, RandomBytes, UsageKeys } from './profile.ts';

/**
 * The RC4 stream cipher; encryption and decryption are the same.
 * @param key 1 to 256 bytes
 */
export function rc4(key: Uint8Array, data: Uint8Array): Uint8Array {
  const state = Uint8Array.from({ length: 256 }, (_, i) => i);
  for (let i = 0, j = 0; i < 256; i++) {
    const s = state[i]!;
    j = (j + s + key[i % key.length]!) & 0xff;
    state[i] = state[j]!;
    state[j] = s;
  }
  const out = new Uint8Array(data.length);
  for (let n = 0, i = 0, j = 0; n < data.length; n++) {
    i = (i + 1) & 0xff;
    const s = state[i]!;
    j = (j + s) & 0xff;
    const t = state[j]!;
    state[i] = t;
    state[j] = s;
    out[n] = data[n]! ^ state[(s + t) & 0xff]!;
  }
  wipe(state);
  return out;
}

const CONFOUNDER_BYTES = 8;
const MAC_BYTES = 16;
/** RFC 4757 section 4: the constant with its terminating zero. */
const SIGNATURE_KEY = utf8('signaturekey\0');

/**
 * The message type T for a usage, where the two differ (RFC 4757 section 3). For the TGS-REP under a subkey, usage 9,
 * the RFC says 8 too, but Windows seals with 9, and MIT and Heimdal follow Windows. `decrypt` takes both.
 */
const MESSAGE_TYPES: ReadonlyMap<number, number> = new Map([
  [keyUsage.AS_REP_ENC_PART, 8],
  [keyUsage.GSS_ACCEPTOR_SIGN, 13],
]);
const RFC_MESSAGE_TYPES: ReadonlyMap<number, number> = new Map([[keyUsage.TGS_REP_ENC_PART_SUBKEY, 8]]);

/** HMAC with MD5, of which every key of RFC 4757 comes. */
export const hmacMd5 = (key: Uint8Array, data: Uint8Array): Uint8Array => hmac(md5, key, data);

/** K1 of RFC 4757 section 5, which for the full-strength type is K2 too. */
const usageKey = (key: Uint8Array, messageType: number): Uint8Array => hmacMd5(key, littleEndian(messageType));

function littleEndian(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

class Rc4UsageKeys implements UsageKeys {
  readonly #messageType: number;
  readonly #k1: Uint8Array;
  /** The same by the RFC's own table, where that differs. */
  readonly #rfcK1: Uint8Array | undefined;
  readonly #kSign: Uint8Array;

  constructor(key: Uint8Array, usage: number) {
    this.#messageType = MESSAGE_TYPES.get(usage) ?? usage;
    this.#k1 = usageKey(key, this.#messageType);
    const rfcMessageType = RFC_MESSAGE_TYPES.get(usage);
    if (rfcMessageType !== undefined) this.#rfcK1 = usageKey(key, rfcMessageType);
    this.#kSign = hmacMd5(key, SIGNATURE_KEY);
  }

  /** HMAC | RC4(confounder | plaintext), under a key that comes from the HMAC (RFC 4757 section 5, ENCRYPT). */
  encrypt(plaintext: Uint8Array, random: RandomBytes): Uint8Array {
    const clear = concat(random(CONFOUNDER_BYTES), plaintext);
    const mac = hmacMd5(this.#k1, clear);
    const k3 = hmacMd5(this.#k1, mac);
    try {
      return concat(mac, rc4(k3, clear));
    } finally {
      wipe(clear, k3);
    }
  }

  decrypt(ciphertext: Uint8Array): Uint8Array | undefined {
    return open(this.#k1, ciphertext) ?? (this.#rfcK1 && open(this.#rfcK1, ciphertext));
  }

  /** RFC 4757 section 4: HMAC(Ksign, MD5(T | data)). */
  checksum(data: Uint8Array): Uint8Array {
    return hmacMd5(this.#kSign, md5(concat(littleEndian(this.#messageType), data)));
  }

  destroy(): void {
    wipe(this.#k1, this.#rfcK1, this.#kSign);
  }
}

/** RFC 4757 section 5, DECRYPT: nothing of the plaintext leaves unless its HMAC is the one that came with it. */
function open(k1: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined {
  if (ciphertext.length < MAC_BYTES + CONFOUNDER_BYTES) return undefined;
  const mac = ciphertext.subarray(0, MAC_BYTES);
  const k3 = hmacMd5(k1, mac);
  const clear = rc4(k3, ciphertext.subarray(MAC_BYTES));
  wipe(k3);
  if (!equal(hmacMd5(k1, clear), mac)) {
    wipe(clear);
    return undefined;
  }
  return clear.subarray(CONFOUNDER_BYTES);
}

/** By way of a string, which cannot be wiped: typed passwords only, for managed ones are UTF-16 from the start. */
function utf16Of(password: Uint8Array): Uint8Array {
  try {
    return Buffer.from(fromUtf8(password), 'utf16le');
  } catch (e) {
    throw new AdError('INVALID_ARGUMENT', 'the password is not UTF-8, which an arcfour-hmac key is made from', {}, e);
  }
}

export const rc4Hmac: EncryptionProfile = {
  etype: etype.RC4_HMAC,
  name: 'arcfour-hmac',
  aliases: ['rc4-hmac', 'arcfour-hmac-md5'],
  keyBytes: 16,
  cksumType: cksumType.HMAC_MD5,
  cksumBytes: MAC_BYTES,
  weak: true,
  /** RFC 4757 section 2: MD4 of the password in UTF-16 little endian. The salt does not enter. */
  async stringToKey(password, _salt, params) {
    if (params !== undefined && params.length > 0) {
      throw new AdError('ETYPE', `arcfour-hmac has no string-to-key parameters, ${params.length} bytes were given`);
    }
    const utf16 = utf16Of(password);
    try {
      return md4(utf16);
    } finally {
      wipe(utf16);
    }
  },
  utf16ToKey: md4,
  /** RFC 4757 leaves it open; Windows, MIT and Heimdal all take HMAC-SHA1 of the input under the key itself: 20 bytes. */
  prf: (key, input) => hmac(sha1, key, input),
  forUsage: (key, usage) => new Rc4UsageKeys(key, usage),
};
