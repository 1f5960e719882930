/** KDCs that derive as RFC 4556 has it: their keys are made of the agreement alone, and not of who asked for what. */
import assert from 'node:assert/strict';
import { getDiffieHellman } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { fromDer, toDer } from '../../../src/asn1.ts';
import { unsignedBytes } from '../../../src/asn1-untagged.ts';
import type { Credentials } from '../../../src/krb5/credentials.ts';
import { asExchange } from '../../../src/krb5/exchanges/as.ts';
import { exchangeContext } from '../../../src/krb5/exchanges/context.ts';
import { Checksum } from '../../../src/krb5/messages.ts';
import { cksumType, keyUsage, paType, ticketFlag } from '../../../src/krb5/numbers.ts';
import { octetString2Key } from '../../../src/krb5/pkinit/key-agreement.ts';
import {
  AuthPack,
  ContentInfo,
  KdcDhKeyInfo,
  oid,
  PaPkAsRepDh,
  PaPkAsReq,
  SignedData,
  SubjectPublicKeyInfo,
} from '../../../src/krb5/pkinit/messages.ts';
import { PkinitSecret } from '../../../src/krb5/pkinit/secret.ts';
import { signedData } from '../../../src/krb5/pkinit/signed-data.ts';
import { principal } from '../../../src/krb5/principal.ts';
import { asReply, FakeKdc, type SeenRequest } from '../../support/fake-kdc.ts';
import { type Issued, needsOpenssl, Pki } from '../../support/pki.ts';

const REALM = 'KDC.TEST';
const FLAGS = ticketFlag.INITIAL | ticketFlag.PRE_AUTHENT | ticketFlag.RENEWABLE;

describe('a KDC without RFC 8636', { skip: needsOpenssl }, () => {
  let pki: Pki;
  let authority: Issued;
  let own: Issued;
  let alice: Issued;
  before(async () => {
    pki = await Pki.open();
    authority = await pki.authority();
    [own, alice] = [await pki.kdc(REALM, authority), await pki.user(REALM, 'alice', authority)];
  });
  after(() => pki?.close());

  const signerOf = ({ certificate, key }: Issued) => ({ certificates: [certificate], key });

  /**
   * Its answer to a request.
   * @param says which request it was asked by, in the sealed part; undefined: it says nothing of it
   */
  function answer(request: SeenRequest, says: Uint8Array | undefined, flags = FLAGS): Uint8Array {
    const asked = fromDer(PaPkAsReq, request.padata.find((p) => p.padataType === paType.PK_AS_REQ)!.padataValue);
    const signed = fromDer(SignedData, fromDer(ContentInfo, asked.signedAuthPack).content);
    const pack = fromDer(AuthPack, signed.encapContentInfo.eContent!);
    const theirs = fromDer(SubjectPublicKeyInfo, pack.clientPublicValue!).subjectPublicKey;
    const dh = getDiffieHellman('modp14');
    dh.generateKeys();
    const key = octetString2Key(18, new Uint8Array(dh.computeSecret(fromDer(unsignedBytes, theirs))));
    const info = toDer(KdcDhKeyInfo, {
      subjectPublicKey: toDer(unsignedBytes, new Uint8Array(dh.getPublicKey())),
      nonce: request.body.nonce,
    });
    const dhSignedData = signedData(oid.pkinitDHKeyData, info, signerOf(own));
    const padata = [{ padataType: paType.PK_AS_REP, padataValue: toDer(PaPkAsRepDh, { dhSignedData }) }];
    const checksum = says && {
      cksumtype: cksumType.HMAC_SHA1_96_AES256,
      checksum: key.checksum(keyUsage.AS_REQ, says),
    };
    return asReply(request, key, Date.now(), {
      rep: { padata },
      part: {
        flags: flags | (checksum ? ticketFlag.ENC_PA_REP : 0),
        ...(checksum && {
          encryptedPaData: [{ padataType: paType.REQ_ENC_PA_REP, padataValue: toDer(Checksum, checksum) }],
        }),
      },
    });
  }

  function login(kdc: (request: SeenRequest) => Uint8Array): Promise<Credentials> {
    const secret = new PkinitSecret({ anchors: [authority.certificate], signer: signerOf(alice) });
    return asExchange(exchangeContext({ transport: new FakeKdc(kdc) }), { client: principal(REALM, 'alice'), secret });
  }
  const refused = { code: 'REPLY_REJECTED', message: /answers another request/ };

  test('is good where it says which request it answers', async () =>
    assert.deepEqual((await login((request) => answer(request, request.der))).client.components, ['alice']));

  // Else somebody between could have signed our agreement himself, and put our name over the ticket that is his.
  test('is refused where it does not', () =>
    assert.rejects(
      login((request) => answer(request, undefined)),
      { code: 'REPLY_REJECTED', message: /does not say which request/ },
    ));
  test('is refused where it answers another', () =>
    assert.rejects(
      login((request) => answer(request, request.der.subarray(1))),
      refused,
    ));

  test('is refused with a ticket of nobody’s for somebody', () =>
    assert.rejects(
      login((request) => answer(request, request.der, FLAGS | ticketFlag.ANONYMOUS)),
      { code: 'REPLY_REJECTED', message: /anonymous/ },
    ));
});
