/** PACs: one of Windows byte for byte, those of MIT's KDC, and every way to be a bad one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concat, fromHex, hex, Reader, utf8, Writer } from '../../../src/bytes.ts';
import { Key } from '../../../src/krb5/crypto/index.ts';
import { etype, keyUsage } from '../../../src/krb5/numbers.ts';
import { groupSids, type Pac, pacBuffer, parsePac, verifyPac } from '../../../src/krb5/pac/index.ts';
import { parseLogonInfo } from '../../../src/krb5/pac/logon-info.ts';
import { readSid } from '../../../src/krb5/pac/sid.ts';
import { principal } from '../../../src/krb5/principal.ts';
import { fuzz } from '../../support/fuzz.ts';
import { loadVectors } from '../../support/vectors.ts';

interface Vector {
  readonly pac: string;
  readonly serviceKey: string;
  readonly kdcKey: string;
  readonly etype: number;
  readonly authtime: number;
  readonly client: string;
  readonly realm: string;
}
const vector = loadVectors<Vector>('ms-pac');
const bytes = fromHex(vector.pac);
const serviceKey = new Key(vector.etype, fromHex(vector.serviceKey));
const ticket = {
  serviceKey,
  client: principal(vector.realm, vector.client),
  authtime: new Date(vector.authtime * 1000),
};

describe('a PAC of Windows', () => {
  const pac = parsePac(bytes);

  test('tells the account, its SID and groups', () => {
    const { logon } = pac;
    const domain = 'S-1-5-21-3048156945-3961193616-3706469200';
    assert.equal(logon?.accountName, 'W2003FINAL$');
    assert.equal(logon.userSid, `${domain}-1005`);
    assert.equal(logon.primaryGroupSid, `${domain}-516`);
    assert.equal(logon.logonDomainName, 'WIN2K3THINK');
    assert.equal(logon.logonServer, 'W2003FINAL');
    assert.deepEqual(logon.groups, [{ sid: `${domain}-516`, attributes: 7 }]);
    assert.deepEqual(logon.extraSids, [{ sid: 'S-1-5-9', attributes: 7 }]);
    assert.deepEqual(groupSids(logon), [`${domain}-516`, 'S-1-5-9']);
    assert.equal(logon.logonCount, 101);
    assert.equal(logon.passwordMustChange, undefined);
    assert.equal(logon.passwordLastSet?.toISOString(), '2005-06-17T17:31:09.221Z');
  });

  test('is proven by the key of its service, for its client and logon', () => verifyPac(pac, ticket));

  test("has the KDC's signature over the server's", () => {
    const kdcKey = new Key(vector.etype, fromHex(vector.kdcKey));
    const { serverSignature, kdcSignature } = pac;
    assert.ok(kdcKey.verifyChecksum(keyUsage.PAC_SIGNATURE, serverSignature!.signature, kdcSignature!.signature));
  });

  const lies: readonly [what: string, run: () => void, code: string][] = [
    ['another key', () => verifyPac(pac, { ...ticket, serviceKey: Key.generate(23) }), 'INTEGRITY'],
    ['a key of another type', () => verifyPac(pac, { ...ticket, serviceKey: Key.generate(18) }), 'INTEGRITY'],
    ['another client', () => verifyPac(pac, { ...ticket, client: principal(vector.realm, 'bob') }), 'REPLY_REJECTED'],
    ['another logon', () => verifyPac(pac, { ...ticket, authtime: new Date(0) }), 'REPLY_REJECTED'],
    ['no signature of the server', () => verifyPac({ ...pac, serverSignature: undefined }, ticket), 'INTEGRITY'],
    ['no signature of the KDC', () => verifyPac({ ...pac, kdcSignature: undefined }, ticket), 'INTEGRITY'],
    ['no client', () => verifyPac({ ...pac, client: undefined }, ticket), 'REPLY_REJECTED'],
  ];
  for (const [what, run, code] of lies) test(`is not believed with ${what}`, () => assert.throws(run, { code }));

  test("is not believed with any bit turned, but for the KDC's signature and what signs nothing", () => {
    for (let i = 0; i < bytes.length; i++) {
      const altered = bytes.slice();
      altered[i]! ^= 0x10;
      try {
        verifyPac(parsePac(altered), ticket);
        assert.ok(i >= 0x258 + 4 && i < 0x258 + 20, `byte ${i}`);
      } catch (e) {
        assert.ok(['MALFORMED', 'INTEGRITY', 'REPLY_REJECTED'].includes((e as { code: string }).code), String(e));
      }
    }
  });
});

/** A PAC of these buffers, signed with a key as MS-PAC 2.8 has it. */
function sealedPac(
  buffers: readonly (readonly [type: number, data: Uint8Array])[],
  key: Key,
  cksumType: number,
): Uint8Array {
  const length = key.checksum(keyUsage.PAC_SIGNATURE, utf8('')).length;
  const signature = () => {
    const w = new Writer({ littleEndian: true });
    return w.i32(cksumType).bytes(new Uint8Array(length)).finish();
  };
  const all = [...buffers, [pacBuffer.SERVER_CHECKSUM, signature()], [pacBuffer.KDC_CHECKSUM, signature()]] as const;
  const w = new Writer({ littleEndian: true });
  w.u32(all.length).u32(0);
  let at = 8 + 16 * all.length;
  for (const [type, data] of all) {
    w.u32(type).u32(data.length).u64(BigInt(at));
    at += Math.ceil(data.length / 8) * 8;
  }
  for (const [, data] of all) w.bytes(data).bytes(new Uint8Array((8 - (data.length % 8)) % 8));
  const out = w.finish();
  const pac = parsePac(out);
  pac.serverSignature!.signature.set(key.checksum(keyUsage.PAC_SIGNATURE, out));
  return out;
}
const clientInfo = (name: string, seconds: number) => {
  const w = new Writer({ littleEndian: true });
  const text = new Uint8Array(Buffer.from(name, 'utf16le'));
  return w
    .u64(BigInt(seconds + 11_644_473_600) * 10_000_000n)
    .u16(text.length)
    .bytes(text)
    .finish();
};

