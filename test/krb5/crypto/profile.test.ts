import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hex, utf8 } from '../../../src/bytes.ts';
import { DEFAULT_ETYPES, etypeByName, etypeName, findProfile, profileOf } from '../../../src/krb5/crypto/index.ts';
import { nfold } from '../../../src/krb5/crypto/profile.ts';
import { loadVectors } from '../../support/vectors.ts';

const { vectors } = loadVectors<{ vectors: { input: string; bits: number; output: string }[] }>('rfc3961-nfold');

describe('n-fold, RFC 3961 A.1', () => {
  for (const { input, bits, output } of vectors) {
    test(`${bits}-fold("${input}")`, () => {
      assert.equal(hex(nfold(utf8(input), bits / 8)), output);
    });
  }

  test('of its own length is the input', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (input) => {
        assert.deepEqual(nfold(input, input.length), input);
      }),
    );
  });
});

describe('the table of encryption types', () => {
  test("offers the strong types only, in the order of MIT's default", () => {
    assert.deepEqual(DEFAULT_ETYPES, [18, 17, 20, 19]);
  });

  test('knows every name MIT takes, in any case', () => {
    const names = {
      'aes256-cts-hmac-sha1-96': 18,
      'aes256-cts': 18,
      'AES256-SHA1': 18,
      'aes128-cts-hmac-sha1-96': 17,
      'aes128-cts': 17,
      'aes128-sha1': 17,
      'aes256-cts-hmac-sha384-192': 20,
      'aes256-sha2': 20,
      'aes128-cts-hmac-sha256-128': 19,
      'aes128-sha2': 19,
      'arcfour-hmac': 23,
      'rc4-hmac': 23,
      'arcfour-hmac-md5': 23,
    };
    for (const [name, etype] of Object.entries(names)) assert.equal(etypeByName(name), etype, name);
    assert.equal(etypeByName('des-cbc-crc'), undefined);
    assert.equal(etypeByName('constructor'), undefined);
  });

  test('prints names as klist does', () => {
    assert.equal(etypeName(18), 'aes256-cts-hmac-sha1-96');
    assert.equal(etypeName(23), 'DEPRECATED:arcfour-hmac');
    assert.equal(etypeName(99), 'etype 99');
  });

  test('gives the checksum type of each etype, RFC 3962 section 7, RFC 8009 section 6 and RFC 4757 section 4', () => {
    const of = (etype: number) => [profileOf(etype).cksumType, profileOf(etype).cksumBytes, profileOf(etype).keyBytes];
    assert.deepEqual([17, 18, 19, 20, 23].map(of), [
      [15, 12, 16],
      [16, 12, 32],
      [19, 16, 16],
      [20, 24, 32],
      [-138, 16, 16],
    ]);
  });

  test('refuses an unknown etype by name of the error', () => {
    assert.equal(findProfile(3), undefined);
    assert.throws(() => profileOf(3), { code: 'ETYPE', details: { etype: 3 } });
  });
});
