/** --check-config and SIGHUP, with the daemon as a process and a domain. */
import assert from 'node:assert/strict';
import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { createClient } from '../../src/client/index.ts';
import { startTestDomain } from '../../src/testdomain/index.ts';
import { credspec, type DaemonProcess, daemonFile, startDaemonProcess } from '../support/daemon-process.ts';
import { runProgram } from '../support/programs.ts';
import { scratchDirectory, until } from './fake.ts';

describe('--check-config', () => {
  const check = (args: string[], env: Record<string, string> = {}) =>
    runProgram(process.execPath, [daemonFile, '--check-config', ...args], { env });

  test('prints each setting with its source and exits with 0', async (t) => {
    const conf = join(await scratchDirectory(t), 'conf');
    await writeFile(conf, '\nLDAPSearchTimeout = 9\nPassword = Very-Secret-1\n');
    const { code, stdout, stderr } = await check(['--config', conf, '--log-level', 'warn'], { CF_KRB5CC_MODE: '0640' });
    assert.equal(code, 0, stderr);
    const squeezed = stdout.replace(/ +/g, ' ');
    assert.ok(squeezed.includes(`CF_LDAP_SEARCH_TIMEOUT = 9 (${conf}:2)\n`), stdout);
    assert.ok(squeezed.includes('LOG_LEVEL = warn (flag)\n'));
    assert.ok(squeezed.includes('CF_KRB5CC_MODE = 0640 (environment)\n'));
    assert.ok(squeezed.includes('CF_KRB_DIR = /var/credentials-fetcher/krbdir (default)\n'));
    assert.match(stderr, /warning: .*:3: unknown key "Password"/);
    assert.ok(!`${stdout}${stderr}`.includes('Very-Secret'));
  });

  test('exits with 2 after every problem', async () => {
    const { code, stderr } = await check(['--socket-mode', '0777'], { CF_KRB5CC_UID: 'app', LOG_LEVEL: 'loud' });
    assert.equal(code, 2);
    for (const word of ['--socket-mode', 'CF_KRB5CC_UID', 'LOG_LEVEL']) assert.ok(stderr.includes(word), word);
  });

  test('tries what only a part of the daemon can judge', async (t) => {
    const directory = await scratchDirectory(t);
    await writeFile(join(directory, 'krb5.conf'), '[libdefaults]\n  permitted_enctypes = rc4-hmac\n');
    await writeFile(join(directory, 'spec.json'), '{}');
    const { code, stderr } = await check(['--cred-spec-file', join(directory, 'spec.json'), '--metrics', '0.0.0.0:1'], {
      KRB5_CONFIG: join(directory, 'krb5.conf'),
    });
    assert.equal(code, 2);
    for (const label of ['KRB5_CONFIG: ', '--cred-spec-file: ', '--metrics: '])
      assert.ok(stderr.includes(label), stderr);
  });
});

describe('SIGHUP', () => {
  /** A daemon with a file of settings that can be changed, and a reader who may use it. */
  async function world(
    t: TestContext,
    conf: string,
  ): Promise<{
    daemon: DaemonProcess;
    reload: (conf: string, done: RegExp) => Promise<void>;
    add: () => Promise<string>;
  }> {
    const domain = await startTestDomain({
      domain: 'corp.example',
      users: [{ name: 'svc', password: 'Only-For-Tests-1', groups: ['Readers'] }],
      gmsas: [{ name: 'WebApp01', readers: ['Readers'] }],
    });
    t.after(() => domain.close());
    const file = join(await scratchDirectory(t), 'conf');
    const withDc = (text: string) => text.replace('DC', `DOMAIN_CONTROLLER_GMSA = localhost:${domain.ldapPort}`);
    await writeFile(file, withDc(conf));
    const daemon = await startDaemonProcess({ CF_CONFIG: file }, [], { 'krb5.conf': domain.krb5Conf });
    t.after(() => daemon.stop());
    await until(async () => (await daemon.output()).includes('"listening"'));
    const client = createClient({ address: daemon.socket });
    t.after(() => client.close());
    return {
      daemon,
      async reload(text, done) {
        await writeFile(file, withDc(text));
        const before = (await daemon.output()).length;
        daemon.child.kill('SIGHUP');
        await until(async () => done.test((await daemon.output()).slice(before)));
      },
      async add() {
        const user = { username: 'svc', password: 'Only-For-Tests-1', domain: 'corp.example' };
        const { paths } = await client.addWithUser({ credspecs: [credspec('WebApp01', 'corp.example')], ...user });
        return paths[0]!;
      },
    };
  }

  const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);

  test('changes what may change: domain controllers, modes, the level of the log', async (t) => {
    const { daemon, reload, add } = await world(t, 'DOMAIN_CONTROLLER_GMSA = localhost:1');
    await assert.rejects(add(), { code: 'UNAVAILABLE' });
    await reload('DC\nCF_KRB5CC_MODE = 0640\nLOG_LEVEL = debug', /the configuration was read again/);
    assert.equal(await modeOf(join(await add(), 'krb5cc')), '640');
    await reload('DC', /the configuration was read again/);
    assert.equal(await modeOf(join(await add(), 'krb5cc')), '600');
    assert.equal(await daemon.stop(), 0);
  });

  test('names what waits for the next start', async (t) => {
    const { reload, add } = await world(t, 'DC');
    await reload('DC\nCF_SOCKET_MODE = 0600', /a new --socket-mode waits for the next start/);
    await add();
  });

  test('refuses a broken configuration as a whole and stays with the old one', async (t) => {
    const { daemon, reload, add } = await world(t, 'DC');
    await reload('DOMAIN_CONTROLLER_GMSA = localhost:1\nCF_KRB5CC_MODE = 0777', /is refused, the old one stays/);
    assert.equal(await modeOf(join(await add(), 'krb5cc')), '600');
    assert.match(await daemon.output(), /conf:2: CF_KRB5CC_MODE is \\"0777\\"/);
  });

  test('refuses a krb5.conf that cannot be used', async (t) => {
    const { daemon, reload, add } = await world(t, 'DC');
    await add();
    await writeFile(join(daemon.directory, 'krb5.conf'), '[libdefaults]\n  permitted_enctypes = rc4-hmac\n');
    await reload('DC', /is refused, the old one stays/);
    await add();
  });

  test('opens the log file anew', async (t) => {
    const { daemon, reload } = await world(t, 'DC');
    const log = join(daemon.directory, 'logging/credentials-fetcher.log');
    // The console has a line a moment before the file has it.
    await until(() =>
      stat(log).then(
        () => true,
        () => false,
      ),
    );
    await rename(log, `${log}.old`);
    await reload('DC', /the configuration was read again/);
    assert.match(await readFile(log, 'utf8'), /the configuration was read again/);
  });
});
