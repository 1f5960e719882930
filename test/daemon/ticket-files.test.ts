/** Who may read what lies in a lease, proved by processes of other users and by MIT's klist. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, lstat, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { DEFAULT_FILE_POLICY, type FilePolicy, type FileWishes } from '../../src/daemon/leases/file-policy.ts';
import { LeaseStore, type NewTicket } from '../../src/daemon/leases/store.ts';
import { silentLog } from '../../src/daemon/log.ts';
import { isAdError } from '../../src/errors.ts';
import { giveAway } from '../../src/krb5/files/atomic.ts';
import { writeCCache } from '../../src/krb5/files/ccache.ts';
import { fromSeconds } from '../../src/krb5/files/fields.ts';
import { writeKeytab } from '../../src/krb5/files/keytab.ts';
import { parsePrincipal } from '../../src/krb5/principal.ts';
import { hasProgram, runProgram } from '../support/programs.ts';
import { keptLog, scratchDirectory, tree } from './fake.ts';

const isRoot = process.getuid?.() === 0;
const noRoot = isRoot ? false : 'needs root, to make files of other users';

/** Runs a program as a user of the host who is another one in a user namespace of its own, as in a container. */
const asUser = (uid: number, ...command: string[]): string[] => [
  ...['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--'],
  ...['unshare', '--user', '--map-user=1000', '--map-group=1000', '--', ...command],
];

function namespaceProblem(): false | string {
  const missing = ['setpriv', 'unshare', 'klist'].filter((name) => !hasProgram(name));
  if (missing.length > 0) return `needs ${missing.join(', ')} (Debian: util-linux, krb5-user)`;
  const [command, ...args] = asUser(101_000, 'true');
  return spawnSync(command!, args).status === 0 ? false : 'needs user namespaces for others than root';
}

const noNamespaces = noRoot || namespaceProblem();

const principalOf = (name: string) => parsePrincipal(`${name}$@EXAMPLE.COM`);

const cacheOf = (name: string): Uint8Array =>
  writeCCache({
    principal: principalOf(name),
    credentials: [
      {
        client: principalOf(name),
        server: parsePrincipal('krbtgt/EXAMPLE.COM@EXAMPLE.COM'),
        key: { etype: 18, value: new Uint8Array(32).fill(1) },
        authtime: fromSeconds(2_000_000_000),
        endtime: fromSeconds(2_000_036_000),
        flags: 0,
        isSkey: false,
        addresses: [],
        authorizationData: [],
        ticket: new Uint8Array(10),
        secondTicket: new Uint8Array(0),
      },
    ],
  });

const keytabOf = (name: string, ...versions: number[]): Uint8Array =>
  writeKeytab(
    versions.map((kvno) => ({
      principal: principalOf(name),
      timestamp: fromSeconds(2_000_000_000),
      kvno,
      key: { etype: 18, value: new Uint8Array(32).fill(kvno) },
    })),
  );

const record = {
  credspecInfo: '',
  distinguishedName: 'CN=x',
  domainName: 'example.com',
  domainlessUser: '',
  credentialArn: '',
};
const ticket = (name: string, files?: FileWishes, beside: Partial<NewTicket> = {}): NewTicket => ({
  name,
  ccache: cacheOf(name),
  record: { ...record, ...(files && { files }) },
  ...beside,
});

async function openStore(t: TestContext, policy: Partial<FilePolicy> = {}): Promise<LeaseStore> {
  const scratch = await scratchDirectory(t);
  await chmod(scratch, 0o755);
  const store = new LeaseStore({
    directory: join(scratch, 'krbdir'),
    log: silentLog,
    files: { ...DEFAULT_FILE_POLICY, wishes: true, ...policy },
  });
  await store.open();
  return store;
}

/** `mode uid:gid`. */
async function owner(path: string): Promise<string> {
  const { mode, uid, gid } = await lstat(path);
  return `${(mode & 0o7777).toString(8)} ${uid}:${gid}`;
}

/** Puts new files in the place of those of the lease whose first account has this name. */
async function replaceOnly(store: LeaseStore, name: string, beside = {}): Promise<void> {
  const lease = (await store.list()).find((l) => l.tickets[0]!.record.serviceAccountName === name)!;
  assert.equal(await store.replace(lease.id, lease.tickets[0]!, cacheOf(name), beside), true);
}

