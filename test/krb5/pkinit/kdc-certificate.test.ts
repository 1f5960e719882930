/** Which certificates are a KDC's. All are made by openssl. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fromDer, toDer } from '../../../src/asn1.ts';
import { type KdcCertificateRules, verifyKdcCertificate } from '../../../src/krb5/pkinit/kdc-certificate.ts';
import { Certificate } from '../../../src/krb5/pkinit/messages.ts';
import { type Issued, type IssueOptions, kerberosName, nameSections, needsOpenssl, Pki } from '../../support/pki.ts';
import { mustRun } from '../../support/programs.ts';

const REALM = 'KDC.TEST';
const FOR_KDC = 'extendedKeyUsage=1.3.6.1.5.2.3.5';
const DAY = 86_400_000;

describe("a KDC's certificate", { skip: needsOpenssl }, () => {
  let pki: Pki;
  let authority: Issued;
  before(async () => {
    pki = await Pki.open();
    authority = await pki.authority();
  });
  after(() => pki?.close());

  interface Case extends Partial<KdcCertificateRules> {
    readonly kdc?: Partial<IssueOptions>;
    readonly by?: Issued;
    readonly others?: readonly Issued[];
    readonly at?: number;
  }
  async function check({ kdc, by = authority, others = [], at, ...rules }: Case): Promise<void> {
    const { certificate } = await pki.kdc(REALM, by, kdc);
    const known = { anchors: [authority.certificate], ...rules };
    const rest = others.map((o) => o.certificate);
    verifyKdcCertificate(certificate, rest, known, REALM, at ?? Date.now());
  }
  const refused = async (what: Case, message: RegExp): Promise<void> =>
    assert.rejects(check(what), { code: 'REPLY_REJECTED', message });
  const intermediate = (name: string, more: Partial<IssueOptions> = {}) =>
    pki.authority(name, { by: authority, ...more });

  test('is good with the name of the ticket-granting service and a KDC’s purpose', () => check({}));
  test('is good without purposes, if it has that name', () => check({ kdc: { extensions: [kerberosName] } }));
  test('is good by a curve as well', () => check({ kdc: { algorithm: 'ec' } }));
  test('may itself be what is trusted', async () => {
    const own = await pki.kdc(REALM, authority, { name: 'pinned' });
    verifyKdcCertificate(own.certificate, [], { anchors: [own.certificate] }, REALM, Date.now());
  });
  test('may come by way of another authority, which came along', async () => {
    const middle = await intermediate('middle');
    await check({ by: middle, others: [middle] });
    await refused({ by: middle }, /does not lead to a certificate that is trusted/);
  });

  test('of another authority is refused, whatever that calls itself', async () => {
    const stranger = await pki.authority('authority');
    await refused({ by: stranger }, /does not lead/);
    await refused({ by: stranger, others: [stranger] }, /does not lead/);
  });
  test('that has expired, or is of a time to come, is refused', async () => {
    await refused({ at: Date.now() + 3 * DAY }, /expired/);
    await refused({ at: Date.now() - 3 * DAY }, /not yet valid/);
  });
  test('issued by what is no authority is refused', async () => {
    const user = await pki.user(REALM, 'user', authority);
    await refused({ by: user, others: [user] }, /no authority|does not lead/);
    const plain = await pki.issue({ name: 'plain', by: authority, extensions: ['basicConstraints=CA:FALSE'] });
    await refused({ by: plain, others: [plain] }, /no authority|does not lead/);
  });
  test('below an authority that may have none below it is refused', async () => {
    const constraints = ['basicConstraints=critical,CA:TRUE,pathlen:0', 'keyUsage=critical,keyCertSign'];
    const last = await intermediate('last', { extensions: constraints });
    await check({ by: last, others: [last] });
    const below = await pki.authority('below', { by: last });
    await refused({ by: below, others: [below, last] }, /may not have others below/);
  });
  test('of an authority with bounds that are not understood is refused', async () => {
    const bounds = ['basicConstraints=critical,CA:TRUE', 'nameConstraints=critical,permitted;DNS:kdc.test'];
    const bounded = await intermediate('bounded', { extensions: bounds });
    await refused({ by: bounded, others: [bounded] }, /extension .*2\.5\.29\.30/);
    const loosely = await intermediate('loosely', {
      extensions: [bounds[0]!, 'nameConstraints=permitted;DNS:kdc.test'],
    });
    await refused({ by: loosely, others: [loosely] }, /extension .*2\.5\.29\.30/);
  });
  test('of an authority with several certificates of one name and key needs one of them to be good', async () => {
    const old = await pki.authority('renewed');
    const file = join(pki.directory, 'renewed.pem');
    await mustRun('openssl', ['x509', '-in', old.certFile, '-key', old.keyFile, '-days', '30', '-out', file]);
    const renewed = new X509Certificate(await readFile(file));
    const { certificate } = await pki.kdc(REALM, old, { days: 30 });
    const later = Date.now() + 9 * DAY;
    for (const anchors of [
      [old.certificate, renewed],
      [renewed, old.certificate],
    ]) {
      verifyKdcCertificate(certificate, [], { anchors }, REALM, later);
      // Cross-signed: the same name and key, and no anchor.
      verifyKdcCertificate(certificate, anchors.slice(0, 1), { anchors: [renewed] }, REALM, later);
    }
    assert.throws(() => verifyKdcCertificate(certificate, [], { anchors: [old.certificate] }, REALM, later), {
      message: /one on its way to an anchor has expired/,
    });
  });
  test('signed with a broken digest is refused', () => refused({ kdc: { digest: 'md5' } }, /does not lead/));
  test('is not led anywhere by a key that is not known', async () => {
    const rsa = Buffer.from('06092a864886f70d010101', 'hex');
    const raw = Buffer.from(authority.certificate.raw);
    raw[raw.indexOf(rsa) + rsa.length - 1] = 0x7f;
    await refused({ anchors: [new X509Certificate(raw)] }, /does not lead/);
  });

  test('of another realm is refused', () =>
    refused(
      { kdc: { sections: nameSections('OTHER.TEST', 2, 'krbtgt', 'OTHER.TEST') } },
      /names neither krbtgt\/KDC.TEST/,
    ));
  test('of a user of the realm is refused', () =>
    refused({ kdc: { sections: nameSections(REALM, 1, 'krbtgt') } }, /names neither/));
  test('with a critical extension that is not understood is refused', () =>
    refused({ kdc: { extensions: [FOR_KDC, kerberosName, '1.2.3.4=critical,ASN1:NULL'] } }, /critical .*1\.2\.3\.4/));
  test('whose key is not for signatures is refused', () =>
    refused({ kdc: { extensions: [FOR_KDC, kerberosName, 'keyUsage=keyEncipherment'] } }, /key usage/));
  test('that says a thing twice is refused, even where it is itself what is trusted', async () => {
    const { certificate } = await pki.kdc(REALM, authority);
    const read = fromDer(Certificate, new Uint8Array(certificate.raw));
    const { tbsCertificate: tbs } = read;
    const extensions = [...tbs.extensions!, tbs.extensions![0]!];
    const twice = new X509Certificate(toDer(Certificate, { ...read, tbsCertificate: { ...tbs, extensions } }));
    const rules = { anchors: [twice] };
    assert.throws(() => verifyKdcCertificate(twice, [], rules, REALM, Date.now()), { code: 'MALFORMED' });
  });
  test('without a subject is called that', async () => {
    const files = ['-keyout', join(pki.directory, 'none.key'), '-out', join(pki.directory, 'none.pem')];
    await mustRun('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/', ...files]);
    const nameless = new X509Certificate(await readFile(join(pki.directory, 'none.pem')));
    const rules = { anchors: [authority.certificate] };
    assert.throws(() => verifyKdcCertificate(nameless, [], rules, REALM, Date.now()), {
      code: 'REPLY_REJECTED',
      message: /without a subject/,
    });
  });
  test('without names is refused', () => refused({ kdc: { extensions: [FOR_KDC] } }, /names neither/));
  test('with the name of no host is refused, even where the host that is known is empty', () =>
    refused(
      { kdc: { extensions: [FOR_KDC, 'subjectAltName=email:a@kdc.test'] }, kdcHostnames: [''] },
      /names neither/,
    ));
  test('for another purpose is refused, in spite of its name', () =>
    refused({ kdc: { extensions: ['extendedKeyUsage=1.3.6.1.5.2.3.4', kerberosName] } }, /not for a KDC/));

  const host = (name: string, purpose = FOR_KDC) => ({ extensions: [purpose, `subjectAltName=DNS:${name}`] });
  test('may name its host instead, where that is known', async () => {
    await refused({ kdc: host('dc1.kdc.test') }, /names neither/);
    await check({ kdc: host('DC1.kdc.test'), kdcHostnames: ['dc1.kdc.test'] });
  });
  test('may name the domain instead, as those of Active Directory do', () => check({ kdc: host('kdc.test') }));
  test('of a host for another purpose is refused, unless that is agreed', async () => {
    const kdc = host('kdc.test', 'extendedKeyUsage=serverAuth');
    await refused({ kdc }, /not for a KDC/);
    const kdcHostnames = ['kdc.test'];
    await check({ kdc, kdcHostnames, ekuChecking: 'kpServerAuth' });
    await check({ kdc, kdcHostnames, ekuChecking: 'none' });
    // The domain's web server is no KDC because purposes are not looked at.
    await refused({ kdc, ekuChecking: 'kpServerAuth' }, /names neither/);
    await refused({ kdc, ekuChecking: 'none' }, /names neither/);
    await refused({ kdc: { extensions: ['subjectAltName=DNS:kdc.test'] } }, /not for a KDC/);
  });
});
