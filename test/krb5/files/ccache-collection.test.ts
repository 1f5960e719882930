/** Collections of ticket caches, and the same directory in the hands of MIT's programs. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { hex } from '../../../src/bytes.ts';
import { type CCache, writeCCache } from '../../../src/krb5/files/ccache.ts';
import { cacheOf, MemoryCaches, openCaches, ownerOf } from '../../../src/krb5/files/ccache-collection.ts';
import { configEntryOf, isConfigEntry } from '../../../src/krb5/files/ccache-config.ts';
import { parseCacheName } from '../../../src/krb5/files/ccache-name.ts';
import { formatPrincipal, parsePrincipal } from '../../../src/krb5/principal.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caches-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const alice = parsePrincipal('alice@MIT.TEST');
const bob = parsePrincipal('bob@MIT.TEST');
const empty = (principal: CCache['principal']): CCache => ({ principal, credentials: [] });
const open = (text: string) => openCaches(parseCacheName(text));
const names = async (text: string): Promise<string[]> => (await open(text).list()).map((c) => c.name);

describe('a file', () => {
  test('is written, read, replaced with the mode it had, removed', async () => {
    const path = join(directory, 'cc');
    const cache = await open(path).primary();
    await assert.rejects(cache.read(), { code: 'NOT_FOUND' });
    assert.deepEqual(await names(path), []);
    await writeFile(path, writeCCache(empty(bob)), { mode: 0o640 });
    await cache.write(empty(alice));
    assert.equal((await stat(path)).mode & 0o777, 0o640);
    assert.deepEqual((await cache.read()).principal, alice);
    await cache.destroy();
    assert.deepEqual(await readdir(directory), []);
    await assert.rejects(cache.destroy(), { code: 'NOT_FOUND' });
  });

  test('that is a link loses the link, not what it leads to', async () => {
    await writeFile(join(directory, 'precious'), 'text');
    await symlink(join(directory, 'precious'), join(directory, 'cc'));
    await (await open(join(directory, 'cc')).primary()).destroy();
    assert.equal(await readFile(join(directory, 'precious'), 'utf8'), 'text');
    assert.deepEqual(await readdir(directory), ['precious']);
  });

  test('that is a pipe or a device is neither waited for nor read to the end of memory', async () => {
    execFileSync('mkfifo', [join(directory, 'pipe')]);
    for (const path of [join(directory, 'pipe'), '/dev/zero'])
      await assert.rejects((await open(path).primary()).read(), { code: 'FILE', message: /no plain file/ });
    await assert.rejects((await open('/dev/null').primary()).read(), { code: 'NOT_FOUND' });
  });

  test('holds one cache only', async () => {
    await assert.rejects(open(join(directory, 'cc')).create(), { code: 'INVALID_ARGUMENT' });
  });
});

describe('a directory', () => {
  test('begins with tkt, as a private directory', async () => {
    const caches = open(`DIR:${directory}/new`);
    const first = await caches.primary();
    assert.equal(first.name, `DIR::${directory}/new/tkt`);
    await first.write(empty(alice));
    assert.equal((await stat(join(directory, 'new'))).mode & 0o777, 0o700);
    assert.deepEqual(await names(`DIR:${directory}/new`), [first.name]);
  });

  test('does not make its parents', async () => {
    await assert.rejects((await open(`DIR:${directory}/no/such`).primary()).write(empty(alice)), { code: 'FILE' });
  });

  test('lists the primary first, and finds a cache by its owner', async () => {
    const caches = open(`DIR:${directory}`);
    await (await caches.primary()).write(empty(alice));
    const second = await caches.create();
    assert.match(second.name, /\/tkt[A-Za-z0-9]{6}$/);
    await second.write(empty(bob));
    await caches.switchTo(second);
    assert.deepEqual(await names(`DIR:${directory}`), [second.name, `DIR::${directory}/tkt`]);
    assert.equal((await cacheOf(caches, alice))?.name, `DIR::${directory}/tkt`);
    assert.equal(await cacheOf(caches, parsePrincipal('eve@MIT.TEST')), undefined);
  });

  for (const text of ['../tkt\n', 'tkt/../../x', 'other\n', 'tkt\nx', '']) {
    test(`refuses a primary file that says ${JSON.stringify(text)}`, async () => {
      await writeFile(join(directory, 'primary'), text);
      await assert.rejects(open(`DIR:${directory}`).primary(), { code: 'INVALID_ARGUMENT' });
    });
  }

  test('is not switched to a cache of another', async () => {
    await mkdir(join(directory, 'other'));
    const elsewhere = await open(`DIR::${directory}/other/tkt`).primary();
    await assert.rejects(open(`DIR:${directory}`).switchTo(elsewhere), { code: 'INVALID_ARGUMENT' });
  });

  test('counts a broken cache as there, without an owner', async () => {
    await writeFile(join(directory, 'tktX'), 'not a cache');
    const [broken] = await open(`DIR:${directory}`).list();
    assert.equal(await ownerOf(broken!), undefined);
  });
});

describe('memory', () => {
  test('keeps a cache for its holder alone', async () => {
    const memory = new MemoryCaches();
    const name = parseCacheName('MEMORY:mine');
    const cache = await openCaches(name, memory).primary();
    await assert.rejects(cache.read(), { code: 'NOT_FOUND' });
    await cache.write(empty(alice));
    assert.deepEqual((await (await openCaches(name, memory).primary()).read()).principal, alice);
    assert.deepEqual(await openCaches(name).list(), []);
    memory.close();
    await assert.rejects(cache.read(), { code: 'NOT_FOUND' });
  });
});

describe('a directory shared with MIT', { skip: needsMitRealm }, () => {
  let mit: MitRealm;
  before(async () => {
    const principals = ['alice', 'bob'].map((name) => ({ name, password: 'a secret' }));
    mit = await startMitRealm({ principals: [...principals, { name: 'host/a.mit.test' }] });
  });
  after(() => mit?.stop());
  const run = async (program: string, args: string[], input = ''): Promise<string> => {
    const { code, stdout, stderr } = await mit.run(program, args, input, { KRB5CCNAME: `DIR:${directory}` });
    assert.equal(code, 0, `${program}: ${stderr}`);
    return stdout;
  };

  test("kinit's caches are found, the last one primary; kswitch follows our primary file", async () => {
    await run('kinit', ['alice'], 'a secret\n');
    await run('kinit', ['bob'], 'a secret\n');
    const caches = open(`DIR:${directory}`);
    const owners = await Promise.all((await caches.list()).map(ownerOf));
    assert.deepEqual(
      owners.map((p) => formatPrincipal(p!)),
      ['bob@MIT.TEST', 'alice@MIT.TEST'],
    );
    await caches.switchTo((await cacheOf(caches, alice))!);
    assert.match(await run('klist', []), /Default principal: alice@MIT\.TEST/);
    await run('kswitch', ['-p', 'bob']);
    assert.deepEqual(await ownerOf(await caches.primary()), bob);
  });

  test('the primary file has the bytes of kswitch', async () => {
    await run('kinit', ['alice'], 'a secret\n');
    await run('kinit', ['bob'], 'a secret\n');
    await run('kswitch', ['-p', 'alice']);
    const theirs = hex(await readFile(join(directory, 'primary')));
    const caches = open(`DIR:${directory}`);
    await caches.switchTo((await cacheOf(caches, bob))!);
    await caches.switchTo((await cacheOf(caches, alice))!);
    assert.equal(hex(await readFile(join(directory, 'primary'))), theirs);
  });

  test('a cache made here is used by kvno, listed by klist, and keeps the settings kinit made', async () => {
    await run('kinit', ['alice'], 'a secret\n');
    const caches = open(`DIR:${directory}`);
    const cache = await (await caches.primary()).read();
    const second = await caches.create();
    await second.write(cache);
    await caches.switchTo(second);
    await run('kvno', ['host/a.mit.test']);
    assert.match(await run('klist', ['-A']), new RegExp(`Ticket cache: ${second.name}`));
    const settings = (await second.read()).credentials.filter(isConfigEntry).map((c) => configEntryOf(c)!.key);
    assert.deepEqual(settings, ['fast_avail', 'pa_type']);
    await run('kdestroy', []);
    assert.deepEqual(await names(`DIR:${directory}`), [`DIR::${directory}/tkt`]);
  });
});
