import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { fromHex, hex } from '../../src/bytes.ts';
import { deriveKeys, parseManagedPassword, utf16ToUtf8, validPasswords } from '../../src/gmsa/index.ts';
import { CLOCK_SKEW_INTERVAL } from '../../src/gmsa/keys.ts';
import { loadVectors } from '../support/vectors.ts';

type Keys = Readonly<Record<'17' | '18' | '23', string>>;
const vectors = loadVectors<{
  blob: { salt: string; value: string; current: Keys & { utf8Bytes: number }; previous: Keys & { utf8Bytes: number } };
  edge: Keys & { salt: string; value: string; utf8Bytes: number; utf8Start: string; utf8End: string };
  public: Keys & { salt: string; value: string; utf8: string };
  munged: { utf16: string; utf8: string };
}>('gmsa');

const blob = parseManagedPassword(fromHex(vectors.blob.value));
const edge = fromHex(vectors.edge.value);
const published = parseManagedPassword(fromHex(vectors.public.value)).current;

describe('utf16ToUtf8', () => {
  const text = (units: string) => hex(utf16ToUtf8(fromHex(units)));

  test('gives the UTF-8 upstream expects of the public blob', () => {
    assert.equal(hex(utf16ToUtf8(published)), vectors.public.utf8);
  });

  test('gives what Samba expects of its munged string', () => {
    assert.equal(text(vectors.munged.utf16), vectors.munged.utf8);
  });

  test('gives the edge password', () => {
    const utf8 = utf16ToUtf8(edge);
    assert.equal(utf8.length, vectors.edge.utf8Bytes);
    assert.ok(hex(utf8).startsWith(vectors.edge.utf8Start));
    assert.ok(hex(utf8).endsWith(vectors.edge.utf8End));
  });

  test('gives the lengths of our own passwords', () => {
    assert.equal(utf16ToUtf8(blob.current).length, vectors.blob.current.utf8Bytes);
    assert.equal(utf16ToUtf8(blob.previous!).length, vectors.blob.previous.utf8Bytes);
  });

  test('turns 0000 into U+0001', () => assert.equal(text('410000004200'), '410142'));
  test('keeps U+FEFF at the start and later', () => assert.equal(text('fffe4100fffe'), 'efbbbf41efbbbf'));
  test('keeps noncharacters', () => assert.equal(text('feffffff'), 'efbfbeefbfbf'));
  test('turns a low surrogate alone into U+FFFD', () => assert.equal(text('00dc4100'), 'efbfbd41'));
  test('turns a high surrogate alone into U+FFFD', () => assert.equal(text('00d84100'), 'efbfbd41'));
  test('turns a high surrogate at the end into U+FFFD', () => assert.equal(text('410000d8'), '41efbfbd'));
  test('replaces each of two high surrogates', () => assert.equal(text('00d800d8'), 'efbfbdefbfbd'));
  test('replaces both halves in the wrong order', () => assert.equal(text('00dc00d8'), 'efbfbdefbfbd'));
  test('pairs the second high surrogate', () => assert.equal(text('00d83dd800de'), 'efbfbdf09f9880'));
  test('reaches both ends of the planes', () => assert.equal(text('00d800dcffdbffdf'), 'f0908080f48fbfbf'));
  test('of nothing is nothing', () => assert.equal(text(''), ''));
  test('refuses an odd length', () => assert.throws(() => text('410042'), { code: 'INVALID_ARGUMENT' }));

  test('equals Node’s own conversion of any code units, 0000 mapped first', () => {
    const interesting = fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0xd7f0, max: 0xe00f }));
    const property = fc.property(fc.array(interesting, { maxLength: 130 }), (units) => {
      const expected = Buffer.from(String.fromCharCode(...units.map((u) => u || 1)), 'utf8');
      assert.equal(hex(utf16ToUtf8(new Uint8Array(Uint16Array.from(units).buffer))), hex(expected));
    });
    fc.assert(property, { numRuns: 500 });
  });
});

