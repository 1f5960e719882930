import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startDaemon } from '../../../src/daemon/daemon.ts';
import { listenOnSocket } from '../../../src/daemon/grpc/socket.ts';
import { silentLog } from '../../../src/daemon/log.ts';
import { isAdError } from '../../../src/errors.ts';
import { FakeEngine, run, scratchDirectory, tree } from '../fake.ts';

describe('socket', () => {
  test('has its mode when it listens, and leaves the umask as it was', async (t) => {
    const path = join(await scratchDirectory(t), 's');
    const before = process.umask();
    const server = await listenOnSocket(path, 0o640);
    t.after(() => server.close());
    assert.equal((await stat(path)).mode & 0o777, 0o640);
    assert.equal(process.umask(), before);
  });

  test('is given to its group before the group may connect', {
    skip: process.getuid?.() !== 0 && 'needs root',
  }, async (t) => {
    const directory = await scratchDirectory(t);
    const server = await listenOnSocket(join(directory, 's'), 0o660, 12_345);
    t.after(() => server.close());
    const { uid, gid, mode } = await stat(join(directory, 's'));
    assert.deepEqual([uid, gid, mode & 0o777], [0, 12_345, 0o660]);
  });

  test('that cannot be given to its group is taken away, and the error says why', async (t) => {
    const directory = await scratchDirectory(t);
    const root = process.getuid?.() === 0;
    if (root) {
      await chmod(directory, 0o777);
      process.seteuid!(65_534);
    }
    try {
      const listening = listenOnSocket(join(directory, 's'), 0o660, 12_345);
      await assert.rejects(listening, (e) => isAdError(e, 'FILE') && /group 12345: .*CAP_CHOWN/.test(e.message));
    } finally {
      if (root) process.seteuid!(0);
    }
    assert.deepEqual(await tree(directory), []);
  });

  test('is for owner and group unless told otherwise', async (t) => {
    const { directory } = await run(t);
    assert.equal((await stat(join(directory, 'socket/credentials_fetcher.sock'))).mode & 0o777, 0o660);
  });

  test('of a dead daemon is replaced', async (t) => {
    const path = join(await scratchDirectory(t), 's');
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
    const dead = spawn(process.execPath, ['-e', script]);
    await once(dead.stdout, 'data');
    dead.kill('SIGKILL');
    await once(dead, 'exit');
    assert.ok((await stat(path)).isSocket());
    const server = await listenOnSocket(path);
    t.after(() => server.close());
    const client = net.connect(path);
    await once(client, 'connect');
    client.destroy();
  });

  test('of a living daemon is not taken over', async (t) => {
    const { directory, client } = await run(t);
    const config = { krbDir: join(directory, 'other'), socketDir: join(directory, 'socket') };
    await assert.rejects(
      startDaemon({ config, engine: new FakeEngine(), log: silentLog }),
      (e) => isAdError(e, 'FILE') && /another daemon answers/.test(e.message),
    );
    assert.equal((await client.health()).status, 'OK');
    assert.ok(!(await tree(directory)).includes('other'));
  });

  test('does not remove a file that is no socket', async (t) => {
    const path = join(await scratchDirectory(t), 's');
    await writeFile(path, 'precious');
    await assert.rejects(listenOnSocket(path), (e) => isAdError(e, 'FILE') && /not a socket/.test(e.message));
    assert.equal(await readFile(path, 'utf8'), 'precious');
  });

  test('refuses a path that the system would cut off', async () => {
    await assert.rejects(listenOnSocket(`/tmp/${'x'.repeat(110)}`), /longer than 107 bytes/);
  });

  test('is gone after close', async (t) => {
    const { directory, daemon } = await run(t);
    await daemon.close();
    assert.deepEqual(await tree(join(directory, 'socket')), []);
  });
});
