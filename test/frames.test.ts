import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { concat, fromHex, hex } from '../src/bytes.ts';
import { FrameReader } from '../src/frames.ts';

const framed = (message: Uint8Array) => {
  const head = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, message.length);
  return concat(head, message);
};

describe('length-prefixed messages', () => {
  test('come out whole, in order, however the stream is cut', () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });
    fc.assert(
      fc.property(messages, fc.array(fc.nat(30), { minLength: 1, maxLength: 20 }), (sent, cuts) => {
        const stream = concat(...sent.map(framed));
        const reader = new FrameReader(40);
        const received: string[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = cuts[i % cuts.length]! + 1;
          for (const message of reader.push(stream.subarray(at, at + size))) received.push(hex(message));
          at += size;
        }
        assert.deepEqual(received, sent.map(hex));
        assert.ok(reader.idle);
      }),
    );
  });

  test('one that is not complete yet does not come', () => {
    const reader = new FrameReader(10);
    assert.deepEqual([...reader.push(fromHex('00000003aabb'))], []);
    assert.equal(reader.idle, false);
    assert.deepEqual([...reader.push(fromHex('cc'))].map(hex), ['aabbcc']);
    assert.ok(reader.idle);
  });

  for (const length of ['0000000b', '80000001', 'ffffffff']) {
    test(`a length of 0x${length} above the limit is refused before memory is taken`, () => {
      const reader = new FrameReader(10);
      assert.throws(() => [...reader.push(fromHex(length))], { code: 'MALFORMED', message: /limit/ });
    });
  }

  test('messages before one that is too long are still had', () => {
    const taken: string[] = [];
    assert.throws(() => {
      for (const m of new FrameReader(10).push(fromHex('00000001aa 0000000b'))) taken.push(hex(m));
    });
    assert.deepEqual(taken, ['aa']);
  });
});
