/** RFC 4120's messages against MIT's encoder: the bytes it writes for its sample values, both ways. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Codec, fromDer, toDer } from '../../src/asn1.ts';
import { fromHex, hex, utf8 } from '../../src/bytes.ts';
import * as messages from '../../src/krb5/messages.ts';
import { plain } from '../support/arbitraries.ts';
import { fuzz } from '../support/fuzz.ts';
import { loadVectors } from '../support/vectors.ts';

const { vectors } = loadVectors<{ vectors: Record<string, string> }>('mit-krb5-asn1');
const bytes = (name: string) => fromHex(vectors[name] ?? assert.fail(`no vector ${name}`));

/** The sample values of MIT's test program. */
const realm = 'ATHENA.MIT.EDU';
const name = { nameType: 1, nameString: ['hftsai', 'extra'] };
const time = new Date('1994-06-10T06:03:17Z');
const key = { keytype: 1, keyvalue: utf8('12345678') };
const encrypted = { etype: 0, kvno: 5, cipher: utf8('krbASN.1 test message') };
const padata = Array(2).fill({ padataType: 13, padataValue: utf8('pa-data') });
const authorizationData = Array(2).fill({ adType: 1, adData: utf8('foobar') });
const addresses = Array(2).fill({ addrType: 2, address: fromHex('12d00023') });
const transited = { trType: 1, contents: utf8('EDU,MIT.,ATHENA.,WASHINGTON.EDU,CS.') };
const lastReq = Array(2).fill({ lrType: -5, lrValue: time });
const ticket = bytes('ticket');

const body = {
  kdcOptions: 0xfedcba90,
  cname: name,
  realm,
  sname: name,
  from: time,
  till: time,
  rtime: time,
  nonce: 42,
  etypes: [0, 1],
  addresses,
  encAuthorizationData: encrypted,
  additionalTickets: [ticket, ticket],
};
const bodyWithServer = { kdcOptions: 0xfedcba90, realm, sname: name, till: time, nonce: 42, etypes: [0, 1] };
const encPart = {
  key,
  lastReq,
  nonce: 42,
  keyExpiration: time,
  flags: 0xfedcba98,
  authtime: time,
  starttime: time,
  endtime: time,
  renewTill: time,
  srealm: realm,
  sname: name,
  caddr: addresses,
};
const checksum = { cksumtype: 1, checksum: utf8('1234') };
const shortBody = { userData: utf8('krb5data'), sAddress: addresses[0] };
const messageBody = { ...shortBody, timestamp: time, usec: 123456, seqNumber: 17, rAddress: addresses[0] };
const credInfo = {
  key,
  prealm: realm,
  pname: name,
  flags: 0xfedcba98,
  authtime: time,
  starttime: time,
  endtime: time,
  renewTill: time,
  srealm: realm,
  sname: name,
  caddr: addresses,
};
const rep = { pvno: 5, msgType: 11, padata, crealm: realm, cname: name, ticket, encPart: encrypted };
const error = {
  pvno: 5,
  msgType: 30,
  ctime: time,
  cusec: 123456,
  stime: time,
  susec: 123456,
  errorCode: 60,
  crealm: realm,
  cname: name,
  realm,
  sname: name,
  eText: 'krb5data',
  eData: utf8('krb5data'),
};
const { padata: _p, ...repWithoutPadata } = rep;
const { ctime: _c, crealm: _r, cname: _n, eText: _t, eData: _d, ...errorWithoutOptionals } = error;
const { keyExpiration: _k, starttime: _s, renewTill: _w, caddr: _a, ...encPartWithoutOptionals } = encPart;