test('a file gets its group, then its mode, then its owner', async () => {
  const steps: string[] = [];
  const file = {
    chown: async (uid: number, gid: number) => void steps.push(`chown ${uid}:${gid}`),
    chmod: async (mode: number) => void steps.push(`chmod ${mode.toString(8)}`),
  };
  await giveAway('file', { mode: 0o640, uid: 1, gid: 2 }, file);
  assert.deepEqual(steps, ['chown -1:2', 'chmod 640', 'chown 1:-1']);
});

describe('owners of tickets', { skip: noRoot }, () => {
  const policy = {
    ccache: { mode: 0o440, uid: 1654, gid: 1655 },
    directory: { mode: 0o750, uid: 1656, gid: 1657 },
  };

  test('are those of the policy, from the start and after a renewal', async (t) => {
    const store = await openStore(t, policy);
    const lease = await store.create([ticket('a')]);
    const [directory] = lease.directories;
    const { ino } = await stat(directory!);
    for (const step of ['made', 'renewed']) {
      assert.equal(await owner(join(directory!, 'krb5cc')), '440 1654:1655', step);
      assert.equal(await owner(directory!), '750 1656:1657', step);
      await replaceOnly(store, 'a');
    }
    assert.equal((await stat(directory!)).ino, ino);
  });

  test('leave the directory above with the daemon, open to those who shall go through', async (t) => {
    const store = await openStore(t, { ...policy, directory: { ...policy.directory, mode: 0o770 } });
    const { id } = await store.create([ticket('a')]);
    assert.equal(await owner(join(store.directory, id)), '751 0:1657');
    assert.equal(await owner(store.directory), '755 0:0');
  });

  test('are those a lease wishes, after a restart too', async (t) => {
    const store = await openStore(t, { ccache: { mode: 0o600, gid: 7 } });
    const { directories } = await store.create([ticket('a', { mode: 0o640, uid: 1000 }), ticket('b')]);
    const again = new LeaseStore({ directory: store.directory, log: silentLog, files: policyWith(7) });
    await replaceOnly(again, 'a');
    assert.equal(await owner(join(directories[0]!, 'krb5cc')), '640 1000:7');
    assert.equal(await owner(join(directories[1]!, 'krb5cc')), '600 0:7');
  });
  const policyWith = (gid: number): FilePolicy => ({
    ...DEFAULT_FILE_POLICY,
    ccache: { mode: 0o600, gid },
    wishes: true,
  });

  test('that cannot be given leave nothing behind, and the error says what is missing', async (t) => {
    const store = await openStore(t, policy);
    await chmod(store.directory, 0o777);
    process.seteuid!(65_534);
    try {
      await assert.rejects(
        store.create([ticket('a')]),
        (e) => isAdError(e, 'FILE') && /cannot give .*krb5cc to group 1655: .*CAP_CHOWN.*ticket-owner/.test(e.message),
      );
    } finally {
      process.seteuid!(0);
    }
    assert.deepEqual(await tree(store.directory), []);
  });
});

describe('a daemon with few capabilities', {
  skip: noRoot || (hasProgram('setpriv') ? false : 'needs setpriv'),
}, () => {
  const url = (path: string) => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
  /** Makes a lease for another user, replaces its ticket, finds it again, deletes it; then prints what went wrong. */
  const program = (directory: string) => `
    import { LeaseStore } from ${url('daemon/leases/store.ts')};
    import { silentLog as log } from ${url('daemon/log.ts')};
    import { readFile } from 'node:fs/promises';
    const other = (mode) => ({ mode, uid: 1654, gid: 1655 });
    const files = { ccache: other(0o400), directory: other(0o700), keytab: true, krb5Conf: true, secondName: 'second' };
    const store = new LeaseStore({ directory: ${JSON.stringify(directory)}, log, files });
    const bytes = Buffer.from('x');
    const record = ${JSON.stringify(record)};
    try {
      await store.open();
      await store.create([{ name: 'a', ccache: bytes, keytab: bytes, krb5Conf: bytes, record }]);
      const [lease] = await store.list();
      await store.replace(lease.id, lease.tickets[0], bytes, { keytab: bytes, krb5Conf: bytes });
      await readFile(lease.tickets[0].ccachePath);
      console.log((await store.delete(lease.id)).length, (await store.list()).length);
    } catch (e) { console.log(e.code, e.message); }`;
  const runWith = async (t: TestContext, capabilities: string) => {
    const directory = join(await scratchDirectory(t), 'krbdir');
    const node = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', program(directory)];
    return (await runProgram('setpriv', [`--bounding-set=${capabilities}`, '--', ...node])).stdout;
  };

  test('needs the two of the drop-in, and no other', async (t) => {
    assert.equal(await runWith(t, '-all,+chown,+dac_override'), '1 0\n');
  });

  test('says so when it has none', async (t) => {
    assert.match(await runWith(t, '-all'), /^FILE cannot give .* to group 1655: .*CAP_CHOWN.*ticket-owner\.conf/);
  });
});

