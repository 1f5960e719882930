/** The TGS exchange with a KDC that lies, or with somebody on the wire who answers in its place. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromDer } from '../../../src/asn1.ts';
import { concat, utf8 } from '../../../src/bytes.ts';
import { AdError, isAdError } from '../../../src/errors.ts';
import type { Credentials } from '../../../src/krb5/credentials.ts';
import { DEFAULT_ETYPES, Key } from '../../../src/krb5/crypto/index.ts';
import { exchangeContext } from '../../../src/krb5/exchanges/context.ts';
import {
  forwardedTicket,
  renewTicket,
  type TgsOptions,
  tgsExchange,
  validateTicket,
} from '../../../src/krb5/exchanges/tgs.ts';
import { TgsReq } from '../../../src/krb5/messages.ts';
import { kdcOption, keyUsage, nameType, ticketFlag } from '../../../src/krb5/numbers.ts';
import { formatPrincipal, krbtgt, principal, servicePrincipal } from '../../../src/krb5/principal.ts';
import { errorReply, FakeKdc, type ReplyParts, SESSION_KEY, subkeyOf, tgsReply } from '../../support/fake-kdc.ts';
import { fuzz } from '../../support/fuzz.ts';

const REALM = 'EXAMPLE.TEST';
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const [MINUTE, HOUR] = [60_000, 3_600_000];
const at = (ms: number) => new Date(NOW + ms);
const server = servicePrincipal('ldap', 'dc1.example.test', REALM);
const session = new Key(SESSION_KEY.keytype, SESSION_KEY.keyvalue);

const tgt: Credentials = {
  client: principal(REALM, 'alice'),
  server: krbtgt(REALM),
  key: { etype: SESSION_KEY.keytype, value: SESSION_KEY.keyvalue },
  authtime: at(-HOUR),
  starttime: at(-HOUR),
  endtime: at(9 * HOUR),
  renewTill: at(48 * HOUR),
  flags: ticketFlag.RENEWABLE | ticketFlag.FORWARDABLE | ticketFlag.INITIAL,
  isSkey: false,
  addresses: [],
  authorizationData: [],
  ticket: Uint8Array.of(0x61, 0x02, 0x30, 0x00),
  secondTicket: new Uint8Array(0),
};

function ask(kdc: FakeKdc, more: Partial<TgsOptions> = {}) {
  const context = exchangeContext({ transport: kdc, clock: () => NOW });
  return { context, result: tgsExchange(context, { tgt, server, ...more }) };
}

const answering = (parts: ReplyParts) => new FakeKdc((request) => tgsReply(request, NOW, parts));
const names = (...nameString: string[]) => ({ nameType: nameType.SRV_INST, nameString });

describe('a TGS-REP', () => {
  test('that is honest is accepted', async () => {
    const kdc = answering({});
    const got = await ask(kdc).result;
    assert.equal(formatPrincipal(got.server), 'ldap/dc1.example.test@EXAMPLE.TEST');
    assert.equal(formatPrincipal(got.client), 'alice@EXAMPLE.TEST');
    assert.equal(kdc.requests[0]!.realm, REALM);
  });

  const refusals: readonly [what: string, parts: ReplyParts, code: string, why: RegExp][] = [
    ['with another nonce', { part: { nonce: 1 } }, 'REPLY_REJECTED', /nonce/],
    [
      'for another client',
      { rep: { cname: { nameType: 1, nameString: ['mallory'] } } },
      'REPLY_REJECTED',
      /for mallory@EXAMPLE.TEST, not alice/,
    ],
    ['for a client of another realm', { rep: { crealm: 'EVIL.TEST' } }, 'REPLY_REJECTED', /for alice@EVIL.TEST/],
    [
      'whose ticket names another server',
      { ticket: { sname: names('ldap', 'dc2.example.test') } },
      'REPLY_REJECTED',
      /different servers/,
    ],
    [
      'for another host',
      { part: { sname: names('ldap', 'evil.example.test') } },
      'REPLY_REJECTED',
      /for service ldap\/evil/,
    ],
    ['for another service', { part: { sname: names('cifs', 'dc1.example.test') } }, 'REPLY_REJECTED', /cifs/],
    [
      'for a longer name',
      { part: { sname: names('ldap', 'dc1.example.test', REALM) } },
      'REPLY_REJECTED',
      /for service/,
    ],
    [
      'that refers on in the name of another realm',
      { part: { srealm: 'EVIL.TEST', sname: names('krbtgt', 'EVIL.TEST') } },
      'REPLY_REJECTED',
      /for service krbtgt/,
    ],
    [
      'that lives longer than the ticket-granting ticket',
      { part: { endtime: at(10 * HOUR) } },
      'REPLY_REJECTED',
      /lives longer/,
    ],
    [
      'that is renewable for longer than the ticket-granting ticket',
      { part: { flags: ticketFlag.RENEWABLE, renewTill: at(49 * HOUR) } },
      'REPLY_REJECTED',
      /renewable for longer/,
    ],
    ['that ends before it starts', { part: { endtime: at(-HOUR) } }, 'REPLY_REJECTED', /ends before/],
    ['that starts in the future', { part: { starttime: at(HOUR) } }, 'REPLY_REJECTED', /starts in the future/],
    [
      'that has expired',
      { part: { starttime: at(-2 * HOUR), endtime: at(-HOUR) } },
      'REPLY_REJECTED',
      /expired already/,
    ],
    ['that is not valid yet', { part: { flags: ticketFlag.INVALID } }, 'REPLY_REJECTED', /not yet valid/],
    [
      'with a session key of a type not permitted',
      { part: { key: { keytype: 23, keyvalue: new Uint8Array(16) } } },
      'ETYPE',
      /arcfour/,
    ],
    [
      'with a session key too long for its type',
      { part: { key: { keytype: 17, keyvalue: new Uint8Array(32) } } },
      'REPLY_REJECTED',
      /32 bytes/,
    ],
    ['said to be sealed with another type', { etype: 17 }, 'REPLY_REJECTED', /not our subkey's/],
    ['sealed with another key', { key: Key.generate(18) }, 'REPLY_REJECTED', /does not open/],
    [
      'sealed with our subkey as if it were the session key',
      { usage: keyUsage.TGS_REP_ENC_PART_SESSION_KEY },
      'REPLY_REJECTED',
      /does not open/,
    ],
    [
      'sealed with the session key as if it were our subkey',
      { key: session, usage: keyUsage.TGS_REP_ENC_PART_SUBKEY },
      'REPLY_REJECTED',
      /does not open/,
    ],
    ['sealed as an AS-REP', { usage: keyUsage.AS_REP_ENC_PART }, 'REPLY_REJECTED', /does not open/],
    ['with the sealed part of an AS-REP', { otherTag: true }, 'MALFORMED', /APPLICATION 26/],
    ['of the type AS-REP', { rep: { msgType: 11 } }, 'REPLY_REJECTED', /message type 11/],
    ['that seals noise', { clear: () => utf8('noise') }, 'MALFORMED', /DER/],
    ['that seals more than a message', { clear: (c) => concat(c, Uint8Array.of(0)) }, 'MALFORMED', /DER/],
  ];
  for (const [what, parts, code, why] of refusals) {
    test(`${what} is refused`, async () => {
      await assert.rejects(ask(answering(parts)).result, (e) => isAdError(e) && e.code === code && why.test(e.message));
    });
  }

  test('sealed with the session key under usage 8 is accepted, as old Heimdal sends it', async () => {
    await ask(answering({ key: session, usage: keyUsage.TGS_REP_ENC_PART_SESSION_KEY })).result;
  });

  test('may write the name of the service in another case', async () => {
    const got = await ask(answering({ part: { sname: names('LDAP', 'DC1.example.test') } })).result;
    assert.equal(formatPrincipal(got.server), 'LDAP/DC1.example.test@EXAMPLE.TEST');
  });

  test('may refer to the ticket-granting service of another realm', async () => {
    const got = await ask(answering({ part: { sname: names('krbtgt', 'CHILD.EXAMPLE.TEST') } })).result;
    assert.equal(formatPrincipal(got.server), 'krbtgt/CHILD.EXAMPLE.TEST@EXAMPLE.TEST');
  });

  test('altered anywhere gives an error of ours, or still the key that was sealed', async () => {
    const altered: Uint8Array[] = [];
    const kdc = new FakeKdc((request) => {
      fuzz([tgsReply(request, NOW)], (input) => altered.push(input.slice()), { iterations: 10, seed: altered.length });
      return altered.at(-1)!;
    });
    let refused = 0;
    for (let i = 0; i < 400; i++) {
      await ask(kdc).result.then(
        (got) => assert.deepEqual(got.key.value, SESSION_KEY.keyvalue),
        (e) => {
          assert.ok(e instanceof AdError, String(e));
          refused++;
        },
      );
    }
    assert.ok(refused > 200 && refused < 400, `${refused}`);
  });
});

describe('a TGS-REQ', () => {
  test('binds its body to the authenticator, so that nobody can alter it on its way', async () => {
    const kdc = answering({});
    await ask(kdc).result;
    const { cksum } = subkeyOf(kdc.requests[0]!).authenticator;
    const { reqBody } = fromDer(TgsReq, kdc.requests[0]!.der);
    assert.ok(session.verifyChecksum(keyUsage.TGS_REQ_AUTHENTICATOR_CKSUM, reqBody, cksum!.checksum));
  });

  test('never repeats an authenticator, subkey or nonce', async () => {
    const kdc = answering({});
    for (let i = 0; i < 5; i++) await ask(kdc).result;
    const subkeys = kdc.requests.map((r) => Buffer.from(subkeyOf(r).key.value).toString('hex'));
    assert.equal(new Set(subkeys).size, 5);
    assert.equal(new Set(kdc.requests.map((r) => r.body.nonce)).size, 5);
  });

  test('asks for permitted encryption types only', async () => {
    const kdc = answering({});
    await ask(kdc).result;
    assert.deepEqual(kdc.requests[0]!.body.etypes, DEFAULT_ETYPES);
  });
});

describe('delegation', () => {
  const flags = ticketFlag.OK_AS_DELEGATE | ticketFlag.FORWARDABLE;
  const foreign = (more: number): Credentials => ({
    ...tgt,
    server: krbtgt('OTHER.TEST', REALM),
    flags: tgt.flags | more,
  });
  const other = servicePrincipal('ldap', 'dc1.other.test', 'OTHER.TEST');

  test('our own KDC may advise it', async () => {
    assert.ok((await ask(answering({ part: { flags } })).result).flags & ticketFlag.OK_AS_DELEGATE);
  });
  test("a foreign KDC's advice is dropped", async () => {
    const got = await ask(answering({ part: { flags } }), { tgt: foreign(0), server: other }).result;
    assert.equal(got.flags, ticketFlag.FORWARDABLE);
  });
  test("a foreign KDC's advice counts where our own trusts that realm with it", async () => {
    const trusted = { tgt: foreign(ticketFlag.OK_AS_DELEGATE), server: other };
    assert.equal((await ask(answering({ part: { flags } }), trusted).result).flags, flags);
  });
});

describe('renewal', () => {
  const renew = (kdc: FakeKdc, ticket = tgt) =>
    renewTicket(exchangeContext({ transport: kdc, clock: () => NOW }), ticket);

  test('asks for the same server, without canonicalisation', async () => {
    const kdc = answering({ part: { endtime: at(20 * HOUR), flags: tgt.flags, renewTill: tgt.renewTill } });
    const got = await renew(kdc);
    assert.equal(got.endtime.getTime(), NOW + 20 * HOUR);
    const { kdcOptions } = kdc.requests[0]!.body;
    assert.equal(kdcOptions & kdcOption.RENEW, kdcOption.RENEW);
    assert.equal(kdcOptions & kdcOption.CANONICALIZE, 0);
  });

  test('for another service is refused', async () => {
    const kdc = answering({ part: { sname: names('ldap', 'dc1.example.test') } });
    await assert.rejects(renew(kdc), { code: 'REPLY_REJECTED' });
  });

  test('beyond the first renew-till is refused', async () => {
    const kdc = answering({ part: { flags: tgt.flags, renewTill: at(49 * HOUR) } });
    await assert.rejects(renew(kdc), { code: 'REPLY_REJECTED', message: /renewable for longer/ });
  });

  test('of a ticket that is not renewable asks nobody', async () => {
    const kdc = answering({});
    await assert.rejects(renew(kdc, { ...tgt, flags: 0 }), { code: 'INVALID_ARGUMENT' });
    assert.equal(kdc.requests.length, 0);
  });
});

describe('forwarding', () => {
  const forward = (part: ReplyParts['part']) =>
    forwardedTicket(exchangeContext({ transport: answering({ part: { ...part } }), clock: () => NOW }), tgt);

  test('is done when the ticket says so', async () => {
    assert.equal((await forward({ flags: ticketFlag.FORWARDED })).flags, ticketFlag.FORWARDED);
  });

  test("answered with the client's own ticket is refused", () =>
    assert.rejects(forward({ flags: ticketFlag.FORWARDABLE }), { code: 'REPLY_REJECTED', message: /not marked/ }));

  test("answered with another realm's ticket is refused", () =>
    assert.rejects(forward({ flags: ticketFlag.FORWARDED, sname: names('krbtgt', 'EVIL.TEST') }), {
      code: 'REPLY_REJECTED',
      message: /krbtgt\/EVIL/,
    }));

  test('of a ticket that is not forwardable asks nobody', async () => {
    const kdc = answering({});
    const context = exchangeContext({ transport: kdc, clock: () => NOW });
    await assert.rejects(forwardedTicket(context, { ...tgt, flags: 0 }), { code: 'INVALID_ARGUMENT' });
    assert.equal(kdc.requests.length, 0);
  });
});

describe('validation', () => {
  const early = { ...tgt, flags: ticketFlag.INVALID | ticketFlag.POSTDATED };
  const validate = (kdc: FakeKdc, ticket = early) =>
    validateTicket(exchangeContext({ transport: kdc, clock: () => NOW }), ticket);

  test('gives a ticket that is valid', async () => {
    const kdc = answering({});
    assert.equal((await validate(kdc)).flags & ticketFlag.INVALID, 0);
    assert.ok(kdc.requests[0]!.body.kdcOptions & kdcOption.VALIDATE);
  });

  test('answered with one that is not is refused', () =>
    assert.rejects(validate(answering({ part: { flags: ticketFlag.INVALID } })), {
      code: 'REPLY_REJECTED',
      message: /not yet valid/,
    }));

  test('of a ticket that is valid asks nobody', () =>
    assert.rejects(validate(answering({}), tgt), { code: 'INVALID_ARGUMENT' }));
});

describe('a KRB-ERROR to a TGS-REQ', () => {
  const skew = (ms: number) => () => errorReply('KRB_AP_ERR_SKEW', NOW + ms);

  test('that names another clock is followed once, and the clock kept when the sealed reply bears it out', async () => {
    const kdc = new FakeKdc(skew(20 * MINUTE), (request) => tgsReply(request, NOW + 20 * MINUTE));
    const { result, context } = ask(kdc);
    await result;
    assert.equal(context.timeOffset, 20 * MINUTE);
    const { ctime } = subkeyOf(kdc.requests[1]!).authenticator;
    assert.equal(ctime.getTime(), NOW + 20 * MINUTE);
  });

  test('that names a clock in the past does not make a ticket of today pass', async () => {
    const kdc = new FakeKdc(skew(-12 * HOUR), (request) => tgsReply(request, NOW));
    const { result, context } = ask(kdc);
    await assert.rejects(result, { code: 'REPLY_REJECTED', message: /starts in the future/ });
    assert.equal(context.timeOffset, 0);
  });

  test('that names a clock in the future is not remembered when the sealed reply says otherwise', async () => {
    const part = { endtime: at(9 * HOUR) };
    const kdc = new FakeKdc(skew(2 * HOUR), (request) => tgsReply(request, NOW, { part }));
    const { result, context } = ask(kdc);
    await result;
    assert.equal(context.timeOffset, 0);
  });

  test('that names clock after clock ends', async () => {
    const kdc = new FakeKdc(skew(HOUR));
    await assert.rejects(ask(kdc).result, { code: 'CLOCK_SKEW' });
    assert.equal(kdc.requests.length, 2);
  });

  test('more than a day off is not believed', async () => {
    const kdc = new FakeKdc(skew(25 * HOUR));
    await assert.rejects(ask(kdc).result, { code: 'CLOCK_SKEW' });
    assert.equal(kdc.requests.length, 1);
  });

  for (const [name, code] of [
    ['KDC_ERR_S_PRINCIPAL_UNKNOWN', 'UNKNOWN_SERVICE'],
    ['KDC_ERR_ETYPE_NOSUPP', 'ETYPE'],
    ['KDC_ERR_CLIENT_REVOKED', 'ACCOUNT_DISABLED'],
    ['KRB_AP_ERR_TKT_EXPIRED', 'KDC_ERROR'],
    ['KDC_ERR_PREAUTH_REQUIRED', 'KDC_ERROR'],
  ] as const) {
    test(`${name} is ${code}, with what was asked`, async () => {
      const { result } = ask(new FakeKdc(() => errorReply(name, NOW)));
      await assert.rejects(result, (e) => isAdError(e) && e.code === code && /ldap\/dc1/.test(e.message));
    });
  }
});
