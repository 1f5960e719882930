/** PKINIT against MIT's KDC: nobody in particular, users with certificates, and their tickets in the hands of MIT's programs. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fromDer, type Infer, toDer } from '../../../src/asn1.ts';
import { KrbClient, type KrbClientOptions } from '../../../src/krb5/client.ts';
import { tgtOf } from '../../../src/krb5/environment/cached.ts';
import { loadEnvironment } from '../../../src/krb5/environment/environment.ts';
import { openClient } from '../../../src/krb5/environment/open.ts';
import { readCCache, writeCCache } from '../../../src/krb5/files/ccache.ts';
import { AsRep, AsReq, EncryptedData, type KdcReq, KdcReqBody, type PaData } from '../../../src/krb5/messages.ts';
import type { KdcTransport } from '../../../src/krb5/network/transport.ts';
import { etype, kdcOption, msgType, paType, ticketFlag } from '../../../src/krb5/numbers.ts';
import { AuthPack, ContentInfo, oid, PaPkAsReq, SignedData } from '../../../src/krb5/pkinit/messages.ts';
import { type PkinitOptions, PkinitSecret } from '../../../src/krb5/pkinit/secret.ts';
import { signedData } from '../../../src/krb5/pkinit/signed-data.ts';
import { anonymousPrincipal, formatPrincipal, principal, servicePrincipal } from '../../../src/krb5/principal.ts';
import { realmsTransport, testClient } from '../../support/kdc-client.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';
import { type Issued, needsPkinitPlugin, Pki } from '../../support/pki.ts';

const REALM = 'MIT.TEST';
const PASSWORD = 'Only-For-Tests-1';

describe('PKINIT with an MIT KDC', { skip: needsMitRealm || needsPkinitPlugin }, () => {
  let pki: Pki;
  let realm: MitRealm;
  let authority: Issued;
  const users: Record<string, Issued> = {};
  before(async () => {
    pki = await Pki.open();
    authority = await pki.authority();
    const kdc = await pki.kdc(REALM, authority);
    users.alice = await pki.user(REALM, 'alice', authority);
    users.curve = await pki.user(REALM, 'curve', authority, { algorithm: 'ec' });
    const anchors = `pkinit_anchors = FILE:${authority.certFile}`;
    realm = await startMitRealm({
      realm: REALM,
      principals: [
        { name: 'alice', password: PASSWORD },
        { name: 'curve', password: PASSWORD },
        { name: 'WELLKNOWN/ANONYMOUS' },
        { name: 'host/web.mit.test' },
      ],
      kdcConf: [`pkinit_identity = FILE:${kdc.certFile},${kdc.keyFile}`, anchors],
      libdefaults: [anchors],
    });
  });
  after(() => Promise.all([realm?.stop(), pki?.close()]));

  type Options = Partial<PkinitOptions> & {
    as?: string;
    to?: MitRealm;
    change?: (rep: Infer<typeof AsRep>) => Infer<typeof AsRep>;
    ask?: (req: KdcReq) => KdcReq;
  } & Pick<KrbClientOptions, 'armor'>;
  /** Logs on with a user's certificate, or as nobody. */
  async function using<T>(options: Options, use: (client: KrbClient) => Promise<T>): Promise<T> {
    const { as, armor, ask, change, to = realm, ...pkinit } = options;
    const network = realmsTransport(to);
    const transport: KdcTransport = {
      close: () => network.close(),
      exchange: async (of, request, signal) => {
        const asked = ask ? toDer(AsReq, ask(fromDer(AsReq, request))) : request;
        const { message, server } = await network.exchange(of, asked, signal);
        const isReply = message[0] === 0x60 + msgType.AS_REP;
        return { message: change && isReply ? toDer(AsRep, change(fromDer(AsRep, message))) : message, server };
      },
    };
    const user = as === undefined ? undefined : users[as]!;
    const secret = new PkinitSecret({
      anchors: [authority.certificate],
      ...(user && { signer: { certificates: [user.certificate], key: user.key } }),
      ...pkinit,
    });
    const client = new KrbClient({
      transport,
      client: as === undefined ? anonymousPrincipal(REALM) : principal(REALM, as),
      secret,
      ...(armor && { armor }),
    });
    try {
      return await use(client);
    } finally {
      client.close();
      network.close();
    }
  }
  const service = () => servicePrincipal('host', 'web.mit.test', REALM);

  test('nobody in particular gets a ticket that MIT’s klist and kvno take for what it is', () =>
    using({}, async (client) => {
      const tgt = await client.login();
      assert.equal(formatPrincipal(tgt.client), 'WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS');
      assert.ok(tgt.flags & ticketFlag.ANONYMOUS);
      const path = join(realm.directory, 'anonymous.cc');
      await writeFile(path, writeCCache({ principal: tgt.client, credentials: [tgt] }));
      const klist = await realm.run('klist', ['-f', path]);
      assert.match(klist.stdout, /Default principal: WELLKNOWN\/ANONYMOUS@WELLKNOWN:ANONYMOUS/);
      assert.match(klist.stdout, /Flags: \w*I\w*a/);
      const keytab = await realm.keytab('host/web.mit.test');
      const kvno = await realm.run('kvno', ['-c', path, '-k', keytab, 'host/web.mit.test']);
      assert.match(kvno.stdout, /keytab entry valid/, kvno.stderr);
    }));

  test('and tickets for services, as nobody, again when the first has gone', () =>
    using({}, async (client) => {
      const ticket = await client.ticket(service());
      assert.equal(formatPrincipal(ticket.client), 'WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS');
      client.forget();
      assert.ok((await client.ticket(service())).flags & ticketFlag.ANONYMOUS);
    }));

  test('also in the armor of another such', () =>
    using({}, (nobody) =>
      using({ armor: nobody }, async (client) => {
        assert.ok((await client.login()).flags & ticketFlag.ANONYMOUS);
        assert.ok((await client.ticket(service())).flags & ticketFlag.ANONYMOUS);
      }),
    ));

  const withPassword = (armor: KrbClientOptions['armor']) =>
    testClient({
      transport: realmsTransport(realm),
      port: 0,
      realm: REALM,
      name: 'alice',
      password: PASSWORD,
      ...(armor && { armor }),
    });

  test('that ticket armors a logon by password', () =>
    using({}, async (nobody) => {
      const alice = withPassword(nobody);
      const tgt = await alice.login();
      assert.equal(formatPrincipal(tgt.client), `alice@${REALM}`);
      assert.ok(tgt.flags & ticketFlag.ENC_PA_REP);
      alice.close();
    }));

  test('it armors one of MIT’s kinit, which says so', () =>
    using({}, async (nobody) => {
      const tgt = await nobody.login();
      const [path, trace] = [join(realm.directory, 'armor.cc'), join(realm.directory, 'armor.trace')];
      await writeFile(path, writeCCache({ principal: tgt.client, credentials: [tgt] }));
      const env = { KRB5_TRACE: trace, KRB5CCNAME: `FILE:${join(realm.directory, 'in-armor.cc')}` };
      const { code, stderr } = await realm.run('kinit', ['-T', path, 'alice'], `${PASSWORD}\n`, env);
      assert.equal(code, 0, stderr);
      assert.match(await readFile(trace, 'utf8'), /FAST armor key:.*encrypted_challenge/s);
    }));

  test('and that of MIT’s kinit armors ours', async () => {
    const env = { KRB5CCNAME: `FILE:${join(realm.directory, 'theirs.cc')}` };
    assert.equal((await realm.run('kinit', ['-n', `@${REALM}`], '', env)).code, 0);
    const cache = readCCache(new Uint8Array(await readFile(join(realm.directory, 'theirs.cc'))));
    const alice = withPassword(tgtOf(cache));
    assert.ok((await alice.login()).flags & ticketFlag.ENC_PA_REP);
    alice.close();
  });

  test('a client finds its way with the cache that MIT’s kinit made for nobody', async () => {
    const KRB5CCNAME = `FILE:${join(realm.directory, 'nobody.cc')}`;
    assert.equal((await realm.run('kinit', ['-n', `@${REALM}`], '', { KRB5CCNAME })).code, 0);
    const environment = await loadEnvironment({ env: { ...realm.env, KRB5CCNAME } });
    const client = await openClient({ environment });
    assert.equal(formatPrincipal((await client.ticket(service())).server), `host/web.mit.test@${REALM}`);
    client.close();
    environment.close();
  });

  for (const as of ['alice', 'curve'])
    test(`${as} logs on with a certificate, in armor as well`, () =>
      using({ as }, async (client) => {
        assert.equal(formatPrincipal((await client.login()).client), `${as}@${REALM}`);
        const path = join(realm.directory, `${as}.cc`);
        const credentials = [await client.login(), await client.ticket(service())];
        await writeFile(path, writeCCache({ principal: client.client, credentials }));
        const kvno = await realm.run('kvno', [
          '-c',
          path,
          '-k',
          await realm.keytab('host/web.mit.test'),
          'host/web.mit.test',
        ]);
        assert.match(kvno.stdout, /keytab entry valid/, kvno.stderr);
        await using({}, (nobody) => using({ as, armor: nobody }, (armored) => armored.login()));
      }));

  test('the longer group and the other AES are good too', () =>
    using({ as: 'alice', dhBits: 4096, etypes: [etype.AES128_CTS_HMAC_SHA1_96] }, async (client) => {
      assert.equal((await client.login()).key.etype, etype.AES128_CTS_HMAC_SHA1_96);
    }));

  test('a certificate of somebody else is refused by the KDC', async () => {
    const transport = realmsTransport(realm);
    const { certificate, key } = users.curve!;
    const secret = new PkinitSecret({ anchors: [authority.certificate], signer: { certificates: [certificate], key } });
    const client = new KrbClient({ transport, client: principal(REALM, 'alice'), secret });
    await assert.rejects(client.login(), { code: 'KDC_ERROR', message: /KDC_ERR_CLIENT_NAME_MISMATCH/ });
    client.close();
    transport.close();
  });

  test('a KDC that none of the anchors vouches for is refused, before anything else is believed', async () => {
    const other = await pki.authority('other');
    for (const as of [undefined, 'alice'])
      await using({ ...(as && { as }), anchors: [other.certificate] }, (client) =>
        assert.rejects(client.login(), { code: 'REPLY_REJECTED', message: /pkinit_anchors/ }),
      );
  });

  describe('with somebody between, who', () => {
    type Reply = Infer<typeof AsRep>;
    const without = (type: number) => (rep: Reply) => ({
      ...rep,
      padata: rep.padata?.filter((p) => p.padataType !== type),
    });
    /** A login whose AS-REP is changed on its way. */
    async function changed(change: (rep: Reply) => Reply, as?: string): Promise<void> {
      await using({ ...(as && { as }), change }, (client) => client.login());
    }
    const named = (...nameString: string[]) => ({ nameType: 1, nameString });

    test('takes the KDC’s part out is refused', async () => {
      await assert.rejects(changed(without(paType.PK_AS_REP), 'alice'), {
        code: 'REPLY_REJECTED',
        message: /no PKINIT/,
      });
      const noKx = changed(without(paType.PKINIT_KX));
      await assert.rejects(noKx, { code: 'REPLY_REJECTED', message: /part of the session key/ });
      const cipher = new Uint8Array(71);
      const forged = { padataType: paType.PKINIT_KX, padataValue: toDer(EncryptedData, { etype: 18, cipher }) };
      const otherKx = changed((rep) => ({ ...rep, padata: [...without(paType.PKINIT_KX)(rep).padata!, forged] }));
      await assert.rejects(otherKx, { code: 'REPLY_REJECTED', message: /does not open/ });
    });

    test('puts the answer to an earlier request in is refused', async () => {
      let earlier: PaData[] | undefined;
      await changed((rep) => {
        earlier = rep.padata;
        return rep;
      });
      const again = changed((rep) => ({ ...rep, padata: earlier }));
      await assert.rejects(again, { code: 'REPLY_REJECTED', message: /another request/ });
    });

    test('names somebody where nobody asked is refused', async () => {
      const somebody = changed((rep) => ({ ...rep, crealm: REALM, cname: named('alice') }));
      await assert.rejects(somebody, { code: 'REPLY_REJECTED', message: /not anonymous/ });
    });

    /** Our agreement, asked for by another; the oldest derivation binds neither name nor request to the key. */
    const askedBy =
      (signer: Issued | undefined, nameString: string[], kdcOptions: number) =>
      (req: KdcReq): KdcReq => {
        const body = fromDer(KdcReqBody, req.reqBody);
        const reqBody = toDer(KdcReqBody, { ...body, kdcOptions, cname: named(...nameString) });
        const ours = req.padata!.find((p) => p.padataType === paType.PK_AS_REQ)!.padataValue;
        const signed = fromDer(ContentInfo, fromDer(PaPkAsReq, ours).signedAuthPack);
        const pack = fromDer(AuthPack, fromDer(SignedData, signed.content).encapContentInfo.eContent!);
        const paChecksum = new Uint8Array(createHash('sha1').update(reqBody).digest());
        const changed = toDer(AuthPack, {
          ...pack,
          pkAuthenticator: { ...pack.pkAuthenticator, paChecksum },
          supportedKDFs: undefined,
        });
        const as = signer && { certificates: [signer.certificate], key: signer.key };
        const signedAuthPack = signedData(oid.pkinitAuthData, changed, as);
        const padata = [{ padataType: paType.PK_AS_REQ, padataValue: toDer(PaPkAsReq, { signedAuthPack }) }];
        return { ...req, padata, reqBody };
      };
    const asAlice = (rep: Reply) => ({ ...rep, crealm: REALM, cname: named('alice') });
    const refused = { code: 'REPLY_REJECTED', message: /answers another request/ };

    test('has the ticket made in his own name, and ours put over it, is refused', async () => {
      const ask = askedBy(users.curve, ['curve'], 0);
      await assert.rejects(
        using({ as: 'alice', ask, change: asAlice }, (c) => c.login()),
        refused,
      );
    });

    test('has nobody’s ticket made, and puts our name over it, is refused', async () => {
      const ask = askedBy(undefined, [...anonymousPrincipal().components], kdcOption.REQUEST_ANONYMOUS);
      await assert.rejects(
        using({ as: 'alice', ask, change: asAlice }, (c) => c.login()),
        refused,
      );
    });

    test('names nobody where somebody asked is refused', async () => {
      const { realm: crealm, components } = anonymousPrincipal();
      const nobody = changed((rep) => ({ ...rep, crealm, cname: named(...components) }), 'alice');
      await assert.rejects(nobody, { code: 'REPLY_REJECTED' });
    });
  });

  test('without anchors nobody is asked', () =>
    assert.throws(() => new PkinitSecret({ anchors: [] }), { code: 'INVALID_ARGUMENT' }));

  test('a KDC without PKINIT is called that', async () => {
    const plain = await startMitRealm({ realm: REALM, principals: [{ name: 'alice', password: PASSWORD }] });
    try {
      await using({ as: 'alice', to: plain }, (client) =>
        assert.rejects(client.login(), { code: 'KDC_ERROR', message: /takes no certificates/ }),
      );
    } finally {
      await plain.stop();
    }
  });
});
