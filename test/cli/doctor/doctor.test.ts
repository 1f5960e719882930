/** The doctor in a domain inside this process, sound and with one thing wrong at a time. */
import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { checks } from '../../../src/cli/doctor/doctor.ts';
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

  test('has checks that need only those before them', () => {
    checks.forEach((check, i) => {
      const before = checks.slice(0, i).map(({ id }) => id);
      for (const need of check.needs) assert.ok(before.includes(need), `${check.id} needs ${need}`);
    });
  });
});
