/** Channel bindings: which hash goes with which certificate (certificates of OpenSSL), and the structure around it. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { concat, fromHex, hex, utf8 } from '../../../src/bytes.ts';
import { channelBindings, tlsServerEndPoint } from '../../../src/krb5/gss/bindings.ts';
import { fuzz } from '../../support/fuzz.ts';
import { mustRun, needs } from '../../support/programs.ts';

test('the structure of RFC 4121 4.1.1.2 has empty addresses and the application data, little endian', () => {
  const layout = fromHex('00000000 00000000 00000000 00000000 05000000 68656c6c6f');
  assert.equal(hex(channelBindings(utf8('hello'))), createHash('md5').update(layout).digest('hex'));
});

describe('the hash of a certificate', { skip: needs('openssl') }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'cf-bindings-'));
  after(() => rmSync(directory, { recursive: true, force: true }));
  let made = 0;
  async function certificate(...options: string[]): Promise<Uint8Array> {
    const [key, out] = [join(directory, `${++made}.key`), join(directory, `${made}.pem`)];
    await mustRun('openssl', ['req', '-x509', '-nodes', '-subj', '/CN=x', '-keyout', key, '-out', out, ...options]);
    return new Uint8Array(new X509Certificate(readFileSync(out)).raw);
  }
  const rsa = ['-newkey', 'rsa:2048'];
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  const pss = ['-sigopt', 'rsa_padding_mode:pss'];
  // RFC 5929 4.1: the hash of the signature, but SHA-256 for MD5 and SHA-1.
  const cases: readonly [what: string, options: string[], hash: string | undefined][] = [
    ['RSA with SHA-1', [...rsa, '-sha1'], 'sha256'],
    ['RSA with SHA-256', [...rsa, '-sha256'], 'sha256'],
    ['RSA with SHA-384', [...rsa, '-sha384'], 'sha384'],
    ['RSA with SHA-512', [...rsa, '-sha512'], 'sha512'],
    ['RSASSA-PSS with SHA-384', [...rsa, '-sha384', ...pss], 'sha384'],
    ['RSASSA-PSS with SHA-1', [...rsa, '-sha1', ...pss], 'sha256'],
    ['ECDSA with SHA-256', [...ec, '-sha256'], 'sha256'],
    ['ECDSA with SHA-512', [...ec, '-sha512'], 'sha512'],
    ['Ed25519, which has none of its own', ['-newkey', 'ed25519'], undefined],
  ];
  for (const [what, options, hash] of cases) {
    test(what, async () => {
      const der = await certificate(...options);
      const expected =
        hash && concat(utf8('tls-server-end-point:'), new Uint8Array(createHash(hash).update(der).digest()));
      assert.deepEqual(tlsServerEndPoint(der), expected);
    });
  }

  test('is made of a certificate or of nothing', async () => {
    const seeds = [await certificate(...ec), await certificate(...rsa, ...pss)];
    fuzz(seeds, tlsServerEndPoint, { iterations: 1500, seed: 5929 });
  });
});
