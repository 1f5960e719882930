/** The order of messages, as strict as a context's flags ask for. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { gssFlag } from '../../../src/krb5/gss/checksum.ts';
import { messageOrder } from '../../../src/krb5/gss/context.ts';
import { type MessageOrder, ReceivedSequence } from '../../../src/krb5/gss/sequence.ts';

/** The numbers of `sequence` that are accepted, one after the other. */
function accepted(order: MessageOrder, first: bigint, sequence: readonly bigint[]): bigint[] {
  const received = new ReceivedSequence(first, order);
  return sequence.filter((n) => {
    try {
      received.accept(n);
      return true;
    } catch (e) {
      assert.equal((e as { code?: string }).code, 'INTEGRITY');
      return false;
    }
  });
}

describe('messages', () => {
  test('in strict order are taken as they are due', () => {
    assert.deepEqual(accepted('strict', 5n, [4n, 5n, 5n, 7n, 6n, 7n]), [5n, 6n, 7n]);
  });

  test('that may overtake each other are taken once', () => {
    assert.deepEqual(accepted('once', 5n, [7n, 5n, 7n, 5n, 6n, 4n, 9n, 8n, 8n]), [7n, 5n, 6n, 9n, 8n]);
  });

  test('too old to remember are refused', () => {
    assert.deepEqual(accepted('once', 0n, [100n, 36n, 37n, 37n]), [100n, 37n]);
  });

  test('go on after the highest number', () => {
    const last = 2n ** 64n - 1n;
    assert.deepEqual(accepted('strict', last, [last, 0n, 1n]), [last, 0n, 1n]);
    assert.deepEqual(accepted('once', last, [0n, last, last, 1n]), [0n, last, 1n]);
  });

  test('of a context without either check may come in any way', () => {
    assert.deepEqual(accepted('any', 5n, [9n, 9n, 1n]), [9n, 9n, 1n]);
  });

  test('once means once, whatever the order', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt(0n, 80n)), (numbers) => {
        const taken = accepted('once', 0n, numbers);
        assert.equal(new Set(taken).size, taken.length);
      }),
    );
  });
});

test('the order asked for is that of the flags', () => {
  assert.equal(messageOrder(gssFlag.SEQUENCE | gssFlag.REPLAY), 'strict');
  assert.equal(messageOrder(gssFlag.REPLAY), 'once');
  assert.equal(messageOrder(gssFlag.INTEG), 'any');
});
