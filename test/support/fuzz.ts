/**
 * Seeded mutation fuzz for decoders. The same seed gives the same inputs on every machine, so a failure found here is
 * a test that fails again.
 */
import assert from 'node:assert/strict';
import { MalformedError } from '../../src/errors.ts';

export interface FuzzOptions {
  /** How many mutated inputs to try; each seed input itself is tried first. Default 5,000. */
  readonly iterations?: number;
  readonly seed?: number;
  /** Longest input made, in bytes. Default twice the longest seed input plus 64. */
  readonly maxBytes?: number;
  /** Errors other than MalformedError that the decoder documents. Default none. */
  readonly allow?: (error: unknown) => boolean;
}

export interface FuzzResult {
  readonly accepted: number;
  readonly refused: number;
}

/**
 * Feeds `decode` every seed input and then mutations of them, and asserts that it returns or throws MalformedError,
 * and leaves its input as it was. Inputs are views in the middle of a larger array, so that a decoder that forgets the
 * view's bounds reads bytes it was not given.
 * @returns how many inputs were accepted and refused: a fuzz that refuses everything, or nothing, tests little
 */
export function fuzz(
  seedInputs: readonly Uint8Array[],
  decode: (input: Uint8Array) => unknown,
  options: FuzzOptions = {},
): FuzzResult {
  const { iterations = 5_000, seed = 1, allow = () => false } = options;
  assert.ok(seedInputs.length > 0, 'a fuzz needs at least one seed input');
  const maxBytes = options.maxBytes ?? 2 * Math.max(...seedInputs.map((s) => s.length)) + 64;
  const random = new Random(seed);
  let accepted = 0;
  for (let i = 0; i < seedInputs.length + iterations; i++) {
    const bytes = seedInputs[i] ?? mutate(seedInputs, random, maxBytes);
    const input = guarded(bytes);
    try {
      decode(input);
      accepted++;
    } catch (e) {
      if (!(e instanceof MalformedError) && !allow(e)) {
        const note = `input ${i} of seed ${seed} made the decoder throw ${e}: ${toHex(bytes)}`;
        throw new assert.AssertionError({ message: note, actual: e, expected: MalformedError });
      }
    }
    assert.deepEqual(input, bytes, `the decoder changed its input ${i} of seed ${seed}: ${toHex(bytes)}`);
  }
  return { accepted, refused: seedInputs.length + iterations - accepted };
}

/** A small generator with 32 bits of state (Marsaglia's xorshift); enough to vary inputs, not for secrets. */
export class Random {
  #state: number;

  constructor(seed: number) {
    // A multiplier spreads small seeds over the state; zero is the one state the generator never leaves.
    this.#state = Math.imul(seed, 0x9e3779b1) >>> 0 || 0x9e3779b1;
  }

  u32(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }

  /** An integer from 0 up to and without `limit`; 0 when `limit` is below 1. */
  below(limit: number): number {
    return limit < 1 ? 0 : this.u32() % limit;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  bytes(n: number): Uint8Array {
    return Uint8Array.from({ length: n }, () => this.u32() >>> 24);
  }
}

/** Values that sit at the edges of lengths, signs and DER forms. */
const EDGE_BYTES = [0x00, 0x01, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xfe, 0xff];

/** Each takes one step away from its input; `other` is another seed input to splice from. */
const MUTATIONS: readonly ((input: Uint8Array, random: Random, other: Uint8Array) => Uint8Array)[] = [
  function flipBit(input, random) {
    const at = random.below(input.length);
    return patched(input, at, Uint8Array.of((input[at] ?? 0) ^ (1 << random.below(8))));
  },
  function setByte(input, random) {
    return patched(input, random.below(input.length), random.bytes(1));
  },
  function setEdgeByte(input, random) {
    return patched(input, random.below(input.length), Uint8Array.of(random.pick(EDGE_BYTES)));
  },
  function setWord(input, random) {
    const width = random.pick([2, 4, 8]);
    const word = new Uint8Array(width).fill(random.pick([0x00, 0x7f, 0xff]));
    word[random.pick([0, width - 1])] = random.pick(EDGE_BYTES);
    return patched(input, random.below(input.length), word);
  },
  function addToByte(input, random) {
    const at = random.below(input.length);
    return patched(input, at, Uint8Array.of((input[at] ?? 0) + random.pick([-2, -1, 1, 2])));
  },
  function truncate(input, random) {
    return input.slice(0, random.below(input.length));
  },
  function cut(input, random) {
    const at = random.below(input.length);
    return splice(input, at, at + 1 + random.below(8), new Uint8Array());
  },
  function insert(input, random) {
    const at = random.below(input.length + 1);
    return splice(input, at, at, random.bytes(1 + random.below(8)));
  },
  function repeat(input, random) {
    const from = random.below(input.length);
    const to = from + 1 + random.below(32);
    return splice(input, to, to, input.subarray(from, to));
  },
  function cross(input, random, other) {
    const at = random.below(Math.min(input.length, other.length));
    return splice(input, at, input.length, other.subarray(at));
  },
];

function mutate(seeds: readonly Uint8Array[], random: Random, maxBytes: number): Uint8Array {
  let bytes = random.pick(seeds);
  for (let steps = 1 + random.below(4); steps > 0; steps--) {
    bytes = random.pick(MUTATIONS)(bytes, random, random.pick(seeds)).subarray(0, maxBytes);
  }
  return bytes;
}

function patched(input: Uint8Array, at: number, bytes: Uint8Array): Uint8Array {
  const out = input.slice();
  out.set(bytes.subarray(0, Math.max(0, input.length - at)), at);
  return out;
}

function splice(input: Uint8Array, from: number, to: number, middle: Uint8Array): Uint8Array {
  return new Uint8Array([...input.subarray(0, from), ...middle, ...input.subarray(to)]);
}

function guarded(bytes: Uint8Array): Uint8Array {
  const around = new Uint8Array(bytes.length + 32).fill(0xa5);
  around.set(bytes, 16);
  return around.subarray(16, 16 + bytes.length);
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
