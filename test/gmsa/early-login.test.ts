/** A login begun before the directory was asked: used only when the directory says the same password again. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type GmsaRef, isFailure } from '../../src/daemon/tickets/engine.ts';
import { DirectoryEngine } from '../../src/daemon/tickets/fetch.ts';
import { readKeytab } from '../../src/krb5/files/keytab.ts';
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
  const fetch = async (more: Pick<GmsaRef, 'keytab' | 'krb5Conf'> = {}) => {
    const accounts = [{ name: 'App', domain: domain.domain, ...more }];
    const [outcome] = await engine.fetch({
      identity: { kind: 'machine' },
      accounts,
      signal: AbortSignal.timeout(10_000),
    });
    return outcome!;
  };
  return { time, domain, fetch };
}

test('a keytab costs a warm lease one exchange more, and is to be read anew before the password rolls', async (t) => {
  const { domain, fetch, time } = await world(t);
  const plain = await fetch();
  const before = { ...domain.stats };
  const kept = await fetch({ keytab: true, krb5Conf: true });
  assert.ok(!isFailure(plain) && !isFailure(kept));
  const { as, tgs, ldapSearches } = domain.stats;
  assert.deepEqual([as - before.as, tgs - before.tgs, ldapSearches - before.ldapSearches], [1, 1, 1]);
  assert.deepEqual([plain.keytab, plain.krb5Conf], [undefined, undefined]);
  assert.equal(readKeytab(kept.keytab!).length > 0, true);
  assert.match(Buffer.from(kept.krb5Conf!).toString(), /default_realm = EXAMPLE\.TEST/);
  const ahead = plain.passwordQueryAt!.getTime() - kept.passwordQueryAt!.getTime();
  assert.equal(ahead, 4 * 60_000);
  // Then both passwords are there, and the next date is that of the roll itself.
  time.now = kept.passwordQueryAt!.getTime();
  const both = await fetch({ keytab: true });
  assert.ok(!isFailure(both));
  assert.deepEqual(new Set(readKeytab(both.keytab!).map((e) => e.kvno)), new Set([1, 2]));
  assert.ok(Math.abs(both.passwordQueryAt!.getTime() - plain.passwordQueryAt!.getTime()) < 1000);
});

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
