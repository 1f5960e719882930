/** OpenLDAP's programs with MIT's GSSAPI and Cyrus SASL against the embedded directory. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { needs } from '../support/programs.ts';
import { type Harness, PASSWORD, startHarness } from './domain.ts';

function needsSaslGssapi(): false | string {
  const found = ['/usr/lib', '/usr/lib64'].some((root) => {
    try {
      const places = [
        root,
        ...readdirSync(root)
          .filter((n) => n.includes('linux'))
          .map((n) => `${root}/${n}`),
      ];
      return places.some((p) => {
        try {
          return readdirSync(`${p}/sasl2`).some((f) => f.startsWith('libgssapiv2.so'));
        } catch {
          return false;
        }
      });
    } catch {
      return false;
    }
  });
  return found ? false : "needs Cyrus SASL's GSSAPI module (Debian: libsasl2-modules-gssapi-mit)";
}

const skip = needs('kinit', 'ldapsearch', 'ldapwhoami') || needsSaslGssapi();

describe('embedded directory with OpenLDAP programs', { skip }, () => {
  let h: Harness;
  before(async () => {
    h = await startHarness();
    const { code, stderr } = await h.run('kinit', ['svc-fetch'], `${PASSWORD}\n`);
    assert.equal(code, 0, stderr);
  });
  after(() => h.stop());

  const url = (): string => `ldap://localhost:${h.domain.ldapPort}`;
  const gssapi = (...more: string[]): string[] => ['-Y', 'GSSAPI', '-N', '-H', url(), ...more];
  const blobIn = (stdout: string): Buffer =>
    Buffer.from(/msDS-ManagedPassword:: (.*)/.exec(stdout.replace(/\n /g, ''))?.[1] ?? '', 'base64');

  test('ldapwhoami names the account over a layer of strength 256', async () => {
    const { code, stdout, stderr } = await h.run('ldapwhoami', gssapi());
    assert.equal(code, 0, stderr);
    assert.equal(stdout, 'u:EXAMPLE\\svc-fetch\n');
    assert.match(stderr, /SASL SSF: 256/);
  });

  test('ldapsearch reads the managed password over the sealed connection', async () => {
    const args = gssapi('-LLL', '-b', h.domain.baseDn, '(sAMAccountName=webapp01$)', 'msDS-ManagedPassword');
    const { code, stdout, stderr } = await h.run('ldapsearch', args);
    assert.equal(code, 0, stderr);
    const blob = blobIn(stdout);
    assert.equal(blob.length, 290);
    assert.deepEqual(new Uint8Array(blob.subarray(16, 272)), h.domain.managedPassword('WebApp01'));
  });

  test('a password the reader has no right to is absent', async () => {
    const args = gssapi('-LLL', '-b', h.domain.baseDn, '(sAMAccountName=Other02$)', 'cn', 'msDS-ManagedPassword');
    const { code, stdout } = await h.run('ldapsearch', args);
    assert.equal(code, 0);
    assert.match(stdout, /cn: Other02/);
    assert.doesNotMatch(stdout, /ManagedPassword/);
  });

  test('the rootDSE is open to anybody', async () => {
    const { code, stdout, stderr } = await h.run('ldapsearch', [
      '-x',
      '-LLL',
      '-H',
      url(),
      '-s',
      'base',
      '-b',
      '',
      '*',
      '+',
    ]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /defaultNamingContext: DC=example,DC=test/);
    assert.match(stdout, /supportedSASLMechanisms: GSSAPI/);
    assert.match(stdout, /dnsHostName: dc1\.example\.test/);
  });

  test('a client that insists on no layer is not let in', async () => {
    const { code } = await h.run('ldapwhoami', gssapi('-O', 'maxssf=0'));
    assert.notEqual(code, 0);
  });

  test('a directory that offers every layer serves signed and bare connections, yet gives no password out over them', async () => {
    const open = await startHarness({ securityLayers: 7 });
    try {
      assert.equal((await open.run('kinit', ['svc-fetch'], `${PASSWORD}\n`)).code, 0);
      const to = (...more: string[]): string[] => [
        '-Y',
        'GSSAPI',
        '-N',
        '-H',
        `ldap://localhost:${open.domain.ldapPort}`,
        ...more,
      ];
      for (const maxssf of ['maxssf=0', 'maxssf=1']) {
        assert.equal((await open.run('ldapwhoami', to('-O', maxssf))).stdout, 'u:EXAMPLE\\svc-fetch\n');
        const args = to('-O', maxssf, '-b', open.domain.baseDn, '(cn=WebApp01)', 'msDS-ManagedPassword');
        const { code, stdout, stderr } = await open.run('ldapsearch', args);
        assert.equal(code, 1);
        assert.match(stdout + stderr, /00002020: operational_search_post_process failed/);
      }
    } finally {
      await open.stop();
    }
  });

  test('a small receive buffer of the client is respected', async () => {
    const args = gssapi('-O', 'maxbufsize=1024', '-LLL', '-b', h.domain.baseDn, '(objectClass=*)');
    const { code, stdout, stderr } = await h.run('ldapsearch', args);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /dn: CN=WebApp01,CN=Managed Service Accounts,DC=example,DC=test/);
  });

  test('paged results come in pages', async () => {
    const { code, stdout, stderr } = await h.run(
      'ldapsearch',
      gssapi('-E', 'pr=3/noprompt', '-b', h.domain.baseDn, '(objectClass=*)', 'cn'),
    );
    assert.equal(code, 0, stderr);
    const pages = stdout.match(/# search result/g)?.length ?? 0;
    assert.ok(pages > 3);
    assert.equal(new Set(stdout.match(/^dn: .*/gm)).size, stdout.match(/^dn: .*/gm)?.length);
  });

  test('a simple bind by password names its refusals as Active Directory does', async () => {
    const bind = (name: string, password: string) =>
      h.run('ldapwhoami', ['-x', '-H', url(), '-D', name, '-w', password]);
    assert.equal((await bind('svc-fetch@example.test', PASSWORD)).stdout, 'u:EXAMPLE\\svc-fetch\n');
    assert.equal((await bind('EXAMPLE\\svc-fetch', PASSWORD)).stdout, 'u:EXAMPLE\\svc-fetch\n');
    assert.match((await bind('svc-fetch@example.test', 'wrong')).stderr, /data 52e/);
    assert.match((await bind('off@example.test', PASSWORD)).stderr, /data 533/);
    assert.match((await bind('old@example.test', PASSWORD)).stderr, /data 532/);
  });
});
