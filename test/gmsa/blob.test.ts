import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { fromHex, hex } from '../../src/bytes.ts';
import { MalformedError } from '../../src/errors.ts';
import { parseManagedPassword } from '../../src/gmsa/index.ts';
import { fuzz } from '../support/fuzz.ts';
import { loadVectors } from '../support/vectors.ts';

interface Vector {
  readonly value: string;
  readonly query: string;
  readonly unchanged: string;
}
const vectors = loadVectors<{ blob: Vector; public: Vector }>('gmsa');
const both = fromHex(vectors.blob.value);
const single = fromHex(vectors.public.value);

const VERSION = 0;
const RESERVED = 2;
const LENGTH = 4;
const CURRENT = 8;
const PREVIOUS = 10;
const QUERY = 12;
const UNCHANGED = 14;

/** A copy of a blob with one header field changed. */
function withField(blob: Uint8Array, at: number, value: number): Uint8Array {
  const out = blob.slice();
  const view = new DataView(out.buffer);
  if (at === LENGTH) view.setUint32(at, value, true);
  else view.setUint16(at, value, true);
  return out;
}

/** Lays a blob out by hand, field by field, so that any header and any gap can be asked for. */
function blobOf(parts: { current: Uint8Array; previous?: Uint8Array; padding?: Uint8Array; gap?: number }): Uint8Array {
  const { current, previous, padding = new Uint8Array(), gap = 0 } = parts;
  const terminator = new Uint8Array(2);
  const strings = Buffer.concat([current, terminator, ...(previous ? [previous, terminator] : []), padding]);
  const queryAt = 16 + strings.length;
  const blob = Buffer.alloc(queryAt + 16 + gap);
  blob.writeUInt16LE(1, VERSION);
  blob.writeUInt32LE(blob.length, LENGTH);
  blob.writeUInt16LE(16, CURRENT);
  blob.writeUInt16LE(previous ? 16 + current.length + 2 : 0, PREVIOUS);
  blob.writeUInt16LE(queryAt, QUERY);
  blob.writeUInt16LE(queryAt + 8 + gap, UNCHANGED);
  strings.copy(blob, 16);
  blob.writeBigUInt64LE(7n, queryAt);
  blob.writeBigUInt64LE(5n, queryAt + 8 + gap);
  return new Uint8Array(blob);
}

const refused = (blob: Uint8Array, message: RegExp) =>
  assert.throws(
    () => parseManagedPassword(blob),
    (e: unknown) => e instanceof MalformedError && message.test(e.message),
  );

