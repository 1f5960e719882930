/** The built library and programs on other versions of Node, on Bun and on Deno. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { scratchDirectory } from '../daemon/fake.ts';
import { clientFile, daemonFile } from '../support/daemon-process.ts';
import { runProgram } from '../support/programs.ts';
import { RUNTIMES, runtimeBinary } from './runtimes.ts';

const core = join(import.meta.dirname, 'core.mjs');

test('the core holds on this runtime', async () => {
  const { code, stdout, stderr } = await runProgram(process.execPath, [core]);
  assert.equal(code, 0, stdout + stderr);
});

for (const runtime of RUNTIMES) {
  const binary = runtimeBinary(runtime);
  describe(`on ${runtime.name}`, { skip: binary ? false : 'needs other runtimes (npm run runtimes)' }, () => {
    test('the core holds', async () => {
      const { code, stdout, stderr } = await runProgram(binary!, [...runtime.args, core]);
      assert.equal(code, 0, stdout + stderr);
      assert.match(stdout, /^(\d+) of \1 held$/m);
    });

    test('daemon and client talk to each other', async (t) => {
      const directory = await scratchDirectory(t);
      const daemon = spawn(binary!, [...runtime.args, daemonFile], {
        env: {
          PATH: process.env.PATH,
          HOME: directory,
          CF_KRB_DIR: join(directory, 'krbdir'),
          CF_UNIX_DOMAIN_SOCKET_DIR: join(directory, 'socket'),
          CF_LOGGING_DIR: join(directory, 'logging'),
        },
        stdio: 'ignore',
      });
      const ended = new Promise<number | null>((resolve) => daemon.once('exit', resolve));
      const socket = join(directory, 'socket/credentials_fetcher.sock');
      const health = () => runProgram(binary!, [...runtime.args, clientFile, 'health', '--socket', socket]);
      let answer = await health();
      for (let i = 0; i < 30 && answer.code !== 0; i++) answer = await health();
      daemon.kill('SIGTERM');
      assert.deepEqual([answer.code, answer.stdout], [0, 'OK\n'], answer.stderr);
      assert.equal(await ended, 0);
    });
  });
}
