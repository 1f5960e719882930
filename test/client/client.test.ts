import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ClientError, createClient } from '../../src/client/index.ts';
import { credspec, never, run, scratchDirectory, until, user } from '../daemon/fake.ts';

describe('client', () => {
  test('asks after the health', async (t) => {
    const { client } = await run(t);
    assert.deepEqual(await client.health(), { status: 'OK' });
  });

  test('takes the path of a socket as address', async (t) => {
    const { daemon } = await run(t);
    const client = createClient({ address: daemon.address.replace('unix:', '') });
    t.after(() => client.close());
    assert.equal((await client.health()).status, 'OK');
  });

  test('goes the whole way of a lease', async (t) => {
    const { client, krbDir } = await run(t);
    const { leaseId, paths } = await client.addWithUser({ credspecs: [credspec('a')], ...user });
    const cache = join(krbDir, leaseId, 'a/krb5cc');
    assert.deepEqual(paths, [join(krbDir, leaseId, 'a')]);
    assert.deepEqual(await client.renew(user), { paths: [cache] });
    assert.deepEqual(await client.delete(leaseId), { leaseId, paths: [cache] });
  });

  test('rejects with a code and the words of the daemon', async (t) => {
    const { client } = await run(t);
    await assert.rejects(client.delete('..'), (e) => {
      assert.ok(e instanceof ClientError);
      assert.deepEqual(
        [e.code, e.temporary, e.message],
        ['INVALID_ARGUMENT', false, 'ERROR: lease_id begins with a dot'],
      );
      return true;
    });
  });

  test('says that nobody answers, and where', async (t) => {
    const path = join(await scratchDirectory(t), 'none.sock');
    const client = createClient({ address: `unix:${path}` });
    t.after(() => client.close());
    await assert.rejects(client.health(), (e) => {
      assert.ok(e instanceof ClientError && e.temporary);
      assert.equal(e.message, `no daemon answers on unix:${path}: connect ENOENT`);
      return true;
    });
  });

  test('gives up after its time limit', async (t) => {
    const { client } = await run(t, { answer: never });
    const call = client.add({ credspecs: [credspec('a')] }, { timeoutMs: 30 });
    await assert.rejects(call, { code: 'DEADLINE_EXCEEDED', temporary: true });
  });

  test('gives up when its signal says so', async (t) => {
    const { client, engine } = await run(t, { answer: never });
    const given = new AbortController();
    const call = client.add({ credspecs: [credspec('a')] }, { signal: given.signal });
    await until(() => engine.seen.length === 1);
    given.abort();
    await assert.rejects(call, { code: 'CANCELLED' });
  });

  test('does not begin with a signal that has fired', async (t) => {
    const { client, engine } = await run(t);
    const call = client.add({ credspecs: [credspec('a')] }, { signal: AbortSignal.abort() });
    await assert.rejects(call, { code: 'CANCELLED' });
    assert.equal(engine.seen.length, 0);
  });

  test('finds a daemon that came later', async (t) => {
    const { daemon } = await run(t);
    const client = createClient({ address: daemon.address });
    t.after(() => client.close());
    await client.health();
    await daemon.close();
    await assert.rejects(client.health(), { code: 'UNAVAILABLE' });
  });
});
