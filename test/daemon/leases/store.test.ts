import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { lstat, mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { LeaseStore, type NewTicket } from '../../../src/daemon/leases/store.ts';
import { silentLog } from '../../../src/daemon/log.ts';
import { isAdError } from '../../../src/errors.ts';
import { keptLog, scratchDirectory, tree } from '../fake.ts';

const record = {
  credspecInfo: '',
  distinguishedName: 'CN=x',
  domainName: 'example.com',
  domainlessUser: 'u',
  credentialArn: '',
};
const ticket = (name: string): NewTicket => ({ name, ccache: Buffer.from(`cache of ${name}`), record });

async function openStore(t: TestContext, random?: (n: number) => Uint8Array): Promise<LeaseStore> {
  const directory = join(await scratchDirectory(t), 'krbdir');
  const store = new LeaseStore({ directory, log: silentLog, ...(random ? { random } : {}) });
  await store.open();
  return store;
}

const mode = async (path: string): Promise<number> => (await stat(path)).mode & 0o7777;

describe('lease store', () => {
  test('writes a lease in the layout of the contract', async (t) => {
    const store = await openStore(t, () => new Uint8Array(10).fill(0xab));
    const lease = await store.create([ticket('WebApp01'), ticket('WebApp02')]);
    const id = 'abababababababababab';
    assert.equal(lease.id, id);
    assert.deepEqual(
      lease.directories,
      ['WebApp01', 'WebApp02'].map((n) => join(store.directory, id, n)),
    );
    assert.deepEqual(await tree(store.directory), [
      id,
      `${id}/WebApp01`,
      `${id}/WebApp01/krb5cc`,
      `${id}/WebApp02`,
      `${id}/WebApp02/krb5cc`,
      `${id}/${id}_metadata.json`,
    ]);
    assert.equal(await readFile(join(lease.directories[0]!, 'krb5cc'), 'utf8'), 'cache of WebApp01');
  });

  test('gives the modes of the contract, whatever the umask', async (t) => {
    const before = process.umask(0o077);
    t.after(() => process.umask(before));
    const store = await openStore(t);
    const { id, directories } = await store.create([ticket('WebApp01')]);
    assert.equal(await mode(join(store.directory, id)), 0o755);
    assert.equal(await mode(directories[0]!), 0o755);
    assert.equal(await mode(join(directories[0]!, 'krb5cc')), 0o600);
    assert.equal(await mode(join(store.directory, id, `${id}_metadata.json`)), 0o644);
  });

  test('gives every lease another id of 20 hex digits', async (t) => {
    const store = await openStore(t);
    const ids = await Promise.all(Array.from({ length: 20 }, async () => (await store.create([ticket('a')])).id));
    assert.equal(new Set(ids).size, 20);
    for (const id of ids) assert.match(id, /^[0-9a-f]{20}$/);
  });

  test('leaves nothing behind when a ticket cannot be written', async (t) => {
    const store = await openStore(t);
    await assert.rejects(store.create([ticket('ok'), ticket('x'.repeat(300))]), (e) => isAdError(e, 'FILE'));
    assert.deepEqual(await tree(store.directory), []);
  });

  test('leaves nothing behind when the caller gave up', async (t) => {
    const store = await openStore(t);
    await assert.rejects(store.create([ticket('a')], AbortSignal.abort(new Error('gone'))), /gone/);
    assert.deepEqual(await tree(store.directory), []);
  });

  test('removes what a killed predecessor left half built, and only that', async (t) => {
    const store = await openStore(t);
    await mkdir(join(store.directory, '.00112233445566778899.new/a'), { recursive: true });
    await writeFile(join(store.directory, '.00112233445566778899.new/a/krb5cc'), 'x');
    await writeFile(join(store.directory, `.00112233445566778899.new/a/.${'0'.repeat(32)}.tmp`), 'x');
    await mkdir(join(store.directory, '.hidden'));
    await store.open();
    assert.deepEqual(await tree(store.directory), ['.hidden']);
  });

  test('deletes a lease and names the caches', async (t) => {
    const store = await openStore(t);
    const kept = await store.create([ticket('a')]);
    const { id, directories } = await store.create([ticket('a'), ticket('b')]);
    assert.deepEqual((await store.delete(id)).sort(), directories.map((d) => join(d, 'krb5cc')).sort());
    assert.deepEqual(
      (await store.list()).map((l) => l.id),
      [kept.id],
    );
  });

  test('deletes an unknown lease without complaint', async (t) => {
    const store = await openStore(t);
    assert.deepEqual(await store.delete('00000000000000000000'), []);
  });

  test('never removes the directory of leases', async (t) => {
    const store = await openStore(t);
    const { id } = await store.create([ticket('a')]);
    await store.delete(id);
    assert.ok((await stat(store.directory)).isDirectory());
  });

  for (const id of ['', '.', '..', '../x', '/etc', 'a/b', 'a\\b', 'a\0b', '.hidden', 'x'.repeat(256), 'a\nb']) {
    test(`refuses to delete ${JSON.stringify(id.slice(0, 10))}`, async (t) => {
      const store = await openStore(t);
      await assert.rejects(store.delete(id), (e) => isAdError(e, 'INVALID_ARGUMENT') && e.message.includes('lease_id'));
    });
  }

  test('property: deleting any text leaves everything outside the directory of leases alone', async (t) => {
    const store = await openStore(t);
    const outside = join(store.directory, '../outside/account');
    await mkdir(outside, { recursive: true });
    await writeFile(join(outside, 'krb5cc'), 'x');
    const part = fc.constantFrom('..', '.', '/', 'outside', 'account', 'krb5cc', '\0', 'a', '//', '~');
    const ids = fc.oneof(
      fc.string(),
      fc.array(part, { maxLength: 6 }).map((p) => p.join('')),
    );
    await fc.assert(
      fc.asyncProperty(ids, async (id) => {
        await store.delete(id).catch((e) => assert.ok(isAdError(e, 'INVALID_ARGUMENT')));
        assert.equal(await readFile(join(outside, 'krb5cc'), 'utf8'), 'x');
      }),
    );
  });

  test('does not follow a lease that is a symbolic link', async (t) => {
    const store = await openStore(t);
    const outside = join(store.directory, '../outside');
    await mkdir(join(outside, 'a'), { recursive: true });
    await writeFile(join(outside, 'a/krb5cc'), 'x');
    await symlink(outside, join(store.directory, 'link'));
    assert.deepEqual(await store.delete('link'), []);
    assert.deepEqual(await tree(outside), ['a', 'a/krb5cc']);
  });

  test('does not follow an account directory that is a symbolic link', async (t) => {
    const store = await openStore(t);
    const { id, directories } = await store.create([ticket('a')]);
    const outside = join(store.directory, '../outside');
    await mkdir(outside);
    await writeFile(join(outside, 'krb5cc'), 'x');
    await rm(directories[0]!, { recursive: true });
    await symlink(outside, directories[0]!);
    await store.delete(id);
    assert.equal(await readFile(join(outside, 'krb5cc'), 'utf8'), 'x');
  });

  test('leaves files that are not ours, and says so', async (t) => {
    const { log, lines } = keptLog();
    const store = new LeaseStore({ directory: await scratchDirectory(t), log });
    const { id, directories } = await store.create([ticket('a')]);
    await writeFile(join(directories[0]!, 'precious'), 'x');
    assert.equal((await store.delete(id)).length, 1);
    assert.deepEqual(await tree(store.directory), [id, `${id}/a`, `${id}/a/precious`]);
    assert.match(lines.join(''), /not ours/);
  });

  test('lists leases with their tickets', async (t) => {
    const store = await openStore(t);
    const { id, directories } = await store.create([ticket('WebApp01')]);
    const [lease, ...others] = await store.list();
    assert.deepEqual(others, []);
    assert.equal(lease!.id, id);
    assert.equal(lease!.tickets[0]!.ccachePath, join(directories[0]!, 'krb5cc'));
    assert.deepEqual(lease!.tickets[0]!.record, {
      ...record,
      serviceAccountName: 'WebApp01',
      krbFilePath: join(directories[0]!, 'krb5cc'),
    });
  });

  test('lists leases that others made, under any id', async (t) => {
    const store = await openStore(t);
    const home = join(store.directory, 'task-123');
    await mkdir(join(home, 'WebApp01'), { recursive: true });
    await writeFile(join(home, 'WebApp01/krb5cc'), 'x');
    const info = [
      { KrbFilePath: '/elsewhere/task-123/WebApp01/krb5cc', ServiceAccountName: 'WebApp01', DomainName: 'a.b' },
    ];
    await writeFile(join(home, 'task-123_metadata.json'), JSON.stringify(info));
    const [lease] = await store.list();
    assert.equal(lease!.tickets[0]!.ccachePath, join(home, 'WebApp01/krb5cc'));
  });

  for (const path of [
    '/etc/passwd',
    '/k/ID/../krb5cc',
    '/k/ID/krb5cc',
    '/k/other/a/krb5cc',
    '/k/ID/a/other',
    'krb5cc',
  ]) {
    test(`does not believe a metadata path ${path}`, async (t) => {
      const store = await openStore(t);
      const { id } = await store.create([ticket('a')]);
      const info = { krb_ticket_info: [{ krb_file_path: path.replace('ID', id), service_account_name: 'a' }] };
      await writeFile(join(store.directory, id, `${id}_metadata.json`), JSON.stringify(info));
      assert.deepEqual((await store.list())[0]!.tickets, []);
    });
  }

  test('skips and logs a broken lease', async (t) => {
    const { log, lines } = keptLog();
    const store = new LeaseStore({ directory: await scratchDirectory(t), log });
    const { id } = await store.create([ticket('a')]);
    await mkdir(join(store.directory, 'broken'));
    await writeFile(join(store.directory, 'broken/broken_metadata.json'), '{');
    assert.deepEqual(
      (await store.list()).map((l) => l.id),
      [id],
    );
    assert.match(lines.join(''), /"lease":"broken"/);
  });

  test('does not pass a lease over when no more files can be opened', async (t) => {
    const store = await openStore(t);
    await store.create([ticket('a')]);
    const program = `
      import { openSync } from 'node:fs';
      import { LeaseStore } from ${JSON.stringify(new URL('../../../src/daemon/leases/store.ts', import.meta.url).href)};
      const log = { warn() {}, info() {}, error() {}, debug() {} };
      const store = new LeaseStore({ directory: ${JSON.stringify(store.directory)}, log });
      const before = (await store.list()).length;
      try { for (;;) openSync('/dev/null'); } catch {}
      const after = await store.list().then((l) => l.length, (e) => e.code + ' ' + e.details.errno);
      process.stdout.write(before + ' ' + after);`;
    const args = ['-c', 'ulimit -n 100; exec "$@"', 'sh', process.execPath, '--import', 'tsx', '--input-type=module'];
    const { stdout } = await promisify(execFile)('/bin/sh', [...args, '-e', program]);
    assert.equal(stdout, '1 FILE EMFILE');
  });

  test('replaces a ticket without touching the directory', async (t) => {
    const store = await openStore(t);
    const { id, directories } = await store.create([ticket('a')]);
    const before = await lstat(directories[0]!);
    const [lease] = await store.list();
    assert.equal(await store.replace(id, lease!.tickets[0]!, Buffer.from('new')), true);
    assert.equal(await readFile(join(directories[0]!, 'krb5cc'), 'utf8'), 'new');
    assert.equal((await lstat(directories[0]!)).ino, before.ino);
    assert.equal(await mode(join(directories[0]!, 'krb5cc')), 0o600);
  });

  test('does not replace a ticket of a lease that is gone', async (t) => {
    const store = await openStore(t);
    const { id } = await store.create([ticket('a')]);
    const [lease] = await store.list();
    await store.delete(id);
    assert.equal(await store.replace(id, lease!.tickets[0]!, Buffer.from('new')), false);
    assert.deepEqual(await tree(store.directory), []);
  });

  test('deletes and replaces the same lease one after the other', async (t) => {
    const store = await openStore(t);
    for (let i = 0; i < 20; i++) {
      const { id } = await store.create([ticket('a')]);
      const [lease] = await store.list();
      await Promise.all([
        store.replace(id, lease!.tickets[0]!, Buffer.alloc(100)),
        store.delete(id),
        store.replace(id, lease!.tickets[0]!, Buffer.alloc(100)),
      ]);
      assert.deepEqual(await tree(store.directory), []);
    }
  });

  test('says which directory cannot be used', async (t) => {
    const directory = await scratchDirectory(t);
    await writeFile(join(directory, 'file'), '');
    const store = new LeaseStore({ directory: join(directory, 'file'), log: silentLog });
    await assert.rejects(store.open(), (e) => isAdError(e, 'FILE') && e.message.includes('/file'));
  });
});

describe('a lease whose id the caller chose', () => {
  const byReference = (name: string, reference = `arn of ${name}`): NewTicket => ({
    ...ticket(name),
    account: `account of ${name}`,
    record: { ...record, credspecInfo: reference },
  });
  const recorded = async (store: LeaseStore) =>
    (await store.list()).flatMap((l) => l.tickets.map((t) => [l.id, t.record.serviceAccountName, t.directory]));

  test('is made whole', async (t) => {
    const store = await openStore(t);
    const lease = await store.put('task', [byReference('a')]);
    assert.deepEqual([lease.id, lease.directories], ['task', [join(store.directory, 'task/a')]]);
    assert.deepEqual(await recorded(store), [['task', 'account of a', join(store.directory, 'task/a')]]);
    await lease.undo();
    assert.deepEqual(await tree(store.directory), []);
  });

  test('takes further tickets, and gives back only those', async (t) => {
    const store = await openStore(t);
    await store.put('task', [byReference('a')]);
    const more = await store.put('task', [byReference('b'), byReference('a')]);
    assert.equal((await recorded(store)).length, 2);
    await more.undo();
    assert.deepEqual(await tree(store.directory), ['task', 'task/a', 'task/a/krb5cc', 'task/task_metadata.json']);
    assert.equal((await recorded(store)).length, 1);
  });

  test("stays a repeated call's when the first is taken back", async (t) => {
    const store = await openStore(t);
    const first = await store.put('task', [byReference('a'), byReference('b')]);
    const again = await store.put('task', [byReference('a'), byReference('b')]);
    assert.deepEqual(again.directories, first.directories);
    await first.undo();
    assert.equal((await recorded(store)).length, 2);
    await again.undo();
    assert.equal((await recorded(store)).length, 2, 'what it did not make it does not take back');
  });

  test('is whole after two puts at once', async (t) => {
    const store = await openStore(t);
    await Promise.all(['a', 'b', 'c'].map((name) => store.put('task', [byReference(name)])));
    assert.equal((await recorded(store)).length, 3);
  });

  test('keeps what is there when it is given up', async (t) => {
    const store = await openStore(t);
    await store.put('task', [byReference('a')]);
    const before = await tree(store.directory);
    const reason = new Error('given up');
    await assert.rejects(store.put('task', [byReference('b')], AbortSignal.abort(reason)), reason);
    assert.deepEqual(await tree(store.directory), before);
    assert.equal((await recorded(store)).length, 1);
  });

  test("refuses another's place, another's lease and one that cannot be read", async (t) => {
    const store = await openStore(t);
    await store.put('task', [byReference('a')]);
    await assert.rejects(
      store.put('task', [byReference('b'), byReference('a', 'other')]),
      /duplicate mount paths: task\/a/,
    );
    const { id } = await store.create([ticket('c')]);
    await assert.rejects(store.put(id, [byReference('d')]), /made by another call/);
    await mkdir(join(store.directory, 'broken'));
    await assert.rejects(store.put('broken', [byReference('e')]), (e) => isAdError(e, 'FILE'));
    assert.equal((await tree(store.directory)).filter((f) => f.endsWith('krb5cc')).length, 2);
  });

  test('does not write through a link in the place of a directory', async (t) => {
    const store = await openStore(t);
    await store.put('task', [byReference('a')]);
    const outside = await scratchDirectory(t);
    await symlink(outside, join(store.directory, 'task/b'));
    await assert.rejects(store.put('task', [byReference('b')]), (e) => isAdError(e, 'FILE'));
    assert.deepEqual(await tree(outside), []);
  });
});
