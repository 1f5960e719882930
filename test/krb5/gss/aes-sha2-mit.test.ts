/** Contexts under RFC 8009's types with MIT's library, from either side: confounder, checksum and filler have other lengths. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import type { KrbClient } from '../../../src/krb5/client.ts';
import { readKeytab } from '../../../src/krb5/files/keytab.ts';
import type { GssContext } from '../../../src/krb5/gss/context.ts';
import { GssInitiator } from '../../../src/krb5/gss/initiator.ts';
import { ReplayCache } from '../../../src/krb5/gss/replay-cache.ts';
import { KeytabKeys } from '../../../src/krb5/gss/service-keys.ts';
import { NegotiateAcceptor } from '../../../src/krb5/gss/spnego-acceptor.ts';
import { servicePrincipal } from '../../../src/krb5/principal.ts';
import { type GssapiPeer, gssapiPeer, needsGssapi } from '../../support/gssapi-peer.ts';
import { testClient } from '../../support/kdc-client.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';

const PASSWORD = 'Only-For-Tests-1';
const FLAGS = [
  'mutual_authentication',
  'replay_detection',
  'out_of_sequence_detection',
  'confidentiality',
  'integrity',
];
const NAMES = { 19: 'aes128-sha2', 20: 'aes256-sha2' } as const;

for (const etype of [19, 20] as const) {
  describe(`etype ${etype} contexts with MIT`, { skip: needsMitRealm || needsGssapi }, () => {
    let realm: MitRealm;
    let keytab: string;
    let client: KrbClient;
    const peers: GssapiPeer[] = [];

    before(async () => {
      realm = await startMitRealm({
        keysalts: `${NAMES[etype]}:normal`,
        libdefaults: [`permitted_enctypes = ${NAMES[etype]}`],
        principals: [{ name: 'alice', password: PASSWORD }, { name: 'HTTP/web.mit.test' }],
      });
      keytab = await realm.keytab('HTTP/web.mit.test');
      client = testClient({ port: realm.port, realm: realm.realm, name: 'alice', password: PASSWORD });
      const { code, stderr } = await realm.run('kinit', ['alice'], `${PASSWORD}\n`);
      assert.equal(code, 0, stderr);
    });
    after(async () => {
      for (const peer of peers) peer.end();
      client?.close();
      await realm?.stop();
    });

    function peer(config: Parameters<typeof gssapiPeer>[0]): GssapiPeer {
      const made = gssapiPeer(config, realm.env);
      peers.push(made);
      return made;
    }

    async function talk(ours: GssContext, theirs: GssapiPeer): Promise<void> {
      for (const length of [0, 1, 15, 16, 17, 1000]) {
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

    test('our initiator', async () => {
      const theirs = peer({ role: 'accept', mech: 'krb5', store: { keytab } });
      const credentials = await client.ticket(servicePrincipal('HTTP', 'web.mit.test', realm.realm));
      assert.equal(credentials.key.etype, etype);
      const initiator = new GssInitiator({ context: client.context, credentials });
      const { token } = await theirs.step(initiator.step());
      initiator.step(token!);
      await talk(initiator.context!, theirs);
    });

    test('our acceptor', async () => {
      const theirs = peer({ role: 'init', mech: 'krb5', target: 'HTTP@web.mit.test', flags: FLAGS });
      const keys = new KeytabKeys(readKeytab(await readFile(keytab)));
      const acceptor = new NegotiateAcceptor({ keys, replays: new ReplayCache() });
      const { token } = await theirs.step(undefined);
      await theirs.step(acceptor.step(token!));
      await talk(acceptor.context!, theirs);
    });
  });
}
