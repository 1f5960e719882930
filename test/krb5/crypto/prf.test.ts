import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromHex, hex, utf8 } from '../../../src/bytes.ts';
import { cf2, Key, prfPlus, stringToKey } from '../../../src/krb5/crypto/index.ts';
import { loadVectors } from '../../support/vectors.ts';

const vectors = loadVectors<{
  prf: { etype: number; key: string; input: string; output: string }[];
  cf2: { etype: number; output: string }[];
}>('mit-krb5-prf');

describe('PRF', () => {
  for (const v of vectors.prf) {
    test(`etype ${v.etype}, ${v.key.slice(0, 8)}... of ${v.input}`, () => {
      assert.equal(hex(new Key(v.etype, fromHex(v.key)).prf(fromHex(v.input))), v.output);
    });
  }

  test('does nothing once the key is destroyed', () => {
    const key = Key.generate(18);
    key.destroy();
    assert.throws(() => key.prf(utf8('x')), { code: 'INVALID_ARGUMENT' });
  });
});

describe('PRF+, RFC 6113 5.1', () => {
  const key = new Key(17, new Uint8Array(16).fill(3));

  test('is the PRF of the pepper after a counter that begins with one', () => {
    const blocks = [1, 2, 3].map((n) => hex(key.prf(Uint8Array.of(n, ...utf8('pepper')))));
    assert.equal(hex(prfPlus(key, utf8('pepper'), 48)), blocks.join(''));
  });

  test('is cut to the length wanted', () => {
    const long = hex(prfPlus(key, utf8('pepper'), 64));
    for (const n of [0, 1, 15, 16, 17, 63]) assert.equal(hex(prfPlus(key, utf8('pepper'), n)), long.slice(0, 2 * n));
  });

  test('ends where its counter of one octet does', () => {
    assert.equal(prfPlus(key, utf8('p'), 255 * 16).length, 4080);
    assert.throws(() => prfPlus(key, utf8('p'), 255 * 16 + 1), { code: 'INVALID_ARGUMENT' });
  });
});

describe('KRB-FX-CF2, RFC 6113 5.1', () => {
  for (const v of vectors.cf2) {
    test(`etype ${v.etype}`, async () => {
      const [one, other] = await Promise.all(['key1', 'key2'].map((text) => stringToKey(v.etype, utf8(text), text)));
      const combined = cf2(one!, other!, 'a', 'b');
      assert.equal(combined.etype, v.etype);
      assert.equal(hex(combined.value), v.output);
    });
  }

  test('of keys of two types gives one of the first', () => {
    const [aes, rc4] = [Key.generate(18), Key.generate(23)];
    assert.equal(cf2(aes, rc4, 'a', 'b').etype, 18);
    assert.equal(cf2(rc4, aes, 'a', 'b').etype, 23);
  });

  test('leaves both keys as they were', () => {
    const [one, other] = [Key.generate(17), Key.generate(17)];
    const before = [hex(one.value), hex(other.value)];
    cf2(one, other, 'a', 'b').destroy();
    assert.deepEqual([hex(one.value), hex(other.value)], before);
  });
});
