/** RFC 4121 per-message tokens: published tokens, every known way to get their checks wrong, and noise. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { concat, fromHex, hex, utf8 } from '../../../src/bytes.ts';
import { isAdError } from '../../../src/errors.ts';
import { Key } from '../../../src/krb5/crypto/index.ts';
import { CfxContext, type CfxOptions } from '../../../src/krb5/gss/cfx.ts';
import { keyUsage } from '../../../src/krb5/numbers.ts';
import { fuzz } from '../../support/fuzz.ts';
import { loadVectors } from '../../support/vectors.ts';

interface Token {
  readonly kind: 'wrap' | 'mic';
  readonly by: 'initiator' | 'acceptor';
  readonly sequence: number;
  readonly message: string;
  readonly token: string;
}
const published = loadVectors<{ key: string; etype: number; tokens: Token[] }>('gss-cfx');

const keyBytes = fromHex('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f');
const newKey = () => new Key(18, keyBytes);
const CKSUM = 12;

/** Both ends of a context. */
function pair(more: Partial<CfxOptions> = {}): { initiator: CfxContext; acceptor: CfxContext } {
  const common = { acceptorSubkey: true, sendSeq: 100n, recvSeq: 200n, ...more };
  return {
    initiator: new CfxContext({ key: newKey(), initiator: true, ...common }),
    acceptor: new CfxContext({
      key: newKey(),
      initiator: false,
      ...common,
      sendSeq: common.recvSeq,
      recvSeq: common.sendSeq,
    }),
  };
}

interface Parts {
  readonly flags?: number;
  readonly ec?: number;
  readonly rrc?: number;
  readonly sequence?: bigint;
  readonly filler?: number;
}
function header(tokId: number, { flags = 7, ec = 0, rrc = 0, sequence = 200n, filler = 0xff }: Parts): Uint8Array {
  const out = new Uint8Array(16);
  const view = new DataView(out.buffer);
  view.setUint16(0, tokId);
  view.setUint8(2, flags);
  view.setUint8(3, filler);
  view.setUint16(4, ec);
  view.setUint16(6, rrc);
  view.setBigUint64(8, sequence);
  return out;
}
const rotated = (body: Uint8Array, n: number) => {
  const turn = body.length - (n % body.length);
  return concat(body.subarray(turn), body.subarray(0, turn));
};
/** A sealed token as the acceptor could send it, with whatever inside. */
function sealed(inside: Uint8Array, outer: Parts = {}, usage: number = keyUsage.GSS_ACCEPTOR_SEAL): Uint8Array {
  return concat(header(0x0504, outer), rotated(newKey().encrypt(usage, inside), outer.rrc ?? 0));
}
/** An integrity token as the acceptor could send it. */
function signed(plain: Uint8Array, outer: Parts = {}): Uint8Array {
  const parts = { flags: 5, ec: CKSUM, ...outer };
  const over = concat(plain, header(0x0504, { ...parts, ec: 0, rrc: 0 }));
  const body = concat(plain, newKey().checksum(keyUsage.GSS_ACCEPTOR_SEAL, over));
  return concat(header(0x0504, parts), rotated(body, parts.rrc ?? 0));
}
const data = utf8('message');
const inner = (parts: Parts = {}) => header(0x0504, parts);

describe('published tokens', () => {
  for (const { kind, by, sequence, message, token } of published.tokens) {
    const key = () => new Key(published.etype, fromHex(published.key));
    const end = (initiator: boolean) =>
      new CfxContext({
        key: key(),
        initiator,
        acceptorSubkey: false,
        sendSeq: BigInt(sequence),
        recvSeq: BigInt(sequence),
      });
    const [sender, receiver] = by === 'initiator' ? [end(true), end(false)] : [end(false), end(true)];

    test(`${kind} by the ${by} is written byte for byte`, () => {
      const plain = fromHex(message);
      const written = kind === 'wrap' ? sender.wrap(plain, { confidential: false }) : sender.getMic(plain);
      assert.equal(hex(written), token);
    });
    test(`${kind} by the ${by} is accepted`, () => {
      if (kind === 'mic') receiver.verifyMic(fromHex(message), fromHex(token));
      else {
        const { plain, confidential } = receiver.unwrap(fromHex(token));
        assert.deepEqual([hex(plain), confidential], [message, false]);
      }
    });
  }
});

