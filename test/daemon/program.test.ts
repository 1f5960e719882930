/** The daemon as one built file: no node_modules beside it, nothing on its command line but what is meant. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { createClient } from '../../src/client/index.ts';
import { version } from '../../src/version.ts';
import { clientFile, daemonFile, startDaemonProcess } from '../support/daemon-process.ts';
import { runProgram } from '../support/programs.ts';
import { credspec, scratchDirectory, tree, until, user } from './fake.ts';

const root = join(import.meta.dirname, '../..');

before(() => {
  if (!existsSync(daemonFile)) spawnSync(process.execPath, [join(root, 'scripts/build.mjs'), '--programs']);
});

describe('credentials-fetcherd', () => {
  test('prints its version and help and exits with 0', async () => {
    const shown = await runProgram(process.execPath, [daemonFile, '--version']);
    assert.deepEqual([shown.code, shown.stdout], [0, `credentials-fetcherd ${version()}\n`]);
    const help = await runProgram(process.execPath, [daemonFile, '--help']);
    assert.equal(help.code, 0);
    assert.match(help.stdout, /^Usage: credentials-fetcherd/);
  });

  test('exits with 2 for a flag that does not exist', async () => {
    const { code, stderr } = await runProgram(process.execPath, [daemonFile, '--krbdir', '/x']);
    assert.equal(code, 2);
    assert.match(stderr, /unknown option --krbdir, did you mean --krb-dir\?\nRun with --help to see options/);
  });

  for (const file of [daemonFile, clientFile]) {
    test(`${file.split('/').pop()} runs alone in a directory, by itself`, async (t) => {
      const copy = join(await scratchDirectory(t), 'program.mjs');
      copyFileSync(file, copy);
      assert.ok(statSync(copy).mode & 0o100);
      const { code, stdout } = await runProgram(copy, ['--version']);
      assert.deepEqual([code, stdout.includes(version())], [0, true]);
    });
  }

  test('brings its Kerberos and LDAP half along in the one file', async (t) => {
    const directory = await scratchDirectory(t);
    const daemon = await startDaemonProcess({ KRB5_KTNAME: join(directory, 'none') }, [], { 'krb5.conf': '' });
    t.after(() => daemon.stop());
    const client = createClient({ address: daemon.socket });
    t.after(() => client.close());
    await assert.rejects(client.add({ credspecs: [credspec('a')] }), {
      code: 'FAILED_PRECONDITION',
      message: /cannot read the machine keytab/,
    });
    assert.deepEqual(await tree(daemon.krbDir), []);
  });

  test('stops on SIGTERM with 0 although a client stays connected, and removes its socket', async (t) => {
    const daemon = await startDaemonProcess();
    const client = createClient({ address: daemon.socket });
    t.after(() => client.close());
    await client.health();
    const exited = once(daemon.child, 'exit');
    daemon.child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
    assert.equal(existsSync(daemon.socket), false);
    await daemon.stop();
  });

  test('opens no debugger at SIGUSR1, to which any user of the host could connect', async (t) => {
    const daemon = await startDaemonProcess();
    t.after(() => daemon.stop());
    daemon.child.kill('SIGUSR1');
    await until(async () => /SIGUSR1|Debugger/.test(await daemon.output()));
    assert.doesNotMatch(await daemon.output(), /Debugger/);
  });

  test('exits with 1 when another one answers on its socket', async (t) => {
    const daemon = await startDaemonProcess();
    t.after(() => daemon.stop());
    const args = ['--socket-dir', join(daemon.directory, 'socket'), '--krb-dir', join(daemon.directory, 'k')];
    const second = await runProgram(process.execPath, [daemonFile, ...args, '--logging-dir', daemon.directory]);
    assert.equal(second.code, 1);
    assert.match(second.stderr, /another daemon answers/);
  });

  test('starts where its predecessor was killed', async (t) => {
    const first = await startDaemonProcess();
    first.child.kill('SIGKILL');
    await once(first.child, 'exit');
    assert.ok(existsSync(first.socket));
    const directories = ['krb', 'socket', 'logging'].flatMap((d) => [`--${d}-dir`, join(first.directory, d)]);
    const second = spawn(process.execPath, [daemonFile, ...directories], { stdio: ['ignore', 'ignore', 'pipe'] });
    t.after(async () => {
      second.kill('SIGKILL');
      await first.stop();
    });
    // Its first line says that it listens.
    await once(second.stderr, 'data');
    const client = createClient({ address: first.socket });
    t.after(() => client.close());
    assert.equal((await client.health()).status, 'OK');
  });

  test('runs without a place for its log file, and says so', async (t) => {
    const directory = await scratchDirectory(t);
    await writeFile(join(directory, 'file'), '');
    const daemon = await startDaemonProcess({ CF_LOGGING_DIR: join(directory, 'file') });
    t.after(() => daemon.stop());
    // The socket takes connections before the first line is written.
    await until(async () => (await daemon.output()).includes('no log file is written'));
  });

  test('answers --healthcheck with 0 when it runs and 1 when not', async () => {
    const daemon = await startDaemonProcess();
    const args = [daemonFile, '--healthcheck', '--socket-dir', join(daemon.directory, 'socket')];
    const well = await runProgram(process.execPath, args);
    assert.deepEqual([well.code, well.stdout], [0, '0\n']);
    await daemon.stop();
    const gone = await runProgram(process.execPath, args);
    assert.deepEqual([gone.code, gone.stdout], [1, '1\n']);
  });

  test('writes no password anywhere', async (t) => {
    const daemon = await startDaemonProcess({ LOG_LEVEL: 'debug' }, [], { 'krb5.conf': '' });
    t.after(() => daemon.stop());
    const client = createClient({ address: daemon.socket });
    t.after(() => client.close());
    const secret = { ...user, domain: 'nowhere.invalid', password: 'Very-Secret-1' };
    await assert.rejects(client.addWithUser({ credspecs: [credspec('a')], ...secret }));
    await until(async () => (await daemon.output()).includes('AddNonDomainJoinedKerberosLease'));
    assert.ok(!(await daemon.output()).includes('Very-Secret'));
  });
});

test('the generated code is what the proto file gives', async () => {
  const { code, stdout, stderr } = await runProgram(process.execPath, [join(root, 'scripts/proto.mjs'), '--check']);
  assert.equal(code, 0, stdout + stderr);
});
