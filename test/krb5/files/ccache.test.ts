import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { concat, fromHex, hex, utf8 } from '../../../src/bytes.ts';
import { AdError, MalformedError } from '../../../src/errors.ts';
import { type CCache, readCCache, writeCCache } from '../../../src/krb5/files/ccache.ts';
import { etype, ticketFlag } from '../../../src/krb5/numbers.ts';
import { formatPrincipal, principal } from '../../../src/krb5/principal.ts';
import { credentials, plain, principals } from '../../support/arbitraries.ts';
import { fuzz } from '../../support/fuzz.ts';

const vectors = JSON.parse(readFileSync(new URL('../../vectors/ccache.json', import.meta.url), 'utf8')) as {
  files: Record<'1' | '2' | '3' | '4', string>;
};
const file = (version: 1 | 2 | 3 | 4) => fromHex(vectors.files[version]);
const seconds = (n: number) => new Date(n * 1000);

const caches: fc.Arbitrary<CCache> = fc.record(
  {
    version: fc.constant(4 as const),
    principal: principals,
    kdcOffset: fc.record(
      {
        seconds: fc.integer({ min: -0x80000000, max: 0x7fffffff }),
        microseconds: fc.integer({ min: -999_999, max: 999_999 }),
      },
      plain,
    ),
    credentials: fc.array(credentials, { maxLength: 4 }),
  },
  { ...plain, requiredKeys: ['version', 'principal', 'credentials'] },
);

describe('readCCache, MIT vectors', () => {
  for (const version of [1, 2, 3, 4] as const) {
    test(`version ${version}`, () => {
      const cache = readCCache(file(version));
      assert.equal(cache.version, version);
      assert.equal(formatPrincipal(cache.principal), 'testclient@KRBTEST.COM');
      assert.equal(cache.principal.nameType, version === 1 ? 0 : 1);
      const [first, second, ...more] = cache.credentials;
      assert.equal(more.length, 0);
      assert.deepEqual(first, {
        client: cache.principal,
        server: { nameType: version === 1 ? 0 : 1, components: ['test', 'host'], realm: 'EXAMPLE.COM' },
        key: { etype: etype.AES128_CTS_HMAC_SHA1_96, value: fromHex('000102030405060708090a0b0c0d0e0f') },
        authtime: seconds(11),
        starttime: seconds(222),
        endtime: seconds(3333),
        renewTill: seconds(1_000_000_000),
        flags: ticketFlag.FORWARDABLE | ticketFlag.RENEWABLE,
        isSkey: false,
        addresses: [{ addrType: 2, address: Uint8Array.of(10, 0, 0, 1) }],
        authorizationData: [
          { adType: 512, adData: utf8('signticket') },
          { adType: -100, adData: new Uint8Array(0) },
        ],
        ticket: utf8('ticket'),
        secondTicket: new Uint8Array(0),
      });
      assert.deepEqual(second, {
        client: cache.principal,
        server: { nameType: version === 1 ? 0 : 1, components: [], realm: '' },
        key: { etype: etype.RC4_HMAC, value: fromHex('0f0e0d0c0b0a09080706050403020100') },
        authtime: seconds(0),
        endtime: seconds(0),
        flags: 0,
        isSkey: true,
        addresses: [],
        authorizationData: [],
        ticket: utf8('ticket'),
        secondTicket: utf8('2ticket'),
      });
      assert.deepEqual(cache.kdcOffset, version === 4 ? { seconds: 300, microseconds: 54321 } : undefined);
    });
  }
});

