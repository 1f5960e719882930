/** The GSS-API acceptor with clients that lie, are late, or come twice: each refused with the right word for it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromDer, toDer } from '../../../src/asn1.ts';
import { concat, fromHex, hex, utf8 } from '../../../src/bytes.ts';
import { Key } from '../../../src/krb5/crypto/index.ts';
import { buildApReq } from '../../../src/krb5/exchanges/ap.ts';
import { newStamp } from '../../../src/krb5/exchanges/context.ts';
import { type AcceptorOptions, GssAcceptor } from '../../../src/krb5/gss/acceptor.ts';
import { decodeGssChecksum, encodeGssChecksum, gssFlag } from '../../../src/krb5/gss/checksum.ts';
import { GssError } from '../../../src/krb5/gss/errors.ts';
import { GssInitiator, type InitiatorOptions } from '../../../src/krb5/gss/initiator.ts';
import { ReplayCache } from '../../../src/krb5/gss/replay-cache.ts';
import { KeytabKeys, type ServiceKeys } from '../../../src/krb5/gss/service-keys.ts';
import { frameToken, gssTokenId, unframeToken } from '../../../src/krb5/gss/token.ts';
import { EncTicketPart, KrbError, Ticket } from '../../../src/krb5/messages.ts';
import { cksumType, keyUsage, krbError, ticketFlag } from '../../../src/krb5/numbers.ts';
import { formatPrincipal, principal, servicePrincipal } from '../../../src/krb5/principal.ts';
import { fuzz } from '../../support/fuzz.ts';
import { context, credentials, NOW, REALM, serviceKey } from '../../support/gss.ts';

const HOUR = 3_600_000;
const data = utf8('message');
const entry = (key: Key, kvno = 1, ...name: string[]) => ({
  principal: principal(REALM, ...(name.length > 0 ? name : ['ldap', 'dc1.example.test'])),
  timestamp: new Date(NOW),
  kvno,
  key: { etype: key.etype, value: key.value },
});
const keys = new KeytabKeys([entry(serviceKey)]);
const acceptor = (more: Partial<AcceptorOptions> = {}) =>
  new GssAcceptor({ keys, replays: new ReplayCache(), clock: () => NOW, ...more });
const initiator = (more: Partial<InitiatorOptions> = {}) => new GssInitiator({ context, credentials, ...more });
const sessionKey = new Key(18, credentials.key.value);

/** alice's ticket with something else in it. */
function ticketWith(
  part: Partial<Parameters<typeof toDer<EncTicketPart>>[1]>,
  outer: Partial<Ticket> = {},
): Uint8Array {
  const ticket = fromDer(Ticket, credentials.ticket);
  const clear = fromDer(EncTicketPart, serviceKey.decrypt(keyUsage.KDC_REP_TICKET, ticket.encPart.cipher));
  const cipher = serviceKey.encrypt(keyUsage.KDC_REP_TICKET, toDer(EncTicketPart, { ...clear, ...part }));
  return toDer(Ticket, { ...ticket, ...outer, encPart: { ...ticket.encPart, cipher } });
}
const withTicket = (ticket: Uint8Array) => initiator({ credentials: { ...credentials, ticket } }).step()!;

function requestWith(checksum: { cksumtype: number; checksum: Uint8Array } | undefined): Uint8Array {
  const stamp = newStamp(context);
  const more = checksum && { checksum };
  const usage = keyUsage.AP_REQ_AUTHENTICATOR;
  return frameToken(gssTokenId.AP_REQ, buildApReq({ credentials, sessionKey, stamp, usage, ...more }).message);
}
const checksumOf = (flags: number, more: Uint8Array = new Uint8Array()) => ({
  cksumtype: cksumType.GSS,
  checksum: concat(encodeGssChecksum({ flags, bindings: undefined, delegation: undefined }), more),
});

/** What the acceptor said to the initiator. */
function refusalOf(run: () => unknown): { error: GssError; krbError: string | undefined } {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof GssError, String(error));
    if (!error.token) return { error, krbError: undefined };
    const { tokId, inner } = unframeToken(error.token);
    assert.equal(tokId, gssTokenId.ERROR);
    const { errorCode, realm, sname } = fromDer(KrbError, inner);
    assert.equal(realm, REALM);
    assert.ok(sname.nameString.length > 0);
    return { error, krbError: Object.entries(krbError).find(([, code]) => code === errorCode)?.[0] };
  }
  throw new assert.AssertionError({ message: 'it was accepted' });
}