// biome-ignore lint/suspicious/noExplicitAny: each row's value is of its own codec's type
const samples: Record<string, readonly [codec: Codec<any>, value: unknown]> = {
  authenticator: [
    messages.Authenticator,
    {
      authenticatorVno: 5,
      crealm: realm,
      cname: name,
      cksum: { cksumtype: 1, checksum: utf8('1234') },
      cusec: 123456,
      ctime: time,
      subkey: key,
      seqNumber: 17,
      authorizationData,
    },
  ],
  'authenticator, optionals absent': [
    messages.Authenticator,
    { authenticatorVno: 5, crealm: realm, cname: name, cusec: 123456, ctime: time },
  ],
  ticket: [messages.Ticket, { tktVno: 5, realm, sname: name, encPart: encrypted }],
  keyblock: [messages.EncryptionKey, key],
  enc_tkt_part: [
    messages.EncTicketPart,
    {
      flags: 0xfedcba98,
      key,
      crealm: realm,
      cname: name,
      transited,
      authtime: time,
      starttime: time,
      endtime: time,
      renewTill: time,
      caddr: addresses,
      authorizationData,
    },
  ],
  'enc_tkt_part, optionals absent': [
    messages.EncTicketPart,
    { flags: 0xfedcba98, key, crealm: realm, cname: name, transited, authtime: time, endtime: time },
  ],
  enc_kdc_rep_part: [messages.EncTgsRepPart, encPart],
  'enc_kdc_rep_part, optionals absent': [messages.EncTgsRepPart, { ...encPartWithoutOptionals, flags: 0xfe5cba98 }],
  as_rep: [messages.AsRep, rep],
  'as_rep, optionals absent': [messages.AsRep, repWithoutPadata],
  tgs_rep: [messages.TgsRep, { ...rep, msgType: 13 }],
  ap_req: [messages.ApReq, { pvno: 5, msgType: 14, apOptions: 0xfedcba98, ticket, authenticator: encrypted }],
  ap_rep: [messages.ApRep, { pvno: 5, msgType: 15, encPart: encrypted }],
  ap_rep_enc_part: [messages.EncApRepPart, { ctime: time, cusec: 123456, subkey: key, seqNumber: 17 }],
  'ap_rep_enc_part, optionals absent': [messages.EncApRepPart, { ctime: time, cusec: 123456 }],
  kdc_req_body: [messages.KdcReqBody, body],
  'kdc_req_body, second tickets': [
    messages.KdcReqBody,
    {
      kdcOptions: 0xfedcba98,
      realm,
      till: time,
      nonce: 42,
      etypes: [0, 1],
      additionalTickets: [ticket, ticket],
    },
  ],
  'kdc_req_body, server': [messages.KdcReqBody, bodyWithServer],
  as_req: [messages.AsReq, { pvno: 5, msgType: 10, padata, reqBody: bytes('kdc_req_body') }],
  'as_req, server': [messages.AsReq, { pvno: 5, msgType: 10, reqBody: bytes('kdc_req_body, server') }],
  tgs_req: [messages.TgsReq, { pvno: 5, msgType: 12, padata, reqBody: bytes('kdc_req_body') }],
  error: [messages.KrbError, error],
  'error, optionals absent': [messages.KrbError, errorWithoutOptionals],
  authorization_data: [messages.AuthorizationData, authorizationData],
  padata_sequence: [messages.MethodData, padata],
  'padata_sequence, empty': [messages.MethodData, []],
  etype_info: [
    messages.EtypeInfo,
    [{ etype: 0, salt: utf8("Morton's #0") }, { etype: 1 }, { etype: 2, salt: utf8("Morton's #2") }],
  ],
  etype_info2: [
    messages.EtypeInfo2,
    [
      { etype: 0, salt: "Morton's #0", s2kparams: utf8('s2k: 0') },
      { etype: 1, s2kparams: utf8('s2k: 1') },
      { etype: 2, salt: "Morton's #2", s2kparams: utf8('s2k: 2') },
    ],
  ],
  pa_enc_ts: [messages.PaEncTsEnc, { patimestamp: time, pausec: 123456 }],
  'pa_enc_ts, optionals absent': [messages.PaEncTsEnc, { patimestamp: time }],
  enc_data: [messages.EncryptedData, encrypted],
  safe: [messages.KrbSafe, { pvno: 5, msgType: 20, safeBody: messageBody, cksum: checksum }],
  'safe, optionals absent': [messages.KrbSafe, { pvno: 5, msgType: 20, safeBody: shortBody, cksum: checksum }],
  priv: [messages.KrbPriv, { pvno: 5, msgType: 21, encPart: encrypted }],
  enc_priv_part: [messages.EncKrbPrivPart, messageBody],
  'enc_priv_part, optionals absent': [messages.EncKrbPrivPart, shortBody],
  cred: [messages.KrbCred, { pvno: 5, msgType: 22, tickets: [ticket, ticket], encPart: encrypted }],
  enc_cred_part: [
    messages.EncKrbCredPart,
    {
      ticketInfo: [credInfo, credInfo],
      nonce: 42,
      timestamp: time,
      usec: 123456,
      sAddress: addresses[0],
      rAddress: addresses[0],
    },
  ],
  'enc_cred_part, optionals absent': [messages.EncKrbCredPart, { ticketInfo: [{ key }, credInfo] }],
  pa_s4u_x509_user: [messages.PaS4uX509User, { userId: bytes('s4u_userid'), checksum }],
  s4u_userid: [
    messages.S4uUserId,
    {
      nonce: 13243546,
      cname: name,
      crealm: realm,
      subjectCertificate: utf8('pa_s4u_x509_user'),
      options: 0x80000000,
    },
  ],
};

