import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { fromHex, hex, utf8 } from '../../../src/bytes.ts';
import { isAdError } from '../../../src/errors.ts';
import { ctsEncrypt } from '../../../src/krb5/crypto/cts.ts';
import { Key, profileOf } from '../../../src/krb5/crypto/index.ts';
import { deriveKey } from '../../../src/krb5/crypto/profile.ts';
import { fuzz, Random } from '../../support/fuzz.ts';
import { loadVectors } from '../../support/vectors.ts';

const ETYPES = [17, 18, 19, 20, 23];
const mit = loadVectors<{
  decrypt: { etype: number; usage: number; plaintext: string; key: string; ciphertext: string }[];
  checksum: { etype: number; usage: number; data: string; key: string; checksum: string }[];
  derive: { etype: number; key: string; constant: string; derived: string }[];
}>('mit-krb5-crypto');

/** Keys that are the same in every run. */
const seeded = new Random(3961);
const fixedKeys = ETYPES.map((etype) => Key.generate(etype, (n) => seeded.bytes(n)));
const anyKey = fc.constantFrom(...fixedKeys);
const anyUsage = fc.integer({ min: 0, max: 0x7fffffff });
const anyData = fc.uint8Array({ maxLength: 300 });

describe('MIT krb5 vectors', () => {
  for (const v of mit.decrypt) {
    test(`etype ${v.etype} decrypts "${v.plaintext}" under usage ${v.usage}`, () => {
      const key = new Key(v.etype, fromHex(v.key));
      assert.deepEqual(key.decrypt(v.usage, fromHex(v.ciphertext)), utf8(v.plaintext));
    });
  }

  for (const v of mit.checksum) {
    test(`etype ${v.etype} checksum of "${v.data}" under usage ${v.usage}`, () => {
      const key = new Key(v.etype, fromHex(v.key));
      assert.equal(hex(key.checksum(v.usage, utf8(v.data))), v.checksum);
      assert.equal(key.verifyChecksum(v.usage, utf8(v.data), fromHex(v.checksum)), true);
    });
  }

  for (const v of mit.derive) {
    test(`etype ${v.etype} DK with ${v.constant}`, () => {
      const cbcEncrypt = (key: Uint8Array, blocks: Uint8Array) => {
        const out = ctsEncrypt(key, blocks);
        // Stealing on whole blocks only swaps the last two; swapped back it is CBC.
        return blocks.length === 16 ? out : Uint8Array.from([...out.slice(16), ...out.slice(0, 16)]);
      };
      const aes = { keyBytes: profileOf(v.etype).keyBytes, blockBytes: 16, cbcEncrypt };
      assert.equal(hex(deriveKey(aes, fromHex(v.key), fromHex(v.constant))), v.derived);
    });
  }
});

