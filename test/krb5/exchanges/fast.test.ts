/** FAST with a KDC that lies, or with somebody on the wire who answers in its place. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromDer, toDer } from '../../../src/asn1.ts';
import { utf8 } from '../../../src/bytes.ts';
import { isAdError } from '../../../src/errors.ts';
import type { Credentials } from '../../../src/krb5/credentials.ts';
import { cf2, Key } from '../../../src/krb5/crypto/index.ts';
import { asExchange } from '../../../src/krb5/exchanges/as.ts';
import { exchangeContext } from '../../../src/krb5/exchanges/context.ts';
import { tgsExchange } from '../../../src/krb5/exchanges/tgs.ts';
import { AsRep, type KrbFastResponse, MethodData, type PaData, TgsRep } from '../../../src/krb5/messages.ts';
import { keyUsage, type krbError, paType } from '../../../src/krb5/numbers.ts';
import { formatPrincipal, krbtgt, principal, servicePrincipal } from '../../../src/krb5/principal.ts';
import { KeySecret, PasswordSecret, type Secret } from '../../../src/krb5/secret.ts';
import {
  asReply,
  errorReply,
  FakeKdc,
  hints,
  SESSION_KEY,
  type SeenRequest,
  subkeyOf,
  tgsReply,
} from '../../support/fake-kdc.ts';
import { challengeOpens, fastAnswer, kdcChallenge, openTunnel, type Tunnel } from '../../support/fast-kdc.ts';
import { fuzz } from '../../support/fuzz.ts';

const REALM = 'EXAMPLE.TEST';
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const alice = principal(REALM, 'alice');
const key = Key.generate(18);
const armor: Credentials = {
  client: principal(REALM, 'host', 'machine'),
  server: krbtgt(REALM),
  key: { etype: SESSION_KEY.keytype, value: SESSION_KEY.keyvalue },
  authtime: new Date(NOW),
  endtime: new Date(NOW + 9 * 3_600_000),
  flags: 0,
  isSkey: false,
  addresses: [],
  authorizationData: [],
  ticket: Uint8Array.of(0x61, 0x02, 0x30, 0x00),
  secondTicket: new Uint8Array(0),
};

function login(kdc: FakeKdc, secret: Secret = new KeySecret([{ etype: 18, value: key.value }])) {
  const context = exchangeContext({ transport: kdc, clock: () => NOW });
  return asExchange(context, { client: alice, secret, armor: async () => armor });
}

interface Lies {
  readonly response?: Partial<KrbFastResponse>;
  readonly finished?: Partial<NonNullable<KrbFastResponse['finished']>>;
  readonly armorKey?: Key;
  readonly usage?: number;
  readonly challengeKey?: Key;
  readonly challengeTime?: number;
  readonly noChallenge?: boolean;
  /** Leaves the tunnel out. */
  readonly bare?: boolean;
  readonly cname?: string;
}

/** The reply in a tunnel; the sealed part is under the strengthened key. */
function inTunnel(request: SeenRequest, lies: Lies, tunnel: Tunnel = openTunnel(request)): Uint8Array {
  const as = request.kind === 'AS';
  const base = as ? key : subkeyOf(request).key;
  const strengthenKey = Key.generate(18);
  const replyKey = cf2(strengthenKey, base, 'strengthenkey', 'replykey');
  const cname = { nameType: 1, nameString: ['alice'] };
  const rep = { crealm: REALM, cname: { nameType: 1, nameString: [lies.cname ?? 'alice'] } };
  const der = as
    ? asReply(request, replyKey, NOW, { rep })
    : tgsReply(request, NOW, { rep, key: replyKey, usage: keyUsage.TGS_REP_ENC_PART_SUBKEY });
  if (lies.bare) return der;
  const reply = fromDer(as ? AsRep : TgsRep, der);
  const ticketChecksum = { cksumtype: 16, checksum: tunnel.armorKey.checksum(keyUsage.FAST_FINISHED, reply.ticket) };
  const challenge = kdcChallenge(tunnel.armorKey, lies.challengeKey ?? key, lies.challengeTime ?? NOW);
  const response: KrbFastResponse = {
    padata: as && !lies.noChallenge ? [challenge] : [],
    strengthenKey: { keytype: 18, keyvalue: strengthenKey.value },
    finished: { timestamp: new Date(NOW), usec: 0, crealm: REALM, cname, ticketChecksum, ...lies.finished },
    nonce: tunnel.inner.body.nonce,
    ...lies.response,
  };
  const padata = [fastAnswer(lies.armorKey ?? tunnel.armorKey, response, lies.usage)];
  return toDer(as ? AsRep : TgsRep, { ...reply, padata });
}
const honest = (request: SeenRequest) => inTunnel(request, {});

