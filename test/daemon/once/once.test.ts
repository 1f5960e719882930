/** Leases without a client: CF_CRED_SPEC_FILE and --once, the built daemon before a domain, klist as the judge. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once as happens } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { parseMetadata } from '../../../src/daemon/leases/metadata.ts';
import { startTestDomain, type TestDomain } from '../../../src/testdomain/index.ts';
import { needsBotocore, startAws } from '../../support/aws-server.ts';
import { credspec, daemonFile, startDaemonProcess } from '../../support/daemon-process.ts';
import { hasProgram, mustRun, needs, type ProgramResult, runProgram } from '../../support/programs.ts';
import { scratchDirectory, tree, until } from '../fake.ts';

const PASSWORD = 'Only-For-Tests-1';
let domain: TestDomain;

before(async () => {
  domain = await startTestDomain({
    domain: 'corp.example',
    users: [{ name: 'svc', password: PASSWORD, groups: ['Readers'] }],
    computers: [{ name: 'HOST1', groups: ['Readers'] }],
    gmsas: ['WebApp01', 'WebApp02']
      .map((name) => ({ name, readers: ['Readers'] }))
      .concat({ name: 'Other', readers: [] }),
  });
});
after(() => domain.close());

interface Place {
  readonly directory: string;
  readonly krbDir: string;
  readonly env: Record<string, string>;
  once(args: string[], more?: { env?: Record<string, string>; input?: string }): Promise<ProgramResult>;
}

/** A directory with a krb5.conf, the machine's keytab, credspecs, a password. */
async function place(t: TestContext): Promise<Place> {
  const directory = await scratchDirectory(t);
  for (const name of ['WebApp01', 'WebApp02', 'Other']) {
    await writeFile(join(directory, `${name}.json`), credspec(name, 'corp.example'));
  }
  await writeFile(join(directory, 'krb5.conf'), domain.krb5Conf);
  await writeFile(join(directory, 'keytab'), await domain.keytab('HOST1$'));
  await writeFile(join(directory, 'password'), `${PASSWORD}\n`);
  const krbDir = join(directory, 'krbdir');
  const env = {
    KRB5_CONFIG: join(directory, 'krb5.conf'),
    KRB5_KTNAME: join(directory, 'keytab'),
    DOMAIN_CONTROLLER_GMSA: `localhost:${domain.ldapPort}`,
    CF_KRB_DIR: krbDir,
    CF_UNIX_DOMAIN_SOCKET_DIR: join(directory, 'socket'),
    CF_LOGGING_DIR: join(directory, 'logging'),
  };
  const once: Place['once'] = (args, more = {}) =>
    runProgram(process.execPath, [daemonFile, '--once', ...args], {
      cwd: directory,
      env: { ...env, ...more.env },
      ...(more.input !== undefined && { input: more.input }),
    });
  return { directory, krbDir, env, once };
}

/** Whose ticket it is, by MIT's program where it is installed. */
async function owner(cache: string): Promise<string> {
  if (!hasProgram('klist'))
    return (await readFile(cache, 'latin1')).includes('WebApp01$') ? 'WebApp01$@CORP.EXAMPLE' : '';
  return /Default principal: (.*)/.exec(await mustRun('klist', ['-c', cache]))![1]!;
}

const inodeOf = async (path: string) => (await stat(path)).ino;
const userOf = async (krbDir: string, lease: string) =>
  parseMetadata(await readFile(join(krbDir, lease, `${lease}_metadata.json`), 'utf8'))[0]!.domainlessUser;

