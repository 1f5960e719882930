import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { concat, copy, equal, fromHex, fromUtf8, hex, Reader, utf8, Writer, wipe } from '../src/bytes.ts';

describe('Reader', () => {
  const of = (text: string, littleEndian = false) => new Reader(fromHex(text), 'test', { littleEndian });

  test('numbers in both byte orders', () => {
    const big = of('01 0203 fffe 04050607 fffffffe 08090a0b0c0d0e0f');
    assert.deepEqual(
      [big.u8(), big.u16(), big.i16(), big.u32(), big.i32(), big.u64()],
      [1, 0x0203, -2, 0x04050607, -2, 0x08090a0b0c0d0e0fn],
    );
    const little = of('0102 01020304 0102030405060708', true);
    assert.deepEqual([little.u16(), little.u32(), little.u64()], [0x0201, 0x04030201, 0x0807060504030201n]);
  });

  for (const [what, read] of [
    ['u8', (r: Reader) => r.u8()],
    ['u16', (r: Reader) => r.u16()],
    ['i16', (r: Reader) => r.i16()],
    ['u32', (r: Reader) => r.u32()],
    ['i32', (r: Reader) => r.i32()],
    ['u64', (r: Reader) => r.u64()],
    ['bytes', (r: Reader) => r.bytes(1)],
    ['utf8', (r: Reader) => r.utf8(1)],
  ] as const) {
    test(`${what} stops at the end of a view, though memory goes on`, () => {
      const around = new Uint8Array(32).fill(0xaa);
      assert.throws(() => read(new Reader(around.subarray(8, 8), 'test')), { code: 'MALFORMED', message: /test: / });
    });
  }

  for (const n of [-1, 1.5, Number.NaN, 2 ** 32, Number.POSITIVE_INFINITY]) {
    test(`${n} bytes cannot be had, and the place does not move`, () => {
      const r = of('0102');
      assert.throws(() => r.bytes(n), { code: 'MALFORMED' });
      assert.equal(r.offset, 0);
    });
  }

  test('a read that fails leaves the place for another', () => {
    const r = of('010203');
    assert.throws(() => r.u32(), { code: 'MALFORMED', message: /u32 needs 4 bytes, 3 are left \(at byte 0\)/ });
    assert.equal(r.u16(), 0x0102);
  });

  test('bytes are a view', () => {
    const data = fromHex('010203');
    new Reader(data, 'test', { offset: 1 }).bytes(2).fill(0);
    assert.equal(hex(data), '010000');
  });

  test('text that is not UTF-8 is refused', () => {
    assert.throws(() => of('ff').utf8(1), { code: 'MALFORMED' });
    assert.throws(() => of('eda080').utf8(3), { code: 'MALFORMED' }); // a surrogate
    assert.throws(() => of('c080').utf8(2), { code: 'MALFORMED' }); // an overlong NUL
  });

  test('a byte order mark is text', () => assert.equal(of('efbbbf41').utf8(4), '\ufeffA'));

  test('end() wants everything to be read', () => {
    const r = of('01');
    assert.throws(() => r.end(), { code: 'MALFORMED', message: /1 bytes after the end/ });
    r.u8();
    r.end();
  });
});

describe('Writer', () => {
  test('what is written is read back, however much it is', () => {
    const item = fc.oneof(
      fc.record({ kind: fc.constant('u8' as const), value: fc.integer({ min: 0, max: 0xff }) }),
      fc.record({ kind: fc.constant('u16' as const), value: fc.integer({ min: 0, max: 0xffff }) }),
      fc.record({ kind: fc.constant('u32' as const), value: fc.integer({ min: 0, max: 0xffffffff }) }),
      fc.record({ kind: fc.constant('i32' as const), value: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }) }),
    );
    fc.assert(
      fc.property(fc.array(item, { maxLength: 200 }), fc.boolean(), (items, littleEndian) => {
        const w = new Writer({ littleEndian, capacity: 1 });
        for (const { kind, value } of items) w[kind](value);
        w.u64(0x1122334455667788n).bytes(fromHex('c0ffee'));
        const r = new Reader(w.finish(), 'test', { littleEndian });
        for (const { kind, value } of items) assert.equal(r[kind](), value);
        assert.equal(r.u64(), 0x1122334455667788n);
        assert.equal(hex(r.bytes(3)), 'c0ffee');
        r.end();
      }),
    );
  });

  test('a length is filled in afterwards', () => {
    const w = new Writer();
    w.u32(0).bytes(fromHex('aabb'));
    w.patchU32(0, w.length - 4);
    assert.equal(hex(w.finish()), '00000002aabb');
  });

  test('finish() leaves nothing behind in the buffer', () => {
    const w = new Writer();
    w.bytes(fromHex('5ec2e7'));
    w.finish();
    assert.equal(hex(w.finish()), '000000');
  });
});

describe('care for secrets', () => {
  test('wipe() fills with zeros and passes over what is not there', () => {
    const [a, b] = [fromHex('01'), fromHex('0203')];
    wipe(a, undefined, b);
    assert.equal(hex(concat(a, b)), '000000');
  });

  test('copy() of a Buffer has memory of its own', () => {
    const original = Buffer.from('secret');
    const own = copy(original);
    wipe(original);
    assert.equal(fromUtf8(own), 'secret');
  });

  test('equal() compares contents, and lengths first', () => {
    assert.ok(equal(fromHex('0102'), Buffer.from('0102', 'hex')));
    assert.equal(equal(fromHex('0102'), fromHex('0103')), false);
    assert.equal(equal(fromHex('0102'), fromHex('01')), false);
    assert.ok(equal(new Uint8Array(), new Uint8Array()));
  });
});

describe('text and hexadecimal', () => {
  test('any bytes survive hexadecimal', () => {
    fc.assert(fc.property(fc.uint8Array(), (b) => hex(fromHex(hex(b))) === hex(b)));
  });
  test('hex() of a view shows the view', () => assert.equal(hex(fromHex('010203').subarray(1, 2)), '02'));
  for (const text of ['0', 'xy', '0x01', '01-02']) {
    test(`${text} is no hexadecimal`, () => assert.throws(() => fromHex(text), RangeError));
  }
  test('white space in hexadecimal is allowed', () => assert.equal(hex(fromHex(' 01\n02 ')), '0102'));
  test('a lone surrogate becomes U+FFFD', () => assert.equal(hex(utf8('\ud800')), 'efbfbd'));
});
