/** RFC 4752: the negotiation of a security layer with a server that offers less, or another order of things. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concat, hex, utf8 } from '../../src/bytes.ts';
import type { CfxContext } from '../../src/krb5/gss/cfx.ts';
import { GssapiMechanism } from '../../src/ldap/sasl-gssapi.ts';
import { accept, context, credentials } from '../support/gss.ts';

const ALL_LAYERS = Uint8Array.of(7, 0x10, 0, 0);

/** A mechanism whose context is established and that waits for the offer. */
function established(): { mechanism: GssapiMechanism; acceptor: CfxContext } {
  const mechanism = new GssapiMechanism({ context, credentials, protection: 'seal' });
  const { reply, acceptor } = accept(mechanism.step(undefined)!);
  assert.deepEqual(mechanism.step(reply), new Uint8Array(0));
  return { mechanism, acceptor };
}
const offer = (acceptor: CfxContext, bytes: Uint8Array) => acceptor.wrap(bytes, { confidential: false });

describe('SASL GSSAPI', () => {
  test('chooses confidentiality in a token that is not sealed itself', () => {
    const { mechanism, acceptor } = established();
    const { plain, confidential } = acceptor.unwrap(mechanism.step(offer(acceptor, ALL_LAYERS))!);
    assert.equal(confidential, false);
    assert.equal(hex(plain), '04100000'); // confidentiality, and a megabyte at a time
  });

  test('seals from then on', () => {
    const { mechanism, acceptor } = established();
    acceptor.unwrap(mechanism.step(offer(acceptor, ALL_LAYERS))!);
    const layer = mechanism.finish()!;
    const { plain, confidential } = acceptor.unwrap(layer.wrap(utf8('search')));
    assert.deepEqual([plain, confidential], [utf8('search'), true]);
    assert.deepEqual(layer.unwrap(acceptor.wrap(utf8('entry'), { confidential: true })), utf8('entry'));
  });

  test('never sends more at once than the server takes', () => {
    for (const [size, expected] of [
      [4096, 4096 - 60],
      [61, 1],
      [0xffffff, 0xffffff - 60],
    ] as const) {
      const { mechanism, acceptor } = established();
      const bytes = Uint8Array.of(4, size >> 16, (size >> 8) & 0xff, size & 0xff);
      mechanism.step(offer(acceptor, bytes));
      const layer = mechanism.finish()!;
      assert.equal(layer.maxSend, expected);
      if (size < 5000) assert.ok(layer.wrap(new Uint8Array(layer.maxSend)).length <= size);
    }
  });

  for (const layers of [0, 1, 2, 3]) {
    test(`layers ${layers} without confidentiality are refused`, () => {
      const { mechanism, acceptor } = established();
      const bytes = Uint8Array.of(layers, 0x10, 0, 0);
      assert.throws(() => mechanism.step(offer(acceptor, bytes)), { code: 'NOT_SEALED', message: /nothing weaker/ });
      assert.throws(() => mechanism.finish(), { code: 'NOT_SEALED' });
    });
  }

  test('a server that reports success too early is refused', () => {
    const fresh = new GssapiMechanism({ context, credentials, protection: 'seal' });
    assert.throws(() => fresh.finish(), { code: 'NOT_SEALED' });
    fresh.step(undefined);
    assert.throws(() => fresh.finish(), { code: 'NOT_SEALED', message: /before a security layer/ });
    assert.throws(() => established().mechanism.finish(), { code: 'NOT_SEALED' });
  });

  for (const size of [0, 3, 5, 100]) {
    test(`an offer of ${size} octets is malformed`, () => {
      const { mechanism, acceptor } = established();
      const bytes = new Uint8Array(size).fill(7);
      assert.throws(() => mechanism.step(offer(acceptor, bytes)), { code: 'MALFORMED' });
    });
  }

  for (const size of [0, 60]) {
    test(`a server that takes ${size} octets takes no sealed one`, () => {
      const { mechanism, acceptor } = established();
      assert.throws(() => mechanism.step(offer(acceptor, Uint8Array.of(4, 0, 0, size))), { code: 'MALFORMED' });
    });
  }

  test('an offer that was altered on its way is refused', () => {
    const { mechanism, acceptor } = established();
    const token = offer(acceptor, Uint8Array.of(7, 0x10, 0, 0));
    token[16] = 1; // no layer
    assert.throws(() => mechanism.step(token), { code: 'INTEGRITY' });
  });

  test('an offer in the clear is refused', () => {
    assert.throws(() => established().mechanism.step(ALL_LAYERS), { code: 'MALFORMED' });
  });

  test('tokens that are due must come', () => {
    const fresh = new GssapiMechanism({ context, credentials, protection: 'seal' });
    fresh.step(undefined);
    assert.throws(() => fresh.step(undefined), { code: 'MALFORMED' });
    assert.throws(() => established().mechanism.step(undefined), { code: 'MALFORMED' });
  });

  test('a server that goes on after the choice is refused', () => {
    const { mechanism, acceptor } = established();
    mechanism.step(offer(acceptor, ALL_LAYERS));
    assert.throws(() => mechanism.step(offer(acceptor, ALL_LAYERS)), { code: 'MALFORMED' });
  });

  test('an acceptor that cannot prove itself is refused', () => {
    const mechanism = new GssapiMechanism({ context, credentials, protection: 'seal' });
    const { reply } = accept(mechanism.step(undefined)!);
    const other = new GssapiMechanism({ context, credentials, protection: 'seal' });
    other.step(undefined);
    assert.throws(() => other.step(reply), { code: 'REPLY_REJECTED', message: /another AP-REQ/ });
    assert.throws(() => mechanism.step(concat(reply, Uint8Array.of(0))), { code: 'MALFORMED' });
  });

  test('a buffer that is signed only is refused once sealing was agreed', () => {
    const { mechanism, acceptor } = established();
    mechanism.step(offer(acceptor, ALL_LAYERS));
    const layer = mechanism.finish()!;
    const signed = acceptor.wrap(utf8('entry'), { confidential: false });
    assert.throws(() => layer.unwrap(signed), { code: 'NOT_SEALED' });
  });

  test('its keys are gone after destroy(), at any stage', () => {
    for (const stage of ['fresh', 'started', 'established', 'chosen']) {
      const { mechanism, acceptor } = established();
      const one =
        stage === 'established' || stage === 'chosen'
          ? mechanism
          : new GssapiMechanism({ context, credentials, protection: 'seal' });
      if (stage === 'started') one.step(undefined);
      if (stage === 'chosen') one.step(offer(acceptor, ALL_LAYERS));
      one.destroy();
      if (stage === 'chosen') assert.throws(() => one.finish()!.wrap(utf8('x')), { code: 'INVALID_ARGUMENT' });
    }
  });
});
