import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { concat, fromHex, hex } from '../../../src/bytes.ts';
import { AdError, MalformedError } from '../../../src/errors.ts';
import {
  findKeys,
  type KeytabEntry,
  machinePrincipal,
  readKeytab,
  writeKeytab,
} from '../../../src/krb5/files/keytab.ts';
import { etype } from '../../../src/krb5/numbers.ts';
import { formatPrincipal, parsePrincipal } from '../../../src/krb5/principal.ts';
import { plain, principals, times } from '../../support/arbitraries.ts';
import { fuzz } from '../../support/fuzz.ts';

/** Written by ktutil of MIT krb5 1.20: svc/web.example.com kvno 3 aes256, HOST$ kvno 300 aes128, both password "foo". */
const golden =
  '05020000005600020 00b4558414d504c452e434f4d0003737663000f7765622e6578616d706c652e636f6d00000001' +
  '6b0380d50300120020ef74fe3c4853df86676789d031d616b428b58f4fd25f377b541b9362cf41640300000003' +
  '000000370001000b4558414d504c452e434f4d0005484f535424000000016b0380d52c001100104 39875b38e5b633816c56a25225fae5a0000012c';

/** One entry for a@R, kvno 5 in 8 bits, aes128, without its size and what may follow the key. */
const body = '0001 0001 52 0001 61 00000001 0000000b 05 0011 0010 000102030405060708090a0b0c0d0e0f';
const bodyBytes = fromHex(body).length;

const entries: fc.Arbitrary<KeytabEntry> = fc.record(
  {
    principal: principals,
    timestamp: times,
    kvno: fc.integer({ min: 0, max: 0xffffffff }),
    key: fc.record(
      { etype: fc.integer({ min: -0x8000, max: 0x7fff }), value: fc.uint8Array({ maxLength: 40 }) },
      plain,
    ),
  },
  plain,
);

function entry(name: string, kvno = 1, type: number = etype.AES256_CTS_HMAC_SHA1_96, at = 0): KeytabEntry {
  return {
    principal: parsePrincipal(name, 'EXAMPLE.COM'),
    timestamp: new Date(at * 1000),
    kvno,
    key: { etype: type, value: Uint8Array.of(kvno & 0xff, type) },
  };
}

function withSize(bytes: Uint8Array, size = bytes.length): Uint8Array {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setInt32(0, size);
  return concat(length, bytes);
}

const version2 = fromHex('0502');

describe('readKeytab', () => {
  test("reads ktutil's file", () => {
    const [web, host, ...more] = readKeytab(fromHex(golden));
    assert.equal(more.length, 0);
    assert.equal(formatPrincipal(web!.principal), 'svc/web.example.com@EXAMPLE.COM');
    assert.equal(web!.kvno, 3);
    assert.equal(web!.key.etype, etype.AES256_CTS_HMAC_SHA1_96);
    assert.equal(hex(web!.key.value), 'ef74fe3c4853df86676789d031d616b428b58f4fd25f377b541b9362cf416403');
    assert.equal(web!.timestamp.toISOString(), '2026-11-22T23:55:01.000Z');
    assert.equal(formatPrincipal(host!.principal), 'HOST$@EXAMPLE.COM');
    assert.equal(host!.key.etype, etype.AES128_CTS_HMAC_SHA1_96);
  });

  test('takes a kvno beyond 255 from the 32-bit field', () => {
    assert.equal(readKeytab(fromHex(golden))[1]!.kvno, 300);
  });

  const trailers: Record<string, [trailer: string, kvno: number]> = {
    'no 32-bit kvno': ['', 5],
    'a 32-bit kvno of zero': ['00000000', 5],
    'three bytes that are no kvno': ['000007', 5],
    'a 32-bit kvno': ['00000007', 7],
    'bytes of a later format after the kvno': ['00000007 00000001 ff', 7],
  };
  for (const [what, [trailer, kvno]] of Object.entries(trailers)) {
    test(`reads an entry with ${what}`, () => {
      const [only] = readKeytab(concat(version2, withSize(fromHex(body + trailer))));
      assert.equal(only!.kvno, kvno);
      assert.equal(hex(only!.key.value), '000102030405060708090a0b0c0d0e0f');
    });
  }

  test('passes over holes', () => {
    const one = withSize(fromHex(body));
    const hole = withSize(new Uint8Array(9), -9);
    assert.equal(readKeytab(concat(version2, hole, one, hole, hole, one, hole)).length, 2);
  });

  test('ends at a size of zero', () => {
    const one = withSize(fromHex(body));
    assert.equal(readKeytab(concat(version2, one, new Uint8Array(4), fromHex('ffff'))).length, 1);
  });

  test('reads version 1, little-endian and with the realm counted', () => {
    const v1 = '0501 2500 0000 0200 0100 52 0100 61 0b000000 05 1100 1000 000102030405060708090a0b0c0d0e0f 07000000';
    const bytes = fromHex(v1);
    bytes[2] = bytes.length - 6;
    const [only] = readKeytab(bytes);
    assert.equal(formatPrincipal(only!.principal), 'a@R');
    assert.equal(only!.kvno, 7);
    assert.deepEqual(only!.timestamp, new Date(11_000));
    assert.equal(hex(only!.key.value), '000102030405060708090a0b0c0d0e0f');
  });

  test('gives keys that share no memory with its input', () => {
    const input = Buffer.from(hex(fromHex(golden)), 'hex');
    const [web] = readKeytab(input);
    input.fill(0);
    assert.equal(web!.key.value[0], 0xef);
  });

  const refused: Record<string, Uint8Array> = {
    'an empty file': new Uint8Array(0),
    'another first byte': fromHex('0402'),
    'version 3': fromHex('0503'),
    'half a size': fromHex('05020000'),
    'an entry beyond the end': concat(version2, withSize(fromHex(body), bodyBytes + 1)),
    'a hole beyond the end': fromHex('0502 ffffff00'),
    'the largest hole there could be': fromHex('0502 80000000'),
    'a key beyond its entry': concat(version2, withSize(fromHex(body), bodyBytes - 1), fromHex('00')),
    'more components than bytes': concat(version2, withSize(fromHex('ffff 0001 52'))),
    'a realm that is not UTF-8': concat(version2, withSize(fromHex(body.replace('52', 'fe')))),
    'a version 1 principal without a realm': fromHex('0501 02000000 0000'),
  };
  for (const [what, bytes] of Object.entries(refused)) {
    test(`refuses ${what}`, () => {
      assert.throws(() => readKeytab(bytes), MalformedError);
    });
  }

  test('answers mutated files with MalformedError or entries', () => {
    const hole = withSize(new Uint8Array(9), -9);
    const seeds = [fromHex(golden), concat(version2, hole, withSize(fromHex(body)), hole), fromHex('0501')];
    fuzz(seeds, (bytes) => readKeytab(bytes), { iterations: 8000, seed: 2 });
    const old = concat(Uint8Array.of(5, 1), withSize(fromHex(body)));
    fuzz([old], (bytes) => readKeytab(bytes, 'BE'), { iterations: 8000, seed: 3 });
  });
});

