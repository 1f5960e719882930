/** What a container may plant in the directory of its ticket, where it is the owner, against the renewer of all tickets. */
import assert from 'node:assert/strict';
import { lstat, readFile, rename, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LeaseStore } from '../../src/daemon/leases/store.ts';
import { silentLog } from '../../src/daemon/log.ts';
import { Renewer } from '../../src/daemon/renewal/renewer.ts';
import { ticketTimes } from '../../src/daemon/renewal/ticket-times.ts';
import { mustRun, needs } from '../support/programs.ts';
import { scratchDirectory } from './fake.ts';
import { HOUR, world } from './world.ts';

const ownerOf = async (path: string) => (await ticketTimes(path)).owner;

test("a link put in a cache's place after it was looked at brings no other container's ticket", async (t) => {
  const { time, store, engine, actions, add, user } = await world(t);
  const [mine] = await add(user, 'WebApp01');
  const [theirs] = await add(user, 'WebApp02');
  let swapped = false;
  // The store's look is over, the renewer's begins.
  const racing: LeaseStore = new Proxy(store, {
    get: (target, key: keyof LeaseStore) => {
      if (key !== 'list') return typeof target[key] === 'function' ? target[key].bind(target) : target[key];
      return async () => {
        const leases = await target.list();
        if (!swapped && (renewer.plan(mine!)?.at ?? Infinity) <= time.now) {
          swapped = true;
          await symlink(theirs!, `${mine}.link`);
          await rename(`${mine}.link`, mine!);
        }
        return leases;
      };
    },
  });
  const renewer = new Renewer({ store: racing, engine, log: silentLog, clock: () => time.now, timers: time });
  t.after(() => renewer.close());
  renewer.start(actions);
  await time.pass(7 * HOUR);
  assert.ok(swapped);
  assert.ok((await lstat(mine!)).isSymbolicLink(), 'nothing was written there');
  assert.match(await ownerOf(theirs!), /^WebApp02\$@/);
});

test("a cache of another account in one lease does not come into that account's other leases", async (t) => {
  const { time, renewer, actions, add, user } = await world(t);
  const [good] = await add(user, 'WebApp01');
  time.now += 60_000;
  const [bad] = await add(user, 'WebApp01');
  const [other] = await add(user, 'WebApp02');
  await writeFile(bad!, await readFile(other!));
  renewer.start(actions);
  await time.pass(7 * HOUR);
  assert.match(await ownerOf(good!), /^WebApp01\$@/);
  assert.ok((await ticketTimes(good!)).ends > time.now + 5 * HOUR, 'and it is renewed all the same');
});

test('a pipe is no cache, and is not waited for', { skip: needs('mkfifo') }, async (t) => {
  const path = join(await scratchDirectory(t), 'krb5cc');
  await mustRun('mkfifo', [path]);
  await assert.rejects(ticketTimes(path), /not a plain file/);
});

test('a file of any size is no cache, and does not fill the memory', async (t) => {
  const path = join(await scratchDirectory(t), 'krb5cc');
  await writeFile(path, '');
  await truncate(path, 3 * 1024 ** 3);
  await assert.rejects(ticketTimes(path), /a file of 3221225472 bytes/);
});
