/** Certificates as krb5.conf names them. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseKrb5Conf } from '../../../src/krb5/config.ts';
import { anonymousProof, certificateProof } from '../../../src/krb5/environment/certificate.ts';
import { formatPrincipal, principal } from '../../../src/krb5/principal.ts';
import { type Issued, needsOpenssl, Pki } from '../../support/pki.ts';
import { mustRun } from '../../support/programs.ts';

const REALM = 'PKI.TEST';

describe('certificates of krb5.conf', { skip: needsOpenssl }, () => {
  let pki: Pki;
  let authority: Issued;
  let alice: Issued;
  before(async () => {
    pki = await Pki.open();
    authority = await pki.authority();
    alice = await pki.user(REALM, 'alice', authority);
  });
  after(() => pki?.close());

  const host = (conf: string, env = {}) => ({ config: parseKrb5Conf(conf), env });
  const inDefaults = (...lines: string[]) => `[libdefaults]\n${lines.join('\n')}\n`;
  const anchors = () => `pkinit_anchors = FILE:${authority.certFile}`;
  const identity = () => `FILE:${alice.certFile},${alice.keyFile}`;
  const who = principal(REALM, 'alice');

  test('name who logs on, and by whose word', async () => {
    const { principal: named, secret } = await certificateProof(
      host(inDefaults(anchors(), `pkinit_identities = ${identity()}`)),
      who,
    );
    assert.equal(formatPrincipal(named), `alice@${REALM}`);
    assert.equal(secret.publicKey?.anonymous, false);
  });

  test('may stand in the block of the realm, which counts alone then', async () => {
    const conf = `${inDefaults('pkinit_anchors = FILE:/nonexistent')}[realms]\n${REALM} = {\n${anchors()}\n}\n`;
    const { secret } = await anonymousProof(host(conf), REALM);
    assert.equal(secret.publicKey?.anonymous, true);
    await assert.rejects(anonymousProof(host(conf), 'OTHER.TEST'), {
      code: 'FILE',
      message: /pkinit_anchors.*nonexistent/,
    });
  });

  test('may be named by a variable, and in one file', async () => {
    const both = join(pki.directory, 'both.pem');
    await writeFile(both, (await readFile(alice.certFile, 'utf8')) + (await readFile(alice.keyFile, 'utf8')));
    const env = { ALICE: `FILE:${both}`, LOOP: 'ENV:LOOP' };
    await certificateProof(host(inDefaults(anchors()), env), who, { identity: 'ENV:ALICE' });
    await assert.rejects(certificateProof(host(inDefaults(anchors()), env), who, { identity: 'ENV:LOOP' }), {
      code: 'INVALID_ARGUMENT',
    });
  });

  test('with an encrypted key ask for its pass phrase', async () => {
    const locked = join(pki.directory, 'locked.key');
    await mustRun('openssl', [
      'pkey',
      '-in',
      alice.keyFile,
      '-aes256',
      '-passout',
      'pass:Only-For-Tests',
      '-out',
      locked,
    ]);
    const options = { identity: `FILE:${alice.certFile},${locked}` };
    const conf = host(inDefaults(anchors()));
    await certificateProof(conf, who, { ...options, passphrase: async () => 'Only-For-Tests' });
    const refused = { code: 'FILE', message: /locked\.key cannot be used/ };
    await assert.rejects(certificateProof(conf, who, { ...options, passphrase: async () => 'wrong' }), refused);
    await assert.rejects(certificateProof(conf, who, options), refused);
    const old = join(pki.directory, 'old.key');
    const traditional = ['rsa', '-aes256', '-traditional', '-passout', 'pass:Only-For-Tests'];
    await mustRun('openssl', [...traditional, '-in', alice.keyFile, '-out', old]);
    const passphrase = async () => 'Only-For-Tests';
    await certificateProof(conf, who, { identity: `FILE:${alice.certFile},${old}`, passphrase });
  });

  const bad: Record<string, [conf: () => string, options: () => { identity?: string }, message: RegExp]> = {
    'without anchors': [() => '', () => ({ identity: identity() }), /pkinit_anchors in krb5.conf/],
    'without an identity': [() => inDefaults(anchors()), () => ({}), /pkinit_identities/],
    'of another kind': [() => inDefaults(anchors()), () => ({ identity: 'PKCS11:opensc.so' }), /FILE:cert.pem,key.pem/],
    'with the key of another': [
      () => inDefaults(anchors()),
      () => ({ identity: `FILE:${alice.certFile},${authority.keyFile}` }),
      /is of no certificate/,
    ],
    'checked in a way that nobody knows': [
      () => inDefaults(anchors(), 'pkinit_eku_checking = maybe'),
      () => ({ identity: identity() }),
      /kpKDC, kpServerAuth, none, not maybe/,
    ],
  };
  for (const [what, [conf, options, message]] of Object.entries(bad))
    test(`${what} are refused`, () =>
      assert.rejects(certificateProof(host(conf()), who, options()), { code: 'INVALID_ARGUMENT', message }));
});
