/** RFC 6113 section 5.1: pseudo-random bytes of any number, and the combination of two keys into one. */
import { concat, utf8, wipe } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import { Key } from './key.ts';
import { profileOf } from './table.ts';

/** The block counter is one octet. */
const MAX_BLOCKS = 255;

/**
 * PRF+(key, pepper): "pseudo-random(K, 1 || pepper) || pseudo-random(K, 2 || pepper) || ..." cut to the length wanted.
 * @param bytes how many are wanted; at most 255 times what the etype's pseudo-random function gives
 * @throws AdError INVALID_ARGUMENT for more
 */
export function prfPlus(key: Key, pepper: Uint8Array, bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  for (let at = 0, n = 1; at < bytes; n++) {
    if (n > MAX_BLOCKS) throw new AdError('INVALID_ARGUMENT', `PRF+ does not give as many as ${bytes} bytes`);
    const block = key.prf(concat(Uint8Array.of(n), pepper));
    out.set(block.subarray(0, bytes - at), at);
    at += block.length;
    wipe(block);
  }
  return out;
}

/**
 * KRB-FX-CF2(key1, key2, pepper1, pepper2): a key that needs both to be known. FAST makes its armor and reply keys with it.
 * @param pepper1 for `key1`, in ASCII: 'subkeyarmor', 'strengthenkey', 'clientchallengearmor' ...
 * @returns a key of `key1`'s etype; the two keys stay the caller's
 */
export function cf2(key1: Key, key2: Key, pepper1: string, pepper2: string): Key {
  const { keyBytes } = profileOf(key1.etype);
  const one = prfPlus(key1, utf8(pepper1), keyBytes);
  const other = prfPlus(key2, utf8(pepper2), keyBytes);
  for (let i = 0; i < keyBytes; i++) one[i]! ^= other[i]!;
  try {
    // random-to-key is the identity for every type here.
    return new Key(key1.etype, one);
  } finally {
    wipe(one, other);
  }
}
