import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { describe, test } from 'node:test';
import { sha1 } from '@noble/hashes/legacy.js';
import { pbkdf2 as noblePbkdf2 } from '@noble/hashes/pbkdf2.js';
import { sha256, sha384 } from '@noble/hashes/sha2.js';
import fc from 'fast-check';
import { fromHex, hex, utf8 } from '../../../src/bytes.ts';
import { ctsDecrypt, ctsEncrypt } from '../../../src/krb5/crypto/cts.ts';
import { MAX_ITERATIONS, MIN_ITERATIONS, stringToKey } from '../../../src/krb5/crypto/index.ts';
import { pbkdf2 } from '../../../src/krb5/crypto/pbkdf2.ts';
import { loadVectors } from '../../support/vectors.ts';

const vectors = loadVectors<{
  stringToKey: { iterations: number; password: string; salt: string; pbkdf2: string; key17: string; key18: string }[];
  cts: { key: string; vectors: { input: string; output: string }[] };
}>('rfc3962');

function iterations(count: number): Uint8Array {
  const params = new Uint8Array(4);
  new DataView(params.buffer).setUint32(0, count);
  return params;
}

describe('string-to-key, RFC 3962 B', () => {
  const anyCount = { minIterations: 1 };
  for (const [i, v] of vectors.stringToKey.entries()) {
    const [password, salt] = [fromHex(v.password), fromHex(v.salt)];
    const name = `${i + 1}: ${v.iterations} iterations, ${password.length} bytes of password`;

    test(`PBKDF2 ${name}`, async () => {
      assert.equal(hex(await pbkdf2('sha1', password, salt, v.iterations, 32)), v.pbkdf2);
      assert.equal(hex(await pbkdf2('sha1', password, salt, v.iterations, 16)), v.pbkdf2.slice(0, 32));
    });

    test(`128-bit key ${name}`, async () => {
      const key = await stringToKey(17, password, salt, iterations(v.iterations), anyCount);
      assert.equal(hex(key.value), v.key17);
    });

    test(`256-bit key ${name}`, async () => {
      const key = await stringToKey(18, password, salt, iterations(v.iterations), anyCount);
      assert.equal(hex(key.value), v.key18);
    });
  }

  test('without parameters is 4,096 iterations', async () => {
    const bare = await stringToKey(18, utf8('password'), 'EXAMPLE.COMuser');
    const named = await stringToKey(18, utf8('password'), utf8('EXAMPLE.COMuser'), iterations(4096));
    assert.deepEqual(bare.value, named.value);
  });
});

describe('string-to-key parameters of a forged answer', () => {
  const make = (params: Uint8Array) => stringToKey(18, utf8('password'), 'salt', params);

  for (const count of [1, 1200, MIN_ITERATIONS - 1]) {
    test(`${count} iterations are too few`, async () => {
      await assert.rejects(make(iterations(count)), { code: 'ETYPE', message: new RegExp(`refusing ${count} `) });
    });
  }

  test('more than the limit is refused', async () => {
    await assert.rejects(make(iterations(MAX_ITERATIONS + 1)), { code: 'ETYPE' });
    await assert.rejects(make(iterations(0xffffffff)), { code: 'ETYPE' });
  });

  test('zero means 2^32 and is refused', async () => {
    await assert.rejects(make(iterations(0)), { code: 'ETYPE', message: /refusing 4294967296/ });
  });

  test('another length than four bytes is refused', async () => {
    for (const length of [0, 1, 3, 5, 8]) await assert.rejects(make(new Uint8Array(length)), { code: 'ETYPE' });
  });

  test('the least count is taken', async () => {
    assert.equal((await make(iterations(MIN_ITERATIONS))).value.length, 32);
  });
});

describe('PBKDF2 in the thread pool', () => {
  for (const [name, hash] of [
    ['sha1', sha1],
    ['sha256', sha256],
    ['sha384', sha384],
  ] as const) {
    test(`equals the reference with ${name}`, async () => {
      const inputs = fc.record({
        password: fc.uint8Array({ maxLength: 200 }),
        salt: fc.uint8Array({ maxLength: 80 }),
        c: fc.integer({ min: 1, max: 20 }),
        dkLen: fc.integer({ min: 1, max: 100 }),
      });
      const property = fc.asyncProperty(inputs, async ({ password, salt, c, dkLen }) => {
        assert.deepEqual(await pbkdf2(name, password, salt, c, dkLen), noblePbkdf2(hash, password, salt, { c, dkLen }));
      });
      await fc.assert(property, { numRuns: 50 });
    });
  }

  test('has copied the password when it returns, so that the caller may wipe it', async () => {
    const password = utf8('to be wiped at once');
    const stretched = pbkdf2('sha1', password, utf8('salt'), 4096, 16);
    const expected = noblePbkdf2(sha1, password.slice(), utf8('salt'), { c: 4096, dkLen: 16 });
    password.fill(0);
    assert.deepEqual(await stretched, expected);
  });
});

describe('CBC with ciphertext stealing, RFC 3962 B', () => {
  const key = fromHex(vectors.cts.key);
  for (const { input, output } of vectors.cts.vectors) {
    test(`encrypts ${input.length / 2} bytes`, () => assert.equal(hex(ctsEncrypt(key, fromHex(input))), output));
    test(`decrypts ${input.length / 2} bytes`, () => assert.equal(hex(ctsDecrypt(key, fromHex(output))), input));
  }

  test('equals OpenSSL CBC of the zero-padded text with the last two blocks swapped', () => {
    const property = fc.property(fc.uint8Array({ minLength: 17, maxLength: 200 }), (data) => {
      const whole = Math.ceil(data.length / 16) * 16;
      const cipher = createCipheriv('aes-128-cbc', key, new Uint8Array(16)).setAutoPadding(false);
      const cbc = cipher.update(Buffer.concat([data, new Uint8Array(whole - data.length)]));
      const swapped = Buffer.concat([cbc.subarray(0, -32), cbc.subarray(-16), cbc.subarray(-32, -16)]);
      assert.equal(hex(ctsEncrypt(key, data)), hex(swapped.subarray(0, data.length)));
    });
    fc.assert(property);
  });

  test('one block is plain CBC', () => {
    const block = fromHex('49206c696b65207468652067656e7421');
    const cipher = createCipheriv('aes-128-cbc', key, new Uint8Array(16)).setAutoPadding(false);
    assert.equal(hex(ctsEncrypt(key, block)), hex(cipher.update(block)));
  });

  test('leaves its inputs as they were', () => {
    const property = fc.property(fc.uint8Array({ minLength: 16, maxLength: 100 }), (data) => {
      const before = data.slice();
      const sealed = ctsEncrypt(key, data);
      const sealedBefore = sealed.slice();
      assert.deepEqual(ctsDecrypt(key, sealed), before);
      assert.deepEqual([data, sealed], [before, sealedBefore]);
    });
    fc.assert(property);
  });
});
