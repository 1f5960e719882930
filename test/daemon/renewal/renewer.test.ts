/** Freshness over time: the renewer and the engine against the embedded domain, all by one clock that the test moves. */
import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { createActions } from '../../../src/daemon/calls/actions.ts';
import { DEFAULT_FILE_POLICY } from '../../../src/daemon/leases/file-policy.ts';
import { LeaseStore } from '../../../src/daemon/leases/store.ts';
import { silentLog } from '../../../src/daemon/log.ts';
import { renderMetrics } from '../../../src/daemon/metrics/metrics.ts';
import { dueAt, pauseAfter, retryDelay, wayOf } from '../../../src/daemon/renewal/plan.ts';
import { Renewer } from '../../../src/daemon/renewal/renewer.ts';
import { ticketTimes } from '../../../src/daemon/renewal/ticket-times.ts';
import { HOUR, MINUTE, machine, world } from '../world.ts';

describe('tickets read by the machine', () => {
  test('are renewed when half of their life is over, in place', async (t) => {
    const { time, renewer, actions, add, left } = await world(t);
    const [path] = await add(machine, 'WebApp01');
    const inode = (await stat(join(path!, '..'))).ino;
    renewer.start(actions);
    await time.pass(4 * HOUR + 50 * MINUTE);
    assert.equal(await left(path!), 5 * HOUR + 10 * MINUTE, 'not before half of the life is over');
    await time.pass(75 * MINUTE);
    assert.ok((await left(path!)) > 8 * HOUR);
    assert.equal((await stat(join(path!, '..'))).ino, inode);
    assert.equal((await stat(path!)).mode & 0o777, 0o600);
  });

  test('of one account cost one search and one login, however many leases there are', async (t) => {
    const { time, domain, renewer, actions, add, left } = await world(t);
    const paths: string[] = [];
    for (let i = 0; i < 5; i++) paths.push(...(await add(machine, 'WebApp01')));
    renewer.start(actions);
    await time.pass(HOUR);
    const before = { ...domain.stats };
    await time.pass(5 * HOUR);
    assert.equal(domain.stats.ldapSearches - before.ldapSearches, 1);
    // One for the account; the reader's own login was long ago and is proved anew: two requests, for lack of a salt none.
    assert.ok(domain.stats.as - before.as <= 2, `${domain.stats.as - before.as} AS requests`);
    for (const path of paths) assert.ok((await left(path)) > 8 * HOUR);
  });

  test('go on for other accounts when one is refused, and recover', async (t) => {
    const { time, domain, renewer, actions, add, left, metrics } = await world(t);
    const [good, bad] = await add(machine, 'WebApp01', 'WebApp02');
    renewer.start(actions);
    domain.update('WebApp02', { readers: [] });
    await time.pass(7 * HOUR);
    assert.ok((await left(good!)) > 7 * HOUR);
    assert.equal(await left(bad!), 3 * HOUR, 'the old ticket stays');
    const plan = renewer.plan(bad!)!;
    assert.match(plan.lastError!, /PrincipalsAllowedToRetrieveManagedPassword/);
    assert.ok(plan.at! - time.now <= MINUTE, 'tried again within a minute');
    assert.match(renderMetrics(metrics), /^cf_renewals_total\{result="NOT_ALLOWED"\} \d+$/m);
    domain.update('WebApp02', { readers: ['Readers'] });
    await time.pass(2 * MINUTE);
    assert.ok((await left(bad!)) > 9 * HOUR);
    assert.equal(renewer.plan(bad!)!.lastError, undefined);
  });

  test('outlive a domain that goes away and comes back', async (t) => {
    const { time, domain, renewer, actions, add, left } = await world(t);
    const [path] = await add(machine, 'WebApp01');
    renewer.start(actions);
    domain.setFaults({ kdcError: 29, ldapDropOnSearch: true });
    await time.pass(7 * HOUR);
    assert.equal(await left(path!), 3 * HOUR);
    domain.setFaults({});
    await time.pass(3 * MINUTE);
    assert.ok((await left(path!)) > 9 * HOUR);
  });

  test('are read anew when the date in their blob passes, at every stage of the roll', async (t) => {
    const { time, domain, renewer, actions, add, left } = await world(t);
    const [path] = await add(machine, 'Daily');
    renewer.start(actions);
    // Two days hold every row of the timeline: before, within five minutes of, just after and long after a roll.
    for (let i = 0; i < 48; i++) {
      await time.pass(HOUR);
      assert.ok((await left(path!)) > 3 * HOUR, `hour ${i + 1}`);
      assert.equal(renewer.plan(path!)!.lastError, undefined, `hour ${i + 1}`);
    }
    assert.ok(domain.stats.ldapSearches >= 8, 'once for half a life, and once for each roll');
  });

  test('that a predecessor left expired are fetched at the start', async (t) => {
    const { time, renewer, actions, add, left } = await world(t);
    const [path] = await add(machine, 'WebApp01');
    time.now += 12 * HOUR;
    assert.ok((await left(path!)) < 0);
    renewer.start(actions);
    await time.pass(1000);
    assert.ok((await left(path!)) > 9 * HOUR);
  });

  test('are renewed by their own clock where the KDC has another time', async (t) => {
    const { time, domain, renewer, actions, add, left } = await world(t);
    domain.setFaults({ clockOffsetMs: -12 * HOUR });
    const [path] = await add(machine, 'WebApp01');
    assert.equal(await left(path!), 10 * HOUR);
    renewer.start(actions);
    const before = domain.stats.as;
    await time.pass(4 * HOUR);
    assert.equal(domain.stats.as, before, 'to a clock that runs ahead it does not look expired');
    await time.pass(2 * HOUR);
    assert.ok((await left(path!)) > 8 * HOUR);
  });

  test('have their keytab made sure of after a restart, when nobody knows how old its keys are', async (t) => {
    const { time, engine, store: before, add, left } = await world(t);
    const [path] = await add(machine, 'WebApp01');
    time.now += HOUR;
    for (const [keytab, soonest] of [
      [false, 8],
      [true, 9.9],
    ] as const) {
      const files = { ...DEFAULT_FILE_POLICY, keytab };
      const store = new LeaseStore({ directory: before.directory, log: silentLog, files });
      const renewer = new Renewer({ store, engine, log: silentLog, clock: () => time.now, timers: time });
      renewer.start(createActions({ engine, store, log: silentLog }));
      await time.pass(2 * MINUTE);
      await renewer.close();
      const remains = await left(path!);
      assert.ok(remains > soonest * HOUR && remains < (soonest + 1) * HOUR, `${remains / HOUR}`);
    }
    assert.ok((await stat(join(dirname(path!), 'krb5.keytab'))).size > 0);
  });

  test('that are no tickets at all are replaced', async (t) => {
    const { time, renewer, actions, add, left } = await world(t);
    const [path] = await add(machine, 'WebApp01');
    await writeFile(path!, '');
    renewer.start(actions);
    await time.pass(1000);
    assert.ok((await left(path!)) > 9 * HOUR);
  });
});