describe('tokens between two ends', () => {
  for (const etype of [17, 18]) {
    test(`of any length arrive, sealed or not, with etype ${etype}`, () => {
      const bytes = keyBytes.subarray(0, etype === 17 ? 16 : 32);
      const common = { acceptorSubkey: false, sendSeq: 0n, recvSeq: 0n };
      const initiator = new CfxContext({ key: new Key(etype, bytes), initiator: true, ...common });
      const acceptor = new CfxContext({ key: new Key(etype, bytes), initiator: false, ...common });
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 100 }), fc.boolean(), fc.boolean(), (plain, confidential, back) => {
          const [from, to] = back ? [acceptor, initiator] : [initiator, acceptor];
          const token = from.wrap(plain, { confidential });
          assert.equal(token.length - plain.length, confidential ? from.sealOverhead : 28);
          assert.deepEqual(to.unwrap(token), { plain, confidential });
          to.verifyMic(plain, from.getMic(plain));
        }),
      );
    });
  }

  test('any rotation is undone: Windows turns sealed tokens by 28 and signed ones by 12', () => {
    for (const rrc of [0, 1, 12, 16, 28, 51, 52, 53, 1000, 0xffff]) {
      const { initiator } = pair();
      assert.deepEqual(initiator.unwrap(sealed(concat(data, inner()), { rrc })).plain, data);
      const plain = initiator.unwrap(signed(data, { rrc, sequence: 201n })).plain;
      assert.deepEqual(plain, data);
    }
  });

  test('filler inside a sealed token is taken off', () => {
    for (const ec of [1, 16, 300]) {
      const { initiator } = pair();
      const token = sealed(concat(data, new Uint8Array(ec).fill(0xff), inner({ ec })), { ec, rrc: 28 });
      assert.deepEqual(initiator.unwrap(token).plain, data);
    }
  });

  test('sequence numbers grow beyond 32 bits', () => {
    const { initiator, acceptor } = pair({ sendSeq: 0xffffffffn });
    for (let i = 0; i < 3; i++) acceptor.unwrap(initiator.wrap(data, { confidential: true }));
    const last = initiator.wrap(data, { confidential: true });
    assert.equal(hex(last.subarray(8, 16)), '0000000100000002');
  });

  test('keys are gone after destroy()', () => {
    const { initiator } = pair();
    initiator.destroy();
    assert.throws(() => initiator.wrap(data, { confidential: true }), { code: 'INVALID_ARGUMENT' });
  });
});

describe('a token is refused', () => {
  const cases: readonly [what: string, token: () => Uint8Array, code: 'MALFORMED' | 'INTEGRITY'][] = [
    ['that is empty', () => new Uint8Array(), 'MALFORMED'],
    ['of a header alone, sealed', () => header(0x0504, {}), 'MALFORMED'],
    ['of a header alone, signed', () => header(0x0504, { flags: 5, ec: CKSUM }), 'MALFORMED'],
    ['whose header is cut', () => sealed(concat(data, inner())).subarray(0, 15), 'MALFORMED'],
    ['of another kind', () => concat(header(0x0404, {}), new Uint8Array(60)), 'MALFORMED'],
    ['of the old kind', () => concat(fromHex('0201'), new Uint8Array(60)), 'MALFORMED'],
    ['whose filler is not FF', () => sealed(concat(data, inner()), { filler: 0 }), 'MALFORMED'],
    ['with unknown flags', () => sealed(concat(data, inner({ flags: 15 })), { flags: 15 }), 'MALFORMED'],
    // The ciphertext is shorter than confounder and checksum.
    ['whose ciphertext is too short', () => concat(header(0x0504, {}), new Uint8Array(27)), 'INTEGRITY'],
    // The plaintext is shorter than the copy of the header.
    ['whose plaintext is shorter than a header', () => sealed(new Uint8Array(15)), 'MALFORMED'],
    ['whose plaintext is empty', () => sealed(new Uint8Array()), 'MALFORMED'],
    // EC reaches beyond the plaintext that is left before the header's copy.
    ['with more filler than plaintext', () => sealed(concat(data, inner({ ec: 8 })), { ec: 8 }), 'MALFORMED'],
    ['with the most filler there can be', () => sealed(concat(data, inner({ ec: 65535 })), { ec: 65535 }), 'MALFORMED'],
    // The clear EC is not authenticated: raised, it would cut the message; lowered, filler would be read as message.
    ['whose EC was raised to cut the message', () => sealed(concat(data, inner()), { ec: 3 }), 'INTEGRITY'],
    ['whose EC was lowered to lengthen it', () => sealed(concat(data, inner({ ec: 3 })), { ec: 0 }), 'INTEGRITY'],
    ['whose sequence number was altered outside', () => sealed(concat(data, inner({ sequence: 199n }))), 'INTEGRITY'],
    ['whose sealed header names a rotation', () => sealed(concat(data, inner({ rrc: 28 })), { rrc: 28 }), 'INTEGRITY'],
    ['whose sealed header has other flags', () => sealed(concat(data, inner({ flags: 5 }))), 'INTEGRITY'],
    ['whose sealed header is that of a MIC', () => sealed(concat(data, header(0x0404, {}))), 'INTEGRITY'],
    ['sealed for our own direction', () => sealed(concat(data, inner()), {}, keyUsage.GSS_INITIATOR_SEAL), 'INTEGRITY'],
    ['marked as our own', () => sealed(concat(data, inner({ flags: 6 })), { flags: 6 }), 'INTEGRITY'],
    ['marked as under another subkey', () => sealed(concat(data, inner({ flags: 3 })), { flags: 3 }), 'INTEGRITY'],
    ['from the past', () => sealed(concat(data, inner({ sequence: 199n })), { sequence: 199n }), 'INTEGRITY'],
    ['from the future', () => sealed(concat(data, inner({ sequence: 201n })), { sequence: 201n }), 'INTEGRITY'],
    [
      'from 2^64 before',
      () => sealed(concat(data, inner({ sequence: 2n ** 64n - 1n })), { sequence: 2n ** 64n - 1n }),
      'INTEGRITY',
    ],
    ['signed, with EC 0', () => signed(data, { ec: 0 }), 'MALFORMED'],
    ['signed, with an EC of another length', () => signed(data, { ec: 16 }), 'MALFORMED'],
    ['signed, shorter than its checksum', () => concat(header(0x0504, { flags: 5, ec: CKSUM }), data), 'MALFORMED'],
    ['signed, marked as our own', () => signed(data, { flags: 4 }), 'INTEGRITY'],
    ['signed, marked as sealed', () => signed(data, { flags: 7 }), 'INTEGRITY'],
    ['sealed, marked as signed', () => sealed(concat(data, inner()), { flags: 5, ec: CKSUM }), 'INTEGRITY'],
  ];
  for (const [what, token, code] of cases) {
    test(what, () => {
      const { initiator } = pair();
      assert.throws(() => initiator.unwrap(token()), { code });
      // It did not move the context on: the honest token that is due still opens.
      assert.deepEqual(initiator.unwrap(sealed(concat(data, inner()))).plain, data);
    });
  }

  test('that is our own come back', () => {
    const { initiator } = pair({ recvSeq: 100n });
    assert.throws(() => initiator.unwrap(initiator.wrap(data, { confidential: true })), { code: 'INTEGRITY' });
  });

  test('that comes a second time', () => {
    const { initiator } = pair();
    const token = sealed(concat(data, inner()));
    initiator.unwrap(token);
    assert.throws(() => initiator.unwrap(token), { code: 'INTEGRITY', message: /sequence number 200 where 201/ });
  });

  test('that overtook another', () => {
    const { initiator, acceptor } = pair();
    const [first, second] = [1, 2].map(() => acceptor.wrap(data, { confidential: true }));
    assert.throws(() => initiator.unwrap(second!), { code: 'INTEGRITY' });
    initiator.unwrap(first!);
    initiator.unwrap(second!);
  });

  test('that was cut anywhere', () => {
    for (const token of [sealed(concat(data, inner()), { rrc: 28 }), signed(data, { rrc: 12 })]) {
      for (let n = 0; n < token.length; n++) {
        assert.throws(
          () => pair().initiator.unwrap(token.subarray(0, n)),
          (e) => isAdError(e, 'MALFORMED', 'INTEGRITY'),
        );
      }
    }
  });

  test('that has one bit turned, except in RRC by its own length', () => {
    for (const token of [sealed(concat(data, inner())), signed(data)]) {
      for (let bit = 0; bit < token.length * 8; bit++) {
        const bad = token.slice();
        bad[bit >> 3]! ^= 1 << (bit & 7);
        assert.throws(
          () => pair().initiator.unwrap(bad),
          (e) => isAdError(e, 'MALFORMED', 'INTEGRITY'),
          `bit ${bit}`,
        );
      }
    }
  });
});

