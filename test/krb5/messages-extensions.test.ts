/** Messages of RFC 6113, RFC 3244 and MS-SFU against pyasn1's encoding of the same values, both ways. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Codec, fromDer, toDer } from '../../src/asn1.ts';
import { fromHex, hex, utf8 } from '../../src/bytes.ts';
import * as messages from '../../src/krb5/messages.ts';
import { fuzz } from '../support/fuzz.ts';
import { loadVectors } from '../support/vectors.ts';

const { vectors } = loadVectors<{ vectors: Record<string, string> }>('pyasn1-krb5');
const bytes = (name: string) => fromHex(vectors[name] ?? assert.fail(`no vector ${name}`));

const realm = 'ATHENA.MIT.EDU';
const name = { nameType: 1, nameString: ['hftsai', 'extra'] };
const time = new Date('1994-06-10T06:03:17Z');
const checksum = { cksumtype: 1, checksum: utf8('1234') };
const encrypted = { etype: 0, kvno: 5, cipher: utf8('krbASN.1 test message') };
const padata = Array(2).fill({ padataType: 13, padataValue: utf8('pa-data') });
const data = utf8('krb5data');

// biome-ignore lint/suspicious/noExplicitAny: each row's value is of its own codec's type
const samples: Record<string, readonly [codec: Codec<any>, value: unknown]> = {
  pa_for_user: [messages.PaForUser, { userName: name, userRealm: realm, cksum: checksum, authPackage: 'krb5data' }],
  pa_pac_options: [messages.PaPacOptions, { flags: 0x10000000 }],
  change_passwd_data: [messages.ChangePasswdData, { newPasswd: data, targName: name, targRealm: realm }],
  'change_passwd_data, optionals absent': [messages.ChangePasswdData, { newPasswd: data }],
  fast_request: [
    messages.PaFxFastRequest,
    { armor: { armorType: 1, armorValue: data }, reqChecksum: checksum, encFastReq: encrypted },
  ],
  'fast_request, implicit armor': [messages.PaFxFastRequest, { reqChecksum: checksum, encFastReq: encrypted }],
  fast_req: [messages.KrbFastReq, { fastOptions: 0xfedcba90, padata, reqBody: bytes('kdc_req_body') }],
  kdc_req_body: [
    messages.KdcReqBody,
    { kdcOptions: 0xfedcba90, realm, sname: name, till: time, nonce: 42, etypes: [0, 1] },
  ],
  fast_reply: [messages.PaFxFastReply, { encFastRep: encrypted }],
  fast_response: [
    messages.KrbFastResponse,
    {
      padata,
      strengthenKey: { keytype: 1, keyvalue: utf8('12345678') },
      finished: { timestamp: time, usec: 123456, crealm: realm, cname: name, ticketChecksum: checksum },
      nonce: 42,
    },
  ],
  'fast_response, optionals absent': [messages.KrbFastResponse, { padata, nonce: 42 }],
};

describe("pyasn1's messages", () => {
  test('every vector is used', () => assert.deepEqual(Object.keys(samples).sort(), Object.keys(vectors).sort()));

  for (const [sample, [codec, value]] of Object.entries(samples)) {
    test(`${sample} is written byte for byte`, () => assert.equal(hex(toDer(codec, value)), vectors[sample]));
    test(`${sample} is read back`, () => assert.deepEqual(fromDer(codec, bytes(sample)), value));
  }

  test('altered are read or refused', () => {
    let refused = 0;
    for (const [sample, [codec]] of Object.entries(samples)) {
      refused += fuzz([bytes(sample)], (input) => fromDer(codec, input), { iterations: 100, seed: 6113 }).refused;
    }
    assert.ok(refused > 500, `${refused}`);
  });
});
