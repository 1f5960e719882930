/** The doctor in a domain inside this process, sound and with one thing wrong at a time. */
import assert from 'node:assert/strict';
import { chmod, chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { checks } from '../../../src/cli/doctor/doctor.ts';
import { run } from '../../daemon/fake.ts';
import { runProgram } from '../../support/programs.ts';
import { type Harness, PASSWORD, startHarness } from '../../testdomain/domain.ts';
import { cli } from '../run.ts';

interface Report {
  healthy: boolean;
  checks: { id: string; findings: { mark: string; text: string; todo?: string }[] }[];
}

/** Of this host rather than of the domain, whose only controller takes no pings. */
const LOCAL = ['site', 'ccache', 'keytab', 'leases', 'daemon'];

describe('doctor', () => {
  let world: Harness;
  let flags: string[];
  before(async () => {
    world = await startHarness();
    await writeFile(join(world.directory, 'pw'), PASSWORD);
    flags = ['-d', world.domain.domain, '--server', `localhost:${world.domain.ldapPort}`];
    flags.push('-p', 'svc-fetch', '--password-file', join(world.directory, 'pw'));
  });
  after(() => world?.stop());

  const examine = async (argv: string[], env: Record<string, string> = {}): Promise<Report & { code: number }> => {
    const own = { KRB5CCNAME: join(world.directory, 'none'), CF_KRB_DIR: join(world.directory, 'krbdir') };
    const { code, out, err } = await cli(['doctor', '--json', ...argv], { env: { ...world.env, ...own, ...env } });
    assert.ok(out.startsWith('{'), err);
    return { code, ...(JSON.parse(out) as Report) };
  };
  const broken = ({ checks: all }: Report): string[] =>
    all.filter((c) => c.findings.some((f) => f.mark === 'fail')).map((c) => c.id);
  const findings = ({ checks: all }: Report, id: string) => all.find((c) => c.id === id)!.findings;

  test('finds a sound domain sound', async () => {
    const report = await examine([...flags, '--gmsa', 'WebApp01']);
    assert.deepEqual(broken(report), [], JSON.stringify(report.checks));
    assert.deepEqual([report.code, report.healthy], [0, true]);
    const marks = report.checks.filter((c) => !LOCAL.includes(c.id)).flatMap((c) => c.findings.map((f) => f.mark));
    assert.deepEqual([...new Set(marks)], ['ok'], JSON.stringify(report.checks));
  });

  test('prints a line a finding, with what to do', async () => {
    const { code, out } = await cli(['doctor', ...flags, '--gmsa', 'WebApp01,Other02'], { env: world.env });
    assert.equal(code, 1);
    assert.match(out, /^✓ Configuration {2}realm /m);
    assert.match(
      out,
      /^✗ gMSA {11}.* does not let this identity read .* — Set-ADServiceAccount Other02 .*PrincipalsAllowedToRetrieve/m,
    );
    assert.match(out, /^✓ gMSA {11}the managed password of WebApp01\$ can be read/m);
  });

  const wrong: [what: string, argv: string[], id: string, todo: RegExp][] = [
    ['a gMSA that is not there', ['--gmsa', 'Nonesuch'], 'gmsa', /check the name/],
    ['a gMSA the reader may not read', ['--gmsa', 'Other02'], 'gmsa', /PrincipalsAllowedToRetrieve/],
    ['a reader that is disabled', ['-p', 'off'], 'tgt', /enable the account/],
    ['a reader whose password has expired', ['-p', 'old'], 'tgt', /change the password/],
    ['a reader nobody knows', ['-p', 'nobody'], 'tgt', /spelling/],
    ['a directory that is down', ['--server', 'localhost:1'], 'ports', /open the port/],
  ];
  for (const [what, argv, id, todo] of wrong) {
    test(`sees ${what}`, async () => {
      const report = await examine([...flags, ...argv]);
      assert.equal(report.code, 1);
      const failed = findings(report, id).find((f) => f.mark === 'fail');
      assert.match(failed?.todo ?? `none in ${JSON.stringify(report.checks)}`, todo);
    });
  }

  test('sees a wrong password, and does not try what needs the ticket', async () => {
    await writeFile(join(world.directory, 'wrong'), 'wrong');
    const report = await examine([...flags, '--password-file', join(world.directory, 'wrong'), '--gmsa', 'WebApp01']);
    assert.deepEqual(broken(report), ['tgt']);
    assert.deepEqual(
      ['encryption', 'ldap', 'gmsa'].map((id) => findings(report, id)[0]!.text),
      ['needs Ticket', 'needs Ticket', 'needs Directory'],
    );
  });

  test('sees a clock that is off', async () => {
    world.domain.setFaults({ clockOffsetMs: 3600_000 });
    try {
      const report = await examine(flags);
      assert.match(findings(report, 'clock')[0]!.text, /3(600|599|601) s ahead of this host's; 300 s are allowed/);
      assert.equal(report.code, 1);
    } finally {
      world.domain.setFaults({});
    }
  });

  test('sees a KDC that is down', async () => {
    const conf = join(world.directory, 'dead.conf');
    const dead = world.domain.krb5Conf.replace(`:${world.domain.kdcPort}`, ':1');
    await writeFile(conf, dead);
    const report = await examine(flags, { KRB5_CONFIG: conf });
    assert.deepEqual(broken(report), ['ports', 'clock', 'tgt']);
  });

  for (const [mode, mark] of [
    [0o600, 'ok'],
    [0o640, 'ok'],
    [0o660, 'warn'],
    [0o644, 'fail'],
  ] as const) {
    test(`judges a ticket cache of mode ${mode.toString(8)}: ${mark}`, async () => {
      const path = join(world.directory, 'cc');
      await cli(['kinit', '--password-file', join(world.directory, 'pw'), 'svc-fetch'], {
        env: { ...world.env, KRB5CCNAME: path },
      });
      await chmod(path, mode);
      const report = await examine(flags, { KRB5CCNAME: path });
      assert.equal(findings(report, 'ccache')[0]!.mark, mark);
      assert.equal(report.code, mark === 'fail' ? 1 : 0);
    });
  }

  test('uses a ticket cache as the reader', async () => {
    const path = join(world.directory, 'reader');
    const env = { ...world.env, KRB5CCNAME: path };
    await cli(['kinit', '--password-file', join(world.directory, 'pw'), 'svc-fetch'], { env });
    const report = await examine([...flags.slice(0, 4), '--gmsa', 'WebApp01'], { KRB5CCNAME: path });
    assert.deepEqual(broken(report), [], JSON.stringify(report.checks));
  });

  test('warns of a realm in small letters, and of a krb5.conf that is not there', async () => {
    const conf = join(world.directory, 'small.conf');
    await writeFile(conf, world.domain.krb5Conf.replace(/default_realm = .*/, 'default_realm = small.test'));
    assert.match(findings(await examine(flags, { KRB5_CONFIG: conf }), 'config')[1]!.text, /small\.test is not in cap/);
    const gone = await examine([...flags, '--gmsa', 'WebApp01'], { KRB5_CONFIG: join(world.directory, 'gone.conf') });
    assert.match(findings(gone, 'config')[1]!.text, /there is no .*gone\.conf/);
  });

  test('says what is wrong with krb5.conf, and looks at the rest all the same', async () => {
    const conf = join(world.directory, 'broken.conf');
    await writeFile(conf, '[libdefaults\n');
    const report = await examine(flags, { KRB5_CONFIG: conf });
    assert.equal(report.code, 1);
    assert.deepEqual(broken(report), ['config']);
    const [finding] = findings(report, 'config');
    assert.match(finding!.text, /broken\.conf:1: not a section/);
    assert.match(finding!.todo!, /mend that line/);
    assert.equal(findings(report, 'kdc-records')[0]!.text, 'needs Configuration');
    assert.equal(findings(report, 'daemon')[0]!.mark, 'warn');
  });

  test('warns, and no more, where passwords cannot be changed', async () => {
    const conf = join(world.directory, 'kpasswd.conf');
    await writeFile(conf, world.domain.krb5Conf.replace(/kpasswd_server = .*/, 'kpasswd_server = localhost:1'));
    const report = await examine(flags, { KRB5_CONFIG: conf });
    assert.deepEqual([report.code, broken(report)], [0, []]);
    const warned = findings(report, 'ports').find((f) => f.mark === 'warn');
    assert.match(warned?.text ?? '', /nothing answers on localhost:1 \(changes of passwords\)/);
    assert.match(warned?.todo ?? '', /leases do not need it/);
  });

  test('tries a daemon that is well, and says who may ask it', async (t) => {
    const { daemon } = await run(t);
    const found = findings(await examine([...flags, '--socket', daemon.address]), 'daemon');
    assert.match(found[0]!.text, /has mode 0\d{3}, owner \d+, group \d+/);
    assert.deepEqual(found.at(-1), { mark: 'ok', text: 'the daemon says OK' });
  });

  test('sees a socket that nobody listens on, one that is open to everybody, and a file in its place', async () => {
    const path = join(world.directory, 'left.sock');
    // Killed, so that the socket stays.
    const listen = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`;
    await runProgram(process.execPath, ['-e', listen], {});
    await chmod(path, 0o666);
    const left = await examine([...flags, '--socket', path]);
    assert.deepEqual(
      findings(left, 'daemon').map((f) => f.mark),
      ['warn', 'fail'],
    );
    assert.match(findings(left, 'daemon')[0]!.text, /everybody may ask/);
    assert.match(findings(left, 'daemon')[1]!.todo!, /restart/);
    const file = await examine(flags, { CREDENTIALS_FETCHER_HOST: `unix:${join(world.directory, 'pw')}` });
    assert.match(findings(file, 'daemon')[0]!.text, /is no socket/);
  });

  test('warns where there is no daemon, or its variable names no path', async () => {
    const none = await examine(flags, { CF_UNIX_DOMAIN_SOCKET_DIR: world.directory });
    assert.deepEqual([none.code, findings(none, 'daemon')[0]!.mark], [0, 'warn']);
    const odd = await examine(flags, { CREDENTIALS_FETCHER_HOST: 'localhost:80' });
    assert.match(findings(odd, 'daemon')[0]!.todo!, /CREDENTIALS_FETCHER_HOST/);
  });

  test("warns of another's ticket cache", { skip: process.getuid?.() === 0 ? false : 'needs root' }, async () => {
    const path = join(world.directory, 'theirs');
    const env = { ...world.env, KRB5CCNAME: path };
    await cli(['kinit', '--password-file', join(world.directory, 'pw'), 'svc-fetch'], { env });
    await chown(path, 1234, 1234);
    const report = await examine(flags, { KRB5CCNAME: path });
    assert.match(findings(report, 'ccache')[1]!.text, /belongs to user 1234/);
  });

  test('says what to do where there is no ticket, no password file and no keytab', async () => {
    const where = flags.slice(0, 4);
    const todo = async (argv: string[]) => findings(await examine([...where, ...argv]), 'tgt')[0]!.todo!;
    assert.match(await todo([]), /^kinit, or name the reader/);
    assert.match(await todo(['-p', 'svc-fetch', '--password-file', '/nonesuch']), /make the file/);
    assert.match(await todo(['-t', '/nonesuch']), /-t with its keytab/);
  });

  for (const argv of [
    ['--server', 'ldap://localhost'],
    ['--server', 'localhost:99999'],
    ['--socket', 'relative'],
  ]) {
    test(`does not take ${argv.join(' ')}`, async () => {
      const { code, err } = await cli(['doctor', ...flags, ...argv], { env: world.env });
      assert.equal(code, 2);
      assert.match(err, /must be/);
    });
  }

  test('ends quietly when whoever reads its output has gone', async () => {
    const conf = join(world.directory, 'quiet.conf');
    await writeFile(conf, '[libdefaults\n'); // so that nothing is asked of the network
    const bin = fileURLToPath(new URL('../../../src/cli/bin.ts', import.meta.url));
    const line = `"${process.execPath}" --import tsx "${bin}" doctor | true`;
    const { stderr } = await runProgram('sh', ['-c', line], { env: { ...world.env, KRB5_CONFIG: conf } });
    assert.equal(stderr, '');
  });

  test('has checks that need only those before them', () => {
    checks.forEach((check, i) => {
      const before = checks.slice(0, i).map(({ id }) => id);
      for (const need of check.needs) assert.ok(before.includes(need), `${check.id} needs ${need}`);
    });
  });
});
