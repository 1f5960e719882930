/**
 * The main job against a real domain: the built daemon, a Python gRPC client, Samba's domain controller, and MIT's,
 * OpenLDAP's and Samba's programs on the tickets.
 */
import assert from 'node:assert/strict';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { readCCache } from '../../src/krb5/files/ccache.ts';
import { readKeytab, writeKeytab } from '../../src/krb5/files/keytab.ts';
import { formatPrincipal } from '../../src/krb5/principal.ts';
import {
  credspec,
  type DaemonProcess,
  type ForeignClient,
  foreignClient,
  type RpcAnswer,
  startDaemonProcess,
} from '../support/daemon-process.ts';
import { type LabUser, lab, labStatus, must, run } from './lab.ts';

const status = labStatus();
const plainName = (name: string) => name.replace(/\$$/, '');

function ok(answer: RpcAnswer): Record<string, unknown> {
  assert.ok('ok' in answer, JSON.stringify(answer));
  return answer.ok;
}

function refused(answer: RpcAnswer): { code: string; details: string } {
  assert.ok('code' in answer, JSON.stringify(answer));
  return answer;
}

describe('leases of a real domain', { skip: status.available ? false : status.reason }, () => {
  let daemon: DaemonProcess;
  let client: ForeignClient;

  before(async () => {
    daemon = await startDaemonProcess({ KRB5_CONFIG: lab.paths.krb5Conf, KRB5_KTNAME: lab.host1.keytab });
    client = foreignClient(daemon.socket);
  });
  after(async () => {
    client?.close();
    await daemon?.stop();
  });

  const addWith = (user: LabUser, ...names: string[]) =>
    client.call('AddNonDomainJoinedKerberosLease', {
      credspec_contents: names.map((name) => credspec(plainName(name), lab.domain)),
      username: user.name,
      password: user.password,
      domain: lab.domain,
    });
  const remove = (added: Record<string, unknown>) => client.call('DeleteKerberosLease', { lease_id: added.lease_id });
  const cacheOf = (added: Record<string, unknown>, i = 0) =>
    join((added.created_kerberos_file_paths as string[])[i]!, 'krb5cc');
  const leases = () => readdir(daemon.krbDir);

  test('health is OK', async () => {
    assert.deepEqual(ok(await client.call('HealthCheck', { service: 'test' })), { status: 'OK' });
  });

  test("a user's lease satisfies klist, kvno and ldapwhoami, and kinit -R renews it", async () => {
    const added = ok(await addWith(lab.reader, lab.webApp.name));
    assert.match(String(added.lease_id), /^[0-9a-f]{20}$/);
    const cache = cacheOf(added);
    assert.equal(cache, join(daemon.krbDir, String(added.lease_id), 'WebApp01', 'krb5cc'));
    assert.equal((await stat(cache)).mode & 0o7777, 0o600);
    const env = { KRB5CCNAME: cache };
    const listed = await must('klist', ['-ef'], { env });
    assert.match(listed, /Default principal: WebApp01\$@LAB\.EXAMPLE/);
    assert.match(listed, /Flags: [A-Z]*R[A-Z]*I/);
    assert.match(listed, /Etype \(skey, tkt\): aes256-cts-hmac-sha1-96, aes256-cts-hmac-sha1-96/);
    assert.match(await must('kvno', [`ldap/${lab.dc}`], { env }), /kvno = \d+/);
    assert.equal(
      await must('ldapwhoami', ['-Q', '-Y', 'GSSAPI', '-N', '-H', `ldap://${lab.dc}`], { env }),
      'u:LAB\\WebApp01$\n',
    );
    await must('kinit', ['-R'], { env });
    const removed = ok(await remove(added));
    assert.deepEqual(removed, { lease_id: added.lease_id, deleted_kerberos_file_paths: [cache] });
    assert.deepEqual(await leases(), []);
  });

  test('the metadata is what other tools read', async () => {
    const added = ok(await addWith(lab.reader, lab.webApp.name));
    const id = String(added.lease_id);
    const metadata = JSON.parse(await readFile(join(daemon.krbDir, id, `${id}_metadata.json`), 'utf8'));
    assert.deepEqual(metadata, {
      krb_ticket_info: [
        {
          credspec_info: '',
          distinguished_name: `CN=WebApp01,CN=Managed Service Accounts,${lab.baseDn}`,
          domain_name: lab.domain,
          domainless_user: lab.reader.name,
          krb_file_path: cacheOf(added),
          service_account_name: 'WebApp01',
        },
      ],
    });
    await remove(added);
  });

  test("the machine's keytab makes a lease too", async () => {
    const added = ok(await client.call('AddKerberosLease', { credspec_contents: [credspec('WebApp01', lab.domain)] }));
    const env = { KRB5CCNAME: cacheOf(added) };
    assert.equal(
      await must('ldapwhoami', ['-Q', '-Y', 'GSSAPI', '-N', '-H', `ldap://${lab.dc}`], { env }),
      'u:LAB\\WebApp01$\n',
    );
    await remove(added);
  });

  test("a keytab of several machines: this host's entry counts, else the first", async () => {
    const keys = async (file: string) => readKeytab(await readFile(file));
    const host1 = await keys(lab.host1.keytab);
    const mine = `${hostname().split('.')[0]!.slice(0, 15).toUpperCase()}$`;
    const renamed = host1.map((e) => ({ ...e, principal: { ...e.principal, components: [mine] } }));
    const keytab = join(daemon.directory, 'several.keytab');
    // This host's name with HOST1's keys: the KDC knows no such account, which shows whom the daemon tried.
    await writeFile(keytab, writeKeytab([...(await keys(lab.host2.keytab)), ...host1, ...renamed]), { mode: 0o600 });
    const other = await startDaemonProcess({ KRB5_CONFIG: lab.paths.krb5Conf, KRB5_KTNAME: keytab });
    const python = foreignClient(other.socket);
    try {
      const answer = await python.call('AddKerberosLease', { credspec_contents: [credspec('WebApp01', lab.domain)] });
      assert.match(refused(answer).details, new RegExp(`${mine.replace('$', '\\$')}@LAB\\.EXAMPLE`));
    } finally {
      python.close();
      await other.stop();
    }
  });

  test('several accounts come in one lease, each in a directory of its own', async () => {
    const names = ['WebApp01', 'App01', 'App02', 'App03'];
    const added = ok(await addWith(lab.reader, ...names, 'webapp01'));
    assert.equal((added.created_kerberos_file_paths as string[]).length, names.length);
    for (const [i, name] of names.entries()) {
      const principal = formatPrincipal(readCCache(await readFile(cacheOf(added, i))).principal);
      assert.equal(principal, `${name}$@LAB.EXAMPLE`);
    }
    await remove(added);
  });

  test('a rolled password works: the blob holds two', async () => {
    const added = ok(await addWith(lab.reader, lab.rolledApp.name));
    await must('kvno', [`ldap/${lab.dc}`], { env: { KRB5CCNAME: cacheOf(added) } });
    await remove(added);
  });

  test('a password beyond ASCII works', async () => {
    await remove(ok(await addWith(lab.umlautReader, lab.webApp.name)));
  });

  test('Renew writes new tickets into the same directories', async () => {
    const added = ok(await addWith(lab.reader, 'App04'));
    const cache = cacheOf(added);
    const [before, directory] = [await readFile(cache), await stat(join(cache, '..'))];
    const { name: username, password } = lab.reader;
    const renewed = ok(
      await client.call('RenewNonDomainJoinedKerberosLease', { username, password, domain: lab.domain }),
    );
    assert.deepEqual(renewed, { renewed_kerberos_file_paths: [cache] });
    assert.notDeepEqual(await readFile(cache), before);
    assert.equal((await stat(join(cache, '..'))).ino, directory.ino, 'a container mounts the directory: it must stay');
    await must('kvno', [`ldap/${lab.dc}`], { env: { KRB5CCNAME: cache } });
    await remove(added);
  });

  describe('refusals leave nothing behind', () => {
    const cases: [string, () => Promise<RpcAnswer>, string, RegExp][] = [
      [
        'a wrong password after a good one',
        () => addWith({ ...lab.reader, password: 'wrong' }, 'WebApp01'),
        'UNAUTHENTICATED',
        /KDC_ERR_PREAUTH_FAILED/,
      ],
      [
        'an unknown user',
        () => addWith({ ...lab.reader, name: 'nobody' }, 'WebApp01'),
        'UNAUTHENTICATED',
        /C_PRINCIPAL_UNKNOWN/,
      ],
      [
        'a reader without rights',
        () => addWith(lab.deniedReader, 'WebApp01'),
        'PERMISSION_DENIED',
        /PrincipalsAllowedToRetrieveManagedPassword/,
      ],
      ['an account others may read', () => addWith(lab.reader, lab.otherApp.name), 'PERMISSION_DENIED', /OtherApp\$/],
      ['a disabled account', () => addWith(lab.reader, lab.disabledApp.name), 'FAILED_PRECONDITION', /disabled/],
      [
        'an account that does not exist',
        () => addWith(lab.reader, 'NoSuchApp'),
        'FAILED_PRECONDITION',
        /no gMSA NoSuchApp\$/,
      ],
      [
        'one bad account among good ones',
        () => addWith(lab.reader, 'App05', 'NoSuchApp', 'App06'),
        'FAILED_PRECONDITION',
        /NoSuchApp/,
      ],
      [
        'a reader with an RC4 key only',
        () => addWith(lab.rc4Reader, 'WebApp01'),
        'FAILED_PRECONDITION',
        /encryption type/,
      ],
    ];
    for (const [name, call, code, text] of cases) {
      test(name, async () => {
        const answer = refused(await call());
        assert.equal(answer.code, code, answer.details);
        assert.match(answer.details, text);
        assert.deepEqual(await leases(), []);
      });
    }
    for (const user of lab.brokenReaders) {
      test(`a reader that is ${user.state}`, async () => {
        const answer = refused(await addWith(user, 'WebApp01'));
        assert.ok(['FAILED_PRECONDITION', 'UNAUTHENTICATED'].includes(answer.code), JSON.stringify(answer));
        assert.match(answer.details, /disabled|expired|must be changed/);
        assert.deepEqual(await leases(), []);
      });
    }
  });

  test('what the daemon wrote holds no secret', async () => {
    const written = await daemon.output();
    for (const user of [lab.reader, lab.umlautReader, lab.deniedReader, ...lab.brokenReaders]) {
      assert.ok(!written.includes(user.password), `the password of ${user.name} was logged`);
    }
  });

  test("the gMSA's ticket opens a file share", async () => {
    const added = ok(await addWith(lab.reader, 'WebApp01'));
    // Without a directory of its own smbclient would leave a cache file in /run/samba.
    const own = `--option=lock directory=${daemon.directory}`;
    const kerberos = ['--use-kerberos=required', `--use-krb5-ccache=${cacheOf(added)}`];
    const share = `//${lab.dc}/sysvol`;
    assert.match(await must('smbclient', [own, ...kerberos, share, '-c', 'ls']), /^ {2}lab\.example +D /m);
    await remove(added);
    const { code, stderr, stdout } = await run('smbclient', [own, ...kerberos, share, '-c', 'ls']);
    assert.notEqual(code, 0, `without the ticket: ${stdout}${stderr}`);
  });
});
