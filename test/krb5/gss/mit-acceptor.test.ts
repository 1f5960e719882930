/** Our initiator before MIT's acceptor: Kerberos and SPNEGO, with every choice a caller has. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { utf8 } from '../../../src/bytes.ts';
import type { KrbClient } from '../../../src/krb5/client.ts';
import { etypeName } from '../../../src/krb5/crypto/index.ts';
import { channelBindings } from '../../../src/krb5/gss/bindings.ts';
import { gssFlag } from '../../../src/krb5/gss/checksum.ts';
import type { GssContext, Negotiator } from '../../../src/krb5/gss/context.ts';
import { GssInitiator, type InitiatorOptions } from '../../../src/krb5/gss/initiator.ts';
import { SpnegoInitiator } from '../../../src/krb5/gss/spnego-initiator.ts';
import type { NetworkTransport } from '../../../src/krb5/network/network.ts';
import { servicePrincipal } from '../../../src/krb5/principal.ts';
import { type GssapiPeer, gssapiPeer, needsGssapi, type PeerConfig } from '../../support/gssapi-peer.ts';
import { localTransport, testClient } from '../../support/kdc-client.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';

const PASSWORD = 'Only-For-Tests-1';
const data = utf8('message');

describe("our initiator and MIT's acceptor", { skip: needsMitRealm || needsGssapi }, () => {
  let realm: MitRealm;
  let keytab: string;
  let transport: NetworkTransport;
  let client: KrbClient;
  const peers: GssapiPeer[] = [];

  before(async () => {
    realm = await startMitRealm({
      principals: [
        { name: 'alice', password: PASSWORD },
        { name: 'HTTP/web.mit.test' },
        { name: 'HTTP/small.mit.test', keysalts: 'aes128-cts-hmac-sha1-96:normal' },
      ],
    });
    keytab = await realm.keytab('HTTP/web.mit.test', 'HTTP/small.mit.test');
    transport = localTransport(realm.port);
    client = testClient({ transport, port: realm.port, realm: realm.realm, name: 'alice', password: PASSWORD });
  });
  after(async () => {
    for (const peer of peers) peer.end();
    client?.close();
    transport?.close();
    await realm?.stop();
  });

  function acceptor(more: Partial<PeerConfig> = {}): GssapiPeer {
    const peer = gssapiPeer({ role: 'accept', mech: 'krb5', store: { keytab }, ...more }, realm.env);
    peers.push(peer);
    return peer;
  }
  async function options(more: Partial<InitiatorOptions> = {}, host = 'web.mit.test'): Promise<InitiatorOptions> {
    const credentials = await client.ticket(servicePrincipal('HTTP', host, realm.realm));
    return { context: client.context, credentials, ...more };
  }
  /** Token after token until both sides are done. */
  async function meet(ours: Negotiator, theirs: GssapiPeer): Promise<{ context: GssContext; flags: number }> {
    let token = ours.step();
    for (;;) {
      const answer = await theirs.step(token);
      if (answer.token) token = ours.step(answer.token);
      if (answer.complete) {
        assert.equal(answer.initiator, `alice@${realm.realm}`);
        assert.ok(ours.context);
        return { context: ours.context, flags: answer.flags! };
      }
    }
  }
  async function talk(context: GssContext, theirs: GssapiPeer): Promise<void> {
    for (const confidential of [true, false]) {
      assert.deepEqual(await theirs.unwrap(context.wrap(data, { confidential })), { plain: data, confidential });
      assert.deepEqual(context.unwrap(await theirs.wrap(data, confidential)), { plain: data, confidential });
    }
    await theirs.verify(data, context.getMic(data));
    context.verifyMic(data, await theirs.mic(data));
  }

  const kinds: readonly [mech: 'krb5' | 'spnego', make: (o: InitiatorOptions) => Negotiator][] = [
    ['krb5', (o) => new GssInitiator(o)],
    ['spnego', (o) => new SpnegoInitiator(o)],
  ];
  for (const [mech, make] of kinds) {
    test(`${mech}: with mutual authentication, messages both ways`, async () => {
      const theirs = acceptor({ mech });
      const { context, flags } = await meet(make(await options()), theirs);
      assert.equal(flags & gssFlag.MUTUAL, gssFlag.MUTUAL);
      await talk(context, theirs);
    });

    test(`${mech}: without mutual authentication one token is all`, async () => {
      const theirs = acceptor({ mech });
      const { context, flags } = await meet(make(await options({ mutual: false })), theirs);
      assert.equal(flags & gssFlag.MUTUAL, 0);
      await talk(context, theirs);
    });

    test(`${mech}: the same channel on both sides is good`, async () => {
      const bindings = utf8('tls-server-end-point:0123456789');
      const theirs = acceptor({ mech, bindings });
      await meet(make(await options({ bindings: channelBindings(bindings) })), theirs);
    });

    test(`${mech}: another channel is refused`, async () => {
      const theirs = acceptor({ mech, bindings: utf8('tls-server-end-point:0123456789') });
      const ours = make(await options({ bindings: channelBindings(utf8('tls-server-end-point:x')) }));
      await assert.rejects(theirs.step(ours.step()), /channel bindings/i);
    });
  }

  test(`a service with ${etypeName(17)} alone`, async () => {
    const theirs = acceptor();
    const { context } = await meet(new GssInitiator(await options({}, 'small.mit.test')), theirs);
    await talk(context, theirs);
  });

  test('flags left out are not there on the other side', async () => {
    const { flags } = await meet(new GssInitiator(await options({ flags: gssFlag.INTEG })), acceptor());
    assert.equal(flags & (gssFlag.SEQUENCE | gssFlag.REPLAY), 0);
  });

  for (const [mech, make] of kinds) {
    test(`${mech}: a ticket that is handed on is good in its hands`, async () => {
      const theirs = acceptor({ mech });
      const ours = make(await options({ delegate: await client.forward() }));
      const cache = `FILE:${realm.directory}/delegated-${mech}`;
      const answer = await theirs.step(ours.step(), cache);
      assert.equal(answer.delegated, `alice@${realm.realm}`);
      const kvno = await realm.run('kvno', ['-c', cache, 'HTTP/small.mit.test']);
      assert.equal(kvno.code, 0, kvno.stderr);
      const { stdout } = await realm.run('klist', ['-f', '-c', cache]);
      assert.match(stdout, /Flags: \S*f/);
    });
  }

  test("its refusal's token says why", async () => {
    await realm.kadmin('change_password -randkey HTTP/small.mit.test');
    const theirs = acceptor();
    const small = await options({}, 'small.mit.test');
    client.forget();
    const ours = new GssInitiator({ ...small, credentials: await client.ticket(small.credentials.server) });
    const refusal = await theirs.step(ours.step()).catch((e) => e);
    assert.throws(() => ours.step(refusal.token), { code: 'KDC_ERROR' });
  });
});