describe('a MIC is refused', () => {
  const mic = () => pair().acceptor.getMic(data);
  const bad: readonly [what: string, token: () => Uint8Array, message?: Uint8Array][] = [
    ['over another message', mic, utf8('massage')],
    ['that is empty', () => new Uint8Array()],
    ['of a header alone', () => mic().subarray(0, 16)],
    ['with a checksum cut short', () => mic().subarray(0, 27)],
    ['with a checksum too long', () => concat(mic(), Uint8Array.of(0))],
    ['with other filler', () => Uint8Array.from(mic(), (b, i) => (i === 5 ? 0 : b))],
    ['marked as sealed', () => Uint8Array.from(mic(), (b, i) => (i === 2 ? 7 : b))],
    ['of our own', () => pair({ recvSeq: 100n }).initiator.getMic(data)],
    ['that is a Wrap token', () => signed(data)],
    ['of another sequence number', () => pair({ recvSeq: 201n }).acceptor.getMic(data)],
  ];
  for (const [what, token, message = data] of bad) {
    test(what, () => {
      assert.throws(
        () => pair().initiator.verifyMic(message, token()),
        (e) => isAdError(e, 'MALFORMED', 'INTEGRITY'),
      );
    });
  }
});

test('noise never passes, and never throws anything else', () => {
  const seeds = [sealed(concat(data, inner()), { rrc: 28 }), signed(data, { rrc: 12 }), pair().acceptor.getMic(data)];
  const { accepted } = fuzz(
    seeds.map((s) => Uint8Array.from(s)),
    (input) => {
      const { initiator } = pair();
      const { plain } = initiator.unwrap(input);
      assert.deepEqual(plain, data);
      initiator.destroy();
    },
    { iterations: 1500, seed: 4121, allow: (e) => isAdError(e, 'INTEGRITY') },
  );
  assert.ok(accepted >= 2);
  fuzz(seeds.slice(2), (input) => pair().initiator.verifyMic(data, input), {
    iterations: 500,
    seed: 4121,
    allow: (e) => isAdError(e, 'INTEGRITY'),
  });
});
