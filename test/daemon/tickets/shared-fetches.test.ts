/** Identical questions to the engine: one fetch, and nobody's giving up is another's. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { deferred } from '../../../src/async.ts';
import { utf8, wipe } from '../../../src/bytes.ts';
import { type FetchOutcome, type FetchRequest, isFailure } from '../../../src/daemon/tickets/engine.ts';
import { SharedFetches } from '../../../src/daemon/tickets/shared-fetches.ts';
import { AdError, isAdError } from '../../../src/errors.ts';
import { credspec, FakeEngine, keptLog, run, ticketFor, until, user } from '../fake.ts';
import { machine, Time, world } from '../world.ts';

const request = (signal: AbortSignal, password = 'secret', names = ['App1']): FetchRequest => ({
  identity: { kind: 'password', username: 'svc', domain: 'example.com', password: utf8(password) },
  accounts: names.map((name) => ({ name, domain: 'example.com' })),
  signal,
});
const alive = (): AbortSignal => new AbortController().signal;

function shared(lingerMs?: number) {
  const gate = deferred<void>();
  const engine = new FakeEngine(async (r) => {
    await gate.promise;
    return ticketFor(r);
  });
  const time = new Time();
  const options = { timers: time, clock: () => time.now, ...(lingerMs !== undefined && { lingerMs }) };
  return { gate, engine, time, fetches: new SharedFetches(engine, options) };
}

const caches = (outcomes: FetchOutcome[]) =>
  outcomes.map((o) => (isFailure(o) ? o.error.code : `${Buffer.from(o.ccache)}`));

describe('identical fetches', () => {
  test('are one, and each gets bytes of its own', async () => {
    const { gate, engine, fetches } = shared();
    const both = [fetches.fetch(request(alive())), fetches.fetch(request(alive()))];
    gate.resolve();
    const [first, second] = await Promise.all(both);
    assert.equal(engine.seen.length, 1);
    const [mine] = first!;
    assert.ok(mine && !isFailure(mine));
    wipe(mine.ccache);
    assert.match(caches(second!)[0]!, /ticket of App1/);
  });

  test('of another password, another account or another wish are not', async () => {
    const { gate, engine, fetches } = shared();
    const bare = request(alive());
    const all = [
      bare,
      request(alive(), 'other'),
      request(alive(), 'secret', ['App2']),
      { ...bare, accounts: [{ ...bare.accounts[0]!, keytab: true }] },
      { ...bare, identity: { ...bare.identity, username: 'SVC' } as FetchRequest['identity'] },
      { ...bare, identity: { kind: 'machine' } as const },
      { ...bare, identity: { kind: 'secret', secretId: 'svc' } as const },
    ].map((r) => fetches.fetch(r));
    gate.resolve();
    await Promise.all(all);
    assert.equal(engine.seen.length, all.length);
  });

  test('go on when the one that came first is given up and its password wiped', async () => {
    const { gate, engine, fetches } = shared();
    const given = new AbortController();
    const first = request(given.signal);
    const gone = fetches.fetch(first);
    const stays = fetches.fetch(request(alive()));
    given.abort(new AdError('ABORTED', 'gone'));
    await assert.rejects(gone, (e) => isAdError(e, 'ABORTED'));
    if (first.identity.kind === 'password') wipe(first.identity.password);
    const { identity, signal } = engine.seen[0]!.request;
    assert.equal(signal.aborted, false);
    assert.equal(identity.kind === 'password' && `${Buffer.from(identity.password)}`, 'secret');
    gate.resolve();
    assert.match(caches(await stays)[0]!, /ticket of App1/);
    assert.ok(identity.kind === 'password' && identity.password.every((b) => b === 0), 'wiped in the end');
  });

  test('that were given up wait for a client that repeats itself, done or not', async () => {
    const { gate, engine, fetches } = shared();
    const giveUp = async () => {
      const given = new AbortController();
      const gone = fetches.fetch(request(given.signal));
      given.abort();
      await assert.rejects(gone);
    };
    await giveUp();
    await giveUp();
    gate.resolve();
    await new Promise(setImmediate);
    assert.match(caches(await fetches.fetch(request(alive())))[0]!, /ticket of App1/);
    assert.equal(engine.seen.length, 1);
    await fetches.fetch(request(alive()));
    assert.equal(engine.seen.length, 2, 'what was handed out is not kept');
  });

  test('that nobody comes back for are ended', async () => {
    const { engine, fetches } = shared(0);
    const given = new AbortController();
    const gone = fetches.fetch(request(given.signal));
    given.abort();
    await assert.rejects(gone);
    assert.equal(engine.seen[0]!.request.signal.aborted, true);
  });

  test('take nobody in when they hang', async () => {
    const { gate, engine, time, fetches } = shared();
    const hanging = fetches.fetch(request(alive()));
    time.now += 11_000;
    const second = fetches.fetch(request(alive()));
    assert.equal(engine.seen.length, 2);
    gate.resolve();
    await Promise.all([hanging, second]);
  });

  test('share a failure, which is not kept', async () => {
    const engine = new FakeEngine(() => Promise.reject(new AdError('UNREACHABLE', 'no DC')));
    const fetches = new SharedFetches(engine);
    const both = await Promise.allSettled([fetches.fetch(request(alive())), fetches.fetch(request(alive()))]);
    assert.deepEqual(
      both.map((r) => r.status === 'rejected' && isAdError(r.reason, 'UNREACHABLE')),
      [true, true],
    );
    assert.equal(engine.seen.length, 1);
    engine.answer = ticketFor;
    await fetches.fetch(request(alive()));
    assert.equal(engine.seen.length, 2);
  });

  test('end with the daemon', async () => {
    const { gate, engine, fetches } = shared();
    const given = new AbortController();
    const gone = fetches.fetch(request(given.signal));
    given.abort();
    await assert.rejects(gone);
    gate.resolve();
    await fetches.close();
    assert.equal(engine.closed, 1);
  });
});

describe('identical Adds at the embedded domain', () => {
  test('cost one search and one AS exchange of the account, and are leases of their own', async (t) => {
    const { domain, add, user: reader } = await world(t);
    await add(reader, 'WebApp02'); // the reader is logged on and connected
    const before = { ...domain.stats };
    const paths = await Promise.all(Array.from({ length: 5 }, () => add(reader, 'WebApp01')));
    assert.deepEqual([domain.stats.ldapSearches - before.ldapSearches, domain.stats.as - before.as], [1, 1]);
    assert.equal(new Set(paths.flat()).size, 5);
    const contents = await Promise.all(paths.map(([p]) => readFile(p!, 'hex')));
    assert.equal(new Set(contents).size, 1);
  });

  test('with a wrong password among them fail alone', async (t) => {
    const { add, user: reader } = await world(t);
    const all = await Promise.allSettled([
      add(reader, 'WebApp01'),
      add({ ...reader, password: 'wrong' }, 'WebApp01'),
      add(machine, 'WebApp01'),
    ]);
    assert.deepEqual(
      all.map((r) => r.status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
  });
});

describe('a client that gives up and repeats itself', () => {
  test('gets the tickets of its first call, in one lease', async (t) => {
    const gate = deferred<void>();
    const answer = (r: FetchRequest) => gate.promise.then(() => ticketFor(r));
    const { lines, log } = keptLog();
    const { client, engine, krbDir } = await run(t, { answer, log, lingerMs: 60_000 });
    const add = (timeoutMs: number) => client.addWithUser({ credspecs: [credspec('App1')], ...user }, { timeoutMs });
    await assert.rejects(add(50), { code: 'DEADLINE_EXCEEDED' });
    await until(() => lines.some((l) => l.includes('call failed')));
    const again = add(10_000);
    gate.resolve();
    const { leaseId } = await again;
    assert.equal(engine.seen.length, 1);
    assert.deepEqual(await readdir(krbDir), [leaseId]);
  });
});
