import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromHex, hex, utf8 } from '../../../src/bytes.ts';
import { checksumByType, checksumBytes, Key, profileOf, verifyChecksumByType } from '../../../src/krb5/crypto/index.ts';
import { cksumType } from '../../../src/krb5/numbers.ts';
import { loadVectors } from '../../support/vectors.ts';

const mit = loadVectors<{ checksum: { etype: number; usage: number; data: string; key: string; checksum: string }[] }>(
  'mit-krb5-crypto',
);
const rfc8009 = loadVectors<{ checksum: { etype: number; data: string; key: string; checksum: string }[] }>('rfc8009');
const vectors = [
  ...mit.checksum.map((v) => ({ ...v, data: utf8(v.data) })),
  ...rfc8009.checksum.map((v) => ({ ...v, usage: 2, data: fromHex(v.data) })),
];
const DATA = utf8('signed');

describe('checksums by type', () => {
  for (const v of vectors) {
    const type = profileOf(v.etype).cksumType;
    test(`type ${type} of MIT's and RFC 8009's vectors`, () => {
      const key = new Key(v.etype, fromHex(v.key));
      assert.equal(hex(checksumByType(type, key, v.usage, v.data)), v.checksum);
      assert.equal(checksumBytes(type), v.checksum.length / 2);
      assert.equal(verifyChecksumByType(type, key, v.usage, v.data, fromHex(v.checksum)), true);
    });
  }

  test('a changed, cut or longer one is refused', () => {
    const key = Key.generate(18);
    const made = checksumByType(cksumType.HMAC_SHA1_96_AES256, key, 17, DATA);
    for (const other of [made.map((b, i) => (i ? b : b ^ 1)), made.subarray(1), Uint8Array.of(...made, 0), utf8('')]) {
      assert.equal(verifyChecksumByType(cksumType.HMAC_SHA1_96_AES256, key, 17, DATA, other), false);
    }
  });

  test('HMAC-MD5 is made with a key of any type, and differs from the key\u2019s own', () => {
    for (const etype of [17, 18, 19, 20, 23]) {
      const key = Key.generate(etype);
      const made = checksumByType(cksumType.HMAC_MD5, key, 17, DATA);
      assert.equal(made.length, 16);
      assert.equal(verifyChecksumByType(cksumType.HMAC_MD5, key, 17, DATA, made), true);
      assert.equal(key.verifyChecksum(17, DATA, made), etype === 23);
    }
  });

  test('another type wants a key of its etype', () => {
    const key = Key.generate(17);
    const wrong = () => checksumByType(cksumType.HMAC_SHA1_96_AES256, key, 17, DATA);
    assert.throws(wrong, { code: 'ETYPE', message: /made with a key of aes256-cts-hmac-sha1-96, not of aes128/ });
  });

  test('an unknown type is named', () => {
    assert.throws(() => checksumByType(7, Key.generate(18), 17, DATA), { code: 'ETYPE', details: { cksumType: 7 } });
    assert.equal(checksumBytes(7), undefined);
  });

  test('a destroyed key makes none', () => {
    const key = Key.generate(18);
    key.destroy();
    for (const type of [cksumType.HMAC_MD5, cksumType.HMAC_SHA1_96_AES256]) {
      assert.throws(() => checksumByType(type, key, 17, DATA), { code: 'INVALID_ARGUMENT' });
    }
  });
});