describe('a client', () => {
  test('is known by its ticket', () => {
    const ours = acceptor();
    const theirs = initiator();
    theirs.step(ours.step(theirs.step()));
    const { context } = ours;
    assert.equal(formatPrincipal(context!.initiator), `alice@${REALM}`);
    assert.equal(formatPrincipal(context!.acceptor), `ldap/dc1.example.test@${REALM}`);
    assert.deepEqual(context!.authtime, new Date(NOW));
    assert.deepEqual(theirs.context!.unwrap(context!.wrap(data, { confidential: true })).plain, data);
    assert.deepEqual(context!.unwrap(theirs.context!.wrap(data, { confidential: false })).plain, data);
  });

  test('without flags for order may send messages in any', () => {
    const ours = acceptor();
    const theirs = initiator({ mutual: false, flags: gssFlag.INTEG });
    assert.equal(ours.step(theirs.step()), undefined);
    const [first, second] = [1, 2].map(() => theirs.context!.getMic(data));
    ours.context!.verifyMic(data, second!);
    ours.context!.verifyMic(data, first!);
    ours.context!.verifyMic(data, first!);
  });

  test('from another realm comes by a way that its KDC checked', () => {
    const far = { transited: { trType: 1, contents: utf8('MIDDLE.TEST') }, crealm: 'FAR.TEST' };
    const client = principal('FAR.TEST', 'alice');
    const token = (flags: number) =>
      initiator({ credentials: { ...credentials, client, ticket: ticketWith({ ...far, flags }) } }).step()!;
    acceptor().step(token(ticketFlag.TRANSITED_POLICY_CHECKED));
    assert.equal(refusalOf(() => acceptor().step(token(0))).krbError, 'KRB_AP_PATH_NOT_ACCEPTED');
    // The realm outside the sealed part is the client's to write: it does not make the client a local one.
    const ticket = ticketWith({ ...far, flags: 0 }, { realm: 'FAR.TEST' });
    const renamed = initiator({ credentials: { ...credentials, client, ticket } }).step()!;
    assert.throws(() => acceptor().step(renamed), { message: /did not check the realms/ });
  });
});

test('what does not open is said with the key versions and types of ticket and keytab', () => {
  const ticket = /ldap\/dc1\.example\.test@EXAMPLE\.TEST with kvno 1 and aes256-cts-hmac-sha1-96/;
  for (const held of [[3], [3, 4]]) {
    const others = new KeytabKeys(held.map((kvno) => entry(Key.generate(18), kvno)));
    const { error } = refusalOf(() => acceptor({ keys: others }).step(initiator().step()));
    assert.match(error.message, ticket);
    for (const kvno of held) assert.match(error.message, new RegExp(`kvno ${kvno} \\(aes256-cts-hmac-sha1-96\\)`));
  }
});

test('names that a stranger chose are short and harmless in a log', () => {
  const name = { nameType: 2, nameString: ['ldap', `\x1b[2J\r\nroot logged in${'x'.repeat(60_000)}`] };
  const token = withTicket(toDer(Ticket, { ...fromDer(Ticket, credentials.ticket), sname: name }));
  const others = [new KeytabKeys([]), new KeytabKeys([entry(Key.generate(18))])];
  others.push(new KeytabKeys([entry(Key.generate(18)), entry(Key.generate(18), 2)]));
  for (const held of others) {
    const { message } = refusalOf(() => acceptor({ keys: held }).step(token)).error;
    assert.match(message, /^[\x20-\x7e]{1,600}$/);
  }
});

