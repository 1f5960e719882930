/** Renew called again and again: by every task of a host for the same user. */
import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { utf8 } from '../../../src/bytes.ts';
import { createActions } from '../../../src/daemon/calls/actions.ts';
import { MOMENT_MS, Moments } from '../../../src/daemon/calls/moments.ts';
import { silentLog } from '../../../src/daemon/log.ts';
import { HOUR, world } from '../world.ts';

const soon = (): AbortSignal => AbortSignal.timeout(10_000);

describe('Renew a moment after Renew', () => {
  test('costs nothing and names the same tickets', async (t) => {
    const { domain, actions, add, user } = await world(t);
    const paths = [...(await add(user, 'WebApp01')), ...(await add(user, 'WebApp01', 'WebApp02'))].sort();
    assert.deepEqual((await actions.renew(user, soon())).sort(), paths);
    const before = { ...domain.stats };
    const written = await Promise.all(paths.map(async (path) => (await stat(path)).ino));
    for (let i = 0; i < 5; i++) assert.deepEqual((await actions.renew(user, soon())).sort(), paths);
    assert.deepEqual(domain.stats, before);
    assert.deepEqual(await Promise.all(paths.map(async (path) => (await stat(path)).ino)), written);
  });

  test('renews a lease that was made meanwhile', async (t) => {
    const { time, domain, actions, add, user } = await world(t);
    const [first] = await add(user, 'WebApp01');
    await actions.renew(user, soon());
    const [second] = await add(user, 'WebApp02');
    time.now += 60_000; // of the domain; of the daemon's stopwatch it is still the same moment
    const [old, before] = [await readFile(second!, 'hex'), domain.stats.ldapSearches];
    assert.deepEqual(await actions.renew(user, soon()), [first, second]);
    assert.notEqual(await readFile(second!, 'hex'), old);
    assert.equal(domain.stats.ldapSearches - before, 1);
  });

  test('proves another password at the domain, and comes to nothing with a wrong one', async (t) => {
    const { actions, add, user } = await world(t);
    await add(user, 'WebApp01');
    await actions.renew(user, soon());
    await assert.rejects(
      actions.renew({ ...user, password: 'wrong' }, soon()),
      /Invalid credentials for domainless user/,
    );
  });

  test('is a renewal again when the moment has passed', async (t) => {
    const { domain, store, engine, add, user } = await world(t);
    let now = 0;
    const actions = createActions({ engine, store, log: silentLog, clock: () => now });
    await add(user, 'WebApp01');
    await actions.renew(user, soon());
    const before = domain.stats.ldapSearches;
    now += MOMENT_MS;
    await actions.renew(user, soon());
    assert.equal(domain.stats.ldapSearches - before, 1);
  });
});

test('moments tell credentials apart, however the password is given', () => {
  let now = HOUR;
  const moments = new Moments(() => now);
  const user = { kind: 'password', username: 'svc', domain: 'd', password: 'pw' } as const;
  moments.note(user, ['a']);
  assert.deepEqual([...moments.of(user)], ['a']);
  assert.deepEqual([...moments.of({ ...user, password: utf8('pw') })], ['a']);
  for (const other of [{ password: 'pw2' }, { username: 'svc2' }, { domain: 'e' }]) {
    assert.deepEqual([...moments.of({ ...user, ...other })], []);
  }
  now += MOMENT_MS;
  assert.deepEqual([...moments.of(user)], []);
});
