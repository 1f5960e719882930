/** Tickets for others to use: forwarded, sent in KRB-CRED, proxied, postdated, user-to-user. KDC and GSS peer are MIT's. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fromDer } from '../../../src/asn1.ts';
import { hex } from '../../../src/bytes.ts';
import { KrbClient } from '../../../src/krb5/client.ts';
import type { Credentials } from '../../../src/krb5/credentials.ts';
import { Key } from '../../../src/krb5/crypto/index.ts';
import { acceptApReq, buildApReq } from '../../../src/krb5/exchanges/ap.ts';
import { asExchange } from '../../../src/krb5/exchanges/as.ts';
import { newStamp } from '../../../src/krb5/exchanges/context.ts';
import { openCredentials, sealCredentials } from '../../../src/krb5/exchanges/cred.ts';
import { writeCCache } from '../../../src/krb5/files/ccache.ts';
import { readKeytab } from '../../../src/krb5/files/keytab.ts';
import { decodeGssChecksum, encodeGssChecksum, gssFlag } from '../../../src/krb5/gss/checksum.ts';
import { frameToken, gssTokenId, unframeToken } from '../../../src/krb5/gss/token.ts';
import { ApReq } from '../../../src/krb5/messages.ts';
import { apOption, cksumType, keyUsage, ticketFlag } from '../../../src/krb5/numbers.ts';
import { formatPrincipal, principal, servicePrincipal } from '../../../src/krb5/principal.ts';
import { KeySecret } from '../../../src/krb5/secret.ts';
import { gssapiPeer, needsGssapi } from '../../support/gssapi-peer.ts';
import { localTransport, testClient } from '../../support/kdc-client.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';

const PASSWORD = 'Only-For-Tests-1';

describe('tickets for others to use', { skip: needsMitRealm }, () => {
  let realm: MitRealm;
  before(async () => {
    realm = await startMitRealm({
      principals: [
        { name: 'alice', password: PASSWORD },
        { name: 'bob', password: PASSWORD },
        { name: 'HTTP/web.mit.test', attributes: ['+ok_as_delegate'] },
        { name: 'host/two.mit.test' },
      ],
    });
  });
  after(() => realm?.stop());

  async function as<T>(name: string, use: (client: KrbClient) => Promise<T>, more = {}): Promise<T> {
    const transport = localTransport(realm.port);
    const client = testClient({ transport, port: 0, realm: realm.realm, name, password: PASSWORD, ...more });
    try {
      return await use(client);
    } finally {
      client.close();
      transport.close();
    }
  }
  const service = (name = 'HTTP', host = 'web.mit.test') => servicePrincipal(name, host, realm.realm);

  async function kvnoWorks(ccache: string): Promise<void> {
    const kvno = await realm.run('kvno', ['-c', ccache, 'host/two.mit.test']);
    assert.equal(kvno.code, 0, kvno.stderr);
  }
  async function ccacheOf(tgt: Credentials): Promise<string> {
    const path = join(realm.directory, `of-${hex(tgt.key.value.subarray(0, 4))}.cc`);
    await writeFile(path, writeCCache({ principal: tgt.client, credentials: [tgt] }));
    return path;
  }

  test("a forwarded ticket-granting ticket is another one, and MIT's programs use it", () =>
    as('alice', async (alice) => {
      const [own, forwarded] = [await alice.login(), await alice.forward()];
      assert.ok(forwarded.flags & ticketFlag.FORWARDED && forwarded.flags & ticketFlag.FORWARDABLE);
      assert.notDeepEqual(forwarded.key.value, own.key.value);
      await kvnoWorks(await ccacheOf(forwarded));
    }));

  test('a forwarded ticket need not go further', () =>
    as('alice', async (alice) => {
      const forwarded = await alice.forward({ forwardable: false });
      assert.equal(forwarded.flags & (ticketFlag.FORWARDED | ticketFlag.FORWARDABLE), ticketFlag.FORWARDED);
    }));

  test('a client that wants nothing forwarded has no such ticket', () =>
    as(
      'alice',
      async (alice) => {
        assert.equal((await alice.login()).flags & ticketFlag.FORWARDABLE, 0);
        await assert.rejects(alice.forward(), { code: 'INVALID_ARGUMENT', message: /may not be forwarded/ });
      },
      { forwardable: false },
    ));

  test('a service ticket alone can be asked for without', () =>
    as('alice', async (alice) => {
      assert.ok((await alice.ticket(service())).flags & ticketFlag.FORWARDABLE);
      assert.equal((await alice.ticket(service(), { forwardable: false })).flags & ticketFlag.FORWARDABLE, 0);
      assert.ok((await alice.ticket(service())).flags & ticketFlag.FORWARDABLE);
    }));

  test("MIT's acceptor takes the ticket out of our KRB-CRED and works with it", { skip: needsGssapi }, () =>
    as('alice', async (alice) => {
      const credentials = await alice.ticket(service());
      const sessionKey = new Key(credentials.key.etype, credentials.key.value);
      const delegation = sealCredentials([await alice.forward()], sessionKey, newStamp(alice.context));
      const peer = gssapiPeer(
        { role: 'accept', mech: 'krb5', store: { keytab: await realm.keytab('HTTP/web.mit.test') } },
        realm.env,
      );
      const checksum = encodeGssChecksum({ flags: gssFlag.DELEG, bindings: undefined, delegation });
      const { message } = buildApReq({
        credentials,
        sessionKey,
        usage: keyUsage.AP_REQ_AUTHENTICATOR,
        stamp: newStamp(alice.context),
        checksum: { cksumtype: cksumType.GSS, checksum },
      });
      const stored = join(realm.directory, 'delegated.cc');
      const answer = await peer.step(frameToken(gssTokenId.AP_REQ, message), `FILE:${stored}`);
      assert.equal(answer.delegated, `alice@${realm.realm}`);
      await kvnoWorks(stored);
      peer.end();
    }),
  );

  test("we take the ticket out of the KRB-CRED of MIT's initiator and work with it", {
    skip: needsGssapi,
  }, async () => {
    const ccache = join(realm.directory, 'initiator.cc');
    const kinit = await realm.run('kinit', ['-f', '-c', ccache, 'alice'], `${PASSWORD}\n`);
    assert.equal(kinit.code, 0, kinit.stderr);
    const flags = ['delegate_to_peer', 'mutual_authentication'];
    const peer = gssapiPeer(
      { role: 'init', mech: 'krb5', target: 'HTTP@web.mit.test', flags, store: { ccache } },
      realm.env,
    );
    const { token } = await peer.step(undefined);
    peer.end();
    const keytab = readKeytab(await readFile(await realm.keytab('HTTP/web.mit.test')));
    const accepted = acceptApReq(unframeToken(token!).inner, {
      keyFor: (_, etype) => {
        const entry = keytab.find((e) => e.key.etype === etype)!;
        return new Key(etype, entry.key.value);
      },
      clock: Date.now,
      clockSkew: 300_000,
      usage: keyUsage.AP_REQ_AUTHENTICATOR,
    });
    const { delegation } = decodeGssChecksum(accepted.checksum!.checksum);
    const [tgt] = openCredentials(delegation!, [accepted.subkey!, accepted.sessionKey]);
    assert.equal(formatPrincipal(tgt!.client), `alice@${realm.realm}`);
    assert.ok(tgt!.flags & ticketFlag.FORWARDED);
    const transport = localTransport(realm.port);
    const client = new KrbClient({ transport, client: tgt!.client, secret: new KeySecret([]), tickets: [tgt!] });
    assert.equal(
      formatPrincipal((await client.ticket(service('host', 'two.mit.test'))).client),
      `alice@${realm.realm}`,
    );
    client.close();
    transport.close();
  });

  test('a ticket for later is not valid before it is validated', () =>
    as('alice', async (alice) => {
      const from = new Date(Math.floor(Date.now() / 1000) * 1000 + 1000);
      const secret = testClientSecret(realm);
      const postdated = await asExchange(alice.context, { client: alice.client, secret: await secret, from });
      assert.ok(postdated.flags & ticketFlag.INVALID && postdated.flags & ticketFlag.POSTDATED);
      assert.deepEqual(postdated.starttime, from);
      const early = { ...postdated, key: { ...postdated.key, value: Uint8Array.from(postdated.key.value) } };
      while (Date.now() <= from.getTime() + 100) await new Promise((resolve) => setTimeout(resolve, 50));
      const valid = await alice.validate(early);
      assert.equal(valid.flags & ticketFlag.INVALID, 0);
      await kvnoWorks(await ccacheOf(valid));
      await assert.rejects(alice.validate(valid), { code: 'INVALID_ARGUMENT', message: /valid already/ });
    }));

  test("a ticket for a user is sealed with the key of that user's ticket-granting ticket", () =>
    as('bob', async (bob) => {
      const theirs = await bob.login();
      await as('alice', async (alice) => {
        const ticket = await alice.ticket(principal(realm.realm, 'bob'), { userToUser: theirs.ticket });
        assert.ok(ticket.isSkey);
        assert.deepEqual(ticket.secondTicket, theirs.ticket);
        const sessionKey = new Key(ticket.key.etype, ticket.key.value);
        const stamp = newStamp(alice.context);
        const usage = keyUsage.AP_REQ_AUTHENTICATOR;
        const { message } = buildApReq({ credentials: ticket, sessionKey, usage, stamp });
        assert.ok(fromDer(ApReq, message).apOptions & apOption.USE_SESSION_KEY);
        const keyFor = () => new Key(theirs.key.etype, theirs.key.value);
        const accepted = acceptApReq(message, { keyFor, clock: Date.now, clockSkew: 300_000, usage });
        assert.equal(formatPrincipal(accepted.client), `alice@${realm.realm}`);
      });
    }));

  test('a service gets a ticket to itself in the name of a user, whom the KDC names under our key', () =>
    as('bob', async (bob) => {
      const evidence = await bob.s4u2self(principal(realm.realm, 'alice'));
      assert.equal(formatPrincipal(evidence.client), `alice@${realm.realm}`);
      assert.equal(formatPrincipal(evidence.server), `bob@${realm.realm}`);
      const keytab = await realm.keytab('bob');
      const ccache = join(realm.directory, 'evidence.cc');
      await writeFile(ccache, writeCCache({ principal: evidence.client, credentials: [evidence] }));
      const kvno = await realm.run('kvno', ['-c', ccache, '-k', keytab, 'bob']);
      assert.match(kvno.stdout, /keytab entry valid/, kvno.stderr);
    }));

  test('a service that may not act for users goes no further', () =>
    as('bob', async (bob) => {
      const evidence = await bob.s4u2self(principal(realm.realm, 'alice'));
      await assert.rejects(bob.s4u2proxy(evidence, service()), { code: 'KDC_ERROR' });
    }));

  test("a ticket-granting ticket that is not the service's own is refused", () =>
    as('alice', async (alice) => {
      const { ticket } = await alice.login();
      await assert.rejects(alice.ticket(principal(realm.realm, 'bob'), { userToUser: ticket }), { code: 'KDC_ERROR' });
    }));
});

/** alice's keys, as the KDC has them. */
async function testClientSecret(realm: MitRealm): Promise<KeySecret> {
  return new KeySecret(readKeytab(await readFile(await realm.keytab('alice'))).map((e) => e.key));
}
