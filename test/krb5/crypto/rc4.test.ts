import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hmac } from '@noble/hashes/hmac.js';
import { md5 } from '@noble/hashes/legacy.js';
import { concat, fromHex, hex, utf8 } from '../../../src/bytes.ts';
import { Key, md4, stringToKey } from '../../../src/krb5/crypto/index.ts';
import { rc4 } from '../../../src/krb5/crypto/rc4.ts';
import { runProgram } from '../../support/programs.ts';
import { loadVectors } from '../../support/vectors.ts';

const md4Vectors = loadVectors<{ vectors: { input: string; output: string }[] }>('rfc1320-md4').vectors;
const rc4Vectors = loadVectors<{ vectors: { key: string; stream: Record<string, string> }[] }>('rfc6229-rc4').vectors;
const mit = loadVectors<{ rc4StringToKey: { password: string; key: string }[] }>('mit-krb5-crypto');

describe('MD4, RFC 1320 A.5', () => {
  for (const { input, output } of md4Vectors) {
    test(`MD4("${input}")`, () => assert.equal(hex(md4(utf8(input))), output));
  }

  test('leaves its input as it was and gives a new array', () => {
    const input = utf8('abc');
    assert.notEqual(md4(input), md4(input));
    assert.deepEqual(input, utf8('abc'));
  });
});

describe('RC4, RFC 6229', () => {
  for (const { key, stream } of rc4Vectors) {
    test(`${key.length * 4}-bit key ${key.slice(0, 10)}..., offsets 0 to 4096`, () => {
      const keyStream = rc4(fromHex(key), new Uint8Array(4112));
      for (const [offset, bytes] of Object.entries(stream)) {
        assert.equal(hex(keyStream.subarray(Number(offset), Number(offset) + 16)), bytes, `offset ${offset}`);
      }
    });
  }
});

/** Answers of OpenSSL's legacy provider, which Node loads only when started so; undefined where it has none. */
async function legacyOpenSsl(code: string): Promise<unknown> {
  const args = ['--openssl-legacy-provider', '--eval', code];
  const { code: status, stdout } = await runProgram(process.execPath, args);
  return status === 0 ? JSON.parse(stdout) : undefined;
}

describe('against OpenSSL', () => {
  const pattern = 'Uint8Array.from({ length: n }, (_, i) => (i * 7 + n) & 255)';
  const data = (n: number) => Uint8Array.from({ length: n }, (_, i) => (i * 7 + n) & 255);
  const lengths = Array.from({ length: 200 }, (_, n) => n);

  test('MD4 of every length to 199 bytes', async (t) => {
    const expected = await legacyOpenSsl(`const { createHash } = require('node:crypto');
      const of = (n) => createHash('md4').update(${pattern}).digest('hex');
      console.log(JSON.stringify(Array.from({ length: 200 }, (_, n) => of(n))));`);
    if (expected === undefined) return t.skip('this OpenSSL has no legacy provider');
    assert.deepEqual(
      lengths.map((n) => hex(md4(data(n)))),
      expected,
    );
  });

  test('RC4 with keys of 5 to 32 bytes', async (t) => {
    const expected = await legacyOpenSsl(`const { createCipheriv } = require('node:crypto');
      const of = (n) => createCipheriv('rc4', ${pattern}, null).update(Buffer.alloc(300, n)).toString('hex');
      console.log(JSON.stringify(Array.from({ length: 28 }, (_, i) => of(i + 5))));`);
    if (expected === undefined) return t.skip('this OpenSSL has no legacy provider');
    assert.deepEqual(
      Array.from({ length: 28 }, (_, i) => hex(rc4(data(i + 5), new Uint8Array(300).fill(i + 5)))),
      expected,
    );
  });
});

describe('RC4-HMAC, RFC 4757', () => {
  const key = new Key(23, fromHex('ac8e657f83df82beea5d43bdaf7800cc'));

  for (const { password, key: expected } of mit.rc4StringToKey) {
    test(`string-to-key of "${password}"`, async () => {
      assert.equal(hex((await stringToKey(23, utf8(password), 'any salt')).value), expected);
    });
  }

  test('string-to-key takes UTF-16 of the password, beyond the first plane too', async () => {
    const expected = md4(fromHex('e4003dd800de'));
    assert.deepEqual((await stringToKey(23, utf8('\u00e4\u{1f600}'), '')).value, expected);
  });

  test('string-to-key refuses a password that is not UTF-8, and does not show it', async () => {
    const refused = stringToKey(23, Uint8Array.of(0x73, 0xff, 0x74), '');
    await assert.rejects(refused, { code: 'INVALID_ARGUMENT', message: /^the password is not UTF-8/ });
  });

  test('string-to-key has no parameters', async () => {
    await assert.rejects(stringToKey(23, utf8('x'), '', new Uint8Array(4)), { code: 'ETYPE' });
    assert.equal((await stringToKey(23, utf8('x'), '', new Uint8Array())).value.length, 16);
  });

  /** Section 5 written out once more, for a message type of choice. */
  function seal(messageType: number, plaintext: string): Uint8Array {
    const k1 = hmac(md5, key.value, Uint8Array.of(messageType, 0, 0, 0));
    const clear = concat(fromHex('0011223344556677'), utf8(plaintext));
    const mac = hmac(md5, k1, clear);
    return concat(mac, rc4(hmac(md5, k1, mac), clear));
  }

  test('AS-REP is sealed as message type 8', () => {
    assert.deepEqual(key.decrypt(3, seal(8, 'as-rep')), utf8('as-rep'));
    assert.throws(() => key.decrypt(3, seal(3, 'as-rep')), { code: 'INTEGRITY' });
  });

  test('TGS-REP under a subkey is sealed as 9, as Windows and MIT do', () => {
    const confounder = () => fromHex('0011223344556677');
    assert.deepEqual(key.encrypt(9, utf8('tgs-rep'), confounder), seal(9, 'tgs-rep'));
  });

  test('TGS-REP under a subkey is opened as 9 and as 8', () => {
    assert.deepEqual(key.decrypt(9, seal(9, 'tgs-rep')), utf8('tgs-rep'));
    assert.deepEqual(key.decrypt(9, seal(8, 'tgs-rep')), utf8('tgs-rep'));
    assert.throws(() => key.decrypt(9, seal(7, 'tgs-rep')), { code: 'INTEGRITY' });
  });

  test('GSS sign is message type 13', () => {
    const expected = key.checksum(13, utf8('data'));
    assert.deepEqual(key.checksum(23, utf8('data')), expected);
  });
});
