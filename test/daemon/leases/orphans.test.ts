/** Leases that nobody will ask for again, and all that must not be taken for one. */
import assert from 'node:assert/strict';
import { mkdir, readFile, rename, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { KEPT_MS, Orphans } from '../../../src/daemon/leases/orphans.ts';
import { LeaseStore } from '../../../src/daemon/leases/store.ts';
import { ticketTimes } from '../../../src/daemon/renewal/ticket-times.ts';
import { keptLog, scratchDirectory, tree } from '../fake.ts';
import { HOUR, machine, Time, world } from '../world.ts';

const DAY = 24 * HOUR;
const hexName = (digit: string, length = 20) => digit.repeat(length);

/** Makes everything below a directory as old as the clock says. */
async function age(directory: string, at: number): Promise<void> {
  for (const path of ['', ...(await tree(directory))]) await utimes(join(directory, path), at / 1000, at / 1000);
}

async function bare(t: TestContext) {
  const directory = join(await scratchDirectory(t), 'krbdir');
  const { log, lines } = keptLog();
  const store = new LeaseStore({ directory, log });
  await store.open();
  const now = Date.now();
  const orphans = new Orphans({ store, log, clock: () => now });
  const put = async (path: string, content = '') => {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
  };
  const old = () => age(directory, now - KEPT_MS - HOUR);
  return { directory, store, orphans, lines, put, old };
}

/** What the second look takes, the first one nothing. */
async function twice(orphans: Orphans): Promise<string[]> {
  assert.deepEqual(await orphans.collect(), []);
  return orphans.collect();
}

describe('an orphaned lease', () => {
  test('goes a week after the last moment its tickets could be renewed, with a line in the log', async (t) => {
    const { time, store, add } = await world(t, { renewableSeconds: 3 * 24 * 3600 });
    const [path] = await add(machine, 'WebApp01');
    const lease = dirname(dirname(path!));
    await age(lease, time.now);
    const { log, lines } = keptLog();
    const orphans = new Orphans({ store, log, clock: () => time.now });
    const end = (await ticketTimes(path!)).renewUntil;
    time.now = end + KEPT_MS - 1000;
    assert.deepEqual(await twice(orphans), []);
    time.now = end + KEPT_MS + 1000;
    assert.equal((await twice(orphans)).length, 1);
    assert.deepEqual(await tree(store.directory), []);
    assert.ok(lines.some((l) => l.includes('orphaned lease removed')));
  });

  test('stays when the clock was in the far future for a moment', async (t) => {
    const { time, store, add } = await world(t);
    const [path] = await add(machine, 'WebApp01');
    const orphans = new Orphans({ store, log: keptLog().log, clock: () => time.now });
    for (const ms of [5 * 365 * DAY, -5 * 365 * DAY, 5 * 365 * DAY]) {
      time.now += ms;
      assert.deepEqual(await orphans.collect(), []);
    }
    assert.ok((await readFile(path!)).length > 0);
  });

  test('stays while one of its tickets is younger', async (t) => {
    const { time, store, actions, domain, add, user } = await world(t);
    const [first] = await add(machine, 'WebApp01', 'WebApp02');
    await age(dirname(dirname(first!)), time.now);
    time.now += 10 * DAY;
    const owned = (await store.list()).flatMap((lease) =>
      lease.tickets.slice(0, 1).map((ticket) => ({
        lease,
        ticket,
        reader: user,
        account: { name: 'WebApp01', domain: domain.domain, credentialArn: '' },
      })),
    );
    await actions.replace(owned, AbortSignal.timeout(5000));
    time.now += 5 * DAY;
    assert.deepEqual(await twice(new Orphans({ store, log: keptLog().log, clock: () => time.now })), []);
  });

  test('without metadata, as earlier daemons left them, goes when it is old', async (t) => {
    const { directory, orphans, put, old } = await bare(t);
    await mkdir(join(directory, hexName('a'), 'WebApp01'), { recursive: true });
    await put(`${hexName('b', 32)}/dir/krb5cc`);
    await put(`${hexName('c')}/WebApp01/krb5cc`, 'no ticket');
    assert.deepEqual(await twice(orphans), [], 'none of them is old');
    await old();
    assert.equal((await twice(orphans)).length, 3);
    assert.deepEqual(await tree(directory), []);
  });

  test('of no ticket at all goes too', async (t) => {
    const { directory, orphans, put, old } = await bare(t);
    await put('task/task_metadata.json', '{ "krb_ticket_info": null }');
    await old();
    assert.deepEqual(await twice(orphans), ['task']);
    assert.deepEqual(await tree(directory), []);
  });
});

describe('what is left alone, however old', () => {
  test('other names, files, links, metadata that cannot be read', async (t) => {
    const { directory, orphans, put, old } = await bare(t);
    await put('backup/WebApp01/krb5cc');
    await put('lost+found/x');
    await put('notes.txt');
    await put(`${hexName('d')}/${hexName('d')}_metadata.json`, 'not JSON');
    await put(`${hexName('e')}/WebApp01/krb5cc/deeper`);
    await put(`${hexName('f')}/WebApp01/notes.txt`);
    await put('../elsewhere/WebApp01/krb5cc');
    await symlink('../elsewhere', join(directory, hexName('0')));
    const before = await tree(directory);
    await old();
    await age(join(directory, '../elsewhere'), 0);
    assert.deepEqual(await twice(orphans), []);
    assert.deepEqual(await tree(directory), before);
    assert.equal(await readFile(join(directory, '../elsewhere/WebApp01/krb5cc'), 'utf8'), '');
  });

  test('and is told of once', async (t) => {
    const { orphans, put, old, lines } = await bare(t);
    await put(`${hexName('f')}/WebApp01/notes.txt`);
    await old();
    await twice(orphans);
    const told = lines.length;
    assert.ok(told > 0);
    await twice(orphans);
    assert.equal(lines.length, told);
  });

  test('a lease that is renewed at the same moment', async (t) => {
    const { directory, store, orphans, put, old } = await bare(t);
    await put(`${hexName('a')}/WebApp01/krb5cc`, 'old');
    await old();
    const ticket = {
      directory: join(directory, hexName('a'), 'WebApp01'),
      ccachePath: join(directory, hexName('a'), 'WebApp01/krb5cc'),
      record: {
        credspecInfo: '',
        distinguishedName: '',
        domainName: 'd',
        domainlessUser: '',
        krbFilePath: '',
        serviceAccountName: 'WebApp01',
        credentialArn: '',
      },
    };
    assert.deepEqual(await orphans.collect(), []);
    const renewed = store.replace(hexName('a'), ticket, Buffer.from('new'));
    assert.deepEqual(await orphans.collect(), []);
    assert.equal(await renewed, true);
    assert.equal(await readFile(ticket.ccachePath, 'utf8'), 'new');
  });
});

test('orphans are looked for soon after the start and every hour', async (t) => {
  const { directory, store, put, old } = await bare(t);
  const time = new Time();
  const { log, lines } = keptLog();
  const orphans = new Orphans({ store, log, timers: time, clock: Date.now });
  orphans.start();
  t.after(() => orphans.close());
  await put(`${hexName('a')}/WebApp01/krb5cc`);
  await old();
  await time.pass(2 * 60_000);
  await put(`${hexName('b')}/WebApp01/krb5cc`);
  await old();
  await time.pass(HOUR);
  await time.pass(HOUR);
  assert.equal(lines.filter((l) => l.includes('orphaned lease removed')).length, 2);
  assert.deepEqual(await tree(directory), []);
});

test('a start removes what a killed daemon left half written inside leases, and follows no link', async (t) => {
  const { directory, store, put } = await bare(t);
  const temporary = `.${'0'.repeat(32)}.tmp`;
  await put(`${hexName('a')}/WebApp01/krb5cc`, 'whole');
  await put(`${hexName('a')}/WebApp01/${temporary}`, 'half');
  await put(`${hexName('a')}/${temporary}`, 'half');
  await put(`../elsewhere/${temporary}`, 'theirs');
  await rename(join(directory, hexName('a')), join(directory, 'task'));
  await symlink('../../elsewhere', join(directory, 'task/link'));
  await symlink('../elsewhere', join(directory, 'link'));
  await store.open();
  assert.deepEqual(await tree(directory), [
    'link',
    `link/${temporary}`,
    'task',
    'task/WebApp01',
    'task/WebApp01/krb5cc',
    'task/link',
    `task/link/${temporary}`,
  ]);
  assert.equal(await readFile(join(directory, '../elsewhere', temporary), 'utf8'), 'theirs');
});
