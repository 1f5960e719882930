/** The GSS-API initiator with an acceptor that lies. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { toDer } from '../../../src/asn1.ts';
import { concat, fromHex, hex, utf8 } from '../../../src/bytes.ts';
import { isAdError } from '../../../src/errors.ts';
import { Key } from '../../../src/krb5/crypto/index.ts';
import { type AcceptedApRequest, buildApRep } from '../../../src/krb5/exchanges/ap.ts';
import { CfxContext } from '../../../src/krb5/gss/cfx.ts';
import { GssInitiator } from '../../../src/krb5/gss/initiator.ts';
import { frameToken, gssTokenId, unframeToken } from '../../../src/krb5/gss/token.ts';
import { ApRep, EncApRepPart } from '../../../src/krb5/messages.ts';
import { keyUsage } from '../../../src/krb5/numbers.ts';
import { formatPrincipal } from '../../../src/krb5/principal.ts';
import { errorReply } from '../../support/fake-kdc.ts';
import { fuzz } from '../../support/fuzz.ts';
import { acceptToken, context, credentials, NOW } from '../../support/gss.ts';

function begin(): { initiator: GssInitiator; accepted: AcceptedApRequest } {
  const initiator = new GssInitiator({ context, credentials });
  return { initiator, accepted: acceptToken(initiator.start()) };
}

/** An AP-REP that is honest but for `part`. */
function apRep(
  accepted: AcceptedApRequest,
  part: Partial<Parameters<typeof toDer<import('../../../src/krb5/messages.ts').EncApRepPart>>[1]> = {},
  rep: { msgType?: number; pvno?: number; key?: Key; etype?: number; usage?: number } = {},
): Uint8Array {
  const key = rep.key ?? accepted.sessionKey;
  const clear = toDer(EncApRepPart, { ctime: accepted.ctime, cusec: accepted.cusec, ...part });
  const cipher = key.encrypt(rep.usage ?? keyUsage.AP_REP_ENC_PART, clear);
  const encPart = { etype: rep.etype ?? key.etype, cipher };
  const { pvno = 5, msgType = 15 } = rep;
  return frameToken(gssTokenId.AP_REP, toDer(ApRep, { pvno, msgType, encPart }));
}

describe('the first token', () => {
  test('asks for mutual authentication, order and confidentiality, and names no channel', () => {
    const { accepted } = begin();
    assert.equal(formatPrincipal(accepted.client), 'alice@EXAMPLE.TEST');
    assert.ok(accepted.mutual);
    assert.equal(accepted.checksum?.cksumtype, 0x8003);
    // RFC 4121 4.1.1: length 16, bindings, flags MUTUAL 2, REPLAY 4, SEQUENCE 8, CONF 16, INTEG 32; little endian
    assert.equal(hex(accepted.checksum!.checksum), `10000000${'00'.repeat(16)}3e000000`);
  });

  test('carries channel bindings where there are some', () => {
    const bindings = fromHex('000102030405060708090a0b0c0d0e0f');
    const { checksum } = acceptToken(new GssInitiator({ context, credentials, bindings }).start());
    assert.equal(hex(checksum!.checksum.subarray(4, 20)), hex(bindings));
  });

  test('is never the same twice, nor is its subkey', () => {
    const [a, b] = [begin().accepted, begin().accepted];
    assert.notEqual(hex(a.subkey!.value), hex(b.subkey!.value));
    assert.ok(a.ctime.getTime() !== b.ctime.getTime() || a.cusec !== b.cusec);
  });
});

