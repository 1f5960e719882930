/** AES in CBC mode with ciphertext stealing (RFC 3962 section 5), the cipher of every AES type of Kerberos. */
import { cbc, ecb } from '@noble/ciphers/aes.js';
import { copy, wipe } from '../../bytes.ts';

/** Cipher block and confounder. */
export const BLOCK_BYTES = 16;
const ZERO_IV = new Uint8Array(BLOCK_BYTES);
const RAW = { disablePadding: true } as const;

/** Whole blocks in CBC mode with a zero vector. */
export const cbcEncrypt = (key: Uint8Array, blocks: Uint8Array): Uint8Array => cbc(key, ZERO_IV, RAW).encrypt(blocks);

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
