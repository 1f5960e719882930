/** The lab itself is sound: Samba, MIT's tools and OpenLDAP agree about what the other suites build on. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type LabUser, lab, labStatus, ldapsearchBlob, must, run } from './lab.ts';

const status = labStatus();

describe('the lab', { skip: status.available ? false : status.reason }, () => {
  let work = '';
  let ccache = '';

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'cf-lab-test-'));
    ccache = `FILE:${join(work, 'reader.cc')}`;
    await kinit(lab.reader, ccache);
  });
  after(() => rm(work, { recursive: true, force: true }));

  const kinit = (user: LabUser, cache: string) =>
    must('kinit', [user.principal], { env: { KRB5CCNAME: cache }, input: `${user.password}\n` });

  /** What the KDC answered to a logon that must fail, from the trace that MIT's library writes. */
  const refusal = async (user: LabUser) => {
    const trace = join(work, `${user.name}.trace`);
    const env = { KRB5CCNAME: `FILE:${join(work, 'refused.cc')}`, KRB5_TRACE: trace };
    const { code } = await run('kinit', [user.principal], { env, input: `${user.password}\n` });
    assert.notEqual(code, 0, `${user.name} could log on`);
    return await readFile(trace, 'utf8');
  };

  test('publishes its services in DNS', async () => {
    // dig and a preloaded libfaketime do not get on; DNS asks for no clock.
    const env = { LD_PRELOAD: undefined };
    const names = ['_kerberos._tcp', '_kerberos._udp', '_ldap._tcp.dc._msdcs', '_kerberos._tcp.dc._msdcs'];
    for (const name of names) {
      const port = name.startsWith('_ldap') ? 389 : 88;
      assert.equal(
        await must('dig', ['+short', 'SRV', `${name}.${lab.domain}`], { env }),
        `0 100 ${port} ${lab.dc}.\n`,
      );
    }
    assert.equal(await must('dig', ['+short', lab.dc], { env }), '127.0.0.1\n');
  });

  test('gives the reader a ticket for the directory', async () => {
    const env = { KRB5CCNAME: ccache };
    assert.match(
      await must('kvno', [`ldap/${lab.dc}`], { env }),
      /^ldap\/dc1\.lab\.example@LAB\.EXAMPLE: kvno = \d+$/m,
    );
    const listed = await must('klist', ['-e'], { env });
    assert.match(listed, /Etype \(skey, tkt\): aes256-cts-hmac-sha1-96, aes256-cts-hmac-sha1-96/);
  });

  test('the other sound accounts log on', async () => {
    for (const user of [lab.umlautReader, lab.rc4Reader, lab.deniedReader, lab.administrator]) {
      await kinit(user, `FILE:${join(work, 'other.cc')}`);
    }
  });

  test('has no key but RC4 for the RC4 account', async () => {
    const file = join(work, 'rc4.keytab');
    await must(lab.paths.script, ['dump-keys', file, lab.rc4Reader.name]);
    const listed = await must('klist', ['-kte', file]);
    assert.equal(listed.match(/svc-rc4@/g)?.length, 1);
    assert.match(listed, /svc-rc4@LAB\.EXAMPLE \(DEPRECATED:arcfour-hmac\)/);
  });

  test('refuses accounts by their state', async () => {
    for (const user of lab.brokenReaders) {
      // MIT numbers a KDC's error from -1765328384 on: KDC_ERR_KEY_EXPIRED is 23, KDC_ERR_CLIENT_REVOKED 18 (RFC 4120 7.5.9).
      const expired = user.state === 'must-change' || user.state === 'password-expired';
      const answer = `Received error from KDC: ${-1765328384 + (expired ? 23 : 18)}/`;
      assert.ok((await refusal(user)).includes(answer), user.name);
    }
  });

  test('hands out a managed password: 290 bytes when there is no previous one', async () => {
    assert.equal((await ldapsearchBlob(lab.webApp, ccache))?.length, 290);
  });

  test('hands out a rolled one with its predecessor: 548 bytes', async () => {
    assert.equal((await ldapsearchBlob(lab.rolledApp, ccache))?.length, 548);
  });

  test('withholds it from those who may not read it', async () => {
    const denied = `FILE:${join(work, 'denied.cc')}`;
    await kinit(lab.deniedReader, denied);
    assert.equal(await ldapsearchBlob(lab.webApp, denied), undefined);
    assert.equal(await ldapsearchBlob(lab.otherApp, ccache), undefined);
  });

  test('has at least 45 readable numbered gMSAs, each with a password of its own', async () => {
    assert.ok(lab.numberedApps.length >= 45);
    const args = ['-Q', '-LLL', '-o', 'ldif-wrap=no', '-Y', 'GSSAPI', '-N', '-H', `ldap://${lab.dc}`];
    const ldif = await must(
      'ldapsearch',
      [...args, '-b', lab.baseDn, '(sAMAccountName=App*)', 'msDS-ManagedPassword'],
      {
        env: { KRB5CCNAME: ccache },
      },
    );
    const blobs = new Set(ldif.match(/^msDS-ManagedPassword:: .*$/gm));
    assert.equal(blobs.size, lab.numberedApps.length);
  });

  test('the machine accounts log on with their keytabs', async () => {
    const env = { KRB5CCNAME: `FILE:${join(work, 'host.cc')}` };
    for (const host of [lab.host1, lab.host2]) {
      await must('kinit', ['-kt', host.keytab, host.principal], { env });
      const who = await must('ldapwhoami', ['-Q', '-Y', 'GSSAPI', '-N', '-H', `ldap://${lab.dc}`], { env });
      assert.equal(who, `u:${lab.netbios}\\${host.name}\n`);
    }
  });

  test('exports its own keys, three for each gMSA and kvno', async () => {
    const file = join(work, 'all.keytab');
    await must(lab.paths.script, ['dump-keys', file]);
    const listed = await must('klist', ['-kte', file]);
    for (const gmsa of [lab.webApp, lab.rolledApp, ...lab.numberedApps]) {
      const keys = listed.split('\n').filter((line) => line.includes(` ${gmsa.principal} `));
      // 36 hours hold one roll or two: a day's interval is two key periods of ten hours, counted from the epoch.
      assert.ok((gmsa.rolled ? [6, 9] : [3]).includes(keys.length), `${gmsa.name}: ${keys.length}`);
    }
  });

  test('a gMSA logs on with its exported keys, a disabled one does not', async () => {
    const file = join(work, 'gmsa.keytab');
    const env = { KRB5CCNAME: `FILE:${join(work, 'gmsa.cc')}` };
    await must(lab.paths.script, ['dump-keys', file, lab.webApp.name]);
    await must('kinit', ['-kt', file, lab.webApp.principal], { env });
    await must(lab.paths.script, ['dump-keys', file, lab.disabledApp.name]);
    assert.match((await run('kinit', ['-kt', file, lab.disabledApp.principal], { env })).stderr, /have been revoked/);
  });

  test('serves LDAPS with a certificate for its name', async () => {
    const env = { LDAPTLS_CACERT: lab.paths.ca };
    const args = ['-x', '-LLL', '-H', `ldaps://${lab.dc}`, '-s', 'base', '-b', '', 'defaultNamingContext'];
    assert.match(await must('ldapsearch', args, { env }), /^defaultNamingContext: DC=lab,DC=example$/m);
  });

  test('its script provisions with the password that accounts.json names', async () => {
    const script = await readFile(lab.paths.script, 'utf8');
    assert.match(script, new RegExp(`^admin_password=${lab.administrator.password} `, 'm'));
  });
});