/** An error in a tunnel. */
function errorInTunnel(
  request: SeenRequest,
  code: keyof typeof krbError,
  padata: readonly PaData[] = [],
  lies: Partial<KrbFastResponse> = {},
  outer: keyof typeof krbError = code,
): Uint8Array {
  const { armorKey, inner } = openTunnel(request);
  const error = { padataType: paType.FX_ERROR, padataValue: errorReply(code, NOW) };
  const answer = fastAnswer(armorKey, { padata: [error, ...padata], nonce: inner.body.nonce, ...lies });
  return errorReply(outer, NOW, { eData: toDer(MethodData, [answer]) });
}

describe('an armored login', () => {
  test('proves the key within the armor, and nothing outside', async () => {
    const kdc = new FakeKdc(honest);
    assert.equal(formatPrincipal((await login(kdc)).client), 'alice@EXAMPLE.TEST');
    const [request] = kdc.requests;
    assert.deepEqual(
      request!.padata.map((p) => p.padataType),
      [paType.FX_FAST],
    );
    const tunnel = openTunnel(request!);
    assert.ok(challengeOpens(tunnel, key));
    assert.deepEqual(tunnel.inner.body, request!.body);
    assert.ok(!tunnel.inner.padata.some((p) => p.padataType === paType.ENC_TIMESTAMP));
  });

  test('takes salt and cookie from the tunnel, and gives the cookie back', async () => {
    const salt = 'EXAMPLE.TESTalice';
    const secret = new PasswordSecret(utf8('correct horse'), 'another salt', [18]);
    const longTerm = (await secret.key({ etype: 18, salt, params: undefined }))!;
    const cookie = { padataType: paType.FX_COOKIE, padataValue: utf8('crumbs') };
    const etypes = fromDer(MethodData, hints({ etype: 18, salt }));
    const kdc = new FakeKdc(
      (request) => errorInTunnel(request, 'KDC_ERR_PREAUTH_REQUIRED', [...etypes, cookie]),
      (request) => {
        const tunnel = openTunnel(request);
        assert.ok(challengeOpens(tunnel, longTerm));
        assert.deepEqual(tunnel.inner.padata.at(-1), cookie);
        return errorReply('KRB_ERR_GENERIC', NOW);
      },
    );
    await assert.rejects(login(kdc, secret), { code: 'KDC_ERROR', message: /GENERIC.*not in armor/ });
    assert.equal(kdc.requests.length, 2);
  });

  test('has armor of its own in each request', async () => {
    const seen: string[] = [];
    const kdc = new FakeKdc((request) => {
      seen.push(Buffer.from(openTunnel(request).armorKey.value).toString('hex'));
      return seen.length === 1 ? errorReply('KRB_AP_ERR_SKEW', NOW) : honest(request);
    });
    await login(kdc);
    assert.equal(new Set(seen).size, 2);
  });

  const refusals: readonly [what: string, lies: Lies, why: RegExp][] = [
    ['without armor', { bare: true }, /not armored/],
    ['under another armor', { armorKey: Key.generate(18) }, /does not open with our armor/],
    ['under armor of another type', { armorKey: Key.generate(17) }, /does not open with our armor/],
    ['under another usage', { usage: keyUsage.FAST_ENC }, /does not open with our armor/],
    ['to another request', { response: { nonce: 1 } }, /another request/],
    ['unfinished', { response: { finished: undefined } }, /not finished/],
    [
      'with another ticket',
      { finished: { ticketChecksum: { cksumtype: 16, checksum: new Uint8Array(12) } } },
      /ticket is not the one/,
    ],
    ['for another client than in the tunnel', { cname: 'mallory' }, /for mallory@EXAMPLE.TEST, and in FAST for alice/],
    ['for another realm in the tunnel', { finished: { crealm: 'EVIL.TEST' } }, /in FAST for alice@EVIL.TEST/],
    ["without the KDC's own challenge", { noChallenge: true }, /did not answer our challenge/],
    ['by a KDC that has another key', { challengeKey: Key.generate(18) }, /did not answer our challenge/],
    ['with a challenge of yesterday', { challengeTime: NOW - 86_400_000 }, /did not answer our challenge/],
  ];
  for (const [what, lies, message] of refusals) {
    test(`answered ${what} is refused`, () =>
      assert.rejects(login(new FakeKdc((r) => inTunnel(r, lies))), { code: 'REPLY_REJECTED', message }));
  }

  test('answered with a part that the strengthening key did not seal is refused', () =>
    assert.rejects(
      login(
        new FakeKdc((r) => inTunnel(r, { response: { strengthenKey: { keytype: 18, keyvalue: new Uint8Array(32) } } })),
      ),
      { code: 'WRONG_PASSWORD' },
    ));

  test('answered with a strengthening key of no length or type there is is refused by name', async () => {
    const short = { keytype: 18, keyvalue: new Uint8Array(16) };
    const unknown = { keytype: 99, keyvalue: new Uint8Array(16) };
    for (const [strengthenKey, code] of [
      [short, 'MALFORMED'],
      [unknown, 'ETYPE'],
    ] as const)
      await assert.rejects(login(new FakeKdc((r) => inTunnel(r, { response: { strengthenKey } }))), { code });
  });

  test('is not steered by errors out of the tunnel: no salt, no other realm, no second guess', async () => {
    const codes = ['KDC_ERR_PREAUTH_REQUIRED', 'KDC_ERR_WRONG_REALM', 'KDC_ERR_PREAUTH_FAILED'] as const;
    for (const code of codes) {
      const eData = hints({ etype: 18, salt: 'weak' });
      const kdc = new FakeKdc(() => errorReply(code, NOW, { eData, crealm: 'EVIL.TEST' }), honest);
      await assert.rejects(login(kdc), (e) => isAdError(e) && /not in armor/.test(e.message), code);
      assert.equal(kdc.requests.length, 1, code);
    }
  });

  test('goes by the error in the tunnel, whatever is said outside', async () => {
    const kdc = new FakeKdc((r) => errorInTunnel(r, 'KDC_ERR_CLIENT_REVOKED', [], {}, 'KDC_ERR_C_PRINCIPAL_UNKNOWN'));
    await assert.rejects(login(kdc), { code: 'ACCOUNT_DISABLED' });
  });

  test('refuses errors of another request, and tunnels without an error', async () => {
    const other = new FakeKdc((r) => errorInTunnel(r, 'KDC_ERR_CLIENT_REVOKED', [], { nonce: 1 }));
    await assert.rejects(login(other), { code: 'REPLY_REJECTED', message: /answers another request/ });
    const none = new FakeKdc((r) => errorInTunnel(r, 'KDC_ERR_CLIENT_REVOKED', [], { padata: [] }));
    await assert.rejects(login(none), { code: 'REPLY_REJECTED', message: /no error is in the tunnel/ });
  });

  test('answered by anything is refused by name', async () => {
    const inputs: Uint8Array[] = [];
    let answer = new Uint8Array();
    await login(new FakeKdc((r) => (answer = Uint8Array.from(honest(r)))));
    fuzz([answer], (input) => inputs.push(Uint8Array.from(input)), { iterations: 150, seed: 6113 });
    const known = ['MALFORMED', 'REPLY_REJECTED', 'WRONG_PASSWORD', 'ETYPE', 'KDC_ERROR', 'INTEGRITY'];
    for (const input of inputs) {
      await assert.rejects(login(new FakeKdc(() => input)), (e) => isAdError(e) && known.includes(e.code));
    }
  });
});

