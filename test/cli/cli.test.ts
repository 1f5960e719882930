import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { commands } from '../../src/cli/main.ts';
import { AdError } from '../../src/errors.ts';
import { credspec, type Running, run, scratchDirectory, tree, user } from '../daemon/fake.ts';
import { cli } from './run.ts';

async function withDaemon(t: TestContext): Promise<Running & { socket: string[]; file: string }> {
  const running = await run(t);
  const file = join(running.directory, 'credspec.json');
  await writeFile(file, `\uFEFF${credspec('WebApp01')}`);
  return { ...running, file, socket: ['--socket', running.daemon.address] };
}

const who = ['--username', user.username, '--domain', user.domain];

describe('credentials-fetcher', () => {
  test('lists its commands', async () => {
    const { code, out } = await cli(['--help']);
    assert.equal(code, 0);
    for (const name of Object.keys(commands)) assert.ok(out.includes(`  ${name}`), name);
  });

  for (const name of Object.keys(commands)) {
    test(`${name} has a help text`, async () => {
      const { code, out } = await cli([name, '--help']);
      assert.equal(code, 0);
      assert.match(out, new RegExp(`^Usage: credentials-fetcher ${name}`));
    });
  }

  const misused: [argv: string[], message: RegExp][] = [
    [[], /^Usage/],
    [['remove'], /unknown command remove/],
    [['helth'], /did you mean health\?/],
    [['constructor'], /unknown command constructor/],
    [['health', '--sockt', 'x'], /did you mean --socket\?/],
    [['health', 'extra'], /extra/],
    [['health', '--socket', 'relative'], /absolute path/],
    [['health', '--timeout', 'soon'], /--timeout/],
    [['add'], /at least one credspec file/],
    [['add', '--domain', 'x', '/dev/null'], /need --username/],
    [['add', '--username', 'x', '/dev/null'], /--domain is required/],
    [['renew'], /--username is required/],
    [['delete'], /id of a lease is required/],
    [['klist', '-t'], /-t and -K go with -k/],
    [['klist', '--jsn'], /did you mean --json\?/],
    [['kinit', '-t', 'x'], /--keytab goes with -k/],
    [['kinit', '-f', '-F'], /exclude each other/],
    [['kvno'], /at least one service/],
    [['kdestroy', '-A', '-p', 'x'], /-A and -p exclude each other/],
    [['kswitch'], /one of -c and -p/],
    [['keytab'], /say what to do/],
    [['keytab', 'constructor'], /say what to do/],
    [['keytab', 'merge'], /name the keytabs/],
    [['completion', 'tcsh'], /name a shell/],
  ];
  for (const [argv, message] of misused) {
    test(`does not accept ${argv.join(' ') || 'nothing'}`, async () => {
      const { code, err } = await cli(argv);
      assert.equal(code, 2);
      assert.match(err, message);
    });
  }

  test('health prints OK', async (t) => {
    const { socket } = await withDaemon(t);
    const { code, out } = await cli(['health', ...socket]);
    assert.deepEqual([code, out], [0, 'OK\n']);
  });

  test('finds the socket by the environment', async (t) => {
    const { directory } = await withDaemon(t);
    const env = { CF_UNIX_DOMAIN_SOCKET_DIR: join(directory, 'socket') };
    assert.equal((await cli(['health'], { env })).code, 0);
    const host = { CREDENTIALS_FETCHER_HOST: `unix://${join(directory, 'socket/credentials_fetcher.sock')}` };
    assert.equal((await cli(['health'], { env: host })).code, 0);
  });

  test('exits with 3 when nobody answers', async (t) => {
    const { code, err } = await cli(['health', '--socket', join(await scratchDirectory(t), 'none')]);
    assert.equal(code, 3);
    assert.match(err, /no daemon answers on .*\(UNAVAILABLE\)/);
  });

  test('add prints the id and the directories', async (t) => {
    const { socket, file, krbDir, engine } = await withDaemon(t);
    const { code, out } = await cli(['add', ...socket, file]);
    const [id, path] = out.trimEnd().split('\n');
    assert.deepEqual([code, path], [0, join(krbDir, id!, 'WebApp01')]);
    assert.equal(engine.seen[0]!.request.identity.kind, 'machine');
  });

  for (const [from, flags, world] of [
    ['a prompt', [], { typed: 'secret' }],
    ['standard input', [], { input: 'secret\n' }],
    ['standard input by name', ['--password-file', '-'], { input: 'secret\r\n', typed: 'not this' }],
  ] as const) {
    test(`add takes the password from ${from}`, async (t) => {
      const { socket, file, engine } = await withDaemon(t);
      assert.equal((await cli(['add', ...socket, ...who, ...flags, file], world)).code, 0);
      assert.equal(engine.seen[0]!.password, 'secret');
    });
  }

  test('add takes the password from a file', async (t) => {
    const { socket, file, engine, directory } = await withDaemon(t);
    await writeFile(join(directory, 'pw'), ' with spaces \n');
    assert.equal((await cli(['add', ...socket, ...who, '-p', join(directory, 'pw'), file])).code, 0);
    assert.equal(engine.seen[0]!.password, ' with spaces ');
  });

  test('add refuses an empty password without calling', async (t) => {
    const { socket, file, engine } = await withDaemon(t);
    assert.equal((await cli(['add', ...socket, ...who, file], { input: '\n' })).code, 2);
    assert.equal(engine.seen.length, 0);
  });

  test('add says which file is not there', async (t) => {
    const { socket } = await withDaemon(t);
    const { code, err } = await cli(['add', ...socket, '/nonexistent/spec.json']);
    assert.equal(code, 1);
    assert.match(err, /\/nonexistent\/spec\.json/);
  });

  test('add exits with 1 when refused', async (t) => {
    const { socket, file, engine } = await withDaemon(t);
    engine.answer = () => Promise.reject(new AdError('WRONG_PASSWORD', 'no'));
    const { code, err } = await cli(['add', ...socket, ...who, file], { input: 'x' });
    assert.equal(code, 1);
    assert.match(err, /Invalid credentials for domainless user: no \(UNAUTHENTICATED\)/);
  });

  test('renew prints the caches, delete empties the directory', async (t) => {
    const { socket, file, krbDir } = await withDaemon(t);
    const added = await cli(['add', '--json', ...socket, ...who, file], { input: 'x' });
    const { leaseId, paths } = JSON.parse(added.out);
    const renewed = await cli(['renew', ...socket, ...who], { input: 'x' });
    assert.equal(renewed.out, `${paths[0]}/krb5cc\n`);
    const deleted = await cli(['delete', ...socket, leaseId]);
    assert.equal(deleted.out, `${paths[0]}/krb5cc\n`);
    assert.deepEqual(await tree(krbDir), []);
  });
});