describe('signatures', () => {
  const types: readonly (readonly [etype: number, cksumType: number])[] = [
    [etype.AES128_CTS_HMAC_SHA1_96, 15],
    [etype.AES256_CTS_HMAC_SHA1_96, 16],
    [etype.AES128_CTS_HMAC_SHA256_128, 19],
    [etype.AES256_CTS_HMAC_SHA384_192, 20],
    [etype.RC4_HMAC, -138],
  ];
  for (const [number, cksumType] of types) {
    test(`of type ${cksumType} are those of etype ${number}`, () => {
      const key = Key.generate(number);
      const pac = parsePac(sealedPac([[pacBuffer.CLIENT_INFO, clientInfo('alice', 1_700_000_000)]], key, cksumType));
      const about = { client: principal('EXAMPLE.TEST', 'alice'), authtime: new Date(1_700_000_000_000) };
      verifyPac(pac, { ...about, serviceKey: key });
      assert.throws(() => verifyPac(pac, { ...about, serviceKey: Key.generate(number) }), { code: 'INTEGRITY' });
      assert.equal(pac.logon, undefined);
    });
  }

  test('of a kind nobody knows are kept and prove nothing', () => {
    const pac = parsePac(sealedPac([[pacBuffer.CLIENT_INFO, clientInfo('alice', 1)]], Key.generate(18), 99));
    assert.equal(pac.serverSignature?.type, 99);
    assert.throws(() => verifyPac(pac, { ...ticket, serviceKey: Key.generate(18) }), { code: 'INTEGRITY' });
  });
});

describe('the small buffers', () => {
  const parse = (type: number, data: string): Pac => parsePac(sealedPac([[type, fromHex(data)]], Key.generate(18), 16));

  test('name the requestor and say whether the PAC was asked for', () => {
    const sid = '0105 000000000005 15000000 01000000 02000000 03000000 51040000';
    assert.equal(parse(pacBuffer.REQUESTOR, sid).requestorSid, 'S-1-5-21-1-2-3-1105');
    assert.equal(parse(pacBuffer.ATTRIBUTES, '02000000 01000000').attributes, 1);
    assert.throws(() => parse(pacBuffer.REQUESTOR, `${sid} 00`), { code: 'MALFORMED' });
  });

  test('hold the UPN, with and without account name and SID', () => {
    const plain = parse(pacBuffer.UPN_DNS_INFO, '0400 1000 0200 1400 00000000 00000000 61004000 6200');
    assert.deepEqual(plain.upn, { upn: 'a@', constructed: false, dnsDomain: 'b', samName: undefined, sid: undefined });
    const sid = '0101 000000000005 12000000';
    const text = `0200 1800 0200 1a00 03000000 0400 1c00 0c00 2000 00000000 6100 6200 61002400 ${sid}`;
    const { upn } = parse(pacBuffer.UPN_DNS_INFO, text);
    assert.deepEqual(upn, { upn: 'a', constructed: true, dnsDomain: 'b', samName: 'a$', sid: 'S-1-5-18' });
    assert.throws(() => parse(pacBuffer.UPN_DNS_INFO, '0400 1000 0200 1400 00000000'), { code: 'MALFORMED' });
  });

  test('an authority of more than 32 bits is written in hexadecimal', () => {
    const sid = (text: string) => readSid(new Reader(fromHex(text), 'SID', { littleEndian: true }));
    assert.equal(sid('0101 0000ffffffff 01000000'), 'S-1-4294967295-1');
    assert.equal(sid('0101 000100000000 01000000'), 'S-1-0x000100000000-1');
  });
});

describe('groups', () => {
  test('that are for denial only, or not enabled, do not count', () => {
    const { logon } = parsePac(bytes);
    const groups = [7, 0x10 | 7, 3].map((attributes, i) => ({ sid: `S-1-5-21-${i}`, attributes }));
    assert.deepEqual(groupSids({ ...logon!, groups, extraSids: [] }), [logon!.primaryGroupSid, 'S-1-5-21-0']);
  });

  test('are not taken where the flags do not announce them', () => {
    const info = parsePac(bytes).buffers.get(pacBuffer.LOGON_INFO)!.slice();
    const at = hex(info).indexOf('1c0002002000000000000000') / 2 + 4;
    info.set(fromHex('00000000'), at);
    assert.deepEqual(parseLogonInfo(info).extraSids, []);
  });
});

describe('noise', () => {
  test('is malformed as a PAC', () => {
    const upn =
      '0200 1800 0200 1a00 03000000 0400 1c00 0c00 2000 00000000 6100 6200 61002400 0101 000000000005 12000000';
    const small = sealedPac(
      [
        [pacBuffer.UPN_DNS_INFO, fromHex(upn)],
        [pacBuffer.CLIENT_INFO, clientInfo('alice', 1)],
      ],
      Key.generate(18),
      16,
    );
    const { accepted, refused } = fuzz([bytes, small], parsePac, { iterations: 3000, seed: 5 });
    assert.ok(accepted > 50 && refused > 500);
  });

  test('is malformed as logon information', () => {
    const info = parsePac(bytes).buffers.get(pacBuffer.LOGON_INFO)!;
    fuzz([info, concat(info, new Uint8Array(4))], parseLogonInfo, { iterations: 3000, seed: 6 });
  });
});
