/** RC4 contexts (RFC 4757 section 7) with MIT's library, from either side, in a realm with RC4 keys alone. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { utf8 } from '../../../src/bytes.ts';
import type { KrbClient } from '../../../src/krb5/client.ts';
import { readKeytab } from '../../../src/krb5/files/keytab.ts';
import type { GssContext } from '../../../src/krb5/gss/context.ts';
import { GssInitiator, type InitiatorOptions } from '../../../src/krb5/gss/initiator.ts';
import { ReplayCache } from '../../../src/krb5/gss/replay-cache.ts';
import { KeytabKeys } from '../../../src/krb5/gss/service-keys.ts';
import { NegotiateAcceptor } from '../../../src/krb5/gss/spnego-acceptor.ts';
import type { NetworkTransport } from '../../../src/krb5/network/network.ts';
import { servicePrincipal } from '../../../src/krb5/principal.ts';
import { type GssapiPeer, gssapiPeer, needsGssapi } from '../../support/gssapi-peer.ts';
import { localTransport, testClient } from '../../support/kdc-client.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';

const PASSWORD = 'Only-For-Tests-1';
const RC4 = 23;
const FLAGS = ['replay_detection', 'out_of_sequence_detection', 'confidentiality', 'integrity'];

describe('RC4 contexts with MIT', { skip: needsMitRealm || needsGssapi }, () => {
  let realm: MitRealm;
  let keytab: string;
  let transport: NetworkTransport;
  let client: KrbClient;
  let keys: KeytabKeys;
  const peers: GssapiPeer[] = [];

  before(async () => {
    realm = await startMitRealm({
      keysalts: 'arcfour-hmac:normal',
      kdcConf: ['master_key_type = aes256-cts-hmac-sha1-96'],
      libdefaults: ['allow_rc4 = true', 'permitted_enctypes = rc4 aes'],
      principals: [{ name: 'alice', password: PASSWORD }, { name: 'HTTP/old.mit.test' }],
    });
    keytab = await realm.keytab('HTTP/old.mit.test');
    keys = new KeytabKeys(readKeytab(await readFile(keytab)));
    transport = localTransport(realm.port);
    client = testClient({
      transport,
      port: realm.port,
      realm: realm.realm,
      name: 'alice',
      password: PASSWORD,
      permittedEtypes: [RC4],
    });
    const { code, stderr } = await realm.run('kinit', ['alice'], `${PASSWORD}\n`);
    assert.equal(code, 0, stderr);
  });
  after(async () => {
    for (const peer of peers) peer.end();
    client?.close();
    transport?.close();
    await realm?.stop();
  });

  async function initiated(more: Partial<InitiatorOptions> = {}): Promise<{ ours: GssContext; theirs: GssapiPeer }> {
    const theirs = gssapiPeer({ role: 'accept', mech: 'krb5', store: { keytab } }, realm.env);
    peers.push(theirs);
    const credentials = await client.ticket(servicePrincipal('HTTP', 'old.mit.test', realm.realm));
    assert.equal(credentials.key.etype, RC4);
    const initiator = new GssInitiator({ context: client.context, credentials, ...more });
    const { token } = await theirs.step(initiator.step());
    if (token) initiator.step(token);
    return { ours: initiator.context!, theirs };
  }

  async function accepted(mutual: boolean): Promise<{ ours: GssContext; theirs: GssapiPeer }> {
    const flags = mutual ? [...FLAGS, 'mutual_authentication'] : FLAGS;
    const theirs = gssapiPeer({ role: 'init', mech: 'krb5', target: 'HTTP@old.mit.test', flags }, realm.env);
    peers.push(theirs);
    const acceptor = new NegotiateAcceptor({ keys, replays: new ReplayCache(), permittedEtypes: [RC4] });
    const { token } = await theirs.step(undefined);
    const reply = acceptor.step(token!);
    if (reply) await theirs.step(reply);
    return { ours: acceptor.context!, theirs };
  }

  /** Every kind of message, both ways, several of each, of lengths that need one, two and three bytes for the frame's. */
  async function talk({ ours, theirs }: { ours: GssContext; theirs: GssapiPeer }): Promise<void> {
    for (const length of [0, 1, 7, 8, 60, 61, 100, 300, 70_000]) {
      const data = new Uint8Array(length).fill(length);
      for (const confidential of [true, false]) {
        const wrapped = ours.wrap(data, { confidential });
        assert.ok(wrapped.length <= length + ours.sealOverhead);
        assert.deepEqual(await theirs.unwrap(wrapped), { plain: data, confidential });
        assert.deepEqual(ours.unwrap(await theirs.wrap(data, confidential)), { plain: data, confidential });
      }
      await theirs.verify(data, ours.getMic(data));
      ours.verifyMic(data, await theirs.mic(data));
    }
  }

  test('our initiator, with mutual authentication', async () => talk(await initiated()));

  test('our initiator, without', async () => talk(await initiated({ mutual: false })));

  test('our acceptor, with mutual authentication', async () => talk(await accepted(true)));

  test('our acceptor, without', async () => talk(await accepted(false)));

  test('MIT refuses what was changed on the way, and so do we', async () => {
    const { ours, theirs } = await initiated();
    const changed = (token: Uint8Array) => token.map((b, i) => (i === token.length - 3 ? b ^ 1 : b));
    await assert.rejects(theirs.unwrap(changed(ours.wrap(utf8('message'), { confidential: true }))));
    const theirsChanged = changed(await theirs.wrap(utf8('message'), true));
    assert.throws(() => ours.unwrap(theirsChanged), { code: 'INTEGRITY' });
  });

  test('an acceptor to whom RC4 is not permitted takes no such ticket', async () => {
    const theirs = gssapiPeer({ role: 'init', mech: 'krb5', target: 'HTTP@old.mit.test', flags: FLAGS }, realm.env);
    peers.push(theirs);
    const { token } = await theirs.step(undefined);
    const acceptor = new NegotiateAcceptor({ keys, replays: new ReplayCache() });
    assert.throws(() => acceptor.step(token!), { code: 'ETYPE' });
  });
});