describe('writeCCache', () => {
  test('writes the bytes of MIT', () => {
    assert.equal(hex(writeCCache(readCCache(file(4)))), vectors.files[4]);
  });

  test('writes version 4 from what was read as version 3', () => {
    const kdcOffset = { seconds: 300, microseconds: 54321 };
    assert.equal(hex(writeCCache({ ...readCCache(file(3)), kdcOffset })), vectors.files[4]);
  });

  test('writes an empty header without an offset', () => {
    const bytes = writeCCache({ principal: principal('R', 'a'), credentials: [] });
    assert.equal(hex(bytes), '05040000000000010000000100000001520000000161');
  });

  test('what it writes is read back the same', () => {
    fc.assert(
      fc.property(caches, (cache) => assert.deepEqual(readCCache(writeCCache(cache)), cache)),
      { numRuns: 200 },
    );
  });

  test('an end beyond 2106 becomes the last second there is', () => {
    const [c] = readCCache(file(4)).credentials;
    const bytes = writeCCache({
      principal: c!.client,
      credentials: [{ ...c!, endtime: new Date('9999-12-31T23:59:59Z') }],
    });
    assert.equal(readCCache(bytes).credentials[0]!.endtime.toISOString(), '2106-02-07T06:28:15.000Z');
  });

  test('a fraction of a second is cut off', () => {
    const [c] = readCCache(file(4)).credentials;
    const bytes = writeCCache({ principal: c!.client, credentials: [{ ...c!, authtime: new Date(11_999) }] });
    assert.deepEqual(readCCache(bytes).credentials[0]!.authtime, seconds(11));
  });

  for (const [what, change] of Object.entries({
    'a time before 1970': { authtime: new Date(-1000) },
    'an invalid time': { authtime: new Date(Number.NaN) },
    'an address type beyond 16 bits': { addresses: [{ addrType: 0x8000, address: new Uint8Array(4) }] },
    'an encryption type beyond 16 bits': { key: { etype: 70_000, value: new Uint8Array(0) } },
  })) {
    test(`refuses ${what}`, () => {
      const [c] = readCCache(file(4)).credentials;
      assert.throws(
        () => writeCCache({ principal: c!.client, credentials: [{ ...c!, ...change }] }),
        (e) => e instanceof AdError && e.code === 'INVALID_ARGUMENT',
      );
    });
  }
});

describe('readCCache', () => {
  test('gives plain arrays that share no memory with its input', () => {
    const input = Buffer.from(vectors.files[4], 'hex');
    const [c] = readCCache(input).credentials;
    input.fill(0);
    assert.equal(hex(c!.key.value), '000102030405060708090a0b0c0d0e0f');
    assert.equal(Object.getPrototypeOf(c!.ticket), Uint8Array.prototype);
    assert.deepEqual(c!.ticket, utf8('ticket'));
  });

  test('passes over header fields it does not know', () => {
    // Tag 2 of three bytes, DeltaTime, tag 1234 of none.
    const header = fromHex('0017 0002 0003 aabbcc 0001 0008 fffffffe 00000007 04d2 0000');
    const cache = readCCache(concat(fromHex('0504'), header, file(4).subarray(16)));
    assert.deepEqual(cache.kdcOffset, { seconds: -2, microseconds: 7 });
    assert.equal(cache.credentials.length, 2);
  });

  const refused = {
    'an empty file': '',
    'another first byte': '0604',
    'version 0': '0500',
    'version 5': '0505',
    'a header longer than the file': '0504ffff',
    'a header field longer than the header': '05040004 0001 0008',
    'a DeltaTime of four bytes': '05040008 0001 0004 00000001',
    'a file without a principal': '05040000',
    'more components than bytes': '05040000 00000001 ffffffff 00000000',
    'a version 1 principal without a realm': '0501 00000000',
    'a name that is not UTF-8': '05040000 00000001 00000001 00000001 52 00000001 ff',
    'half a credential': '05040000 00000001 00000000 00000000 00000001',
  };
  for (const [what, bytes] of Object.entries(refused)) {
    test(`refuses ${what}`, () => {
      assert.throws(() => readCCache(fromHex(bytes)), MalformedError);
    });
  }

  test('refuses every file cut short within a credential', () => {
    const bytes = file(4);
    const whole = new Set([16 + 37, 16 + 37 + 173]);
    for (let n = 0; n < bytes.length; n++) {
      if (!whole.has(n)) assert.throws(() => readCCache(bytes.subarray(0, n)), MalformedError, `${n} bytes`);
    }
  });

  test('answers mutated files with MalformedError or a cache', () => {
    for (const native of ['LE', 'BE'] as const)
      fuzz([file(1), file(2), file(3), file(4)], (bytes) => readCCache(bytes, native), {
        iterations: 8000,
        seed: 1,
      });
  });
});