describe('--once', () => {
  test('writes a lease read by the machine, prints its tickets, opens no socket and writes no log', async (t) => {
    const { directory, krbDir, once } = await place(t);
    const { code, stdout, stderr } = await once(['WebApp01.json', 'WebApp02.json:two']);
    assert.equal(code, 0, stderr);
    const caches = [join(krbDir, 'credspec/WebApp01/krb5cc'), join(krbDir, 'two/WebApp02/krb5cc')];
    assert.equal(stdout, `${caches.join('\n')}\n`);
    assert.equal(await owner(caches[0]!), 'WebApp01$@CORP.EXAMPLE');
    assert.deepEqual([existsSync(join(directory, 'socket')), existsSync(join(directory, 'logging'))], [false, false]);
  });

  test('again: new tickets in the same directories, and the new reader in the record', async (t) => {
    const { krbDir, once } = await place(t);
    await once(['WebApp01.json']);
    const home = join(krbDir, 'credspec/WebApp01');
    const [directory, cache] = [await inodeOf(home), await inodeOf(join(home, 'krb5cc'))];
    assert.equal(await userOf(krbDir, 'credspec'), '');
    const { code } = await once(['WebApp01.json', '--username', 'svc', '--password-file', 'password']);
    assert.equal(code, 0);
    assert.equal(await inodeOf(home), directory);
    assert.notEqual(await inodeOf(join(home, 'krb5cc')), cache);
    assert.equal(await userOf(krbDir, 'credspec'), 'svc');
  });

  test('a lease for another account gives way', async (t) => {
    const { krbDir, once } = await place(t);
    await once(['WebApp02.json']);
    assert.equal((await once(['WebApp01.json'])).code, 0);
    assert.deepEqual(await tree(join(krbDir, 'credspec')), ['WebApp01', 'WebApp01/krb5cc', 'credspec_metadata.json']);
  });

  test('writes one ticket to a file, read by a user whose password comes by standard input', async (t) => {
    const { directory, krbDir, once } = await place(t);
    const args = ['--output', 'cc', '--username', 'svc', '--domain', 'corp.example', '--password-file', '-'];
    const { code, stdout, stderr } = await once(['WebApp01.json', ...args, '--krb5cc-mode', '0640'], {
      input: PASSWORD,
    });
    assert.equal(code, 0, stderr);
    const cache = join(directory, 'cc');
    assert.equal(stdout, `${cache}\n`);
    assert.equal(await owner(cache), 'WebApp01$@CORP.EXAMPLE');
    assert.equal((await stat(cache)).mode & 0o777, 0o640);
    assert.equal(existsSync(krbDir), false);
  });

  test("takes the settings' credspec file when none is named", async (t) => {
    const { krbDir, directory, once } = await place(t);
    const CF_CRED_SPEC_FILE = `${join(directory, 'WebApp01.json')}:from-settings`;
    assert.equal((await once([], { env: { CF_CRED_SPEC_FILE } })).code, 0);
    assert.ok(existsSync(join(krbDir, 'from-settings/WebApp01/krb5cc')));
  });

  test('1: a file that is not there, a keytab that is none', async (t) => {
    const { once } = await place(t);
    assert.equal((await once(['nothing.json'])).code, 1);
    assert.equal((await once(['WebApp01.json'], { env: { KRB5_KTNAME: '/nonexistent' } })).code, 1);
  });

  test('reads a credspec from a pipe, and ends by a signal while nobody writes to it', {
    skip: needs('mkfifo'),
  }, async (t) => {
    const { directory, once, env } = await place(t);
    const fifo = join(directory, 'pipe');
    await mustRun('mkfifo', [fifo]);
    const done = once([`${fifo}:piped`]);
    await writeFile(fifo, credspec('WebApp01', 'corp.example'));
    assert.equal((await done).code, 0);
    const waiting = spawn(process.execPath, [daemonFile, '--once', fifo], { env, stdio: 'ignore' });
    const ended = happens(waiting, 'exit');
    setTimeout(() => waiting.kill('SIGTERM'), 500);
    assert.deepEqual(await ended, [1, null]);
  });

  test('1: a ticket is put in the place of a file only, never of a device, a pipe or a directory', async (t) => {
    const { directory, once } = await place(t);
    await symlink('/dev/null', join(directory, 'device'));
    for (const output of ['device', '.']) {
      const { code, stderr } = await once(['WebApp01.json', '--output', output]);
      assert.equal(code, 1, stderr);
      assert.match(stderr, /only a file can be replaced/);
    }
    assert.equal(await readlink(join(directory, 'device')), '/dev/null');
  });

  test('2: no credspec at all', async (t) => {
    const { once } = await place(t);
    assert.equal((await once([])).code, 2);
  });

  test('3: not a credspec', async (t) => {
    const { directory, once } = await place(t);
    await writeFile(join(directory, 'bad.json'), '{"DomainJoinConfig":{}}');
    const { code, stderr } = await once(['bad.json']);
    assert.equal(code, 3);
    assert.match(stderr, /bad\.json.*DomainJoinConfig\.DnsName is missing/);
  });

  test('4: the domain refuses: a wrong password, an account this reader may not read; nothing is left', async (t) => {
    const { krbDir, directory, once } = await place(t);
    await writeFile(join(directory, 'wrong'), 'Wrong-Passw0rd');
    const wrong = await once(['WebApp01.json', '--username', 'svc', '--password-file', 'wrong']);
    assert.equal(wrong.code, 4);
    assert.ok(!wrong.stderr.includes('Wrong-Passw0rd'));
    assert.equal((await once(['Other.json'])).code, 4);
    assert.deepEqual(await tree(krbDir), []);
  });

  test('5: nobody can be reached', async (t) => {
    const { once } = await place(t);
    assert.equal((await once(['WebApp01.json'], { env: { DOMAIN_CONTROLLER_GMSA: 'localhost:1' } })).code, 5);
  });
});