describe('tickets read by a user whose password is gone', () => {
  test('are extended until they end for good, then wait for the client', async (t) => {
    const { time, domain, renewer, actions, add, user, left } = await world(t, { renewableSeconds: 24 * 3600 });
    const [path] = await add(user, 'WebApp01');
    renewer.start(actions);
    const before = domain.stats.ldapSearches;
    for (let hour = 0; hour < 20; hour += 4) {
      await time.pass(4 * HOUR);
      assert.ok((await left(path!)) > 3 * HOUR, `hour ${hour + 4}`);
    }
    assert.equal(domain.stats.ldapSearches, before, 'nothing was read without a password');
    await time.pass(4 * HOUR);
    assert.ok((await left(path!)) <= 0, 'a day is all that this KDC grants');
    assert.equal(renewer.plan(path!)!.action, "waits for the client's Renew");
    assert.deepEqual(await actions.renew(user, AbortSignal.timeout(10_000)), [path]);
    await time.pass(6 * HOUR);
    assert.ok((await left(path!)) > 8 * HOUR);
  });

  test('of one account cost one exchange, and all get the one that lasts longest', async (t) => {
    const { time, domain, renewer, actions, add, user, left } = await world(t, { renewableSeconds: 24 * 3600 });
    const paths: string[] = [];
    for (let i = 0; i < 4; i++) {
      paths.push(...(await add(user, 'WebApp01')));
      time.now += 60_000;
    }
    renewer.start(actions);
    const before = { ...domain.stats };
    await time.pass(6 * HOUR);
    assert.deepEqual([domain.stats.tgs - before.tgs, domain.stats.as - before.as], [1, 0]);
    for (const path of paths) assert.ok((await left(path)) > 9 * HOUR);
    const ends = await Promise.all(paths.map(async (path) => (await ticketTimes(path)).renewUntil));
    assert.equal(new Set(ends).size, 1);
  });

  test('are extended one by one where the KDC refuses the one that lasts longest', async (t) => {
    const { time, domain, renewer, actions, add, user, left } = await world(t);
    const [first] = await add(user, 'WebApp01');
    time.now += 60_000;
    const [second] = await add(user, 'WebApp01');
    let refused = false;
    domain.setFaults({
      rewriteKdcReply: (reply) => {
        const forge = !refused;
        refused = true;
        return forge ? reply.subarray(0, -1) : reply;
      },
    });
    renewer.start(actions);
    await time.pass(6 * HOUR);
    assert.ok((await left(first!)) > 8 * HOUR);
    assert.ok((await left(second!)) > 8 * HOUR, 'tried again, alone');
  });

  test('keep what the cache says about the realm', async (t) => {
    const { time, renewer, actions, add, user } = await world(t);
    const [path] = await add(user, 'WebApp01');
    const before = await readFile(path!);
    renewer.start(actions);
    await time.pass(7 * HOUR);
    assert.notDeepEqual(await readFile(path!), before);
    assert.equal((await ticketTimes(path!)).renewUntil - time.now, 7 * 24 * HOUR - 7 * HOUR);
  });
});

