/** MD4 (RFC 1320). Broken as a hash since 1995; here only because RFC 4757 makes RC4 keys with it. */
import { HashMD } from '@noble/hashes/_md.js';
import { createHasher } from '@noble/hashes/utils.js';

/** Section 3.3: the initial value of the buffer A, B, C, D. */
const INITIAL = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476] as const;

/**
 * Section 3.4, one row a round: the function of B, C and D, the constant added, the order in which the block's words
 * are taken, and the four rotations that repeat.
 */
const ROUNDS = [
  {
    mix: (x: number, y: number, z: number) => (x & y) | (~x & z),
    add: 0,
    words: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    rotations: [3, 7, 11, 19],
  },
  {
    mix: (x: number, y: number, z: number) => (x & y) | (x & z) | (y & z),
    add: 0x5a827999,
    words: [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15],
    rotations: [3, 5, 9, 13],
  },
  {
    mix: (x: number, y: number, z: number) => x ^ y ^ z,
    add: 0x6ed9eba1,
    words: [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15],
    rotations: [3, 9, 11, 15],
  },
] as const;

class Md4 extends HashMD<Md4> {
  #a: number = INITIAL[0];
  #b: number = INITIAL[1];
  #c: number = INITIAL[2];
  #d: number = INITIAL[3];

  constructor() {
    super(64, 16, 8, true);
  }

  protected get(): number[] {
    return [this.#a, this.#b, this.#c, this.#d];
  }

  protected set(a: number, b: number, c: number, d: number): void {
    this.#a = a | 0;
    this.#b = b | 0;
    this.#c = c | 0;
    this.#d = d | 0;
  }

  protected process(view: DataView, offset: number): void {
    let [a, b, c, d] = this.get() as [number, number, number, number];
    for (const { mix, add, words, rotations } of ROUNDS) {
      for (let i = 0; i < 16; i++) {
        const sum = (a + mix(b, c, d) + view.getUint32(offset + 4 * words[i]!, true) + add) | 0;
        const by = rotations[i % 4]!;
        [a, b, c, d] = [d, (sum << by) | (sum >>> (32 - by)), b, c];
      }
    }
    this.set(this.#a + a, this.#b + b, this.#c + c, this.#d + d);
  }

  protected roundClean(): void {}

  destroy(): void {
    this.destroyed = true;
    this.set(0, 0, 0, 0);
    this.buffer.fill(0);
  }

  _cloneInto(to: Md4 = new Md4()): Md4 {
    to.set(...(this.get() as [number, number, number, number]));
    return this._cloneIntoMeta(to);
  }
}

const hasher = createHasher(() => new Md4());

/** @returns 16 bytes */
export function md4(data: Uint8Array): Uint8Array {
  return hasher(data);
}
