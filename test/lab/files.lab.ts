/**
 * What lies beside a ticket, against a real domain: keytabs judged by the domain controller's own keys, by kinit and by
 * kvno; and a container's view, another user in a namespace of its own with the directory mounted read-only.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  credspec,
  type DaemonProcess,
  type ForeignClient,
  foreignClient,
  startDaemonProcess,
} from '../support/daemon-process.ts';
import { type LabGmsa, lab, labStatus, must, type RunResult, run } from './lab.ts';

const status = labStatus();
const UID = 101_000;
const wishes = { CcacheUid: UID, CcacheMode: '0400', CcacheName: 'krb5cc_1000', Keytab: true, Krb5Conf: true };

interface MadeLease {
  readonly id: string;
  readonly directory: string;
}

describe('files beside a ticket of a real domain', { skip: status.available ? false : status.reason }, () => {
  let daemon: DaemonProcess;
  let client: ForeignClient;
  let work: string;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'cf-lab-files-'));
    daemon = await startDaemonProcess({
      KRB5_CONFIG: lab.paths.krb5Conf,
      KRB5_KTNAME: lab.host1.keytab,
      CF_LEASE_FILES: 'true',
    });
    client = foreignClient(daemon.socket);
  });
  after(async () => {
    client?.close();
    await daemon?.stop();
    await rm(work, { recursive: true, force: true });
  });

  const withWishes = (gmsa: LabGmsa, more: object = wishes) => {
    const spec = JSON.parse(credspec(gmsa.name.replace(/\$$/, ''), lab.domain));
    return JSON.stringify({ ...spec, CredentialsFetcher: more });
  };
  async function add(gmsa: LabGmsa, more: object = wishes): Promise<MadeLease> {
    const answer = await client.call('AddKerberosLease', { credspec_contents: [withWishes(gmsa, more)] });
    assert.ok('ok' in answer, JSON.stringify(answer));
    return { id: String(answer.ok.lease_id), directory: (answer.ok.created_kerberos_file_paths as string[])[0]! };
  }
  const remove = async ({ id }: MadeLease) => {
    const answer = await client.call('DeleteKerberosLease', { lease_id: id });
    assert.ok('ok' in answer, JSON.stringify(answer));
    return answer.ok.deleted_kerberos_file_paths;
  };

  /** `kvno principal (type) (key)` of AES entries, as MIT's klist prints them. */
  async function klist(file: string, only: (principal: string) => boolean = () => true): Promise<string[]> {
    const listed = await must('klist', ['-k', '-t', '-e', '-K', file]);
    return [...listed.matchAll(/^ *(\d+) \S+ \S+ (\S+) \((?:DEPRECATED:)?(\S+)\) +\((0x[0-9a-f]+)\)$/gm)]
      .filter((m) => m[3]!.startsWith('aes') && only(m[2]!))
      .map((m) => `${m[1]} ${m[2]} ${m[3]} ${m[4]}`)
      .sort();
  }
  /** The domain controller's own keys of an account. */
  async function ownKeys(gmsa: LabGmsa): Promise<string[]> {
    const file = join(work, `${randomBytes(4).toString('hex')}.keytab`);
    await must(lab.paths.script, ['dump-keys', file, gmsa.name]);
    return klist(file, (name) => name === gmsa.principal);
  }

  test("the keytab has the domain controller's keys, for the account and its services", async () => {
    const lease = await add(lab.webApp);
    const keytab = join(lease.directory, 'krb5.keytab');
    assert.deepEqual(await klist(keytab, (name) => name === lab.webApp.principal), await ownKeys(lab.webApp));
    const service = `HTTP/webapp01.lab.example@${lab.realm}`;
    const asService = (await ownKeys(lab.webApp)).map((line) => line.replace(lab.webApp.principal, service));
    assert.deepEqual(await klist(keytab, (name) => name === service), asService);
    await remove(lease);
  });

  test('the keytab of an account that has rolled has both of its passwords, under their numbers', async () => {
    const lease = await add(lab.rolledApp);
    const mine = await klist(join(lease.directory, 'krb5.keytab'), (name) => name === lab.rolledApp.principal);
    const own = await ownKeys(lab.rolledApp);
    const version = (line: string) => Number(line.split(' ')[0]);
    const versions = [...new Set(mine.map(version))];
    assert.equal(versions.length, 2, `${versions}`);
    // In the five minutes before a roll the keytab has the keys to come, which the controller does not export yet.
    const newest = Math.max(...own.map(version));
    assert.deepEqual(
      mine.filter((line) => version(line) <= newest),
      own.filter((line) => versions.includes(version(line))),
    );
    await remove(lease);
  });

  test('kinit logs on with it, and kvno finds the entry for a ticket of the service', async () => {
    const lease = await add(lab.webApp);
    const keytab = join(lease.directory, 'krb5.keytab');
    const env = { KRB5_CONFIG: join(lease.directory, 'krb5.conf'), KRB5CCNAME: join(work, 'kinit.cc') };
    await must('kinit', ['-kt', keytab, lab.webApp.principal], { env });
    for (const name of ['HTTP/webapp01.lab.example', lab.webApp.principal]) {
      assert.match(await must('kvno', ['-k', keytab, name], { env }), /keytab entry valid/);
    }
    await must('kdestroy', [], { env });
    await remove(lease);
  });

  test('an account whose tickets come with RC4 gets AES keys, and the log says what to change', async () => {
    const lease = await add(lab.legacyApp);
    const keytab = join(lease.directory, 'krb5.keytab');
    assert.deepEqual(await klist(keytab), await ownKeys(lab.legacyApp));
    assert.match(await daemon.output(), /sealed with (DEPRECATED:)?arcfour-hmac, which its keytab has no key of/);
    await remove(lease);
  });

  test('a container of another user finds ticket, keytab and domain by the mounted directory alone', async () => {
    const lease = await add(lab.webApp);
    const other = await add(lab.rolledApp, { CcacheUid: UID + 1 });
    // A root directory's /var with nothing in it but the mount, then a user who is 1000 in its own namespace.
    const inside = async (command: string, directory = lease.directory): Promise<RunResult> =>
      run('unshare', [
        ...['--mount', 'sh', '-ec'],
        `mount -t tmpfs none /var; mkdir -p /var/credentials-fetcher/krbdir
         mount --bind "$1" /var/credentials-fetcher/krbdir
         mount -o remount,bind,ro /var/credentials-fetcher/krbdir
         unset KRB5CCNAME KRB5_KTNAME; export KRB5_CONFIG=/var/credentials-fetcher/krbdir/krb5.conf
         exec setpriv --reuid=${UID} --regid=${UID} --clear-groups \\
           unshare --user --map-user=1000 --map-group=1000 sh -ec "$2"`,
        ...['sh', directory, command],
      ]);
    const answer = await inside('id -u; klist; klist -k; kvno HTTP/webapp01.lab.example');
    assert.equal(answer.code, 0, answer.stderr);
    assert.match(answer.stdout, /^1000\n/);
    assert.match(answer.stdout, /FILE:\/var\/credentials-fetcher\/krbdir\/krb5cc\nDefault principal: WebApp01\$@LAB/);
    assert.match(answer.stdout, /FILE:\/var\/credentials-fetcher\/krbdir\/krb5\.keytab/);
    const second = await inside('KRB5CCNAME=/var/credentials-fetcher/krbdir/krb5cc_1000 klist');
    assert.match(second.stdout, /krb5cc_1000\nDefault principal: WebApp01\$@LAB/);
    const stranger = await inside('klist /var/credentials-fetcher/krbdir/krb5cc', other.directory);
    assert.notEqual(stranger.code, 0);
    assert.match(stranger.stderr, /Permission denied|permissions incorrect/);
    await remove(lease);
    await remove(other);
  });

  test('the answer to Delete names the ticket alone, and nothing is left', async () => {
    const lease = await add(lab.webApp);
    assert.deepEqual((await readdir(lease.directory)).sort(), ['krb5.conf', 'krb5.keytab', 'krb5cc', 'krb5cc_1000']);
    const { uid, mode } = await stat(join(lease.directory, 'krb5.keytab'));
    assert.deepEqual([uid, mode & 0o7777], [UID, 0o400]);
    assert.match(await readFile(join(lease.directory, 'krb5.conf'), 'utf8'), /default_realm = LAB\.EXAMPLE/);
    assert.deepEqual(await remove(lease), [join(lease.directory, 'krb5cc')]);
    assert.deepEqual(await readdir(daemon.krbDir), []);
  });

  test("Renew by the user writes them anew, with the lease's own owner", async () => {
    const user = { username: lab.reader.name, password: lab.reader.password, domain: lab.domain };
    const answer = await client.call('AddNonDomainJoinedKerberosLease', {
      credspec_contents: [withWishes(lab.webApp)],
      ...user,
    });
    assert.ok('ok' in answer, JSON.stringify(answer));
    const directory = (answer.ok.created_kerberos_file_paths as string[])[0]!;
    const inodes = async () =>
      Promise.all(['', 'krb5cc', 'krb5.keytab', 'krb5.conf'].map(async (n) => (await stat(join(directory, n))).ino));
    const [home, ...files] = await inodes();
    const renewed = await client.call('RenewNonDomainJoinedKerberosLease', user);
    assert.ok('ok' in renewed, JSON.stringify(renewed));
    const [sameHome, ...newFiles] = await inodes();
    assert.equal(sameHome, home);
    assert.ok(newFiles.every((ino) => !files.includes(ino)));
    for (const name of ['krb5cc', 'krb5.keytab', 'krb5.conf']) {
      const { uid, mode } = await stat(join(directory, name));
      assert.deepEqual([uid, mode & 0o7777], [UID, 0o400], name);
    }
    await remove({ id: String(answer.ok.lease_id), directory });
  });

  for (const [more, field] of [
    [{ CcacheMode: '0666' }, 'CcacheMode'],
    [{ CcacheMode: '04600' }, 'CcacheMode'],
    [{ CcacheUid: -1 }, 'CcacheUid'],
    [{ CcacheName: '../x' }, 'CcacheName'],
    [{ Keytabs: true }, 'Keytabs'],
  ] as const) {
    test(`a credspec that wishes ${JSON.stringify(more)} is refused`, async () => {
      const answer = await client.call('AddKerberosLease', { credspec_contents: [withWishes(lab.webApp, more)] });
      assert.ok('code' in answer, JSON.stringify(answer));
      assert.equal(answer.code, 'INVALID_ARGUMENT');
      assert.match(answer.details, new RegExp(`CredentialsFetcher.*${field}`));
    });
  }
});