describe('refused with the right word', () => {
  const nobody: ServiceKeys = { candidates: () => [], describe: () => 'no key' };
  const other = new KeytabKeys([entry(Key.generate(18))]);
  const two = new KeytabKeys([entry(Key.generate(18)), entry(Key.generate(18), 2)]);
  const cases: readonly [what: string, run: () => unknown, major: string, krb: string | undefined][] = [
    ['nothing', () => acceptor().step(), 'DEFECTIVE_TOKEN', undefined],
    ['noise', () => acceptor().step(utf8('noise')), 'DEFECTIVE_TOKEN', undefined],
    ['an AP-REP', () => acceptor().step(frameToken(gssTokenId.AP_REP, data)), 'DEFECTIVE_TOKEN', undefined],
    ['no AP-REQ inside', () => acceptor().step(frameToken(gssTokenId.AP_REQ, data)), 'DEFECTIVE_TOKEN', undefined],
    [
      'a ticket for a service without keys',
      () => acceptor({ keys: nobody }).step(initiator().step()),
      'NO_CRED',
      'KRB_AP_ERR_NOKEY',
    ],
    [
      'a ticket under another key',
      () => acceptor({ keys: other }).step(initiator().step()),
      'DEFECTIVE_CREDENTIAL',
      'KRB_AP_ERR_BAD_INTEGRITY',
    ],
    [
      'a ticket under none of the keys',
      () => acceptor({ keys: two }).step(initiator().step()),
      'DEFECTIVE_CREDENTIAL',
      'KRB_AP_ERR_BAD_INTEGRITY',
    ],
    [
      'a ticket for a service that is not ours',
      () => acceptor({ services: [servicePrincipal('HTTP', 'web.example.test', REALM)] }).step(initiator().step()),
      'NO_CRED',
      'KRB_AP_ERR_NOT_US',
    ],
    [
      'a ticket of a type that is not permitted',
      () => acceptor({ permittedEtypes: [17] }).step(initiator().step()),
      'FAILURE',
      'KDC_ERR_ETYPE_NOSUPP',
    ],
    [
      'a clock six minutes behind',
      () => acceptor({ clock: () => NOW + 360_000 }).step(initiator().step()),
      'FAILURE',
      'KRB_AP_ERR_SKEW',
    ],
    [
      'a ticket that has expired',
      () => acceptor().step(withTicket(ticketWith({ endtime: new Date(NOW - HOUR) }))),
      'CREDENTIALS_EXPIRED',
      'KRB_AP_ERR_TKT_EXPIRED',
    ],
    [
      'a ticket of tomorrow',
      () => acceptor().step(withTicket(ticketWith({ starttime: new Date(NOW + HOUR) }))),
      'FAILURE',
      'KRB_AP_ERR_TKT_NYV',
    ],
    [
      'a postdated ticket nobody validated',
      () => acceptor().step(withTicket(ticketWith({ flags: ticketFlag.INVALID }))),
      'FAILURE',
      'KRB_AP_ERR_TKT_NYV',
    ],
    [
      "another's ticket",
      () => acceptor().step(initiator({ credentials: { ...credentials, client: principal(REALM, 'bob') } }).step()),
      'DEFECTIVE_CREDENTIAL',
      'KRB_AP_ERR_BADMATCH',
    ],
    ['no checksum', () => acceptor().step(requestWith(undefined)), 'FAILURE', 'KRB_AP_ERR_INAPP_CKSUM'],
    [
      'a checksum of another kind',
      () => acceptor().step(requestWith({ cksumtype: 16, checksum: new Uint8Array(12) })),
      'FAILURE',
      'KRB_AP_ERR_INAPP_CKSUM',
    ],
    [
      'a checksum cut short',
      () => acceptor().step(requestWith({ cksumtype: cksumType.GSS, checksum: fromHex('10000000') })),
      'DEFECTIVE_TOKEN',
      'KRB_ERR_GENERIC',
    ],
    [
      'the order of tokens of DCE',
      () => acceptor().step(requestWith(checksumOf(0x1000))),
      'FAILURE',
      'KRB_ERR_GENERIC',
    ],
    [
      'required bindings where the channel has none',
      () => acceptor({ bindingPolicy: 'require' }).step(initiator().step()),
      'BAD_BINDINGS',
      'KRB_ERR_GENERIC',
    ],
  ];
  for (const [what, run, major, krb] of cases) {
    test(what, () => {
      const { error, krbError } = refusalOf(run);
      assert.deepEqual([error.major, krbError], [major, krb]);
    });
  }

  test("another's ticket that is handed on", () => {
    const delegate = { ...credentials, client: principal(REALM, 'bob') };
    const token = () => initiator({ delegate }).step();
    assert.equal(refusalOf(() => acceptor({ delegation: true }).step(token())).krbError, 'KRB_AP_ERR_BADMATCH');
    acceptor().step(token());
  });

  test('and its text tells the keys that were tried, not their bytes', () => {
    const { error } = refusalOf(() => acceptor({ keys: two }).step(initiator().step()));
    assert.match(error.message, /ldap\/dc1\.example\.test@EXAMPLE\.TEST with kvno 1 and aes256-cts.* none of 2 keys/);
    assert.match(error.message, /kvno 1 \(aes256-cts-hmac-sha1-96\), .*kvno 2/);
  });

  test('and a client that was refused for something else may come again', () => {
    const replays = new ReplayCache();
    const token = initiator().step()!;
    assert.throws(() => acceptor({ replays, permittedEtypes: [17] }).step(token), { code: 'ETYPE' });
    acceptor({ replays }).step(token);
    assert.equal(refusalOf(() => acceptor({ replays }).step(token)).krbError, 'KRB_AP_ERR_REPEAT');
  });

  test('whatever was altered in a token', () => {
    const honest = initiator().step()!;
    let made = 0;
    fuzz(
      [honest],
      (input) => {
        if (hex(input) === hex(honest)) return;
        acceptor().step(input);
        made++;
      },
      { iterations: 1200, seed: 4120, allow: (e) => e instanceof GssError },
    );
    // The options of an AP-REQ and the name outside the ticket are not sealed, and change nothing that is.
    assert.ok(made < 60, `${made} altered tokens were accepted`);
  });
});

