/** What strangers may send to the embedded servers never does more than be refused. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromDer, toDer } from '../../src/asn1.ts';
import { concat, fromHex } from '../../src/bytes.ts';
import { isAdError } from '../../src/errors.ts';
import { ApReq, AsRep, AsReq, EncryptedData, KdcReqBody, KrbError, TgsReq, Ticket } from '../../src/krb5/messages.ts';
import { etype, msgType, paType } from '../../src/krb5/numbers.ts';
import { Directory } from '../../src/testdomain/directory.ts';
import { answer } from '../../src/testdomain/kdc/kdc.ts';
import type { KdcContext } from '../../src/testdomain/kdc/tickets.ts';
import { integer, octets, tlv } from '../../src/testdomain/ldap/ber.ts';
import { acceptContext } from '../../src/testdomain/ldap/gss-acceptor.ts';
import { messageLength, readRequest } from '../../src/testdomain/ldap/messages.ts';
import { newStats } from '../../src/testdomain/options.ts';
import { fuzz } from '../support/fuzz.ts';
import { members } from './domain.ts';

const context: KdcContext = {
  directory: new Directory(members, Date.now()),
  now: Date.now,
  maxLifeMs: 36e6,
  maxRenewMs: 6e8,
};

const plain = (seeds: readonly Uint8Array[]): Uint8Array[] => seeds.map((s) => Uint8Array.from(s));

/** Mutations of the seeds, for decoders that are asynchronous. */
function mutations(seeds: readonly Uint8Array[], iterations: number): Uint8Array[] {
  const all: Uint8Array[] = [];
  fuzz(plain(seeds), (input) => all.push(input.slice()), { iterations });
  return all;
}

const sealed = toDer(EncryptedData, { etype: 18, cipher: new Uint8Array(64) });
const body = toDer(KdcReqBody, {
  kdcOptions: 0x40810010,
  cname: { nameType: 1, nameString: ['svc-fetch'] },
  realm: 'EXAMPLE.TEST',
  sname: { nameType: 2, nameString: ['krbtgt', 'EXAMPLE.TEST'] },
  till: new Date('2037-09-13T02:48:05Z'),
  nonce: 7,
  etypes: [etype.AES256_CTS_HMAC_SHA1_96],
});
const asReq = toDer(AsReq, {
  pvno: 5,
  msgType: msgType.AS_REQ,
  padata: [{ padataType: paType.ENC_TIMESTAMP, padataValue: sealed }],
  reqBody: body,
});
const apReq = toDer(ApReq, {
  pvno: 5,
  msgType: msgType.AP_REQ,
  apOptions: 0x20000000,
  ticket: toDer(Ticket, {
    tktVno: 5,
    realm: 'EXAMPLE.TEST',
    sname: { nameType: 2, nameString: ['krbtgt', 'EXAMPLE.TEST'] },
    encPart: { etype: 18, cipher: new Uint8Array(64) },
  }),
  authenticator: { etype: 18, cipher: new Uint8Array(64) },
});
const tgsReq = toDer(TgsReq, {
  pvno: 5,
  msgType: msgType.TGS_REQ,
  padata: [{ padataType: paType.TGS_REQ, padataValue: apReq }],
  reqBody: body,
});

describe('malformed input to the embedded servers', () => {
  test('an LDAP request is read or refused', () => {
    const equality = tlv(0xa3, octets('cn'), octets('x'));
    const substring = tlv(0xa4, octets('cn'), tlv(0x30, octets('a', 0x80), octets('b', 0x82)));
    const filter = tlv(0xa0, equality, tlv(0xa2, substring), octets('objectClass', 0x87));
    const numbers = [integer(2, 10), integer(0, 10), integer(0), integer(0), tlv(1, Buffer.of(0))];
    const search = tlv(0x63, octets('DC=example,DC=test'), ...numbers, filter, tlv(0x30, octets('cn')));
    const paged = tlv(0xa0, tlv(0x30, octets('1.2.840.113556.1.4.319'), octets(tlv(0x30, integer(5), octets('')))));
    const bind = tlv(0x60, integer(3), octets(''), tlv(0xa3, octets('GSSAPI'), octets(Buffer.of(1, 2, 3))));
    const seeds = [tlv(0x30, integer(1), search, paged), tlv(0x30, integer(2), bind)];
    const { accepted, refused } = fuzz(
      plain(seeds),
      (input) => {
        const bytes = Buffer.from(input);
        const length = messageLength(bytes);
        if (length !== undefined) readRequest(bytes.subarray(0, length));
      },
      { iterations: 20_000 },
    );
    assert.ok(accepted > 100 && refused > 100);
  });

  test('a string with a length above 2^31 does not make the reader step back', () => {
    const attributes = tlv(0x30, fromHex('0484ffffffff'));
    const head = [
      octets(''),
      integer(0, 10),
      integer(0, 10),
      integer(0),
      integer(0),
      tlv(1, Buffer.of(0)),
      octets('cn', 0x87),
    ];
    assert.throws(() => readRequest(tlv(0x30, integer(1), tlv(0x63, ...head, attributes))), { code: 'MALFORMED' });
  });

  test('a filter nested too deeply is refused', () => {
    let filter = octets('cn', 0x87);
    for (let i = 0; i < 100; i++) filter = tlv(0xa2, filter);
    const head = [octets(''), integer(0, 10), integer(0, 10), integer(0), integer(0), tlv(1, Buffer.of(0))];
    assert.throws(() => readRequest(tlv(0x30, integer(1), tlv(0x63, ...head, filter, tlv(0x30)))), /nested deeper/);
  });

  test('the KDC answers every request with a message of its own kind or a KRB-ERROR', async () => {
    for (const request of mutations([asReq, tgsReq], 1500)) {
      const reply = await answer(context, newStats(), request);
      if (reply[0] === 0x7e) fromDer(KrbError, reply);
      else fromDer(AsRep, reply);
    }
  });

  test('a GSS token is accepted or refused', async () => {
    const oid = fromHex('06092a864886f7120102020100');
    const token = tlv(0x60, concat(oid, apReq));
    for (const mutated of mutations([token], 1500)) {
      await acceptContext(context, mutated).then(
        () => assert.fail('a ticket sealed with no key was accepted'),
        (e) => assert.ok(isAdError(e), String(e)),
      );
    }
  });
});
