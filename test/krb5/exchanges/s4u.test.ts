/** Tickets in a user's name, from a KDC that lies or with somebody on the wire. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromDer, toDer } from '../../../src/asn1.ts';
import { concat, hex, utf8 } from '../../../src/bytes.ts';
import { KrbClient } from '../../../src/krb5/client.ts';
import type { Credentials } from '../../../src/krb5/credentials.ts';
import { checksumByType, Key } from '../../../src/krb5/crypto/index.ts';
import { EncTicketPart, PaForUser, PaPacOptions, PaS4uX509User, S4uUserId } from '../../../src/krb5/messages.ts';
import { keyUsage, paType, ticketFlag } from '../../../src/krb5/numbers.ts';
import {
  enterprisePrincipal,
  formatPrincipal,
  krbtgt,
  principal,
  servicePrincipal,
} from '../../../src/krb5/principal.ts';
import { KeySecret } from '../../../src/krb5/secret.ts';
import { FakeKdc, type ReplyParts, SESSION_KEY, type SeenRequest, subkeyOf, tgsReply } from '../../support/fake-kdc.ts';

const REALM = 'EXAMPLE.TEST';
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const alice = principal(REALM, 'alice');
const upn = enterprisePrincipal('alice@mail.example', REALM);
const tgt: Credentials = {
  client: principal(REALM, 'web$'),
  server: krbtgt(REALM),
  key: { etype: SESSION_KEY.keytype, value: Uint8Array.from(SESSION_KEY.keyvalue) },
  authtime: new Date(NOW),
  endtime: new Date(NOW + 9 * 3_600_000),
  flags: ticketFlag.FORWARDABLE,
  isSkey: false,
  addresses: [],
  authorizationData: [],
  ticket: Uint8Array.of(0x61, 0x02, 0x30, 0x00),
  secondTicket: new Uint8Array(0),
};
const clientOf = (kdc: FakeKdc, more: Partial<Credentials> = {}) =>
  new KrbClient({
    transport: kdc,
    clock: () => NOW,
    client: tgt.client,
    secret: new KeySecret([]),
    tickets: [{ ...tgt, key: { ...tgt.key, value: Uint8Array.from(tgt.key.value) }, ...more }],
  });
const named = (...nameString: string[]) => ({ nameType: 1, nameString });
const padata = (request: SeenRequest, type: number) =>
  request.padata.find((p) => p.padataType === type)?.padataValue ?? assert.fail(`no padata ${type}`);

/** A KDC that answers for `cname`, and seals whom it means where `user` says. */
const answering = (cname: string, user?: (id: ReturnType<typeof idOf>) => unknown, key?: Key) =>
  new FakeKdc((request) => {
    const parts: ReplyParts = { rep: { cname: named(cname), crealm: REALM } };
    if (!user) return tgsReply(request, NOW, parts);
    const userId = toDer(S4uUserId, user(idOf(request)) as never);
    const subkey = key ?? subkeyOf(request).key;
    const checksum = subkey.checksum(keyUsage.PA_S4U_X509_USER_REPLY, userId);
    const padataValue = toDer(PaS4uX509User, { userId, checksum: { cksumtype: 16, checksum } });
    const rep = { ...parts.rep, padata: [{ padataType: paType.S4U_X509_USER, padataValue }] };
    return tgsReply(request, NOW, { rep });
  });
const idOf = (request: SeenRequest) =>
  fromDer(S4uUserId, fromDer(PaS4uX509User, padata(request, paType.S4U_X509_USER)).userId);