describe('CF_CRED_SPEC_FILE', () => {
  const start = async (t: TestContext, { env, directory }: Place, spec: string, more: Record<string, string> = {}) => {
    const { CF_KRB_DIR: _, CF_LOGGING_DIR: __, CF_UNIX_DOMAIN_SOCKET_DIR: ___, ...rest } = env;
    const daemon = await startDaemonProcess({ ...rest, CF_CRED_SPEC_FILE: join(directory, spec), ...more });
    t.after(() => daemon.stop());
    return daemon;
  };

  test('makes a lease of the given id at the start, read by the machine', async (t) => {
    const daemon = await start(t, await place(t), 'WebApp01.json:web');
    const cache = join(daemon.krbDir, 'web/WebApp01/krb5cc');
    await until(() => existsSync(cache));
    assert.equal(await owner(cache), 'WebApp01$@CORP.EXAMPLE');
  });

  test('read by the user of the secret, in domainless mode', { skip: needsBotocore }, async (t) => {
    const secret = JSON.stringify({ username: 'svc', password: PASSWORD, domainName: 'corp.example' });
    const aws = await startAws({
      keys: { AKIDEXAMPLE: { secret: 'test-secret', token: 'role-token', account: '123456789012' } },
      objects: {},
      parameters: {},
      secrets: { 'team/reader': secret },
    });
    t.after(() => aws.close());
    const daemon = await start(t, await place(t), 'WebApp01.json', {
      ...aws.env,
      AWS_REGION: 'eu-west-1',
      AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'test-secret',
      AWS_SESSION_TOKEN: 'role-token',
      KRB5_KTNAME: '/nonexistent',
      CREDENTIALS_FETCHER_SECRET_NAME_FOR_DOMAINLESS_GMSA: 'team/reader',
    });
    await until(() => existsSync(join(daemon.krbDir, 'credspec/WebApp01/krb5cc')));
    assert.equal(await userOf(daemon.krbDir, 'credspec'), 'awsdomainlessusersecret:team/reader');
  });

  test('follows the links that orchestrators mount files by', async (t) => {
    const here = await place(t);
    await symlink(join(here.directory, 'WebApp01.json'), join(here.directory, 'link.json'));
    const daemon = await start(t, here, 'link.json');
    await until(() => existsSync(join(daemon.krbDir, 'credspec/WebApp01/krb5cc')));
  });

  test('runs on without the domain and says that it tries again', async (t) => {
    const daemon = await start(t, await place(t), 'WebApp01.json', { DOMAIN_CONTROLLER_GMSA: 'localhost:1' });
    await until(async () => (await daemon.output()).includes('could not be made, trying again'));
    assert.equal(await daemon.stop(), 0);
  });

  test('a missing file is passed over until SIGHUP finds it', async (t) => {
    const here = await place(t);
    const daemon = await start(t, here, 'later.json');
    await until(async () => (await daemon.output()).includes('there is no credspec file'));
    await writeFile(join(here.directory, 'later.json'), credspec('WebApp01', 'corp.example'));
    daemon.child.kill('SIGHUP');
    await until(() => existsSync(join(daemon.krbDir, 'credspec/WebApp01/krb5cc')));
  });

  test('a pipe ends the daemon with 1: it could be read once only', { skip: needs('mkfifo') }, async (t) => {
    const { directory, env } = await place(t);
    await mustRun('mkfifo', [join(directory, 'pipe')]);
    const { code, stderr } = await runProgram(process.execPath, [daemonFile], {
      env: { ...env, CF_CRED_SPEC_FILE: join(directory, 'pipe') },
      timeoutMs: 5000,
    });
    assert.equal(code, 1);
    assert.match(stderr, /cannot run.*no plain file/);
  });

  test('what is not a credspec ends the daemon with 1', async (t) => {
    const { directory, env } = await place(t);
    await writeFile(join(directory, 'bad.json'), '[]');
    const { code, stderr } = await runProgram(process.execPath, [daemonFile], {
      env: { ...env, CF_CRED_SPEC_FILE: join(directory, 'bad.json') },
    });
    assert.equal(code, 1);
    assert.match(stderr, /cannot run.*bad\.json/);
    assert.equal(existsSync(join(directory, 'socket')), false);
  });
});