describe('the GSS checksum', () => {
  test('is written as RFC 4121 4.1.1 has it', () => {
    const bindings = fromHex('00112233445566778899aabbccddeeff');
    const bytes = encodeGssChecksum({ flags: 0x3f, bindings, delegation: utf8('cred') });
    assert.equal(hex(bytes), `10000000${hex(bindings)}3f000000${'0100'}${'0400'}${hex(utf8('cred'))}`);
    assert.deepEqual(decodeGssChecksum(bytes), { flags: 0x3f, bindings, delegation: utf8('cred') });
  });

  test('may be longer by extensions', () => {
    assert.equal(decodeGssChecksum(checksumOf(2, utf8('extension')).checksum).flags, 2);
  });

  test('is that or malformed', () => {
    const seed = encodeGssChecksum({ flags: 0x3f, bindings: new Uint8Array(16), delegation: utf8('cred') });
    fuzz([seed, checksumOf(2).checksum], decodeGssChecksum, { iterations: 2000, seed: 4121 });
  });
});

describe('the replay cache', () => {
  test('forgets what the clock alone would refuse', () => {
    const cache = new ReplayCache();
    cache.add(utf8('a'), 100, 0);
    assert.throws(() => cache.add(utf8('a'), 100, 100), { details: { krbError: 'KRB_AP_ERR_REPEAT' } });
    cache.add(utf8('b'), 300, 101);
    assert.equal(cache.size, 1);
  });

  test('refuses rather than forgets too early, and goes on when there is room', () => {
    const cache = new ReplayCache({ limit: 3 });
    for (const [i, name] of ['a', 'b', 'c'].entries()) cache.add(utf8(name), 100 + i, 0);
    assert.throws(() => cache.add(utf8('d'), 200, 50), /full/);
    cache.add(utf8('d'), 200, 101);
    assert.ok(cache.size <= 3);
  });
});

describe('keys of a keytab', () => {
  const [a, b, c] = [Key.generate(18), Key.generate(18), Key.generate(18)];
  const server = servicePrincipal('HTTP', 'Web.Example.Test', REALM);
  const found = (k: KeytabKeys, kvno: number | undefined, etype = 18) =>
    k.candidates(server, etype, kvno).map((key) => [a, b, c].findIndex((x) => hex(x.value) === hex(key.value)));

  test('come in the order of their likelihood: name and kvno, name, account', () => {
    const k = new KeytabKeys([
      entry(c, 3, 'WebApp01$'),
      entry(a, 2, 'HTTP', 'web.example.test'),
      entry(b, 3, 'HTTP', 'web.example.test'),
    ]);
    assert.deepEqual(found(k, 3), [1, 0, 2]);
    assert.deepEqual(found(k, 2), [0, 1, 2]);
    assert.deepEqual(found(k, undefined), [1, 0, 2]);
    assert.deepEqual(found(k, 3, 17), []);
  });

  test('of eight-bit kvnos stand for the longer ones', () => {
    const k = new KeytabKeys([entry(a, 2, 'HTTP', 'web.example.test'), entry(b, 1, 'HTTP', 'web.example.test')]);
    assert.deepEqual(found(k, 0x101), [1, 0]);
  });

  test('are tried once under however many names, and never more than 32', () => {
    assert.deepEqual(found(new KeytabKeys([entry(a, 1, 'x'), entry(a, 1, 'y'), entry(a, 2, 'z')]), 1), [0]);
    const many = new KeytabKeys(Array.from({ length: 100 }, (_, i) => entry(Key.generate(18), i)));
    assert.equal(many.candidates(server, 18, 1).length, 32);
  });

  test('are gone after replace()', () => {
    const k = new KeytabKeys([entry(a)]);
    const [held] = k.candidates(server, 18, 1);
    k.replace([entry(b)]);
    assert.throws(() => held!.decrypt(2, new Uint8Array(60)), { code: 'INVALID_ARGUMENT' });
    assert.deepEqual(found(k, 1), [1]);
  });
});