describe('S4U2Self', () => {
  test('binds the user to the request twice, with the session key and with the subkey', async () => {
    const kdc = answering('alice');
    await clientOf(kdc).s4u2self(alice);
    const [request] = kdc.requests;
    const forUser = fromDer(PaForUser, padata(request!, paType.FOR_USER));
    // MS-SFU 2.2.1: name type in little endian, names, realm, package; HMAC-MD5 under usage 17.
    const bytes = concat(Uint8Array.of(1, 0, 0, 0), utf8('aliceEXAMPLE.TESTKerberos'));
    const session = new Key(SESSION_KEY.keytype, SESSION_KEY.keyvalue);
    assert.deepEqual(forUser.cksum, { cksumtype: -138, checksum: checksumByType(-138, session, 17, bytes) });
    const x509 = fromDer(PaS4uX509User, padata(request!, paType.S4U_X509_USER));
    assert.ok(subkeyOf(request!).key.verifyChecksum(26, x509.userId, x509.checksum.checksum));
    assert.equal(fromDer(S4uUserId, x509.userId).nonce, request!.body.nonce);
    assert.deepEqual(request!.body.sname?.nameString, ['web$']);
  });

  const good: readonly [what: string, kdc: FakeKdc, user: typeof alice, name: string][] = [
    ['by a KDC that names the user in the clear', answering('alice'), alice, 'alice'],
    ['in other capitals', answering('Alice'), alice, 'Alice'],
    ['under our key', answering('alice', (id) => id), alice, 'alice'],
    ['by another name under our key', answering('alice', (id) => ({ ...id, cname: named('alice') })), upn, 'alice'],
    ['by the account name, the user principal name under our key', answering('alice', (id) => id), upn, 'alice'],
  ];
  for (const [what, kdc, user, name] of good) {
    test(`answered ${what} is accepted`, async () => {
      assert.equal(formatPrincipal((await clientOf(kdc).s4u2self(user)).client), `${name}@${REALM}`);
    });
  }

  const bad: readonly [what: string, kdc: FakeKdc, user: typeof alice, why: RegExp][] = [
    ['for another user', answering('mallory'), alice, /for mallory@EXAMPLE.TEST, not alice/],
    ['for another user than sealed', answering('mallory', (id) => id), alice, /its user is alice.*client mallory/],
    ['by a name nobody sealed', answering('mallory'), upn, /for mallory/],
    [
      'for another user, sealed',
      answering('alice', (id) => ({ ...id, cname: named('mallory') })),
      alice,
      /its user is mallory/,
    ],
    ['to another request', answering('alice', (id) => ({ ...id, nonce: 1 })), alice, /another request/],
    ['under another key', answering('alice', (id) => id, Key.generate(18)), alice, /not under the checksum/],
  ];
  for (const [what, kdc, user, message] of bad) {
    test(`answered ${what} is refused`, () =>
      assert.rejects(clientOf(kdc).s4u2self(user), { code: 'REPLY_REJECTED', message }));
  }

  describe('is opened by a service that has its keys, where the KDC seals no name', () => {
    const key = Key.generate(18);
    /** The KDC gave a ticket for `inside`; the reply says that it is for alice. */
    const client = (inside: string, sealedWith: Key) => {
      const part = {
        flags: 0,
        key: SESSION_KEY,
        crealm: REALM,
        cname: named(inside),
        transited: { trType: 1, contents: new Uint8Array(0) },
        authtime: new Date(NOW),
        endtime: new Date(NOW + 3_600_000),
      };
      const cipher = sealedWith.encrypt(keyUsage.KDC_REP_TICKET, toDer(EncTicketPart, part));
      const parts: ReplyParts = {
        rep: { cname: named('alice'), crealm: REALM },
        ticket: { encPart: { etype: 18, kvno: 2, cipher } },
      };
      return new KrbClient({
        transport: new FakeKdc((request) => tgsReply(request, NOW, parts)),
        clock: () => NOW,
        client: tgt.client,
        secret: new KeySecret([{ etype: 18, value: key.value }]),
        tickets: [{ ...tgt, key: { ...tgt.key, value: Uint8Array.from(tgt.key.value) } }],
      });
    };

    test('and taken when it names the user', async () => {
      assert.equal(formatPrincipal((await client('Alice', key).s4u2self(alice)).client), 'alice@EXAMPLE.TEST');
    });

    test('and refused when it names another', () =>
      assert.rejects(client('mallory', key).s4u2self(alice), {
        code: 'REPLY_REJECTED',
        message: /said to be for alice@EXAMPLE\.TEST is for mallory@EXAMPLE\.TEST/,
      }));

    test('and taken at its word when an older key sealed it', async () => {
      assert.equal((await client('alice', Key.generate(18)).s4u2self(alice)).client.components[0], 'alice');
    });
  });

  test('for a user of another realm is not asked for', async () => {
    const kdc = answering('alice');
    await assert.rejects(clientOf(kdc).s4u2self(principal('OTHER.TEST', 'alice')), { code: 'INVALID_ARGUMENT' });
    assert.equal(kdc.requests.length, 0);
  });

  test('is not kept: the next user gets a ticket of their own', async () => {
    const kdc = new FakeKdc((request) =>
      tgsReply(request, NOW, { rep: { cname: idOf(request).cname!, crealm: REALM } }),
    );
    const client = clientOf(kdc);
    assert.equal((await client.s4u2self(alice)).client.components[0], 'alice');
    assert.equal((await client.s4u2self(principal(REALM, 'bob'))).client.components[0], 'bob');
  });
});

describe('S4U2Proxy', () => {
  const evidence = {
    ...tgt,
    client: alice,
    server: tgt.client,
    ticket: Uint8Array.of(0x61, 0x04, 0x30, 0x02, 0x05, 0x00),
  };
  const server = servicePrincipal('cifs', 'back.example.test', REALM);

  test("presents the user's ticket, and says that the server's own list will do", async () => {
    const kdc = answering('alice');
    const got = await clientOf(kdc).s4u2proxy(evidence, server);
    assert.equal(formatPrincipal(got.client), 'alice@EXAMPLE.TEST');
    const [request] = kdc.requests;
    assert.deepEqual(request!.body.additionalTickets?.map(hex), ['610430020500']);
    assert.ok(request!.body.kdcOptions & 0x00020000);
    assert.equal(fromDer(PaPacOptions, padata(request!, paType.PAC_OPTIONS)).flags, 0x10000000);
  });

  test('answered for another user is refused', () =>
    assert.rejects(clientOf(answering('mallory')).s4u2proxy(evidence, server), {
      code: 'REPLY_REJECTED',
      message: /for mallory@EXAMPLE.TEST, not alice/,
    }));

  test('answered for the service itself is refused', () =>
    assert.rejects(clientOf(answering('web$')).s4u2proxy(evidence, server), { code: 'REPLY_REJECTED' }));

  test('needs a ticket-granting ticket that is forwardable', () =>
    assert.rejects(clientOf(answering('alice'), { flags: 0 }).s4u2proxy(evidence, server), {
      code: 'INVALID_ARGUMENT',
    }));

  test('does not follow to another realm', () => {
    const kdc = new FakeKdc((request) =>
      tgsReply(request, NOW, {
        rep: { cname: named('alice'), crealm: REALM },
        part: { sname: { nameType: 2, nameString: ['krbtgt', 'OTHER.TEST'] } },
      }),
    );
    return assert.rejects(clientOf(kdc).s4u2proxy(evidence, server), { code: 'UNKNOWN_SERVICE' });
  });
});
