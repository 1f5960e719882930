/** Our acceptor before MIT's initiator: Kerberos and SPNEGO, good and bad. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { utf8 } from '../../../src/bytes.ts';
import { Key } from '../../../src/krb5/crypto/index.ts';
import { writeCCache } from '../../../src/krb5/files/ccache.ts';
import { readKeytab } from '../../../src/krb5/files/keytab.ts';
import { channelBindings } from '../../../src/krb5/gss/bindings.ts';
import { gssFlag } from '../../../src/krb5/gss/checksum.ts';
import { ReplayCache } from '../../../src/krb5/gss/replay-cache.ts';
import { KeytabKeys } from '../../../src/krb5/gss/service-keys.ts';
import { NegotiateAcceptor, type NegotiateAcceptorOptions } from '../../../src/krb5/gss/spnego-acceptor.ts';
import { ticketFlag } from '../../../src/krb5/numbers.ts';
import { verifyPac } from '../../../src/krb5/pac/index.ts';
import { formatPrincipal } from '../../../src/krb5/principal.ts';
import { type GssapiPeer, gssapiPeer, needsGssapi, type PeerConfig, PeerError } from '../../support/gssapi-peer.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';

const PASSWORD = 'Only-For-Tests-1';
const data = utf8('message');
const FLAGS = [
  'mutual_authentication',
  'replay_detection',
  'out_of_sequence_detection',
  'confidentiality',
  'integrity',
];
/** Types of keys, and of the signatures that MIT's KDC makes of PACs with them. */
const signatures: readonly (readonly [name: string, cksumType: number])[] = [
  ['aes128-cts-hmac-sha1-96', 15],
  ['aes256-cts-hmac-sha1-96', 16],
  ['aes128-cts-hmac-sha256-128', 19],
  ['aes256-cts-hmac-sha384-192', 20],
];
const channel = utf8('tls-server-end-point:0123456789');