describe('Key', () => {
  test('opens what it sealed, for any data, usage and etype', () => {
    const property = fc.property(anyKey, anyUsage, anyData, (key, usage, data) => {
      const before = data.slice();
      const sealed = key.encrypt(usage, data);
      assert.deepEqual(key.decrypt(usage, sealed), before);
      assert.deepEqual(data, before);
    });
    fc.assert(property);
  });

  test('opens every length across three blocks', () => {
    for (const key of fixedKeys) {
      for (let n = 0; n <= 64; n++) {
        const data = new Uint8Array(n).fill(n);
        assert.deepEqual(key.decrypt(1, key.encrypt(1, data)), data);
      }
    }
  });

  test('leaves what it is given as it was, also a Buffer, whose slice() is a view', () => {
    for (const key of fixedKeys) {
      const data = Buffer.from('some text that is longer than two blocks of the cipher');
      const sealed = Buffer.from(key.encrypt(7, data));
      const [dataWas, sealedWas] = [hex(data), hex(sealed)];
      key.encrypt(7, data);
      key.decrypt(7, sealed);
      assert.equal(hex(data), dataWas);
      assert.equal(hex(sealed), sealedWas);
    }
  });

  test('adds 28 bytes with AES and SHA-1, 32 or 40 with SHA-2, and 24 with RC4', () => {
    const added = fixedKeys.map((key) => key.encrypt(7, new Uint8Array(33)).length - 33);
    assert.deepEqual(added, [28, 28, 32, 40, 24]);
  });

  test('never seals the same text to the same bytes', () => {
    for (const key of fixedKeys) assert.notDeepEqual(key.encrypt(1, utf8('x')), key.encrypt(1, utf8('x')));
  });

  test('refuses a flipped bit anywhere', () => {
    for (const key of fixedKeys) {
      const sealed = key.encrypt(7, utf8('thirty-three bytes of plain text.'));
      for (let bit = 0; bit < sealed.length * 8; bit++) {
        const changed = sealed.slice();
        changed[bit >> 3]! ^= 1 << (bit & 7);
        assert.throws(() => key.decrypt(7, changed), { code: 'INTEGRITY' }, `etype ${key.etype}, bit ${bit}`);
      }
    }
  });

  test('refuses every truncation and an added byte', () => {
    for (const key of fixedKeys) {
      const sealed = key.encrypt(7, utf8('some plain text'));
      for (let n = 0; n < sealed.length; n++) {
        assert.throws(() => key.decrypt(7, sealed.subarray(0, n)), { code: 'INTEGRITY' });
      }
      assert.throws(() => key.decrypt(7, Uint8Array.from([...sealed, 0])), { code: 'INTEGRITY' });
    }
  });

  test('refuses the right bytes under another usage', () => {
    for (const key of fixedKeys) {
      const sealed = key.encrypt(11, utf8('authenticator'));
      for (const usage of [0, 1, 7, 10, 12, 22]) {
        assert.throws(() => key.decrypt(usage, sealed), { code: 'INTEGRITY' });
      }
    }
  });

  test('names etype and usage, and no key byte, when it refuses', () => {
    const key = fixedKeys[1]!;
    const refusal = /^40 bytes do not decrypt with this aes256-cts-hmac-sha1-96 key under usage 3/;
    assert.throws(() => key.decrypt(3, new Uint8Array(40)), { message: refusal, details: { etype: 18, usage: 3 } });
  });

  test('throws INTEGRITY only, whatever the bytes', () => {
    for (const key of fixedKeys) {
      const seeds = [0, 1, 16, 17, 60].map((n) => key.encrypt(8, new Uint8Array(n), (m) => seeded.bytes(m)));
      const { refused } = fuzz(seeds, (input) => key.decrypt(8, input), {
        iterations: 1500,
        seed: key.etype,
        allow: (e) => isAdError(e, 'INTEGRITY'),
      });
      assert.ok(refused > 1000);
    }
  });

  test('verifies its own checksum and no other', () => {
    const property = fc.property(anyKey, anyUsage, anyData, fc.nat(), (key, usage, data, at) => {
      const checksum = key.checksum(usage, data);
      assert.equal(checksum.length, profileOf(key.etype).cksumBytes);
      assert.equal(key.verifyChecksum(usage, data, checksum), true);
      checksum[at % checksum.length]! ^= 1;
      assert.equal(key.verifyChecksum(usage, data, checksum), false);
      assert.equal(key.verifyChecksum(usage, data, checksum.subarray(1)), false);
    });
    fc.assert(property);
  });

  test('copies the bytes it is made from', () => {
    const value = new Uint8Array(16).fill(7);
    const key = new Key(17, value);
    value.fill(0);
    assert.equal(hex(key.value), '07'.repeat(16));
  });

  test('is generated from the given random source, which is wiped', () => {
    const source = new Uint8Array(32).fill(9);
    const key = Key.generate(18, () => source);
    assert.equal(hex(key.value), '09'.repeat(32));
    assert.equal(hex(source), '00'.repeat(32));
  });

  test('refuses an unknown etype and a wrong length', () => {
    assert.throws(() => new Key(3, new Uint8Array(8)), { code: 'ETYPE' });
    assert.throws(() => new Key(18, new Uint8Array(16)), { code: 'INVALID_ARGUMENT', message: /32 bytes, not 16/ });
  });

  test('once destroyed holds zeros and does nothing', () => {
    for (const etype of ETYPES) {
      const key = Key.generate(etype);
      const sealed = key.encrypt(1, utf8('x'));
      key.destroy();
      assert.ok(key.value.every((b) => b === 0));
      assert.throws(() => key.encrypt(1, utf8('x')), { code: 'INVALID_ARGUMENT' });
      assert.throws(() => key.decrypt(1, sealed), { code: 'INVALID_ARGUMENT' });
      assert.throws(() => key.checksum(1, utf8('x')), { code: 'INVALID_ARGUMENT' });
      assert.throws(() => key.verifyChecksum(1, utf8('x'), new Uint8Array(12)), { code: 'INVALID_ARGUMENT' });
      key.destroy();
    }
  });

  test('shows no bytes of itself', () => {
    const key = new Key(17, new Uint8Array(16).fill(0xab));
    const shown = [inspect(key), inspect({ key }, { depth: 9, showHidden: true }), JSON.stringify(key), String(key)];
    assert.equal(shown[0], 'Key(aes128-cts-hmac-sha1-96)');
    for (const text of shown) assert.doesNotMatch(text, /ab|171/);
  });
});
