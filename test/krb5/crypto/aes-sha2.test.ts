import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sha256, sha384 } from '@noble/hashes/sha2.js';
import { fromHex, hex, utf8 } from '../../../src/bytes.ts';
import { kdfHmacSha2 } from '../../../src/krb5/crypto/aes-sha2.ts';
import { Key, stringToKey } from '../../../src/krb5/crypto/index.ts';
import { loadVectors } from '../../support/vectors.ts';

interface Vectors {
  stringToKey: { etype: number; iterations: number; password: string; salt: string; key: string }[];
  derive: { etype: number; key: string; kc: string; ke: string; ki: string }[];
  encrypt: { etype: number; key: string; plaintext: string; confounder: string; ciphertext: string }[];
  checksum: { etype: number; key: string; data: string; checksum: string }[];
  prf: { etype: number; key: string; input: string; output: string }[];
}
const vectors = loadVectors<Vectors>('rfc8009');
const USAGE = 2;
const DEFAULT = 32_768;

function iterations(count: number): Uint8Array {
  const params = new Uint8Array(4);
  new DataView(params.buffer).setUint32(0, count);
  return params;
}

describe('RFC 8009 A', () => {
  for (const v of vectors.stringToKey) {
    test(`string-to-key, etype ${v.etype}`, async () => {
      const key = await stringToKey(v.etype, utf8(v.password), fromHex(v.salt), iterations(v.iterations));
      assert.equal(hex(key.value), v.key);
    });
  }

  for (const v of vectors.derive) {
    const hash = v.etype === 19 ? sha256 : sha384;
    for (const [name, octet] of [
      ['kc', '99'],
      ['ke', 'aa'],
      ['ki', '55'],
    ] as const) {
      test(`KDF-HMAC-SHA2, etype ${v.etype}, ${name}`, () => {
        const label = fromHex(`00000002${octet}`);
        const derived = kdfHmacSha2(hash, fromHex(v.key), label, new Uint8Array(), v[name].length / 2);
        assert.equal(hex(derived), v[name]);
      });
    }
  }

  for (const v of vectors.encrypt) {
    const key = new Key(v.etype, fromHex(v.key));
    test(`etype ${v.etype} seals ${v.plaintext.length / 2} bytes`, () => {
      const sealed = key.encrypt(USAGE, fromHex(v.plaintext), () => fromHex(v.confounder));
      assert.equal(hex(sealed), v.ciphertext);
    });
    test(`etype ${v.etype} opens ${v.plaintext.length / 2} bytes`, () => {
      assert.equal(hex(key.decrypt(USAGE, fromHex(v.ciphertext))), v.plaintext);
    });
  }

  for (const v of vectors.checksum) {
    test(`checksum, etype ${v.etype}`, () => {
      assert.equal(hex(new Key(v.etype, fromHex(v.key)).checksum(USAGE, fromHex(v.data))), v.checksum);
    });
  }

  for (const v of vectors.prf) {
    test(`PRF, etype ${v.etype}`, () => {
      assert.equal(hex(new Key(v.etype, fromHex(v.key)).prf(fromHex(v.input))), v.output);
    });
  }
});

describe('string-to-key parameters of RFC 8009', () => {
  for (const etype of [19, 20]) {
    test(`etype ${etype} stretches ${DEFAULT} times where the KDC names no count`, async () => {
      const bare = await stringToKey(etype, utf8('password'), 'salt');
      const named = await stringToKey(etype, utf8('password'), 'salt', iterations(DEFAULT));
      assert.deepEqual(bare.value, named.value);
    });

    test(`etype ${etype} refuses fewer, which a forged answer could ask for`, async () => {
      for (const count of [1, 4096, DEFAULT - 1]) {
        await assert.rejects(stringToKey(etype, utf8('password'), 'salt', iterations(count)), { code: 'ETYPE' });
      }
    });

    test(`etype ${etype} takes fewer where the caller's policy does`, async () => {
      const key = await stringToKey(etype, utf8('password'), 'salt', iterations(4096), { minIterations: 4096 });
      assert.notDeepEqual(key.value, (await stringToKey(etype, utf8('password'), 'salt')).value);
    });
  }

  test('the two types make different keys of one password, as their names are salt too', async () => {
    const keys = await Promise.all([19, 20].map((etype) => stringToKey(etype, utf8('password'), 'salt')));
    assert.notEqual(hex(keys[0]!.value), hex(keys[1]!.value).slice(0, 32));
  });
});