describe("MIT's initiator and our acceptor", { skip: needsMitRealm || needsGssapi }, () => {
  let realm: MitRealm;
  let keys: KeytabKeys;
  const replays = new ReplayCache();
  const peers: GssapiPeer[] = [];

  before(async () => {
    realm = await startMitRealm({
      principals: [
        { name: 'alice', password: PASSWORD },
        { name: 'HTTP/web.mit.test' },
        { name: 'HTTP/old.mit.test' },
        ...signatures.map(([name]) => ({ name: `HTTP/${name}.mit.test`, keysalts: `${name}:normal` })),
      ],
    });
    keys = new KeytabKeys(readKeytab(await readFile(await realm.keytab('HTTP/web.mit.test', 'HTTP/old.mit.test'))));
    const { code, stderr } = await realm.run('kinit', ['-f', 'alice'], `${PASSWORD}\n`);
    assert.equal(code, 0, stderr);
  });
  after(async () => {
    for (const peer of peers) peer.end();
    await realm?.stop();
  });

  function initiator(more: Partial<PeerConfig> = {}): GssapiPeer {
    const config: PeerConfig = { role: 'init', mech: 'krb5', target: 'HTTP@web.mit.test', flags: FLAGS, ...more };
    const peer = gssapiPeer(config, realm.env);
    peers.push(peer);
    return peer;
  }
  const acceptor = (more: Partial<NegotiateAcceptorOptions> = {}) => new NegotiateAcceptor({ keys, replays, ...more });

  /** Token after token until both sides are done. */
  async function meet(theirs: GssapiPeer, ours: NegotiateAcceptor) {
    let step = await theirs.step(undefined);
    let rounds = 0;
    while (step.token) {
      assert.ok(++rounds < 5, 'the negotiation does not end');
      const token = ours.step(step.token);
      if (!token) break;
      step = await theirs.step(token);
    }
    assert.ok(step.complete);
    assert.ok(ours.context);
    assert.equal(formatPrincipal(ours.context.initiator), `alice@${realm.realm}`);
    assert.equal(formatPrincipal(ours.context.acceptor), `HTTP/web.mit.test@${realm.realm}`);
    return { context: ours.context, rounds };
  }
  async function talk(theirs: GssapiPeer, ours: NegotiateAcceptor): Promise<void> {
    const { context } = ours;
    for (const confidential of [true, false]) {
      assert.deepEqual(context!.unwrap(await theirs.wrap(data, confidential)), { plain: data, confidential });
      assert.deepEqual(await theirs.unwrap(context!.wrap(data, { confidential })), { plain: data, confidential });
    }
    context!.verifyMic(data, await theirs.mic(data));
    await theirs.verify(data, context!.getMic(data));
  }

  for (const mech of ['krb5', 'spnego'] as const) {
    test(`${mech}: mutual, messages both ways`, async () => {
      const [theirs, ours] = [initiator({ mech }), acceptor()];
      const { context, rounds } = await meet(theirs, ours);
      assert.equal(rounds, 1);
      assert.ok(context.flags & gssFlag.MUTUAL);
      // MIT's KDC signs PACs too; they say no more than whose they are.
      assert.equal(context.pac?.client?.name, 'alice');
      assert.equal(context.pac.logon, undefined);
      await talk(theirs, ours);
    });

    test(`${mech}: one token where the client does not ask for proof`, async () => {
      const [theirs, ours] = [initiator({ mech, flags: FLAGS.slice(1) }), acceptor()];
      const { context } = await meet(theirs, ours);
      assert.equal(context.flags & gssFlag.MUTUAL, 0);
      await talk(theirs, ours);
    });

    test(`${mech}: a client on this channel is bound to it`, async () => {
      const ours = acceptor({ bindings: channelBindings(channel), bindingPolicy: 'require' });
      const { context } = await meet(initiator({ mech, bindings: channel }), ours);
      assert.equal(context.channelBound, true);
    });

    test(`${mech}: a client on another channel is refused`, async () => {
      const [theirs, ours] = [
        initiator({ mech, bindings: utf8('tls-server-end-point:evil') }),
        acceptor({ bindings: channelBindings(channel) }),
      ];
      const { token } = await theirs.step(undefined);
      assert.throws(() => ours.step(token), { name: 'GssError', major: 'BAD_BINDINGS' });
      assert.equal(ours.context, undefined);
    });

    test(`${mech}: a client that names no channel is let in, unless it must`, async () => {
      const bindings = channelBindings(channel);
      const { context } = await meet(initiator({ mech }), acceptor({ bindings }));
      assert.equal(context.channelBound, false);
      const { token } = await initiator({ mech }).step(undefined);
      assert.throws(() => acceptor({ bindings, bindingPolicy: 'require' }).step(token), { major: 'BAD_BINDINGS' });
    });

    test(`${mech}: a token is good once`, async () => {
      const { token } = await initiator({ mech }).step(undefined);
      acceptor().step(token);
      assert.throws(() => acceptor().step(token), {
        major: 'DUPLICATE_TOKEN',
        details: { krbError: 'KRB_AP_ERR_REPEAT' },
      });
    });

    test(`${mech}: its library reads why it was refused`, async () => {
      const theirs = initiator({ mech });
      const { token } = await theirs.step(undefined);
      const clock = () => Date.now() + 3_600_000;
      let refusal: { token?: Uint8Array } = {};
      try {
        acceptor({ clock }).step(token);
      } catch (e) {
        refusal = e as typeof refusal;
      }
      assert.ok(refusal.token);
      await assert.rejects(theirs.step(refusal.token), (e) => e instanceof PeerError && /clock skew/i.test(e.message));
    });
  }

  for (const mech of ['krb5', 'spnego'] as const) {
    test(`${mech}: a ticket that is handed on is good in our hands`, async () => {
      const flags = [...FLAGS, 'delegate_to_peer'];
      const [theirs, ours] = [initiator({ mech, flags }), acceptor({ delegation: true })];
      const { context } = await meet(theirs, ours);
      const [tgt] = context.delegated;
      assert.equal(formatPrincipal(tgt!.client), `alice@${realm.realm}`);
      assert.ok(tgt!.flags & ticketFlag.FORWARDED);
      const cache = join(realm.directory, `delegated-${mech}`);
      await writeFile(cache, writeCCache({ principal: tgt!.client, credentials: [tgt!] }));
      const kvno = await realm.run('kvno', ['-c', cache, 'HTTP/web.mit.test']);
      assert.equal(kvno.code, 0, kvno.stderr);
      const passed = acceptor();
      await meet(initiator({ mech, flags }), passed);
      assert.deepEqual(passed.context!.delegated, []);
    });
  }

  for (const [name, type] of signatures) {
    test(`the KDC's signature of a PAC with a key of ${name} is verified`, async () => {
      const { token } = await initiator({ target: `HTTP@${name}.mit.test` }).step(undefined);
      const entries = readKeytab(await readFile(await realm.keytab(`HTTP/${name}.mit.test`)));
      const ours = acceptor({ keys: new KeytabKeys(entries) });
      ours.step(token);
      assert.equal(ours.context!.pac!.serverSignature!.type, type);
      // One byte of the key tells whether anything is verified at all.
      const { pac, authtime } = ours.context!;
      const serviceKey = new Key(
        entries[0]!.key.etype,
        entries[0]!.key.value.map((b, i) => (i === 0 ? b ^ 1 : b)),
      );
      const ticket = { serviceKey, client: ours.context!.initiator, authtime };
      assert.throws(() => verifyPac(pac!, ticket), { code: 'INTEGRITY' });
    });
  }

  test('spnego: the proof of the list is given and taken where it is asked for', async () => {
    const [theirs, ours] = [initiator({ mech: 'spnego' }), acceptor({ requireMic: true })];
    const { rounds } = await meet(theirs, ours);
    assert.equal(rounds, 2);
    await talk(theirs, ours);
  });

  test('a client that declares its channels may not come without', async () => {
    const config = realm.env.KRB5_CONFIG!;
    const text = (await readFile(config, 'utf8')).replace(
      '[libdefaults]',
      '[libdefaults]\n  client_aware_channel_bindings = true',
    );
    await writeFile(`${config}.aware`, text);
    const theirs = gssapiPeer(
      { role: 'init', mech: 'krb5', target: 'HTTP@web.mit.test', flags: FLAGS },
      { ...realm.env, KRB5_CONFIG: `${config}.aware` },
    );
    peers.push(theirs);
    const { token } = await theirs.step(undefined);
    assert.throws(() => acceptor({ bindings: channelBindings(channel) }).step(token), { major: 'BAD_BINDINGS' });
  });

  test('after the password rolled, old tickets open with the key that was and new ones with the key that is', async () => {
    const { token: before } = await initiator({ target: 'HTTP@old.mit.test' }).step(undefined);
    const old = readKeytab(await readFile(await realm.keytab('HTTP/old.mit.test')));
    await realm.kadmin('change_password -randkey HTTP/old.mit.test');
    const now = readKeytab(await readFile(await realm.keytab('HTTP/old.mit.test')));
    const rolled = new KeytabKeys([...old, ...now]);
    acceptor({ keys: rolled }).step(before);
    await realm.run('kdestroy', []);
    await realm.run('kinit', ['alice'], `${PASSWORD}\n`);
    const { token: later } = await initiator({ target: 'HTTP@old.mit.test' }).step(undefined);
    acceptor({ keys: rolled }).step(later);
    // A kvno that was reckoned wrong does not matter.
    const { token: again } = await initiator({ target: 'HTTP@old.mit.test' }).step(undefined);
    acceptor({ keys: new KeytabKeys([...old, ...now].map((e) => ({ ...e, kvno: e.kvno + 7 }))) }).step(again);
    const { token: stale } = await initiator({ target: 'HTTP@old.mit.test' }).step(undefined);
    assert.throws(() => acceptor({ keys: new KeytabKeys(old) }).step(stale), { major: 'DEFECTIVE_CREDENTIAL' });
  });
});