describe('a user in a user namespace', { skip: noNamespaces }, () => {
  test('reads its own ticket and no other', async (t) => {
    const store = await openStore(t);
    const mine = await store.create([ticket('mine', { uid: 101_000, secondName: 'krb5cc_1000' })]);
    const others = await store.create([ticket('theirs', { uid: 102_000 }), ticket('plain')]);
    const read = async (path: string) => {
      const [command, ...args] = asUser(101_000, 'klist', '-c', `FILE:${path}`);
      const { code, stdout, stderr } = await runProgram(command!, args);
      return code === 0 ? /Default principal: (.*)/.exec(stdout)?.[1] : stderr.trim();
    };
    const own = join(mine.directories[0]!, 'krb5cc');
    assert.equal(await read(own), 'mine$@EXAMPLE.COM');
    assert.equal(await read(`${own}_1000`), 'mine$@EXAMPLE.COM');
    for (const directory of others.directories) {
      assert.match(
        (await read(join(directory, 'krb5cc')))!,
        /Permission denied|Credentials cache permissions incorrect/,
      );
    }
    await replaceOnly(store, 'mine');
    assert.equal(await read(own), 'mine$@EXAMPLE.COM');
  });

  test('reads by its group what the group may read', async (t) => {
    const store = await openStore(t, { ccache: { mode: 0o640, gid: 101_000 } });
    const { directories } = await store.create([ticket('a')]);
    const [command, ...args] = asUser(101_000, 'klist', '-c', join(directories[0]!, 'krb5cc'));
    assert.equal((await runProgram(command!, args)).code, 0);
    const [stranger, ...rest] = asUser(102_000, 'klist', '-c', join(directories[0]!, 'krb5cc'));
    assert.equal((await runProgram(stranger!, rest)).code, 1);
  });
});

