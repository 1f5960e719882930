/** The DER layer: what X.690 and RFC 4120 demand of each type, on bytes written by hand. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromBER } from 'asn1js';
import fc from 'fast-check';
import {
  application,
  boolean,
  type Codec,
  field,
  fromDer,
  int32,
  kerberosFlags,
  kerberosString,
  kerberosTime,
  lenientUint32,
  microseconds,
  objectIdentifier,
  octets,
  optional,
  raw,
  sequence,
  sequenceOf,
  toDer,
  uint32,
} from '../src/asn1.ts';
import { concat, fromHex, hex } from '../src/bytes.ts';
import { frame } from '../src/der.ts';
import { fuzz } from './support/fuzz.ts';

const read = <T>(codec: Codec<T>, text: string): T => fromDer(codec, fromHex(text));
const refused = (codec: Codec<unknown>, text: string, why: RegExp) =>
  assert.throws(() => read(codec, text), { code: 'MALFORMED', message: why });

describe('DER integers', () => {
  for (const [value, der] of [
    [0, '020100'],
    [127, '02017f'],
    [128, '02020080'],
    [-128, '020180'],
    [-129, '0202ff7f'],
    [256, '02020100'],
    [0x7fffffff, '02047fffffff'],
    [-0x80000000, '020480000000'],
  ] as const) {
    test(`${value}`, () => {
      assert.equal(hex(toDer(int32, value)), der);
      assert.equal(read(int32, der), value);
    });
  }

  test('UInt32 uses a fifth byte above 2^31', () => {
    assert.equal(hex(toDer(uint32, 0xffffffff)), '020500ffffffff');
    assert.equal(read(uint32, '020500ffffffff'), 0xffffffff);
  });

  test('every Int32 survives', () => {
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (v) => fromDer(int32, toDer(int32, v)) === v),
    );
  });

  test('every UInt32 survives', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (v) => fromDer(uint32, toDer(uint32, v)) === v));
  });

  test('more octets than needed are refused', () => {
    refused(int32, '02020001', /not minimal/);
    refused(int32, '0202ff80', /not minimal/);
  });

  test('none at all is refused', () => refused(int32, '0200', /INTEGER/));
  test('a value out of bounds is refused on reading', () => {
    refused(int32, '02050080000000', /outside/);
    refused(uint32, '0201ff', /outside/);
    refused(microseconds, '02030f4240', /outside/);
    refused(int32, '0209000000000000000001', /INTEGER/);
  });
  test('a value out of bounds is refused on writing', () => {
    for (const v of [2 ** 31, -(2 ** 31) - 1, 1.5, Number.NaN]) {
      assert.throws(() => toDer(int32, v), { code: 'MALFORMED' });
    }
  });
  test('a negative number where 32 bits without sign are due is those bits, for types that allow it', () => {
    assert.equal(read(lenientUint32, '0201ff'), 0xffffffff);
    assert.equal(read(lenientUint32, '020500ffffffff'), 0xffffffff);
    refused(lenientUint32, '0205ff7fffffff', /outside/);
  });
});

describe('DER structure', () => {
  test('lengths take the fewest octets', () => {
    refused(octets, '048103aabbcc', /length 3 in 2 octets/);
    refused(octets, '04820003aabbcc', /length 3 in 3 octets/);
    refused(sequenceOf(int32), '308103020101', /length/);
    refused(octets, `048200ff${'00'.repeat(255)}`, /length 255 in 3 octets/);
  });

  test('long lengths are read', () => {
    for (const n of [127, 128, 255, 256, 65535, 65536]) {
      const value = new Uint8Array(n).fill(7);
      assert.deepEqual(fromDer(octets, toDer(octets, value)), value);
    }
  });

  test('lengths are definite', () => {
    refused(sequenceOf(int32), '30800201010000', /indefinite/);
    refused(octets, '2480040100 0000', /indefinite/);
  });

  test('tags take one octet', () => refused(int32, '1f020100', /tag/));
  test('strings are in one piece', () => {
    refused(octets, '2403040161', /constructed/);
    refused(kerberosString, '3b031b0161', /constructed/);
    refused(kerberosFlags, '2307030500aabbccdd', /constructed/);
  });
  test('a sequence is constructed', () => refused(sequenceOf(int32), '1003020101', /MALFORMED|expected|primitive/));
  test('nothing follows the value', () => refused(int32, '02010100', /1 bytes after/));
  test('nothing is missing', () => {
    refused(octets, '0405aa', /end of input/i);
    refused(octets, '04', /./);
    refused(octets, '', /./);
  });
  test('a length that no input could have is refused before memory is taken', () => {
    refused(octets, '0484ffffffff', /length/);
    refused(octets, '0488ffffffffffffffff', /./);
  });
  test('an object identifier that is longer than any is refused', () => {
    refused(objectIdentifier, hex(frame(6, new Uint8Array(129).fill(1))), /OBJECT IDENTIFIER of 129 bytes/);
    assert.match(read(objectIdentifier, hex(frame(6, new Uint8Array(128).fill(1)))), /^0\.1\.1\./);
  });
  test('an object identifier made of pieces is refused', () => refused(objectIdentifier, '2603060101', /./));

  test('values nested too deeply are refused', () => {
    let der = fromHex('3000');
    for (let i = 0; i < 40; i++) der = concat(Uint8Array.of(0x30, ...lengthOf(der.length)), der);
    assert.throws(() => fromDer(raw, der), { code: 'MALFORMED', message: /depth/i });
  });

  test('more values than any message has are refused', () => {
    const many = sequenceOf(int32);
    assert.throws(() => fromDer(many, toDer(many, Array(9000).fill(1))), { code: 'MALFORMED' });
  });

  test('a hundred thousand brackets do not exhaust the stack', () => {
    const der = new Uint8Array(200_000).fill(0x30);
    assert.throws(() => fromDer(raw, der), { code: 'MALFORMED' });
  });
});

function lengthOf(n: number): number[] {
  return n < 0x80 ? [n] : n < 0x100 ? [0x81, n] : [0x82, n >> 8, n & 0xff];
}

describe('DER strings, times, flags', () => {
  test('a KerberosString holds UTF-8, as AD and MIT write it', () => {
    assert.equal(hex(toDer(kerberosString, 'é')), '1b02c3a9');
    assert.equal(read(kerberosString, '1b02c3a9'), 'é');
  });
  test('a byte order mark is a character like others', () => {
    assert.equal(read(kerberosString, '1b04efbbbf41'), '\ufeffA');
  });
  test('a KerberosString of other bytes is refused', () => refused(kerberosString, '1b01e9', /UTF-8/));
  test('a KerberosTime has seconds and Z', () => {
    assert.deepEqual(read(kerberosTime, '180f31393835313130363231303632375a'), new Date('1985-11-06T21:06:27Z'));
    assert.equal(hex(toDer(kerberosTime, new Date('1985-11-06T21:06:27.999Z'))), '180f31393835313130363231303632375a');
  });
  for (const [what, text] of [
    ['a fraction', '19851106210627.3Z'],
    ['an offset', '19851106210627+0100'],
    ['no zone', '19851106210627'],
    ['February 30', '20240230000000Z'],
    ['month 13', '20241301000000Z'],
    ['hour 24', '20240101240000Z'],
    ['second 60', '20161231235960Z'],
    ['a sign', '-0851106210627Z'],
    ['no digits', 'aaaaaaaaaaaaaaZ'],
  ] as const) {
    test(`a KerberosTime with ${what} is refused`, () => {
      const der = concat(Uint8Array.of(0x18, text.length), Buffer.from(text));
      assert.throws(() => fromDer(kerberosTime, der), { code: 'MALFORMED' });
    });
  }
  test('a time that is none is not written', () => {
    assert.throws(() => toDer(kerberosTime, new Date(Number.NaN)), { code: 'MALFORMED' });
  });
  test('KerberosFlags: bit 0 is the first of the first octet', () => {
    assert.equal(hex(toDer(kerberosFlags, 0x40810010)), '03050040810010');
    assert.equal(read(kerberosFlags, '03050040810010'), 0x40810010);
  });
  test('KerberosFlags shorter or longer than 32 bits are taken as RFC 4120 5.2.8 allows', () => {
    assert.equal(read(kerberosFlags, '03020640'), 0x40000000);
    assert.equal(read(kerberosFlags, '03060040810010ff'), 0x40810010);
    assert.equal(read(kerberosFlags, '030100'), 0);
  });
  test('a BIT STRING without the count of unused bits is refused', () => refused(kerberosFlags, '0300', /BIT STRING/));
  test('BOOLEAN', () => {
    assert.equal(hex(toDer(boolean, true)), '0101ff');
    assert.equal(read(boolean, '010100'), false);
    refused(boolean, '0100', /BOOLEAN/);
    refused(boolean, '01020101', /BOOLEAN/);
  });
  test('OBJECT IDENTIFIER', () => {
    assert.equal(hex(toDer(objectIdentifier, '1.2.840.113554.1.2.2')), '06092a864886f712010202');
    assert.equal(read(objectIdentifier, '06092a864886f712010202'), '1.2.840.113554.1.2.2');
  });
});

describe('sequences of tagged fields', () => {
  const pair = sequence({ a: field(0, int32), b: optional(1, octets) });

  test('optional fields may be absent', () => {
    assert.deepEqual(read(pair, '3005a003020105'), { a: 5 });
    assert.equal(hex(toDer(pair, { a: 5 })), '3005a003020105');
  });
  test('required fields may not', () => {
    refused(pair, '3000', /a \[0\] is missing/);
    assert.throws(() => toDer(pair, {} as never), { code: 'MALFORMED', message: /a is missing/ });
  });
  test('fields come in order', () => refused(pair, '300ba1040402aabba003020105', /a \[0\] is missing/));
  test('a field comes once', () => refused(pair, '300aa003020105a003020105', /unexpected/));
  test('fields of a later version follow those known', () => {
    assert.deepEqual(read(pair, '300aa003020105a203020106'), { a: 5 });
  });
  test('a value without a tag is refused', () => refused(pair, '3008a003020105020106', /unexpected/));
  test('a tag holds one value', () => {
    refused(pair, '3008a006020105020106', /one value/);
    refused(pair, '3002a000', /one value/);
  });
  test('an error names the path of the field', () => {
    const outer = sequence({ inner: field(0, pair) });
    refused(outer, '3009a0073005a003040105', /inner: a: expected INTEGER/);
  });
  test('an application tag is that of the message', () => {
    const message = application(10, pair, [11]);
    assert.deepEqual(read(message, '6a073005a003020105'), { a: 5 });
    assert.deepEqual(read(message, '6b073005a003020105'), { a: 5 });
    refused(message, '6c073005a003020105', /APPLICATION 10/);
    refused(message, 'aa073005a003020105', /APPLICATION 10/);
  });
  test('what is kept verbatim is neither changed nor lost', () => {
    const holder = sequence({ before: field(0, int32), kept: field(1, raw), after: field(2, int32) });
    const der = toDer(holder, { before: 1, kept: fromHex('61033001 00'), after: 2 });
    assert.equal(hex(der), '3011a003020101a105610330 0100a203020102'.replaceAll(' ', ''));
  });
  test('an octet string is a view, not a copy', () => {
    const der = fromHex('0403aabbcc');
    assert.equal(fromDer(octets, der).buffer, der.buffer);
  });
});

const everyType = sequence({
  a: field(0, int32),
  b: field(1, kerberosString),
  c: field(2, kerberosTime),
  d: field(3, kerberosFlags),
  e: optional(4, boolean),
  f: optional(5, sequenceOf(objectIdentifier)),
  g: optional(6, raw),
  h: optional(7, octets),
});
test('asn1js reads whatever is written here, and writes it the same', () => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  const values = fc.record(
    {
      a: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      b: fc.string({ unit: 'binary' }),
      c: fc.date({ min: new Date(0), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
      d: fc.nat(0xffffffff),
      e: fc.boolean(),
      f: fc.array(fc.constantFrom('1.2.840.113554.1.2.2', '2.999.1', '0.0', '1.3.6.1.5.5.2')),
      g: bytes.map((b) => toDer(octets, b)),
      h: bytes,
    },
    { requiredKeys: ['a', 'b', 'c', 'd'] },
  );
  fc.assert(
    fc.property(values, (value) => {
      const der = toDer(everyType, value);
      const { offset, result } = fromBER(Uint8Array.from(der), { parseEmbedded: false });
      assert.equal(offset, der.length);
      assert.equal(hex(new Uint8Array(result.toBER())), hex(der));
    }),
  );
});

test('what a Buffer is read into is no Buffer, whose slice() would be a view', () => {
  const value = fromDer(octets, Buffer.from('0403aabbcc', 'hex'));
  assert.equal(Buffer.isBuffer(value), false);
  assert.deepEqual(value, fromHex('aabbcc'));
});

test('altered values of every type are read or refused', () => {
  const value = {
    a: -5,
    b: 'text',
    c: new Date('2026-01-01T00:00:00Z'),
    d: 0x80000001,
    e: true,
    f: ['1.2.3', '2.999.1'],
    g: fromHex('30050403aabbcc'),
    h: fromHex('00ff'),
  };
  const result = fuzz([toDer(everyType, value)], (input) => fromDer(everyType, input), {
    iterations: 10_000,
    seed: 690,
  });
  assert.ok(result.accepted > 300 && result.refused > 300, JSON.stringify(result));
});
