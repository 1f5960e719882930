/** Freshness over time: the renewer and the engine against the embedded domain, all by one clock that the test moves. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { createActions } from '../../src/daemon/actions.ts';
import { DirectoryEngine } from '../../src/daemon/fetch.ts';
import type { Timers } from '../../src/daemon/jobs.ts';
import { LeaseStore } from '../../src/daemon/leases.ts';
import { silentLog } from '../../src/daemon/log.ts';
import { daemonMetrics, renderMetrics } from '../../src/daemon/metrics.ts';
import { dueAt, retryDelay, wayOf } from '../../src/daemon/renewal-plan.ts';
import { Renewer } from '../../src/daemon/renewer.ts';
import { ticketTimes } from '../../src/daemon/ticket-times.ts';
import { type Reader, type UserReader, wantedBy } from '../../src/daemon/wanted.ts';
import { Locator } from '../../src/krb5/network/locate.ts';
import { DnsResolver } from '../../src/krb5/network/resolver.ts';
import { startTestDomain, type TestDomainOptions } from '../../src/testdomain/index.ts';
import { localTransport } from '../support/kdc-client.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const machine: Reader = { kind: 'machine' };

/** A clock and the one timer that waits by it. */
class Time implements Timers {
  now = Date.UTC(2026, 4, 1, 12, 0, 0);
  #waiting: { at: number; run: () => void } | undefined;

  after(ms: number, then: () => void): () => void {
    const timer = { at: this.now + ms, run: then };
    this.#waiting = timer;
    return () => {
      if (this.#waiting === timer) this.#waiting = undefined;
    };
  }

  /** Lets time pass, one look of the renewer after the other. */
  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    for (;;) {
      const timer = await this.#next();
      if (timer.at > end) break;
      this.now = Math.max(this.now, timer.at);
      this.#waiting = undefined;
      timer.run();
    }
    this.now = end;
  }

  /** The timer that the round under way will set when it is done. */
  async #next(): Promise<{ at: number; run: () => void }> {
    while (!this.#waiting) await new Promise((resolve) => setImmediate(resolve));
    return this.#waiting;
  }
}

async function world(t: TestContext, more: TestDomainOptions = {}) {
  const time = new Time();
  const clock = () => time.now;
  const domain = await startTestDomain({
    clock,
    ...more,
    users: [{ name: 'svc', password: 'Fresh-1', groups: ['Readers'] }],
    computers: [{ name: 'HOST1', groups: ['Readers'] }],
    gmsas: [
      ...['WebApp01', 'WebApp02'].map((name) => ({ name, readers: ['Readers'] })),
      { name: 'Daily', readers: ['Readers'], managedPasswordIntervalDays: 1 },
    ],
  });
  const directory = await mkdtemp(join(tmpdir(), 'cf-renewer-'));
  await writeFile(join(directory, 'keytab'), await domain.keytab('HOST1$'), { mode: 0o600 });
  const resolver = new DnsResolver();
  const transport = localTransport(domain.kdcPort);
  const engine = new DirectoryEngine({
    kerberos: { transport, clock },
    resolver,
    locator: new Locator({ resolver, clock }),
    clock,
    domainControllers: [{ host: 'localhost', port: domain.ldapPort }],
    operationTimeout: 200,
    keytab: join(directory, 'keytab'),
    hostName: 'host1',
  });
  const store = new LeaseStore({ directory: join(directory, 'krbdir'), log: silentLog });
  await store.open();
  const metrics = daemonMetrics();
  const renewer = new Renewer({ store, engine, log: silentLog, clock, timers: time, metrics });
  const onTicket = renewer.fetched.bind(renewer);
  const actions = createActions({ engine, store, log: silentLog, onTicket });
  t.after(async () => {
    await renewer.close();
    await engine.close();
    await domain.close();
    await rm(directory, { recursive: true });
  });
  const add = async (reader: Reader, ...names: string[]) => {
    const accounts = names.map((name) => ({ name, domain: domain.domain, credentialArn: '' }));
    const lease = await actions.add(wantedBy(reader, accounts), AbortSignal.timeout(10_000));
    return lease.directories.map((d) => join(d, 'krb5cc'));
  };
  const user: UserReader = { kind: 'password', username: 'svc', domain: domain.domain, password: 'Fresh-1' };
  const left = async (path: string) => (await ticketTimes(path)).ends - time.now;
  return { time, domain, store, renewer, actions, add, user, left, metrics };
}

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

  test('backs off to once a minute', () => {
    assert.deepEqual(
      [1, 2, 3, 4, 5, 50].map((n) => retryDelay(n, () => 1)),
      [5e3, 1e4, 2e4, 4e4, 6e4, 6e4],
    );
  });
});
