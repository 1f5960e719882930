import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MalformedError } from '../../src/errors.ts';
import { fuzz } from './fuzz.ts';

const seeds = [Uint8Array.of(1, 2, 3, 4), new Uint8Array(40).fill(9)];

describe('fuzz', () => {
  test('gives the same inputs for the same seed, others for another', () => {
    const collect = (seed: number) => {
      const seen: string[] = [];
      fuzz(seeds, (input) => seen.push(Buffer.from(input).toString('hex')), { iterations: 200, seed });
      return seen;
    };
    assert.deepEqual(collect(7), collect(7));
    assert.notDeepEqual(collect(7), collect(8));
  });

  test('counts what the decoder accepts and refuses', () => {
    const decode = (input: Uint8Array) => {
      if (input.length !== 4) throw new MalformedError('test', 'length');
    };
    const { accepted, refused } = fuzz(seeds, decode, { iterations: 300 });
    assert.equal(accepted + refused, 302);
    assert.ok(accepted > 20 && refused > 20);
  });

  test('fails on any other error and names the input', () => {
    const decode = (input: Uint8Array) => {
      if (input[0] !== 1) throw new RangeError('out of bounds');
    };
    assert.throws(
      () => fuzz(seeds.slice(0, 1), decode, { iterations: 500 }),
      /seed 1.*RangeError: out of bounds.*: [0-9a-f]+/,
    );
  });

  test('fails when the decoder writes to its input', () => {
    assert.throws(() => fuzz(seeds, (input) => input.fill(0), { iterations: 1 }), /changed its input/);
  });

  test('keeps inputs within the bound', () => {
    fuzz(seeds, (input) => assert.ok(input.length <= 41), { iterations: 2000, maxBytes: 41, allow: () => false });
  });
});
