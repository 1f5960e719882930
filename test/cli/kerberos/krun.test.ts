/** krun as a process, with a keytab of MIT's KDC. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';

const program = fileURLToPath(new URL('../../../src/cli/bin.ts', import.meta.url));

describe('krun', { skip: needsMitRealm }, () => {
  let mit: MitRealm;
  let keytab: string;
  before(async () => {
    mit = await startMitRealm({ principals: [{ name: 'WEB1$' }, { name: 'alice', password: 'a secret' }] });
    keytab = await mit.keytab('WEB1$');
  });
  after(() => mit?.stop());

  const start = (...args: string[]): ChildProcess => {
    const env = { ...process.env, ...mit.env, TMPDIR: mit.directory, LC_ALL: 'C', TZ: 'UTC' };
    return spawn(process.execPath, ['--import', 'tsx', program, 'krun', ...args], {
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  };
  const ended = async (child: ChildProcess): Promise<{ code: number | null; out: string; err: string }> => {
    let [out, err] = ['', ''];
    child.stdout!.on('data', (chunk) => {
      out += chunk;
    });
    child.stderr!.on('data', (chunk) => {
      err += chunk;
    });
    child.stdin!.end();
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    return { code, out, err };
  };
  const caches = async (): Promise<string[]> => (await readdir(mit.directory)).filter((f) => f.startsWith('krb5cc_'));
  /** The next line that the child writes. */
  const reader = (child: ChildProcess): (() => Promise<string>) => {
    const lines = createInterface(child.stdout!)[Symbol.asyncIterator]();
    return async () => (await lines.next()).value as string;
  };

  test('runs a program with a ticket of its own, keeps its exit status, and removes the cache', async () => {
    const { code, out, err } = await ended(start('-t', keytab, '--', 'sh', '-c', 'klist; exit 7'));
    assert.equal(code, 7, err);
    assert.match(out, /Ticket cache: FILE:.*\/krb5cc_\d+_[0-9a-f]{12}\nDefault principal: WEB1\$@MIT\.TEST/);
    assert.deepEqual(await caches(), []);
  });

  test("leaves the program's own flags alone, also without --", async () => {
    const { out } = await ended(start('-t', keytab, 'echo', '-n', '--help', '-t'));
    assert.equal(out, '--help -t');
  });

  test('takes mode and place of the cache', async () => {
    const path = join(mit.directory, 'chosen');
    const { out } = await ended(start('-t', keytab, '-m', '640', '-k', path, 'sh', '-c', `stat -c '%a %n' ${path}`));
    assert.equal(out, `640 ${path}\n`);
    assert.ok(!(await readdir(mit.directory)).includes('chosen'));
  });

  const isRoot = process.getuid?.() === 0;
  test('gives the cache to a user and a group, by name or number', {
    skip: isRoot ? false : 'needs root',
  }, async () => {
    const show = ['sh', '-c', `stat -c "%u %g %a" "\${KRB5CCNAME#FILE:}"`];
    const { out } = await ended(start('-t', keytab, '-o', 'nobody', '-g', '12345', '-m', '440', ...show));
    assert.match(out, /^65534 12345 440\n$/);
    const { code, err } = await ended(start('-t', keytab, '-o', 'no-such-user', 'true'));
    assert.equal(code, 2);
    assert.match(err, /--owner: \/etc\/passwd has no no-such-user/);
  });

  test('reads a password file', async () => {
    await writeFile(join(mit.directory, 'pw'), 'a secret\n');
    const { code } = await ended(start('-p', 'alice', '--password-file', join(mit.directory, 'pw'), 'klist', '-s'));
    assert.equal(code, 0);
  });

  test('does not start the program without a ticket', async () => {
    await writeFile(join(mit.directory, 'pw'), 'wrong\n');
    const { code, out, err } = await ended(
      start('-p', 'alice', '--password-file', join(mit.directory, 'pw'), 'echo', 'ran'),
    );
    assert.deepEqual([code, out], [1, '']);
    assert.match(err, /WRONG_PASSWORD/);
    await rm(join(mit.directory, 'pw'));
  });

  test('says 127 for a program that is not there, and removes the cache', async () => {
    const { code, err } = await ended(start('-t', keytab, '/no/such/program'));
    assert.equal(code, 127);
    assert.match(err, /cannot run/);
    assert.deepEqual(await caches(), []);
  });

  for (const [signal, number] of [
    ['SIGTERM', 15],
    ['SIGHUP', 1],
    ['SIGINT', 2],
    ['SIGUSR1', 10],
  ] as const) {
    test(`passes ${signal} on, and ends as the program does`, async () => {
      const child = start(
        '-t',
        keytab,
        'sh',
        '-c',
        `trap 'exit 42' ${signal.slice(3)}; echo ready; while :; do sleep 0.05; done`,
      );
      const next = reader(child);
      assert.equal(await next(), 'ready');
      child.kill(signal);
      assert.equal((await ended(child)).code, 42);
      const untrapped = start('-t', keytab, 'sh', '-c', 'echo ready; exec sleep 60');
      assert.equal(await reader(untrapped)(), 'ready');
      untrapped.kill(signal);
      assert.equal((await ended(untrapped)).code, 128 + number);
      assert.deepEqual(await caches(), []);
    });
  }

  test('SIGALRM gets a new ticket at once, in the same file', async () => {
    const asked = async (): Promise<number> =>
      ((await mit.log()).match(/ISSUE: .*WEB1\$@MIT\.TEST for krbtgt/g) ?? []).length;
    const child = start('-v', '-t', keytab, 'sh', '-c', 'echo ready; read line; klist -s && echo valid');
    const said = createInterface(child.stderr!)[Symbol.asyncIterator]();
    assert.match((await said.next()).value, /krun: got a ticket of WEB1\$@MIT\.TEST until/);
    assert.equal(await reader(child)(), 'ready');
    const before = await asked();
    child.kill('SIGALRM');
    assert.match((await said.next()).value, /krun: got a ticket/);
    assert.equal(await asked(), before + 1);
    child.stdin!.end('go\n');
    const code = await new Promise((resolve) => child.on('close', resolve));
    assert.equal(code, 0);
  });
});
