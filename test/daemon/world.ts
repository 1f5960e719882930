/** The renewer and the engine against the embedded domain, all by one clock that the test moves. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createActions } from '../../src/daemon/calls/actions.ts';
import type { Timers } from '../../src/daemon/calls/jobs.ts';
import { type Reader, type UserReader, wantedBy } from '../../src/daemon/calls/wanted.ts';
import { LeaseStore } from '../../src/daemon/leases/store.ts';
import { silentLog } from '../../src/daemon/log.ts';
import { daemonMetrics } from '../../src/daemon/metrics/metrics.ts';
import { Renewer } from '../../src/daemon/renewal/renewer.ts';
import { ticketTimes } from '../../src/daemon/renewal/ticket-times.ts';
import { DirectoryEngine, type EngineOptions } from '../../src/daemon/tickets/fetch.ts';
import { SharedFetches } from '../../src/daemon/tickets/shared-fetches.ts';
import { Locator } from '../../src/krb5/network/locate.ts';
import { DnsResolver } from '../../src/krb5/network/resolver.ts';
import { startTestDomain, type TestDomain, type TestDomainOptions } from '../../src/testdomain/index.ts';
import { localTransport } from '../support/kdc-client.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const machine: Reader = { kind: 'machine' };

/** A clock and the one timer that waits by it. */
export class Time implements Timers {
  now = Date.UTC(2026, 4, 1, 12, 0, 0);
  /** How far this machine's clock is ahead of the domain's. */
  ahead = 0;
  #waiting: { at: number; run: () => void } | undefined;

  after(ms: number, then: () => void): () => void {
    const timer = { at: this.now + ms, run: then };
    this.#waiting = timer;
    return () => {
      if (this.#waiting === timer) this.#waiting = undefined;
    };
  }

  /** This machine's clock alone is set: what waits goes on waiting as long as it would have. */
  step(ms: number): void {
    this.now += ms;
    this.ahead += ms;
    if (this.#waiting) this.#waiting.at += ms;
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

export async function world(
  t: TestContext,
  more: TestDomainOptions = {},
  engineOptions: (domain: TestDomain) => Partial<EngineOptions> = () => ({}),
) {
  const time = new Time();
  const clock = () => time.now;
  const domain = await startTestDomain({
    clock: () => time.now - time.ahead,
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
  const engine = new SharedFetches(
    new DirectoryEngine({
      kerberos: { transport, clock },
      resolver,
      locator: new Locator({ resolver, clock }),
      clock,
      domainControllers: [{ host: 'localhost', port: domain.ldapPort }],
      operationTimeout: 200,
      keytab: join(directory, 'keytab'),
      hostName: 'host1',
      ...engineOptions(domain),
    }),
  );
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
  return { time, domain, store, engine, renewer, actions, add, user, left, metrics, directory };
}
