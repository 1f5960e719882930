/** Signed data with openssl's CMS on the other side, both ways. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { utf8 } from '../../../src/bytes.ts';
import { isAdError } from '../../../src/errors.ts';
import { oid } from '../../../src/krb5/pkinit/messages.ts';
import { openSignedData, signedData } from '../../../src/krb5/pkinit/signed-data.ts';
import { fuzz } from '../../support/fuzz.ts';
import { type Issued, needsOpenssl, Pki } from '../../support/pki.ts';
import { mustRun } from '../../support/programs.ts';

const content = utf8('what is signed');

describe('signed data', { skip: needsOpenssl }, () => {
  let pki: Pki;
  let authority: Issued;
  const signers = {} as Record<'rsa' | 'ec', Issued>;
  before(async () => {
    pki = await Pki.open();
    authority = await pki.authority();
    for (const algorithm of ['rsa', 'ec'] as const)
      signers[algorithm] = await pki.user('ANY.TEST', `user-${algorithm}`, authority, { algorithm });
  });
  after(() => pki?.close());

  /** openssl's, with the type of what a KDC signs. */
  async function bySomebody({ certFile, keyFile }: Issued, ...more: string[]): Promise<Uint8Array> {
    const at = (name: string) => join(pki.directory, name);
    await writeFile(at('content'), content);
    const type = [
      '-econtent_type',
      oid.pkinitDHKeyData,
      '-outform',
      'DER',
      '-out',
      at('signed'),
      '-nodetach',
      '-binary',
    ];
    await mustRun('openssl', [
      'cms',
      '-sign',
      '-in',
      at('content'),
      '-signer',
      certFile,
      '-inkey',
      keyFile,
      ...type,
      ...more,
    ]);
    return new Uint8Array(await readFile(at('signed')));
  }

  for (const algorithm of ['rsa', 'ec'] as const) {
    test(`of openssl with ${algorithm} opens`, async () => {
      for (const more of [[], ['-md', 'sha1'], ['-md', 'sha512'], ['-keyid'], ['-certfile', authority.certFile]]) {
        // The users' certificates have no key identifier of their own.
        if (more[0] === '-keyid') continue;
        const opened = openSignedData(await bySomebody(signers[algorithm], ...more), oid.pkinitDHKeyData);
        assert.deepEqual(opened.content, content);
        assert.equal(opened.signer.fingerprint256, signers[algorithm].certificate.fingerprint256);
        assert.equal(opened.certificates.length, more[0] === '-certfile' ? 2 : 1);
      }
    });

    test(`ours with ${algorithm} is good for openssl`, async () => {
      const { certificate, key } = signers[algorithm];
      const path = join(pki.directory, 'ours');
      await writeFile(path, signedData(oid.pkinitAuthData, content, { certificates: [certificate], key }));
      const trust = ['-CAfile', authority.certFile, '-purpose', 'any'];
      const text = await mustRun('openssl', ['cms', '-verify', '-inform', 'DER', '-in', path, ...trust]);
      assert.equal(text, 'what is signed');
    });
  }

  test('is told by key identifier too', async () => {
    const extensions = ['subjectKeyIdentifier=hash'];
    const issued = await pki.issue({ name: 'with-identifier', by: authority, extensions });
    const opened = openSignedData(await bySomebody(issued, '-keyid'), oid.pkinitDHKeyData);
    assert.equal(opened.signer.fingerprint256, issued.certificate.fingerprint256);
  });

  test('of nobody has the content and no signer', async () => {
    const path = join(pki.directory, 'nobody');
    await writeFile(path, signedData(oid.pkinitAuthData, content));
    const shown = await mustRun('openssl', ['cms', '-cmsout', '-print', '-inform', 'DER', '-in', path, '-noout']);
    assert.match(shown, /signerInfos:\s+<EMPTY>/);
    assert.throws(() => openSignedData(signedData(oid.pkinitDHKeyData, content), oid.pkinitDHKeyData), {
      code: 'MALFORMED',
      message: /0 signatures/,
    });
  });

  test('of another content type is refused', async () => {
    const signed = await bySomebody(signers.rsa);
    assert.throws(() => openSignedData(signed, oid.pkinitAuthData), { code: 'MALFORMED', message: /type/ });
  });

  test('by a digest that nobody trusts any more is refused', async () => {
    const signed = await bySomebody(signers.rsa, '-md', 'md5');
    assert.throws(() => openSignedData(signed, oid.pkinitDHKeyData), { code: 'INTEGRITY' });
  });

  test('without signed attributes is refused', async () => {
    const signed = await bySomebody(signers.rsa, '-noattr');
    assert.throws(() => openSignedData(signed, oid.pkinitDHKeyData), { code: 'INTEGRITY', message: /attributes/ });
  });

  test('that was changed anywhere opens as nothing else', async () => {
    const signed = await bySomebody(signers.ec);
    for (let i = 0; i < signed.length; i++) {
      const changed = Uint8Array.from(signed);
      changed[i]! ^= 1;
      try {
        // The certificate's own signature, its authority's, is looked at elsewhere.
        assert.deepEqual(openSignedData(changed, oid.pkinitDHKeyData).content, content, `byte ${i}`);
      } catch (e) {
        assert.ok(isAdError(e, 'INTEGRITY', 'MALFORMED'), `byte ${i}: ${e}`);
      }
    }
    const { accepted } = fuzz([signed], (input) => openSignedData(input, oid.pkinitDHKeyData), {
      iterations: 500,
      allow: (e) => isAdError(e, 'INTEGRITY'),
    });
    assert.ok(accepted >= 1);
  });
});
