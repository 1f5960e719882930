/** Socket activation, and unit files that systemd's own tools judge. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, type TestContext, test } from 'node:test';
import { createClient } from '../../src/client/index.ts';
import { passedSocket } from '../../src/daemon/grpc/socket.ts';
import { daemonFile } from '../support/daemon-process.ts';
import { hasProgram, mustRun, runProgram } from '../support/programs.ts';
import { scratchDirectory } from './fake.ts';

const units = join(import.meta.dirname, '../../deploy/systemd');
const noPython = existsSync('/usr/bin/python3') ? false : 'needs python3';
const noAnalyze = hasProgram('systemd-analyze') ? false : 'needs systemd-analyze (Debian: systemd)';

test('a passed socket is taken only when it is meant for this process', () => {
  assert.equal(passedSocket({ LISTEN_PID: '7', LISTEN_FDS: '1' }, 7), 3);
  assert.equal(passedSocket({ LISTEN_PID: '8', LISTEN_FDS: '1' }, 7), undefined);
  assert.equal(passedSocket({ LISTEN_PID: '7', LISTEN_FDS: '0' }, 7), undefined);
  assert.equal(passedSocket({}, 7), undefined);
});

/** Does as systemd does: opens a socket, and hands it to one daemon after another, whose process ids it prints. */
const SUPERVISOR = `
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')
        os.execv(sys.argv[2], sys.argv[2:])
    print(pid, flush=True)
    if os.waitpid(pid, 0)[1] != 0:
        sys.exit('the daemon failed')
`;

test('a passed socket keeps its inode over restarts, and no call is lost', { skip: noPython }, async (t) => {
  const work = await scratchDirectory(t);
  const path = join(work, 'a.sock');
  const command = ['-c', SUPERVISOR, path, process.execPath, daemonFile, '--log-level', 'warn'];
  const supervisor = spawn('/usr/bin/python3', command, {
    env: { CF_KRB_DIR: join(work, 'krb'), CF_LOGGING_DIR: join(work, 'log') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(supervisor, 'exit');
  const client = createClient({ address: path });
  t.after(() => client.close());
  const inodes = new Set<number>();
  for await (const line of createInterface({ input: supervisor.stdout })) {
    assert.deepEqual(await client.health(), { status: 'OK' });
    inodes.add((await stat(path)).ino);
    process.kill(Number(line), 'SIGTERM');
  }
  assert.deepEqual(await ended, [0, null]);
  assert.equal(inodes.size, 1);
});

describe('unit files', { skip: noAnalyze }, () => {
  const dropIns = 'credentials-fetcher.service.d';
  /** The units in a directory of their own, their program replaced by one that is here. */
  async function installed(t: TestContext, withDropIns: boolean): Promise<string> {
    const work = await scratchDirectory(t);
    for (const name of ['credentials-fetcher.service', 'credentials-fetcher.socket']) {
      const text = await readFile(join(units, name), 'utf8');
      // A program that is here stands in for the installed one.
      await writeFile(join(work, name), text.replace(/^ExecStart=.*$/m, `ExecStart=${process.execPath} --version`));
    }
    if (withDropIns) {
      await mkdir(join(work, dropIns));
      for (const name of await readdir(join(units, dropIns))) {
        await copyFile(join(units, dropIns, name), join(work, dropIns, name));
      }
    }
    return join(work, 'credentials-fetcher.service');
  }

  for (const withDropIns of [false, true]) {
    test(`say nothing that systemd does not know, ${withDropIns ? 'with' : 'without'} drop-ins`, async (t) => {
      const file = await installed(t, withDropIns);
      const { code, stderr } = await runProgram('systemd-analyze', ['verify', '--man=no', file]);
      const about = stderr.split('\n').filter((line) => /credentials-fetcher|ticket-owner/.test(line));
      assert.deepEqual([code, about], [0, []]);
    });
  }

  test('give it chown and two capabilities with the drop-in for owners of tickets, and nothing else', async (t) => {
    const report = async (file: string): Promise<Map<string, boolean>> => {
      const args = ['security', '--offline=true', '--json=short', '--no-pager', file];
      const rows = JSON.parse(await mustRun('systemd-analyze', args)) as { name: string; set: boolean }[];
      return new Map(rows.map(({ name, set }) => [name, set]));
    };
    const plain = await report(await installed(t, false));
    const given = await report(await installed(t, true));
    assert.deepEqual(
      [...given]
        .filter(([name, set]) => plain.get(name) !== set)
        .map(([name]) => name)
        .sort(),
      [
        'CapabilityBoundingSet=~CAP_(CHOWN|FSETID|SETFCAP)',
        'CapabilityBoundingSet=~CAP_(DAC_*|FOWNER|IPC_OWNER)',
        'SystemCallFilter=~@privileged',
      ],
    );
  });

  test('leave no core file behind, with the keys that are in memory', async () => {
    assert.match(await readFile(join(units, 'credentials-fetcher.service'), 'utf8'), /^LimitCORE=0$/m);
  });

  test('leave the service little to be exposed by', async () => {
    const file = join(units, 'credentials-fetcher.service');
    await mustRun('systemd-analyze', ['security', '--offline=true', '--threshold=25', file]);
  });
});