describe('the plan', () => {
  const record = {
    credspecInfo: '',
    distinguishedName: '',
    domainName: 'd',
    domainlessUser: '',
    krbFilePath: '',
    serviceAccountName: 'a',
    credentialArn: '',
  };

  test('tells by the metadata how a ticket gets its successor', () => {
    assert.deepEqual(wayOf(record), { kind: 'fetch', reader: { kind: 'machine' } });
    assert.deepEqual(wayOf({ ...record, domainlessUser: 'svc' }), { kind: 'extend' });
    assert.deepEqual(wayOf({ ...record, credspecInfo: 'arn:aws:s3:::b/k' }), { kind: 'extend' });
    assert.deepEqual(wayOf({ ...record, domainlessUser: 'awsdomainlessusersecret:Name' }), {
      kind: 'fetch',
      reader: { kind: 'secret', secretId: 'Name' },
    });
  });

  test('spreads accounts over a tenth of the life', () => {
    const times = { starts: 0, ends: 100, renewUntil: 0 };
    const due = Array.from({ length: 100 }, (_, i) => dueAt(times, wayOf(record), `app${i}@d`)!);
    assert.ok(due.every((d) => d >= 50 && d < 60));
    assert.ok(Math.max(...due) - Math.min(...due) > 8);
  });

  test('never asks without a pause, whatever the times of a ticket', () => {
    const fetched = wayOf(record);
    const times = { starts: 1000, ends: 1000 + 10 * HOUR, renewUntil: 0 };
    assert.equal(dueAt(times, fetched, 'a', times.starts), 61_000, 'the date of a password is now, just before a roll');
    assert.equal(pauseAfter(times), MINUTE);
    assert.equal(pauseAfter({ starts: 0, ends: 80_000, renewUntil: 0 }), 20_000);
    assert.equal(pauseAfter({ starts: 0, ends: -1, renewUntil: 0 }), 5000);
  });

  test('backs off to once a minute', () => {
    assert.deepEqual(
      [1, 2, 3, 4, 5, 50].map((n) => retryDelay(n, () => 1)),
      [5e3, 1e4, 2e4, 4e4, 6e4, 6e4],
    );
  });
});
