/** RFC 4757 per-message tokens: MIT's, every way to get their checks wrong, and noise. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hmac } from '@noble/hashes/hmac.js';
import { md5 } from '@noble/hashes/legacy.js';
import fc from 'fast-check';
import { concat, fromHex, hex, utf8 } from '../../../src/bytes.ts';
import { isAdError } from '../../../src/errors.ts';
import { Key } from '../../../src/krb5/crypto/index.ts';
import { rc4 } from '../../../src/krb5/crypto/rc4.ts';
import { chooseContextKey, messageTokens } from '../../../src/krb5/gss/message-tokens.ts';
import { Rc4Context, type Rc4TokenOptions } from '../../../src/krb5/gss/rc4-tokens.ts';
import { frameToken } from '../../../src/krb5/gss/token.ts';
import { fuzz } from '../../support/fuzz.ts';
import { loadVectors } from '../../support/vectors.ts';

interface Token {
  readonly kind: 'sealed' | 'signed' | 'mic';
  readonly sequence: number;
  readonly message: string;
  readonly confounder?: string;
  readonly token: string;
}
const recorded = loadVectors<{ key: string; tokens: Token[] }>('gss-rc4');
const keyBytes = fromHex(recorded.key);
const newKey = () => new Key(23, keyBytes);
const message = utf8('message');

function end(initiator: boolean, more: Partial<Rc4TokenOptions> = {}): Rc4Context {
  const [sendSeq, recvSeq] = initiator ? [100n, 200n] : [200n, 100n];
  return new Rc4Context({ key: newKey(), initiator, sendSeq, recvSeq, ...more });
}
const pair = (more: Partial<Rc4TokenOptions> = {}) => ({ initiator: end(true, more), acceptor: end(false, more) });

describe("tokens of MIT's acceptor", () => {
  for (const v of recorded.tokens) {
    const name = `${v.kind}, ${v.message.length} bytes`;
    test(`${name}: is understood`, () => {
      const ours = end(true, { recvSeq: BigInt(v.sequence) });
      if (v.kind === 'mic') ours.verifyMic(utf8(v.message), fromHex(v.token));
      else {
        const opened = ours.unwrap(fromHex(v.token));
        assert.deepEqual(opened, { plain: utf8(v.message), confidential: v.kind === 'sealed' });
      }
    });

    test(`${name}: is what we make with its number and confounder`, () => {
      const random = () => fromHex(v.confounder!);
      const ours = end(false, { sendSeq: BigInt(v.sequence), random });
      const made =
        v.kind === 'mic'
          ? ours.getMic(utf8(v.message))
          : ours.wrap(utf8(v.message), { confidential: v.kind === 'sealed' });
      assert.equal(hex(made), v.token);
    });
  }
});

describe('a context', () => {
  test('opens what its other end made, whatever the data', () => {
    const { initiator, acceptor } = pair();
    const property = fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (plain, confidential) => {
      assert.deepEqual(acceptor.unwrap(initiator.wrap(plain, { confidential })), { plain, confidential });
      assert.deepEqual(initiator.unwrap(acceptor.wrap(plain, { confidential })), { plain, confidential });
      acceptor.verifyMic(plain, initiator.getMic(plain));
    });
    fc.assert(property);
  });

  test('makes no token longer than it said', () => {
    const { initiator } = pair();
    for (const n of [0, 90, 200, 66_000]) {
      assert.ok(initiator.wrap(new Uint8Array(n), { confidential: true }).length <= n + initiator.sealOverhead);
    }
  });

  test('counts beyond 32 bits begin again with 0', () => {
    const ours = end(true, { sendSeq: 0xffffffffn });
    const theirs = end(false, { recvSeq: 0xffffffffn });
    for (let i = 0; i < 3; i++) theirs.verifyMic(message, ours.getMic(message));
  });

  test('wipes its key when destroyed and does nothing more', () => {
    const key = newKey();
    const ours = end(true, { key });
    const token = end(false).wrap(message, { confidential: true });
    ours.destroy();
    assert.ok(key.value.every((b) => b === 0));
    for (const use of [
      () => ours.wrap(message, { confidential: false }),
      () => ours.getMic(message),
      () => ours.unwrap(token),
    ]) {
      assert.throws(use, { code: 'INVALID_ARGUMENT' });
    }
  });

  test('is made with an RC4 key only', () => {
    assert.throws(() => end(true, { key: Key.generate(17) }), { code: 'ETYPE' });
    const options = { initiator: true, acceptorSubkey: false, sendSeq: 0n, recvSeq: 0n };
    assert.ok(messageTokens({ ...options, key: newKey() }) instanceof Rc4Context);
    assert.ok(!(messageTokens({ ...options, key: Key.generate(17) }) instanceof Rc4Context));
  });
});

describe('a token is refused', () => {
  const refused = (token: Uint8Array, words: RegExp) =>
    assert.throws(() => end(true).unwrap(token), { code: 'INTEGRITY', message: words });
  const malformed = (token: Uint8Array, words: RegExp) =>
    assert.throws(() => end(true).unwrap(token), { code: 'MALFORMED', message: words });
  const header = (hexBytes = '02011100ffffffff') => fromHex(hexBytes);

  /** Section 7.3 once more, for an unsealed token with parts of choice. */
  function signed(parts: { header?: Uint8Array; clear?: Uint8Array; direction?: number; number?: number } = {}) {
    const head = parts.header ?? header();
    const clear = parts.clear ?? concat(new Uint8Array(8), message, Uint8Array.of(1));
    const signKey = hmac(md5, keyBytes, utf8('signaturekey\0'));
    const checksum = hmac(md5, signKey, md5(concat(Uint8Array.of(13, 0, 0, 0), head, clear))).subarray(0, 8);
    const number = new Uint8Array(8).fill(parts.direction ?? 0xff);
    new DataView(number.buffer).setUint32(0, parts.number ?? 200);
    const numberKey = hmac(md5, hmac(md5, keyBytes, new Uint8Array(4)), checksum);
    return frameToken((head[0]! << 8) | head[1]!, concat(head.subarray(2), rc4(numberKey, number), checksum, clear));
  }

  test('unless all of it is right', () => {
    assert.deepEqual(end(true).unwrap(signed()), { plain: message, confidential: false });
  });

  test('with any bit flipped', () => {
    for (const confidential of [true, false]) {
      const token = end(false).wrap(message, { confidential });
      for (let bit = 0; bit < token.length * 8; bit++) {
        const changed = token.slice();
        changed[bit >> 3]! ^= 1 << (bit & 7);
        assert.throws(
          () => end(true).unwrap(changed),
          (e) => isAdError(e, 'INTEGRITY', 'MALFORMED'),
          `bit ${bit}`,
        );
      }
    }
  });

  test('that we sent ourselves', () =>
    refused(end(true, { sendSeq: 200n }).wrap(message, { confidential: true }), /own/));
  test('whose direction is neither', () => refused(signed({ direction: 0x7f }), /does not decrypt/));
  test('with another number than is due', () => refused(signed({ number: 201 }), /201 where 200 is due/));
  test('that comes twice', () => {
    const [ours, token] = [end(true), signed()];
    ours.unwrap(token);
    assert.throws(() => ours.unwrap(token), { code: 'INTEGRITY' });
  });
  test('under another key', () => {
    refused(end(false, { key: Key.generate(23) }).wrap(message, { confidential: true }), /checksum/);
  });
  test('with a padding that is not one byte of 01', () => {
    malformed(signed({ clear: concat(new Uint8Array(8), message, Uint8Array.of(2)) }), /padding/);
    malformed(signed({ clear: new Uint8Array(8) }), /confounder/);
  });
  test('signed or sealed with DES', () => {
    malformed(signed({ header: header('02010000ffffffff') }), /SGN_ALG 0/);
    malformed(signed({ header: header('020111000000ffff') }), /SEAL_ALG 0/);
  });
  test('with another filler', () => malformed(signed({ header: header('02011100fffffffe') }), /filler/));
  test('that is a MIC where a Wrap token is due, and the other way round', () => {
    malformed(end(false).getMic(message), /not a Wrap token/);
    const token = end(false).wrap(message, { confidential: false });
    assert.throws(() => end(true).verifyMic(message, token), { code: 'MALFORMED', message: /not a MIC token/ });
  });
  test('that is a MIC of another message, or longer than one', () => {
    const token = end(false).getMic(message);
    assert.throws(() => end(true).verifyMic(utf8('other'), token), { code: 'INTEGRITY' });
    const inner = concat(token.subarray(15), Uint8Array.of(0));
    assert.throws(() => end(true).verifyMic(message, frameToken(0x0101, inner)), { code: 'MALFORMED' });
  });

  test('with MALFORMED or INTEGRITY alone, whatever the bytes', () => {
    const tokens = [0, 5, 200].flatMap((n) =>
      [true, false].map((confidential) => end(false).wrap(new Uint8Array(n), { confidential })),
    );
    const allow = (e: unknown) => isAdError(e, 'INTEGRITY');
    const unwrapped = fuzz(tokens, (token) => end(true).unwrap(token), { iterations: 1500, seed: 4757, allow });
    const mics = fuzz([end(false).getMic(message)], (token) => end(true).verifyMic(message, token), {
      iterations: 500,
      seed: 4757,
      allow,
    });
    assert.ok(unwrapped.refused > 1000 && mics.refused > 300);
  });
});

describe('the key of a context', () => {
  test('is the acceptor\u2019s of the newer types, the initiator\u2019s of RC4, and the other is wiped', () => {
    for (const [mine, theirs, acceptorSubkey] of [
      [18, 18, true],
      [23, 23, false],
      [23, 18, true],
      [18, 23, true],
    ] as const) {
      const [initiator, acceptor] = [Key.generate(mine), Key.generate(theirs)];
      const chosen = chooseContextKey(initiator, acceptor);
      assert.deepEqual([chosen.key, chosen.acceptorSubkey], [acceptorSubkey ? acceptor : initiator, acceptorSubkey]);
      assert.deepEqual([initiator.destroyed, acceptor.destroyed], [acceptorSubkey, !acceptorSubkey]);
    }
  });

  test('is the initiator\u2019s where the acceptor sent none', () => {
    const key = Key.generate(18);
    assert.deepEqual(chooseContextKey(key, undefined), { key, acceptorSubkey: false });
    assert.equal(key.destroyed, false);
  });
});
