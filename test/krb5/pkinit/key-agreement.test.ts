/** Diffie-Hellman with openssl as the other side, and the published keys of RFC 8636. */
import assert from 'node:assert/strict';
import { createHash, getDiffieHellman } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fromDer, toDer } from '../../../src/asn1.ts';
import { unsignedBytes } from '../../../src/asn1-untagged.ts';
import { concat, fromHex, hex } from '../../../src/bytes.ts';
import { Agreement, agreedKey, octetString2Key } from '../../../src/krb5/pkinit/key-agreement.ts';
import { oid, SubjectPublicKeyInfo } from '../../../src/krb5/pkinit/messages.ts';
import { needsOpenssl, Pki } from '../../support/pki.ts';
import { mustRun } from '../../support/programs.ts';
import { loadVectors } from '../../support/vectors.ts';

const { kdf } = loadVectors<{ kdf: Record<string, string> }>('mit-pkinit');
const name = (...components: string[]) => ({ nameType: 1, components, realm: 'SU.SE' });
const agreed = {
  client: name('lha'),
  server: name('krbtgt', 'SU.SE'),
  etype: 18,
  asReq: new Uint8Array(10).fill(0xaa),
  pkAsRep: new Uint8Array(9).fill(0xbb),
};

describe('keys by RFC 8636', () => {
  for (const [hash, id] of [
    ['sha1', oid.kdfSha1],
    ['sha256', oid.kdfSha256],
  ] as const)
    test(`${hash} gives the published one`, () =>
      assert.equal(hex(agreedKey(id, new Uint8Array(256), agreed).value), kdf[hash]));

  test('a function that was not offered is refused', () =>
    assert.throws(() => agreedKey('1.2.3', new Uint8Array(256), agreed), { code: 'REPLY_REJECTED' }));
});

test('octetstring2key runs on with a counter in front, from zero', () => {
  const secret = new Uint8Array(256).fill(7);
  const sha1 = (i: number) =>
    createHash('sha1')
      .update(concat(Uint8Array.of(i), secret))
      .digest();
  assert.equal(hex(octetString2Key(18, secret).value), hex(concat(sha1(0), sha1(1)).subarray(0, 32)));
  assert.equal(hex(octetString2Key(17, secret).value), hex(sha1(0).subarray(0, 16)));
});

describe('the agreement', () => {
  let pki: Pki;
  before(async () => {
    pki = await Pki.open();
  });
  after(() => pki?.close());

  for (const bits of [2048, 4096] as const)
    test(`of ${bits} bits is one that openssl shares`, { skip: needsOpenssl }, async () => {
      const at = (name: string) => join(pki.directory, `${bits}-${name}`);
      const openssl = (...args: string[]) => mustRun('openssl', args);
      const ours = new Agreement(bits);
      const { algorithm } = fromDer(SubjectPublicKeyInfo, ours.publicKeyInfo);
      await writeFile(at('group.pem'), pem('X9.42 DH PARAMETERS', algorithm.parameters!));
      await writeFile(at('ours.pem'), pem('PUBLIC KEY', ours.publicKeyInfo));
      await openssl('genpkey', '-paramfile', at('group.pem'), '-out', at('theirs.key'));
      await openssl('pkey', '-in', at('theirs.key'), '-pubout', '-outform', 'DER', '-out', at('theirs.der'));
      const sides = ['-inkey', at('theirs.key'), '-peerkey', at('ours.pem')];
      await openssl('pkeyutl', '-derive', ...sides, '-out', at('secret'));
      const theirs = fromDer(SubjectPublicKeyInfo, new Uint8Array(await readFile(at('theirs.der'))));
      // openssl leaves out zeros in front.
      const shared = (await readFile(at('secret'))).toString('hex').padStart(bits / 4, '0');
      assert.equal(hex(ours.secret(theirs.subjectPublicKey)), shared);
    });

  test('a value of no use is refused: 0, 1, p - 1, p and what is above', () => {
    const p = BigInt(`0x${getDiffieHellman('modp14').getPrime('hex')}`);
    for (const [name, value] of Object.entries({ '0': 0n, '1': 1n, 'p - 1': p - 1n, p, 'p + 2': p + 2n })) {
      const text = value.toString(16);
      const theirs = toDer(unsignedBytes, fromHex(text.padStart(text.length + (text.length % 2), '0')));
      assert.throws(() => new Agreement(2048).secret(theirs), { code: 'REPLY_REJECTED' }, name);
    }
  });
});

function pem(label: string, der: Uint8Array): string {
  return `-----BEGIN ${label}-----\n${Buffer.from(der).toString('base64')}\n-----END ${label}-----\n`;
}