describe("MIT's sample messages", () => {
  test('every vector is used', () => assert.deepEqual(Object.keys(samples).sort(), Object.keys(vectors).sort()));

  for (const [sample, [codec, value]] of Object.entries(samples)) {
    test(`${sample} is written byte for byte`, () => assert.equal(hex(toDer(codec, value)), vectors[sample]));
    test(`${sample} is read back`, () => assert.deepEqual(fromDer(codec, bytes(sample)), value));
  }

  test('the sealed part of an AS-REP is read with the tag of a TGS-REP too, and written with its own', () => {
    assert.deepEqual(fromDer(messages.EncAsRepPart, bytes('enc_kdc_rep_part')), encPart);
    assert.equal(toDer(messages.EncAsRepPart, encPart as never)[0], 0x79);
  });

  test('the sealed part of a TGS-REP is read with its own tag only', () => {
    const der = bytes('enc_kdc_rep_part');
    der[0] = 0x79;
    assert.throws(() => fromDer(messages.EncTgsRepPart, der), { code: 'MALFORMED' });
  });

  test('an AS-REP does not pass for a TGS-REP', () => {
    assert.throws(() => fromDer(messages.TgsRep, bytes('as_rep')), { code: 'MALFORMED' });
  });
});

describe('messages', () => {
  test('a kvno of a read-only DC written as a negative number is the same 32 bits', () => {
    const der = fromHex('3011 a003020112 a106020480010000 a2020400');
    assert.equal(fromDer(messages.EncryptedData, der).kvno, 0x80010000);
  });

  test('every request body survives the way to bytes and back', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 12 });
    const principalName = fc.record(
      { nameType: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), nameString: fc.array(text, { maxLength: 3 }) },
      plain,
    );
    const seconds = fc
      .integer({ min: -62_167_219_200, max: 253_402_300_799 }) // the years 0000 to 9999
      .map((s) => new Date(s * 1000));
    const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
    const anyBody = fc.record(
      {
        kdcOptions: uint32,
        cname: principalName,
        realm: text,
        sname: principalName,
        from: seconds,
        till: seconds,
        rtime: seconds,
        nonce: uint32,
        etypes: fc.array(int32, { maxLength: 5 }),
        addresses: fc.array(fc.record({ addrType: int32, address: fc.uint8Array({ maxLength: 20 }) }, plain), {
          maxLength: 2,
        }),
      },
      { ...plain, requiredKeys: ['kdcOptions', 'realm', 'till', 'nonce', 'etypes'] },
    );
    fc.assert(
      fc.property(anyBody, (value) => {
        assert.deepEqual(fromDer(messages.KdcReqBody, toDer(messages.KdcReqBody, value)), value);
      }),
      { numRuns: 200 },
    );
  });

  test('altered messages are read or refused, whatever was done to them', () => {
    const codecs = Object.values(samples).map(([codec]) => codec);
    const seeds = Object.keys(samples).map(bytes);
    const { accepted, refused } = fuzz(
      seeds,
      (input) => {
        // Each input is offered to the codec of its own tag first, so that mutations deep inside are reached.
        let read = false;
        for (const codec of codecs) {
          try {
            fromDer(codec, input);
            read = true;
          } catch (e) {
            if (!(e instanceof Error && 'code' in e && e.code === 'MALFORMED')) throw e;
          }
        }
        if (!read) fromDer(messages.KrbError, input);
      },
      { iterations: 500, seed: 4120 },
    );
    assert.ok(accepted > 50 && refused > 50, `${accepted} accepted, ${refused} refused`);
  });

  test('what is read is written back the same, if it was in the shortest form', () => {
    // Unknown fields at the end and unused bits are dropped; whatever else differs would be two readings of one message.
    let same = 0;
    fuzz(
      [bytes('as_rep'), bytes('error'), bytes('etype_info2')],
      (input) => {
        const value = fromDer(messages.AsRep, input);
        const again = toDer(messages.AsRep, value);
        assert.deepEqual(fromDer(messages.AsRep, again), value);
        if (hex(again) === hex(input)) same++;
      },
      { iterations: 1500, seed: 11 },
    );
    assert.ok(same > 50, `${same}`);
  });
});