describe('an armored request for a ticket', () => {
  const ask = (kdc: FakeKdc) => {
    const context = exchangeContext({ transport: kdc, clock: () => NOW });
    const server = servicePrincipal('ldap', 'dc1.example.test', REALM);
    return tgsExchange(context, { tgt: { ...armor, client: alice }, server, armored: true });
  };

  test('needs no other armor than its own keys', async () => {
    const kdc = new FakeKdc(honest);
    assert.equal(formatPrincipal((await ask(kdc)).server), 'ldap/dc1.example.test@EXAMPLE.TEST');
    assert.equal(openTunnel(kdc.requests[0]!).armored.armor, undefined);
  });

  const refusals: readonly [what: string, lies: Lies, why: RegExp][] = [
    ['without armor', { bare: true }, /not armored/],
    ['under another armor', { armorKey: Key.generate(18) }, /does not open with our armor/],
    ['to another request', { response: { nonce: 1 } }, /another request/],
    ['unfinished', { response: { finished: undefined } }, /not finished/],
    ['without the strengthening key', { response: { strengthenKey: undefined } }, /does not open with the key of FAST/],
    ['for another client than in the tunnel', { cname: 'mallory' }, /for mallory/],
  ];
  for (const [what, lies, message] of refusals) {
    test(`answered ${what} is refused`, () =>
      assert.rejects(ask(new FakeKdc((r) => inTunnel(r, lies))), { code: 'REPLY_REJECTED', message }));
  }

  test('goes by the error in the tunnel', () =>
    assert.rejects(
      ask(new FakeKdc((r) => errorInTunnel(r, 'KDC_ERR_S_PRINCIPAL_UNKNOWN', [], {}, 'KRB_ERR_GENERIC'))),
      { code: 'UNKNOWN_SERVICE' },
    ));
});