describe('deriveKeys', () => {
  async function derived(password: Uint8Array, salt: string | Uint8Array, etypes = [18, 17, 23]) {
    const keys = await deriveKeys(password, salt, etypes);
    return Object.fromEntries([...keys].map(([etype, key]) => [String(etype), hex(key)]));
  }
  const keysOf = ({ 17: a, 18: b, 23: c }: Keys) => ({ 17: a, 18: b, 23: c });

  test('current password', async () => {
    assert.deepEqual(await derived(blob.current, vectors.blob.salt), keysOf(vectors.blob.current));
  });

  test('previous password', async () => {
    assert.deepEqual(await derived(blob.previous!, vectors.blob.salt), keysOf(vectors.blob.previous));
  });

  test('edge password', async () => {
    assert.deepEqual(await derived(edge, vectors.edge.salt), keysOf(vectors.edge));
  });

  test('the public blob', async () => {
    assert.deepEqual(await derived(published, vectors.public.salt), keysOf(vectors.public));
  });

  test('takes the salt as bytes too', async () => {
    const salt = Buffer.from(vectors.public.salt);
    assert.deepEqual(await derived(published, salt, [17]), { 17: vectors.public['17'] });
  });

  test('gives what was asked for, in that order', async () => {
    assert.deepEqual([...(await deriveKeys(published, 'x', [23, 17])).keys()], [23, 17]);
    assert.equal((await deriveKeys(published, 'x', [])).size, 0);
  });

  test('leaves the password as it was', async () => {
    const password = published.slice();
    await deriveKeys(password, 'x', [17, 23]);
    assert.deepEqual(password, published);
  });

  test('takes the iteration count from the KDC within its limits', async () => {
    const [least, more, one] = [4096, 5000, 1].map((n) => Uint8Array.of(0, 0, n >> 8, n & 255));
    const bare = (await deriveKeys(published, 'x', [17])).get(17)!;
    assert.deepEqual((await deriveKeys(published, 'x', [17], least)).get(17), bare);
    assert.notDeepEqual((await deriveKeys(published, 'x', [17], more)).get(17), bare);
    await assert.rejects(deriveKeys(published, 'x', [17], one), { code: 'ETYPE' });
  });

  test('refuses an unknown etype, an empty password and an odd length', async () => {
    await assert.rejects(deriveKeys(published, 'x', [17, 3]), { code: 'ETYPE' });
    await assert.rejects(deriveKeys(new Uint8Array(), 'x', [17]), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(deriveKeys(new Uint8Array(3), 'x', [23]), { code: 'INVALID_ARGUMENT' });
  });
});

describe('validPasswords', () => {
  const [current, previous] = [Uint8Array.of(1, 1), Uint8Array.of(2, 2)];
  const at = (queryPasswordInterval: bigint) => ({ current, queryPasswordInterval, unchangedPasswordInterval: 0n });
  const minutes = (n: number) => BigInt(n) * 600_000_000n;

  test('the skew is five minutes', () => assert.equal(CLOCK_SKEW_INTERVAL, minutes(5)));

  test('far from a roll the current one comes first', () => {
    assert.deepEqual(validPasswords({ ...at(minutes(60 * 24)), previous }), [current, previous]);
    assert.deepEqual(validPasswords({ ...at(minutes(5) + 1n), previous }), [current, previous]);
  });

  test('within five minutes of a roll the previous one comes first', () => {
    for (const interval of [minutes(5), 1n, 0n]) {
      assert.deepEqual(validPasswords({ ...at(interval), previous }), [previous, current]);
    }
  });

  test('without a previous one there is only the current one', () => {
    assert.deepEqual(validPasswords(at(minutes(60))), [current]);
    assert.deepEqual(validPasswords(at(0n)), [current]);
  });

  test('gives the arrays themselves, to be wiped once', () => {
    assert.equal(validPasswords({ ...at(0n), previous })[0], previous);
  });
});