describe('files beside a ticket', () => {
  const all = { keytab: true, krb5Conf: true, secondName: 'krb5cc_1000' };
  const beside = { keytab: keytabOf('a', 1), krb5Conf: Buffer.from('[libdefaults]\n') };

  test('are there when they are asked for, with the mode of the ticket', async (t) => {
    const store = await openStore(t, { ...all, ccache: { mode: 0o640 } });
    const { directories } = await store.create([ticket('a', undefined, beside)]);
    const names = ['krb5.conf', 'krb5.keytab', 'krb5cc', 'krb5cc_1000'];
    assert.deepEqual((await readdir(directories[0]!)).sort(), names);
    for (const name of names) assert.equal((await stat(join(directories[0]!, name))).mode & 0o7777, 0o640, name);
    assert.equal(await readlink(join(directories[0]!, 'krb5cc_1000')), 'krb5cc');
  });

  test('are not there otherwise, though they are at hand', async (t) => {
    const store = await openStore(t);
    const { directories } = await store.create([ticket('a', undefined, beside)]);
    assert.deepEqual(await readdir(directories[0]!), ['krb5cc']);
  });

  test('come and go with what the policy says', async (t) => {
    const store = await openStore(t, all);
    const { directories } = await store.create([ticket('a', undefined, beside)]);
    const without = new LeaseStore({ directory: store.directory, log: silentLog });
    await replaceOnly(without, 'a', beside);
    assert.deepEqual(await readdir(directories[0]!), ['krb5cc']);
    await replaceOnly(store, 'a', beside);
    assert.equal((await readdir(directories[0]!)).length, 4);
  });

  test('stay when a ticket is extended and nothing else is known', async (t) => {
    const store = await openStore(t, all);
    const { directories } = await store.create([ticket('a', undefined, beside)]);
    await replaceOnly(store, 'a');
    assert.equal((await readdir(directories[0]!)).length, 4);
    assert.deepEqual(await readFile(join(directories[0]!, 'krb5.keytab')), Buffer.from(beside.keytab));
  });

  test('go with the lease; the answer names the tickets alone', async (t) => {
    const store = await openStore(t, all);
    const { id, directories } = await store.create([ticket('a', undefined, beside)]);
    assert.deepEqual(await store.delete(id), [join(directories[0]!, 'krb5cc')]);
    assert.deepEqual(await tree(store.directory), []);
  });

  test('that somebody else put there stay', async (t) => {
    const { log, lines } = keptLog();
    const store = new LeaseStore({ directory: join(await scratchDirectory(t), 'krbdir'), log });
    await store.open();
    const { id, directories } = await store.create([ticket('a')]);
    await symlink('/etc/passwd', join(directories[0]!, 'elsewhere'));
    await writeFile(join(directories[0]!, 'theirs'), '');
    await replaceOnly(store, 'a');
    await store.delete(id);
    assert.deepEqual((await readdir(directories[0]!)).sort(), ['elsewhere', 'theirs']);
    assert.match(lines.join(''), /not ours and stays/);
  });

  test('a link in the place of a file is replaced, not followed', async (t) => {
    const store = await openStore(t, all);
    const { directories } = await store.create([ticket('a')]);
    const precious = join(store.directory, '../precious');
    await writeFile(precious, 'precious');
    await symlink(precious, join(directories[0]!, 'krb5.conf'));
    await symlink(precious, join(directories[0]!, 'krb5.keytab'));
    await replaceOnly(store, 'a', beside);
    assert.equal(await readFile(precious, 'utf8'), 'precious');
    assert.ok((await lstat(join(directories[0]!, 'krb5.keytab'))).isFile());
  });

  test('none is replaced when one cannot be written', async (t) => {
    const store = await openStore(t, all);
    const { directories } = await store.create([ticket('a')]);
    const old = await readFile(join(directories[0]!, 'krb5cc'));
    await mkdir(join(directories[0]!, 'krb5.conf'));
    await assert.rejects(replaceOnly(store, 'a', beside), (e) => isAdError(e, 'FILE'));
    assert.deepEqual((await readdir(directories[0]!)).sort(), ['krb5.conf', 'krb5cc', 'krb5cc_1000']);
    assert.deepEqual(await readFile(join(directories[0]!, 'krb5cc')), old);
  });
});

test("a keytab's earlier keys outlive its renewal by one generation", { skip: !hasProgram('klist') }, async (t) => {
  const store = await openStore(t, { keytab: true });
  const { directories } = await store.create([ticket('a', undefined, { keytab: keytabOf('a', 1) })]);
  const versions = async () => {
    const { stdout } = await runProgram('klist', ['-k', join(directories[0]!, 'krb5.keytab')]);
    return [...stdout.matchAll(/^ +(\d+) a\$@EXAMPLE\.COM$/gm)].map((m) => Number(m[1]));
  };
  await replaceOnly(store, 'a', { keytab: keytabOf('a', 2) });
  assert.deepEqual(await versions(), [2, 1]);
  await replaceOnly(store, 'a', { keytab: keytabOf('a', 2) });
  assert.deepEqual(await versions(), [2, 1]);
  await replaceOnly(store, 'a', { keytab: keytabOf('a', 3, 2) });
  assert.deepEqual(await versions(), [3, 2]);
  await replaceOnly(store, 'a', { keytab: keytabOf('a', 5) });
  assert.deepEqual(await versions(), [5]);
});

test('keys of another account never come into a keytab', { skip: !hasProgram('klist') }, async (t) => {
  const store = await openStore(t, { keytab: true });
  const { directories } = await store.create([ticket('a')]);
  await writeFile(join(directories[0]!, 'krb5.keytab'), keytabOf('HOST', 1));
  await replaceOnly(store, 'a', { keytab: keytabOf('a', 2) });
  const { stdout } = await runProgram('klist', ['-k', join(directories[0]!, 'krb5.keytab')]);
  assert.doesNotMatch(stdout, /HOST/);
});