describe('writeKeytab', () => {
  test("writes ktutil's bytes", () => {
    assert.equal(hex(writeKeytab(readKeytab(fromHex(golden)))), golden.replaceAll(' ', ''));
  });

  test('an empty keytab is the version alone', () => {
    assert.equal(hex(writeKeytab([])), '0502');
  });

  test('what it writes is read back the same', () => {
    fc.assert(
      fc.property(fc.array(entries, { maxLength: 5 }), (list) => {
        assert.deepEqual(readKeytab(writeKeytab(list)), list);
      }),
      { numRuns: 200 },
    );
  });

  const good = entry('a');
  const refused: Record<string, KeytabEntry> = {
    'a negative kvno': { ...good, kvno: -1 },
    'a kvno beyond 32 bits': { ...good, kvno: 2 ** 32 },
    'a key beyond 65535 bytes': { ...good, key: { etype: 18, value: new Uint8Array(65_536) } },
    'a name beyond 65535 bytes': { ...good, principal: { ...good.principal, components: ['a'.repeat(65_536)] } },
    'a time before 1970': { ...good, timestamp: new Date(-1) },
  };
  for (const [what, bad] of Object.entries(refused)) {
    test(`refuses ${what}`, () => {
      assert.throws(
        () => writeKeytab([bad]),
        (e) => e instanceof AdError && e.code === 'INVALID_ARGUMENT',
      );
    });
  }
});

describe('findKeys', () => {
  const kvnoAndType = (list: KeytabEntry[]) => list.map((e) => [e.kvno, e.key.etype]);
  const a = parsePrincipal('a@EXAMPLE.COM');

  test('gives the newest key of each type, highest kvno first', () => {
    const list = [entry('a', 1, 18), entry('a', 2, 23), entry('a', 3, 18), entry('a', 3, 17), entry('b', 9, 18)];
    assert.deepEqual(kvnoAndType(findKeys(list, a)), [
      [3, 18],
      [3, 17],
      [2, 23],
    ]);
  });

  test('of two with one kvno the later made wins', () => {
    const list = [entry('a', 2, 18, 50), entry('a', 2, 18, 99), entry('a', 2, 18, 70)];
    assert.deepEqual(
      findKeys(list, a).map((e) => e.timestamp),
      [new Date(99_000)],
    );
  });

  test('gives nothing for a principal of another realm or case', () => {
    assert.deepEqual(findKeys([entry('a@OTHER.COM'), entry('A@EXAMPLE.COM')], a), []);
  });
});

describe('machinePrincipal', () => {
  const pick = (host: string, ...names: string[]) => {
    const found = machinePrincipal(
      names.map((name) => entry(name)),
      host,
    );
    return found && formatPrincipal(found);
  };

  test('is the entry of this host, whatever comes before it', () => {
    assert.equal(pick('web1.example.com', 'OTHER$', 'host/web1', 'WEB1$'), 'WEB1$@EXAMPLE.COM');
  });

  test('does not mind case', () => {
    assert.equal(pick('Web1', 'OTHER$', 'web1$'), 'web1$@EXAMPLE.COM');
  });

  test('cuts the host name to 15 characters', () => {
    assert.equal(pick('a-very-long-host-name.example.com', 'X$', 'A-VERY-LONG-HOS$'), 'A-VERY-LONG-HOS$@EXAMPLE.COM');
  });

  test('is the first machine account when none is of this host', () => {
    assert.equal(pick('web1', 'svc', 'host/x$', '$', 'FIRST$', 'SECOND$'), 'FIRST$@EXAMPLE.COM');
  });

  test('is undefined without any', () => {
    assert.equal(pick('web1', 'svc', 'host/web1'), undefined);
  });
});