describe('an answer', () => {
  const data = utf8('message');

  test("with the acceptor's subkey makes a context of it", () => {
    const { initiator, accepted } = begin();
    const subkey = Key.generate(17);
    const cfx = initiator.finish(frameToken(gssTokenId.AP_REP, buildApRep(accepted, { subkey, sequence: 7 })));
    const acceptor = new CfxContext({
      key: new Key(17, subkey.value),
      initiator: false,
      acceptorSubkey: true,
      sendSeq: 7n,
      recvSeq: BigInt(accepted.sequence!),
    });
    assert.deepEqual(acceptor.unwrap(cfx.wrap(data, { confidential: true })).plain, data);
    assert.deepEqual(cfx.unwrap(acceptor.wrap(data, { confidential: true })).plain, data);
  });

  test('without one leaves ours', () => {
    const { initiator, accepted } = begin();
    const cfx = initiator.finish(apRep(accepted, { seqNumber: 0xffffffff }));
    const acceptor = new CfxContext({
      key: new Key(18, accepted.subkey!.value),
      initiator: false,
      acceptorSubkey: false,
      sendSeq: 0xffffffffn,
      recvSeq: BigInt(accepted.sequence!),
    });
    assert.deepEqual(cfx.unwrap(acceptor.wrap(data, { confidential: true })).plain, data);
  });

  const lies: readonly [what: string, token: (a: AcceptedApRequest) => Uint8Array, code: string][] = [
    ['to another request', (a) => apRep(a, { cusec: (a.cusec + 1) % 1e6 }), 'REPLY_REJECTED'],
    ['to a request of another second', (a) => apRep(a, { ctime: new Date(NOW + 1000) }), 'REPLY_REJECTED'],
    ['under another key', (a) => apRep(a, {}, { key: Key.generate(18) }), 'INTEGRITY'],
    ['under our subkey', (a) => apRep(a, {}, { key: a.subkey! }), 'INTEGRITY'],
    ['made of our own request', (a) => apRep(a, {}, { usage: keyUsage.AP_REQ_AUTHENTICATOR }), 'INTEGRITY'],
    ['of another encryption type', (a) => apRep(a, {}, { etype: 17 }), 'REPLY_REJECTED'],
    ['of another message type', (a) => apRep(a, {}, { msgType: 14 }), 'REPLY_REJECTED'],
    ['of another version', (a) => apRep(a, {}, { pvno: 4 }), 'REPLY_REJECTED'],
    ['with a weak subkey', (a) => apRep(a, { subkey: { keytype: 23, keyvalue: new Uint8Array(16) } }), 'ETYPE'],
    ['with an unknown subkey', (a) => apRep(a, { subkey: { keytype: 99, keyvalue: new Uint8Array(16) } }), 'ETYPE'],
    ['with a short subkey', (a) => apRep(a, { subkey: { keytype: 18, keyvalue: new Uint8Array(16) } }), 'MALFORMED'],
    ['that is empty', () => new Uint8Array(), 'MALFORMED'],
    ['without its frame', (a) => unframeToken(apRep(a)).inner, 'MALFORMED'],
    ['in the frame of a request', (a) => frameToken(gssTokenId.AP_REQ, unframeToken(apRep(a)).inner), 'MALFORMED'],
    ['that refuses the clock', () => frameToken(gssTokenId.ERROR, errorReply('KRB_AP_ERR_SKEW', NOW)), 'CLOCK_SKEW'],
    ['that refuses in noise', () => frameToken(gssTokenId.ERROR, utf8('noise')), 'MALFORMED'],
  ];
  for (const [what, token, code] of lies) {
    test(`${what} is refused`, () => {
      const { initiator, accepted } = begin();
      assert.throws(() => initiator.finish(token(accepted)), { code });
    });
  }

  test('before anything was asked is refused', () => {
    assert.throws(() => new GssInitiator({ context, credentials }).finish(data), { code: 'INVALID_ARGUMENT' });
  });

  test('altered anywhere never makes a context', () => {
    const { initiator, accepted } = begin();
    const honest = apRep(accepted);
    let made = 0;
    fuzz(
      [honest],
      (input) => {
        if (hex(input) === hex(honest)) return; // the one that would end the exchange
        initiator.finish(input);
        made++;
      },
      { iterations: 1500, seed: 2743, allow: (e) => isAdError(e, 'INTEGRITY', 'REPLY_REJECTED') },
    );
    assert.equal(made, 0);
    initiator.finish(honest);
  });
});

describe('the frame of RFC 2743 3.1', () => {
  for (const n of [0, 100, 114, 115, 242, 243, 65_000, 65_522, 65_523, 70_000]) {
    test(`around ${n} bytes comes off again`, () => {
      const inner = new Uint8Array(n).fill(3);
      assert.deepEqual(unframeToken(frameToken(0x0100, inner)), { tokId: 0x0100, inner });
    });
  }

  const good = frameToken(0x0200, utf8('token'));
  const bad: readonly [what: string, token: Uint8Array][] = [
    ['nothing', new Uint8Array()],
    ['another tag', concat(Uint8Array.of(0x61), good.subarray(1))],
    ['a byte too many', concat(good, Uint8Array.of(0))],
    ['a byte too few', good.subarray(0, -1)],
    ['an indefinite length', fromHex('6080 06092a864886f712010202 0200 0000')],
    ['a length of four octets', fromHex('6084 0000000d 06092a864886f712010202 0200')],
    ['SPNEGO', fromHex('6009 06062b0601050502 00')],
    ['another mechanism of the same length', fromHex('600d 06092a864882f712010202 0200')],
    ['no token identifier', fromHex('600b 06092a864886f712010202')],
  ];
  for (const [what, token] of bad) {
    test(`with ${what} is refused`, () => assert.throws(() => unframeToken(token), { code: 'MALFORMED' }));
  }
});
