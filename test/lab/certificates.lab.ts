/** Logons by certificate (PKINIT) with the domain's own KDC. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { KrbClient } from '../../src/krb5/client.ts';
import { cacheContent } from '../../src/krb5/environment/cached.ts';
import { certificateProof } from '../../src/krb5/environment/certificate.ts';
import { type Environment, loadEnvironment } from '../../src/krb5/environment/environment.ts';
import { openClient } from '../../src/krb5/environment/open.ts';
import { writeCCache } from '../../src/krb5/files/ccache.ts';
import { formatPrincipal, principal, servicePrincipal } from '../../src/krb5/principal.ts';
import { type Issued, kerberosName, nameSections, Pki } from '../support/pki.ts';
import { lab, labStatus, must } from './lab.ts';

const status = labStatus();
const REALM = 'LAB.EXAMPLE';
/** Samba's KDC takes no certificate for a signer's that does not say so. */
const FOR_CLIENTS = ['extendedKeyUsage=1.3.6.1.5.2.3.4,clientAuth', 'keyUsage=critical,digitalSignature'];

describe('certificates in the domain', { skip: status.available ? false : status.reason }, () => {
  let pki: Pki;
  let authority: Issued;
  let work = '';
  let environment: Environment;
  before(async () => {
    pki = await Pki.open();
    work = await mkdtemp(join(tmpdir(), 'cf-lab-test-'));
    const [certFile, keyFile] = [join(lab.paths.directory, 'pki/ca.pem'), join(lab.paths.directory, 'pki/ca.key')];
    const certificate = new X509Certificate(await readFile(certFile));
    authority = { certFile, keyFile, certificate, key: createPrivateKey(await readFile(keyFile)) };
    environment = await loadEnvironment();
  });
  after(async () => {
    environment?.close();
    await pki?.close();
    await rm(work, { recursive: true, force: true });
  });

  async function logOn(user: Issued, name = 'svc-fetch', armor?: KrbClient): Promise<KrbClient> {
    const identity = `FILE:${user.certFile},${user.keyFile}`;
    const proof = await certificateProof(environment, principal(REALM, name), { identity });
    const client = await openClient({ environment, proof, ...(armor && { armor }) });
    try {
      await client.login();
      return client;
    } catch (e) {
      client.close();
      throw e;
    }
  }

  const byUpn = ['subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:svc-fetch@LAB.EXAMPLE', ...FOR_CLIENTS];
  for (const [what, more] of Object.entries({
    'with the Kerberos name': { extensions: [...FOR_CLIENTS, kerberosName] },
    'with the UPN': { extensions: byUpn },
  }))
    test(`${what} log on, and the ticket is good for LDAP with a program of others`, async () => {
      const user = await pki.user(REALM, 'svc-fetch', authority, more);
      const client = await logOn(user);
      assert.equal(formatPrincipal(client.client), `svc-fetch@${REALM}`);
      await client.ticket(servicePrincipal('ldap', 'dc1.lab.example'));
      const path = join(work, 'certificate.cc');
      await writeFile(path, writeCCache(cacheContent(client)), { mode: 0o600 });
      client.close();
      const env = { KRB5CCNAME: `FILE:${path}` };
      const who = await must('ldapwhoami', ['-Q', '-Y', 'GSSAPI', '-N', '-H', 'ldap://dc1.lab.example'], { env });
      assert.match(who, /LAB\\svc-fetch/);
    });

  test('log on in armor too', async () => {
    const user = await pki.user(REALM, 'svc-fetch', authority, { extensions: [...FOR_CLIENTS, kerberosName] });
    const machine = await openClient({ environment, keytab: join(lab.paths.directory, 'keytabs/host1.keytab') });
    (await logOn(user, 'svc-fetch', machine)).close();
    machine.close();
  });

  test('of somebody else, or of an authority that the domain does not trust, are refused', async () => {
    const other = await pki.user(REALM, 'svc-other', authority, { extensions: [...FOR_CLIENTS, kerberosName] });
    await assert.rejects(logOn(other), { message: /KDC_ERR_CLIENT_NAME_MISMATCH/ });
    const stranger = await pki.authority('stranger');
    const sections = nameSections(REALM, 1, 'svc-fetch');
    const forged = await pki.user(REALM, 'svc-fetch', stranger, {
      extensions: [...FOR_CLIENTS, kerberosName],
      sections,
    });
    await assert.rejects(logOn(forged), { code: 'KDC_ERROR' });
  });
});
