/** The acceptor's side of AP-REQ: a client that lies, is late, or holds another's ticket. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromDer, toDer } from '../../../src/asn1.ts';
import { isAdError } from '../../../src/errors.ts';
import { Key } from '../../../src/krb5/crypto/index.ts';
import { type AcceptOptions, acceptApReq, buildApReq } from '../../../src/krb5/exchanges/ap.ts';
import { newStamp } from '../../../src/krb5/exchanges/context.ts';
import { ApReq } from '../../../src/krb5/messages.ts';
import { keyUsage } from '../../../src/krb5/numbers.ts';
import { formatPrincipal, principal } from '../../../src/krb5/principal.ts';
import { fuzz } from '../../support/fuzz.ts';
import { context, credentials, NOW, serviceKey } from '../../support/gss.ts';

const HOUR = 3_600_000;
const options: AcceptOptions = {
  keyFor: () => new Key(18, serviceKey.value),
  clock: () => NOW,
  clockSkew: 300_000,
  usage: keyUsage.AP_REQ_AUTHENTICATOR,
};
function request(more: Partial<Parameters<typeof buildApReq>[0]> = {}): Uint8Array {
  const sessionKey = new Key(credentials.key.etype, credentials.key.value);
  const stamp = newStamp(context);
  return buildApReq({ credentials, sessionKey, stamp, usage: keyUsage.AP_REQ_AUTHENTICATOR, ...more }).message;
}

describe('an AP-REQ', () => {
  test('that is honest tells who asks whom', () => {
    const accepted = acceptApReq(request(), options);
    assert.equal(formatPrincipal(accepted.client), 'alice@EXAMPLE.TEST');
    assert.equal(formatPrincipal(accepted.server), 'ldap/dc1.example.test@EXAMPLE.TEST');
    assert.equal(accepted.mutual, false);
  });

  const lies: readonly [what: string, run: () => unknown, code: string][] = [
    [
      "with another's ticket",
      () =>
        acceptApReq(request({ credentials: { ...credentials, client: principal('EXAMPLE.TEST', 'bob') } }), options),
      'REPLY_REJECTED',
    ],
    [
      'of another realm',
      () => acceptApReq(request({ credentials: { ...credentials, client: principal('EVIL.TEST', 'alice') } }), options),
      'REPLY_REJECTED',
    ],
    ['under another session key', () => acceptApReq(request({ sessionKey: Key.generate(18) }), options), 'INTEGRITY'],
    [
      'under another encryption type',
      () => acceptApReq(request({ sessionKey: Key.generate(17) }), options),
      'REPLY_REJECTED',
    ],
    [
      'made for a ticket-granting service',
      () => acceptApReq(request({ usage: keyUsage.TGS_REQ_AUTHENTICATOR }), options),
      'INTEGRITY',
    ],
    [
      'for a service we have no key of',
      () => acceptApReq(request(), { ...options, keyFor: () => undefined }),
      'UNKNOWN_SERVICE',
    ],
    [
      'for the same service with another key',
      () => acceptApReq(request(), { ...options, keyFor: () => Key.generate(18) }),
      'INTEGRITY',
    ],
    ['of six minutes ago', () => acceptApReq(request(), { ...options, clock: () => NOW + 360_000 }), 'CLOCK_SKEW'],
    ['of six minutes to come', () => acceptApReq(request(), { ...options, clock: () => NOW - 360_000 }), 'CLOCK_SKEW'],
    [
      'with a ticket that has expired',
      () => {
        const stamp = { seconds: new Date(NOW + 2 * HOUR), microseconds: 0 };
        return acceptApReq(request({ stamp }), { ...options, clock: () => NOW + 2 * HOUR });
      },
      'REPLY_REJECTED',
    ],
    [
      'with a ticket that is not valid yet',
      () => {
        const stamp = { seconds: new Date(NOW - 2 * HOUR), microseconds: 0 };
        return acceptApReq(request({ stamp }), { ...options, clock: () => NOW - 2 * HOUR });
      },
      'REPLY_REJECTED',
    ],
    [
      'of another version',
      () => acceptApReq(toDer(ApReq, { ...fromDer(ApReq, request()), pvno: 4 }), options),
      'REPLY_REJECTED',
    ],
  ];
  for (const [what, run, code] of lies) test(`${what} is refused`, () => assert.throws(run, { code }));

  test('altered anywhere is refused, or still from the same client', () => {
    fuzz(
      [request()],
      (input) => assert.equal(formatPrincipal(acceptApReq(input, options).client), 'alice@EXAMPLE.TEST'),
      { iterations: 1000, seed: 323, allow: (e) => isAdError(e, 'INTEGRITY', 'REPLY_REJECTED') },
    );
  });
});
