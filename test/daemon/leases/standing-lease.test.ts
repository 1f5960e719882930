/** The lease of CF_CRED_SPEC_FILE: tried again while it cannot be had, never given up. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { createActions } from '../../../src/daemon/calls/actions.ts';
import { nextTry, StandingLease } from '../../../src/daemon/leases/standing-lease.ts';
import { LeaseStore } from '../../../src/daemon/leases/store.ts';
import { AdError } from '../../../src/errors.ts';
import { type Answer, credspec, FakeEngine, keptLog, scratchDirectory, ticketFor, until } from '../fake.ts';

const MINUTE = 60_000;
const down = new AdError('UNREACHABLE', 'nobody there');
const refused = new AdError('NOT_ALLOWED', 'not for you');
const failing: (e: AdError) => Answer = (e) => () => {
  throw e;
};

test('the waits grow to a minute while nobody can be reached, to ten while the domain refuses', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 99].map((n) => nextTry(n, down) / 1000),
    [5, 10, 20, 40, 60, 60],
  );
  assert.equal(nextTry(99, refused), 10 * MINUTE);
});

async function world(t: TestContext, answer: Answer) {
  const directory = await scratchDirectory(t);
  const path = join(directory, 'spec.json');
  await writeFile(path, credspec('App'));
  const engine = new FakeEngine(answer);
  const { log, lines } = keptLog();
  const store = new LeaseStore({ directory: join(directory, 'krbdir'), log });
  await store.open();
  const waits: { ms: number; run: () => void }[] = [];
  const timers = {
    after(ms: number, run: () => void) {
      waits.push({ ms, run });
      return () => undefined;
    },
  };
  const actions = createActions({ engine, store, log });
  const config: { credspecFile: { path: string; leaseId: string }; secretId?: string } = {
    credspecFile: { path, leaseId: 'web' },
  };
  const standing = new StandingLease({ actions, store, log, config, timers });
  t.after(() => standing.close());
  const cache = join(directory, 'krbdir/web/App/krb5cc');
  return { engine, lines, waits, standing, config, path, cache };
}

describe('the lease of the credspec file', () => {
  test('is made at the next try when the first fails', async (t) => {
    const { engine, waits, standing, cache, lines } = await world(t, failing(down));
    standing.start();
    await until(() => waits.length === 1);
    assert.equal(waits[0]!.ms, 5000);
    assert.ok(lines.some((line) => line.includes('nobody there')));
    engine.answer = ticketFor;
    waits[0]!.run();
    await until(() => existsSync(cache));
  });

  test('keeps its old ticket while a new one cannot be had', async (t) => {
    const { engine, waits, standing, cache } = await world(t, ticketFor);
    standing.start();
    await until(() => existsSync(cache));
    engine.answer = failing(refused);
    standing.start();
    await until(() => waits.length === 1);
    assert.ok(existsSync(cache));
  });

  test('is read by what the configuration says now', async (t) => {
    const { engine, standing, config } = await world(t, ticketFor);
    standing.start();
    await until(() => engine.seen.length === 1);
    config.secretId = 'team/reader';
    standing.start();
    await until(() => engine.seen.length === 2);
    await standing.close();
    assert.deepEqual(
      engine.seen.map((s) => s.request.identity.kind),
      ['machine', 'secret'],
    );
  });

  test('a file that broke meanwhile is tried again too', async (t) => {
    const { engine, waits, standing, path } = await world(t, ticketFor);
    await writeFile(path, 'no JSON');
    standing.start();
    await until(() => waits.length === 1);
    assert.equal(engine.seen.length, 0);
  });
});
