/** A login begun before the directory was asked: used only when the directory says the same password again. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isFailure } from '../../src/daemon/engine.ts';
import { DirectoryEngine } from '../../src/daemon/fetch.ts';
import { Locator } from '../../src/krb5/network/locate.ts';
import { DnsResolver } from '../../src/krb5/network/resolver.ts';
import { startTestDomain } from '../../src/testdomain/index.ts';
import { localTransport } from '../support/kdc-client.ts';

async function world(t: TestContext) {
  const time = { now: Date.UTC(2026, 4, 1, 12) };
  const clock = () => time.now;
  const domain = await startTestDomain({
    clock,
    computers: [{ name: 'HOST1', groups: ['Readers'] }],
    gmsas: [{ name: 'App', readers: ['Readers'], managedPasswordIntervalDays: 1 }],
  });
  const directory = await mkdtemp(join(tmpdir(), 'cf-early-'));
  await writeFile(join(directory, 'keytab'), await domain.keytab('HOST1$'), { mode: 0o600 });
  const resolver = new DnsResolver();
  const engine = new DirectoryEngine({
    kerberos: { transport: localTransport(domain.kdcPort), clock },
    resolver,
    locator: new Locator({ resolver, clock }),
    clock,
    domainControllers: [{ host: 'localhost', port: domain.ldapPort }],
    keytab: join(directory, 'keytab'),
    maxAge: 48 * 3_600_000,
    idle: 48 * 3_600_000,
  });
  t.after(async () => {
    await engine.close();
    await domain.close();
    await rm(directory, { recursive: true });
  });
  const fetch = async () => {
    const accounts = [{ name: 'App', domain: domain.domain }];
    const [outcome] = await engine.fetch({
      identity: { kind: 'machine' },
      accounts,
      signal: AbortSignal.timeout(10_000),
    });
    return outcome!;
  };
  return { time, domain, fetch };
}

test('a warm lease costs one search and one login', async (t) => {
  const { domain, fetch } = await world(t);
  await fetch();
  const before = { ...domain.stats };
  assert.ok(!isFailure(await fetch()));
  assert.equal(domain.stats.ldapSearches - before.ldapSearches, 1);
  assert.equal(domain.stats.as - before.as, 1);
  assert.equal(domain.stats.kdcConnections - before.kdcConnections, 0);
});

test('a reader that lost its right gets no ticket, although the login itself would have worked', async (t) => {
  const { domain, fetch } = await world(t);
  await fetch();
  domain.update('App', { readers: [] });
  const outcome = await fetch();
  assert.ok(isFailure(outcome));
  assert.equal(outcome.error.code, 'NOT_ALLOWED');
});

test('a rolled password is used at once: the early login counts for nothing', async (t) => {
  const { time, domain, fetch } = await world(t);
  await fetch();
  time.now += 30 * 3_600_000;
  const before = domain.stats.as;
  assert.ok(!isFailure(await fetch()));
  assert.ok(domain.stats.as - before >= 2);
});
