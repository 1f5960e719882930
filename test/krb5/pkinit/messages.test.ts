/** PKINIT's messages against MIT's encoder: the bytes it writes for its sample values, both ways. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Codec, fromDer, toDer } from '../../../src/asn1.ts';
import { fromHex, hex, utf8 } from '../../../src/bytes.ts';
import * as pkinit from '../../../src/krb5/pkinit/messages.ts';
import { fuzz } from '../../support/fuzz.ts';
import { loadVectors } from '../../support/vectors.ts';

const { encodings } = loadVectors<{ encodings: Record<string, string> }>('mit-pkinit');
const bytes = (name: string) => fromHex(encodings[name] ?? assert.fail(`no vector ${name}`));

const data = utf8('krb5data');
const time = new Date('1994-06-10T06:03:17Z');
const algorithm = { algorithm: '1.2.840.113554.1.2.2', parameters: fromHex('0406706172616d73') };
const keyInfo = toDer(pkinit.SubjectPublicKeyInfo, { algorithm, subjectPublicKey: data });
const principal = toDer(pkinit.Krb5PrincipalName, {
  realm: 'ATHENA.MIT.EDU',
  principalName: { nameType: 1, nameString: ['hftsai', 'extra'] },
});

function agrees<T>(name: string, codec: Codec<T>, value: (decoded: T) => T): void {
  test(name, () => {
    const decoded = fromDer(codec, bytes(name));
    assert.equal(hex(toDer(codec, value(decoded))), encodings[name]);
  });
}

describe("PKINIT's messages are those of MIT's encoder", () => {
  agrees('pa-pk-as-req', pkinit.PaPkAsReq, ({ trustedCertifiers }) => ({
    signedAuthPack: data,
    trustedCertifiers,
    kdcPkId: data,
  }));
  // The identifier of the sample is text, and stands for itself.
  agrees('pa-pk-as-rep (dhInfo)', pkinit.PaPkAsRepDh, ({ kdf, serverDHNonce }) => {
    assert.equal(hex(serverDHNonce!), `0408${hex(data)}`);
    return { dhSignedData: data, serverDHNonce, kdf };
  });
  agrees('auth-pack', pkinit.AuthPack, ({ supportedKDFs }) => ({
    pkAuthenticator: { cusec: 123456, ctime: time, nonce: 42, paChecksum: utf8('1234') },
    clientPublicValue: keyInfo,
    supportedCMSTypes: [algorithm, { algorithm: algorithm.algorithm }],
    clientDHNonce: data,
    supportedKDFs,
  }));
  agrees('kdc-dh-key-info', pkinit.KdcDhKeyInfo, () => ({ subjectPublicKey: data, nonce: 42, dhKeyExpiration: time }));
  agrees('other-info', pkinit.OtherInfo, () => ({
    algorithmId: { algorithm: algorithm.algorithm },
    partyUInfo: principal,
    partyVInfo: principal,
    suppPubInfo: data,
  }));
  agrees('supp-pub-info', pkinit.PkinitSuppPubInfo, () => ({ enctype: 1, asReq: data, pkAsRep: data }));
});

test('what is no such message is refused, whatever it is', () => {
  const codecs: Codec<unknown>[] = [pkinit.PaPkAsReq, pkinit.PaPkAsRepDh, pkinit.AuthPack, pkinit.KdcDhKeyInfo];
  for (const codec of [...codecs, pkinit.OtherInfo, pkinit.PkinitSuppPubInfo]) {
    const { refused } = fuzz(Object.keys(encodings).map(bytes), (input) => fromDer(codec, input), { iterations: 1000 });
    assert.ok(refused > 100);
  }
});