describe('parseManagedPassword', () => {
  test('reads a blob with one password', () => {
    const parsed = parseManagedPassword(single);
    assert.equal(hex(parsed.current), hex(single.subarray(16, 272)));
    assert.equal(parsed.previous, undefined);
    assert.equal('previous' in parsed, false);
    assert.equal(parsed.queryPasswordInterval, BigInt(vectors.public.query));
    assert.equal(parsed.unchangedPasswordInterval, BigInt(vectors.public.unchanged));
  });

  test('reads a blob with a previous password', () => {
    const parsed = parseManagedPassword(both);
    assert.equal(hex(parsed.current), hex(both.subarray(16, 272)));
    assert.equal(hex(parsed.previous!), hex(both.subarray(274, 530)));
    assert.equal(parsed.queryPasswordInterval, BigInt(vectors.blob.query));
    assert.equal(parsed.unchangedPasswordInterval, BigInt(vectors.blob.unchanged));
  });

  test('reads a view into a larger array', () => {
    const around = new Uint8Array(both.length + 20).fill(0xff);
    around.set(both, 11);
    assert.deepEqual(parseManagedPassword(around.subarray(11, 11 + both.length)), parseManagedPassword(both));
  });

  test('hands out copies, so that the blob can be wiped', () => {
    const blob = both.slice();
    const { current, previous } = parseManagedPassword(blob);
    blob.fill(0);
    assert.ok(current.some((b) => b !== 0) && previous!.some((b) => b !== 0));
    assert.equal(current.buffer.byteLength, 256);
  });

  test('reads any passwords, with padding that aligns and gaps between fields', () => {
    const units = fc.array(fc.integer({ min: 1, max: 0xffff }), { minLength: 1, maxLength: 200 });
    const password = units.map((u) => new Uint8Array(Uint16Array.from(u).buffer));
    const parts = fc.record({
      current: password,
      previous: fc.option(password, { nil: undefined }),
      padding: fc.integer({ min: 0, max: 7 }).map((n) => new Uint8Array(n)),
      gap: fc.integer({ min: 0, max: 9 }),
    });
    const property = fc.property(parts, ({ previous, ...rest }) => {
      const expected = { ...rest, ...(previous && { previous }) };
      const parsed = parseManagedPassword(blobOf(expected));
      assert.deepEqual(parsed.current, expected.current);
      assert.deepEqual(parsed.previous, expected.previous);
      assert.deepEqual([parsed.queryPasswordInterval, parsed.unchangedPasswordInterval], [7n, 5n]);
    });
    fc.assert(property);
  });

  test('ignores the reserved field', () => {
    assert.deepEqual(parseManagedPassword(withField(both, RESERVED, 0xbeef)), parseManagedPassword(both));
  });

  test('refuses every truncation', () => {
    for (let n = 0; n < both.length; n++) refused(both.subarray(0, n), /^managed password blob: /);
  });

  test('refuses bytes after the end', () => {
    refused(Uint8Array.from([...single, 0]), /Length is 290, but 291 bytes are there/);
  });

  test('refuses another version', () => refused(withField(both, VERSION, 2), /Version is 2/));

  test('refuses a length that is not the blob’s', () => {
    for (const length of [0, 547, 549, 0xffffffff]) refused(withField(both, LENGTH, length), /Length is/);
  });

  test('refuses a password inside the header', () => {
    for (const at of [0, 8, 15]) refused(withField(both, CURRENT, at), /inside the header/);
  });

  test('refuses offsets out of order', () => {
    refused(withField(both, PREVIOUS, 15), /not the first field/);
    refused(withField(both, CURRENT, 300), /not the first field/);
    refused(withField(single, CURRENT, 280), /not the first field/);
    refused(withField(both, QUERY, 272), /before a password/);
    refused(withField(both, UNCHANGED, 16), /overlap/);
    refused(withField(both, UNCHANGED, 539), /overlap/);
  });

  test('refuses offsets beyond the end', () => {
    refused(withField(both, UNCHANGED, 541), /UnchangedPasswordInterval needs 8 bytes/);
    refused(withField(both, UNCHANGED, 0xffff), /UnchangedPasswordInterval/);
    refused(withField(withField(both, UNCHANGED, 0xffff), QUERY, 0xfff0), /password/);
  });

  test('refuses a password without terminator', () => {
    refused(withField(single, QUERY, 272), /current password has no terminator/);
    const blob = both.slice();
    blob.set([1, 1], 530);
    refused(blob, /previous password has no terminator/);
  });

  test('takes no terminator from the middle of two code units', () => {
    const current = fromHex('4100 0042 0043');
    assert.deepEqual(parseManagedPassword(blobOf({ current })).current, current);
  });

  test('refuses an empty password', () => {
    refused(blobOf({ current: new Uint8Array() }), /current password is empty/);
    refused(blobOf({ current: fromHex('4100'), previous: new Uint8Array() }), /previous password is empty/);
  });

  test('refuses a terminator amid a password', () => {
    const blob = both.slice();
    blob.set([0, 0], 100);
    refused(blob, /current password ends after 84 bytes, but 172 more belong to it/);
  });

  test('refuses padding that is not zero or not padding', () => {
    refused(blobOf({ current: fromHex('4100'), padding: Uint8Array.of(0, 1) }), /2 more belong to it/);
    refused(blobOf({ current: fromHex('4100'), padding: new Uint8Array(8) }), /8 more belong to it/);
  });

  test('names no password byte in its errors', () => {
    const blob = both.slice();
    blob.fill(0xab, 16, 532);
    assert.throws(
      () => parseManagedPassword(blob),
      (e: unknown) => e instanceof MalformedError && !/abab|171/i.test(`${e.message} ${JSON.stringify(e.details)}`),
    );
  });

  test('survives mutated blobs', () => {
    const { accepted, refused } = fuzz([both, single, blobOf({ current: fromHex('4100') })], parseManagedPassword, {
      iterations: 8000,
      seed: 2219,
    });
    assert.ok(accepted > 300, `${accepted} accepted`);
    assert.ok(refused > 3000, `${refused} refused`);
  });
});
