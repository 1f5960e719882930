/** The AS exchange with a KDC that lies, or with somebody on the wire who answers in its place. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { toDer } from '../../../src/asn1.ts';
import { concat, utf8 } from '../../../src/bytes.ts';
import { AdError, isAdError } from '../../../src/errors.ts';
import { Key } from '../../../src/krb5/crypto/index.ts';
import { asExchange } from '../../../src/krb5/exchanges/as.ts';
import { type ContextOptions, exchangeContext } from '../../../src/krb5/exchanges/context.ts';
import { Checksum } from '../../../src/krb5/messages.ts';
import { keyUsage, nameType, paType, ticketFlag } from '../../../src/krb5/numbers.ts';
import { formatPrincipal, krbtgt, type Principal, principal } from '../../../src/krb5/principal.ts';
import { KeySecret, type Secret } from '../../../src/krb5/secret.ts';
import { asReply, FakeKdc, type ReplyParts, type SeenRequest } from '../../support/fake-kdc.ts';
import { fuzz } from '../../support/fuzz.ts';

const REALM = 'EXAMPLE.TEST';
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const HOUR = 3_600_000;
const client = principal(REALM, 'alice');
const key = Key.generate(18);
const at = (ms: number) => new Date(NOW + ms);
const keyed = () => new KeySecret([{ etype: 18, value: key.value }]);

function login(kdc: FakeKdc, options: { secret?: Secret; client?: Principal; context?: Partial<ContextOptions> } = {}) {
  const context = exchangeContext({ transport: kdc, clock: () => NOW, ...options.context });
  const { secret = keyed() } = options;
  return { context, result: asExchange(context, { client, ...options, secret }) };
}

const answering = (parts: ReplyParts) => new FakeKdc((request) => asReply(request, key, NOW, parts));
const nameOf = (...nameString: string[]) => ({ nameType: nameType.SRV_INST, nameString });

describe('an AS-REP', () => {
  test('that is honest is accepted', async () => {
    const kdc = answering({});
    const got = await login(kdc).result;
    assert.equal(formatPrincipal(got.client), 'alice@EXAMPLE.TEST');
    assert.equal(formatPrincipal(got.server), 'krbtgt/EXAMPLE.TEST@EXAMPLE.TEST');
    assert.deepEqual(got.key, { etype: 18, value: new Uint8Array(32).fill(0x5e) });
    assert.equal(kdc.requests.length, 1);
  });

  const refusals: readonly [what: string, parts: ReplyParts, code: string, why: RegExp][] = [
    ['with another nonce', { part: { nonce: 1 } }, 'REPLY_REJECTED', /nonce/],
    [
      'whose ticket names another server',
      { ticket: { sname: nameOf('krbtgt', 'EVIL.TEST') } },
      'REPLY_REJECTED',
      /different servers/,
    ],
    ['whose ticket names another realm', { ticket: { realm: 'EVIL.TEST' } }, 'REPLY_REJECTED', /different servers/],
    [
      'for another service',
      { part: { sname: nameOf('kadmin', 'changepw') } },
      'REPLY_REJECTED',
      /it is for service kadmin\/changepw/,
    ],
    ['for a client of another realm', { rep: { crealm: 'EVIL.TEST' } }, 'REPLY_REJECTED', /client of EVIL.TEST/],
    ['that lives longer than asked', { part: { endtime: at(25 * HOUR) } }, 'REPLY_REJECTED', /lives longer/],
    [
      'that is renewable for longer than asked',
      { part: { renewTill: at(8 * 24 * HOUR) } },
      'REPLY_REJECTED',
      /renewable for longer/,
    ],
    ['that ends before it starts', { part: { endtime: at(-HOUR) } }, 'REPLY_REJECTED', /ends before/],
    ['that ends when it starts', { part: { endtime: at(0) } }, 'REPLY_REJECTED', /ends before/],
    ['that is not valid yet', { part: { flags: ticketFlag.INVALID } }, 'REPLY_REJECTED', /not yet valid/],
    [
      'of 25 hours ago',
      { part: { authtime: at(-25 * HOUR), starttime: at(-25 * HOUR) } },
      'CLOCK_SKEW',
      /set this host's clock/,
    ],
    [
      'with a session key of a type not permitted',
      { part: { key: { keytype: 23, keyvalue: new Uint8Array(16) } } },
      'ETYPE',
      /arcfour-hmac/,
    ],
    [
      'with a session key of a type unknown',
      { part: { key: { keytype: 99, keyvalue: new Uint8Array(16) } } },
      'ETYPE',
      /99/,
    ],
    [
      'with a session key too short for its type',
      { part: { key: { keytype: 18, keyvalue: new Uint8Array(16) } } },
      'REPLY_REJECTED',
      /16 bytes/,
    ],
    ['said to be sealed with a type not asked for', { etype: 23 }, 'ETYPE', /not asked for/],
    ['said to be sealed with a type we have no key of', { etype: 17 }, 'ETYPE', /not asked for/],
    ['sealed with another key', { key: Key.generate(18) }, 'WRONG_PASSWORD', /does not open/],
    ['sealed for a TGS-REP', { usage: keyUsage.TGS_REP_ENC_PART_SESSION_KEY }, 'WRONG_PASSWORD', /does not open/],
    ['of the type TGS-REP', { rep: { msgType: 13 } }, 'REPLY_REJECTED', /message type 13/],
    ['of another version', { rep: { pvno: 4 } }, 'REPLY_REJECTED', /message type/],
    ['that seals no message', { clear: () => utf8('no DER') }, 'MALFORMED', /DER/],
    ['that seals a message with more behind it', { clear: (c) => concat(c, new Uint8Array(8)) }, 'MALFORMED', /DER/],
    [
      'without any ticket',
      { rep: { ticket: toDer(Checksum, { cksumtype: 1, checksum: key.value }) } },
      'MALFORMED',
      /DER/,
    ],
  ];
  for (const [what, parts, code, why] of refusals) {
    test(`${what} is refused`, async () => {
      const { result, context } = login(answering(parts));
      await assert.rejects(result, (e) => isAdError(e) && e.code === code && why.test(e.message));
      assert.equal(context.timeOffset, 0);
    });
  }

  test('whose sealed part has the tag of a TGS-REP is accepted, as RFC 4120 5.4.2 advises', async () => {
    await login(answering({ otherTag: true })).result;
  });

  test('may name the client otherwise within its realm, for we ask for canonical names', async () => {
    const cname = { nameType: nameType.PRINCIPAL, nameString: ['Alice01'] };
    const got = await login(answering({ rep: { cname } })).result;
    assert.equal(formatPrincipal(got.client), 'Alice01@EXAMPLE.TEST');
  });

  test('may give the realm its full name where the NetBIOS name was asked', async () => {
    const netbios = principal('EXAMPLE', 'alice');
    const parts = { rep: { crealm: REALM }, part: { srealm: REALM, sname: nameOf('krbtgt', REALM) } };
    const got = await login(answering(parts), { client: netbios }).result;
    assert.equal(formatPrincipal(got.server), formatPrincipal(krbtgt(REALM)));
  });

  test('without a start time starts when the client was authenticated', async () => {
    const got = await login(answering({ part: { starttime: undefined } })).result;
    assert.equal(got.starttime, undefined);
    assert.equal(got.authtime.getTime(), NOW);
  });

  test('with a name that would disturb a terminal is refused in plain words', async () => {
    const { result } = login(answering({ rep: { crealm: '\u001b[2J\u0007' } }));
    await assert.rejects(result, (e) => e instanceof AdError && !/[^\x20-\x7e]/.test(e.message));
  });

  test('altered anywhere gives an error of ours, or still the key that was sealed', async () => {
    let honest!: Uint8Array;
    const seed = new FakeKdc((request) => (honest = asReply(request, key, NOW)));
    await login(seed, { context: { random: (n) => new Uint8Array(n).fill(7) } }).result;
    const altered: Uint8Array[] = [];
    fuzz([Uint8Array.from(honest)], (input) => altered.push(input.slice()), { iterations: 800, seed: 88 });
    let refused = 0;
    for (const message of altered) {
      // The same random bytes make the same nonce, so that the honest reply would do.
      const { result } = login(new FakeKdc(() => message), { context: { random: (n) => new Uint8Array(n).fill(7) } });
      await result.then(
        (got) => assert.deepEqual(got.key.value, new Uint8Array(32).fill(0x5e)),
        (e) => {
          assert.ok(e instanceof AdError, String(e));
          refused++;
        },
      );
    }
    assert.ok(refused > 400 && refused < altered.length, `${refused} of ${altered.length}`);
  });

  for (const message of [new Uint8Array(), Uint8Array.of(0x6b), Uint8Array.of(0x7e), utf8('HTTP/1.1 400\r\n\r\n')]) {
    test(`of the bytes "${Buffer.from(message).toString('latin1').trim()}" is malformed`, async () => {
      await assert.rejects(login(new FakeKdc(() => message)).result, { code: 'MALFORMED' });
    });
  }
});

describe('PA-REQ-ENC-PA-REP, RFC 6806 section 11', () => {
  const sealing = (request: SeenRequest, over: Uint8Array = request.der): ReplyParts => ({
    part: {
      flags: ticketFlag.ENC_PA_REP,
      encryptedPaData: [
        {
          padataType: paType.REQ_ENC_PA_REP,
          padataValue: toDer(Checksum, { cksumtype: 16, checksum: key.checksum(56, over) }),
        },
      ],
    },
  });

  test('the right checksum of our request is accepted', async () => {
    const kdc = new FakeKdc((request) => asReply(request, key, NOW, sealing(request)));
    await login(kdc).result;
    assert.ok(kdc.requests[0]!.padata.some((p) => p.padataType === paType.REQ_ENC_PA_REP));
  });

  test('a checksum of another request is refused: somebody altered ours', async () => {
    const kdc = new FakeKdc((r) => asReply(r, key, NOW, sealing(r, concat(r.der, Uint8Array.of(0)))));
    await assert.rejects(login(kdc).result, { code: 'REPLY_REJECTED', message: /another request/ });
  });

  test('a KDC that knows the extension and sends no checksum is refused', async () => {
    const { result } = login(answering({ part: { flags: ticketFlag.ENC_PA_REP } }));
    await assert.rejects(result, { code: 'REPLY_REJECTED', message: /another request/ });
  });

  test('a checksum that is no message is malformed', async () => {
    const encryptedPaData = [{ padataType: paType.REQ_ENC_PA_REP, padataValue: utf8('?') }];
    const { result } = login(answering({ part: { flags: ticketFlag.ENC_PA_REP, encryptedPaData } }));
    await assert.rejects(result, { code: 'MALFORMED' });
  });
});

describe('a ticket for later', () => {
  const from = at(2 * HOUR);
  const flags = ticketFlag.INVALID | ticketFlag.POSTDATED;
  function postdated(parts: ReplyParts['part']) {
    const kdc = answering({ part: { flags, starttime: from, endtime: at(3 * HOUR), ...parts } });
    const context = exchangeContext({ transport: kdc, clock: () => NOW });
    return { context, result: asExchange(context, { client, secret: keyed(), from }) };
  }

  test('starts when it was asked to, and moves no clock', async () => {
    const { context, result } = postdated({});
    assert.deepEqual((await result).starttime, from);
    assert.equal(context.timeOffset, 0);
  });

  test('that starts at another time is refused', () =>
    assert.rejects(postdated({ starttime: at(HOUR) }).result, { code: 'REPLY_REJECTED', message: /another time/ }));

  test('that is valid now is refused as well', () =>
    assert.rejects(postdated({ starttime: undefined }).result, { code: 'REPLY_REJECTED' }));
});
