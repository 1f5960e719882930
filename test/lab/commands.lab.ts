/** The Kerberos commands in a real Active Directory domain, beside MIT's programs. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { hex } from '../../src/bytes.ts';
import { etypeName } from '../../src/krb5/crypto/index.ts';
import { readKeytab } from '../../src/krb5/files/keytab.ts';
import { gssapiPeer, needsGssapi } from '../support/gssapi-peer.ts';
import { lab, labStatus, must, type RunResult, run } from './lab.ts';

const status = labStatus();
const program = fileURLToPath(new URL('../../src/cli/bin.ts', import.meta.url));

const faketime = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((path) => existsSync(path));

describe('the commands', { skip: status.available ? false : status.reason }, () => {
  let work = '';
  let env: Record<string, string> = {};

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'cf-commands-'));
    env = { KRB5CCNAME: join(work, 'cc'), TZ: 'UTC', LC_ALL: 'C' };
    await writeFile(join(work, 'pw'), `${lab.reader.password}\n`);
  });
  after(() => rm(work, { recursive: true, force: true }));

  const cli = (args: string[], more: Record<string, string> = {}): Promise<RunResult> =>
    run(process.execPath, ['--import', 'tsx', program, ...args], { env: { ...env, ...more } });
  const done = async (args: string[], more: Record<string, string> = {}): Promise<string> => {
    const { code, stdout, stderr } = await cli(args, more);
    assert.equal(code, 0, `${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  const kinit = (...args: string[]): Promise<string> =>
    done(['kinit', ...args, '--password-file', join(work, 'pw'), lab.reader.principal]);
  const asReader = () => ['-p', lab.reader.name, '--password-file', join(work, 'pw')];

  test("kinit's ticket is used and renewed by MIT's programs, and kvno's is shared", async () => {
    await kinit('-f', '-r', '2d');
    await must('kvno', [`ldap/${lab.dc}`], { env });
    await must('kinit', ['-R'], { env });
    await done(['kinit', '-R']);
    const ours = await done(['kvno', `ldap/${lab.dc}`]);
    assert.equal(ours, await must('kvno', [`ldap/${lab.dc}`], { env }));
    for (const flags of ['-ef', '-e', '-fa'])
      assert.equal(
        await done(['klist', flags]),
        await must('klist', [flags, ...(flags === '-fa' ? ['-n'] : [])], { env }),
      );
  });

  test("kvno -P goes on in a user's name, and MIT's kvno opens the ticket with the service's key", async () => {
    const [all, out] = [join(work, 'all.keytab'), join(work, 'alice.cc')];
    await must(lab.paths.script, ['dump-keys', all]);
    await done(['kinit', '-f', '-k', '-t', all, lab.middleApp.principal]);
    const service = `HOST/${lab.backs[0]!.host}`;
    await done(['kvno', '-U', lab.alice.upn, '-P', '--out-cache', out, service]);
    assert.match(await must('klist', ['-c', out], { env }), new RegExp(`Default principal: .*${lab.realm}`));
    const opened = await must('kvno', ['-c', out, '--cached-only', '-k', all, service], { env });
    assert.match(opened, /keytab entry valid/);
    const { code, stderr } = await cli(['kvno', '-U', lab.alice.upn, '-P', `HOST/${lab.backs[2]!.host}`]);
    assert.equal(code, 1);
    assert.match(stderr, /KDC_ERR_BADOPTION.*delegation/);
  });

  test("kvno leaves in a cache what MIT's leaves there, and each finds the other's", async () => {
    const all = join(work, 'dumped.keytab');
    await must(lab.paths.script, ['dump-keys', all]);
    const services = lab.backs.slice(0, 2).map(({ host }) => `HOST/${host}`);
    const wanted = ['-I', lab.alice.name, '-P', ...services];
    const left = async (get: () => Promise<string>): Promise<[said: string, listed: string]> => {
      await must('kinit', ['-f', '-k', '-t', all, lab.middleApp.principal], { env });
      const said = await get();
      const listed = await must('klist', ['-f'], { env });
      assert.equal(await done(['klist', '-f']), listed);
      return [said, listed.replace(/\d\d\/\d\d\/\d\d \d\d:\d\d:\d\d/g, 'T')];
    };
    const theirs = await left(() => must('kvno', wanted, { env }));
    const ours = await left(() => done(['kvno', ...wanted]));
    assert.deepEqual(ours, theirs);
    assert.equal(ours[1].match(/for client alice@/g)?.length, 3);
    await must('kvno', ['--cached-only', '-I', lab.alice.name, lab.middleApp.principal], { env });
    await done(['kvno', '--cached-only', ...wanted]);
  });

  test("MIT's library enters a service with the cache that kvno made, as the user", { skip: needsGssapi }, async () => {
    const [keytab, ccache] = [join(work, 'back.keytab'), join(work, 'as-alice.cc')];
    await must(lab.paths.script, ['dump-keys', keytab]);
    await must('kinit', ['-f', '-k', '-t', keytab, lab.middleApp.principal], { env });
    const { host } = lab.backs[0]!;
    await done(['kvno', '-I', lab.alice.name, '-P', '--out-cache', ccache, `HOST/${host}`]);
    const inLab = { ...env, KRB5_CONFIG: lab.paths.krb5Conf, KRB5RCACHEDIR: work };
    const user = gssapiPeer({ role: 'init', mech: 'krb5', target: `HOST@${host}`, store: { ccache } }, inLab);
    const service = gssapiPeer({ role: 'accept', mech: 'krb5', store: { keytab } }, inLab);
    try {
      const { token } = await user.step(undefined);
      assert.equal((await service.step(token)).initiator, lab.alice.principal);
    } finally {
      user.end();
      service.end();
    }
  });

  test('kvno does not go on for an account that is not to be delegated', async () => {
    const { code, stdout, stderr } = await cli(['kvno', '-I', lab.sensitive.name, '-P', `HOST/${lab.backs[0]!.host}`]);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /KDC_ERR_BADOPTION/);
  });

  test("kvno --u2u gets a ticket to a user that MIT's kvno takes for its own", async () => {
    const of = join(work, 'of-alice');
    await must('kinit', ['-c', of, lab.alice.principal], { input: `${lab.alice.password}\n` });
    await kinit();
    const said = await done(['kvno', '--u2u', of, lab.alice.name]);
    assert.equal(said, await must('kvno', ['--cached-only', '--u2u', of, lab.alice.name], { env }));
  });

  test('kinit says that this domain makes no tickets for later', async () => {
    const args = ['-s', '1h', '--password-file', join(work, 'pw'), lab.reader.principal];
    const { code, stderr } = await cli(['kinit', ...args]);
    assert.equal(code, 1);
    assert.match(stderr, /KDC_ERR_POLICY.*the realm's policy forbids it/);
  });

  test("kinit's ticket for this host only names its addresses, as MIT's does", async () => {
    const addresses = async (): Promise<string | undefined> =>
      /Addresses: .*/.exec(await must('klist', ['-an'], { env }))?.[0];
    await kinit('-a');
    const ours = await addresses();
    await must('kinit', ['-a', lab.reader.principal], { env, input: `${lab.reader.password}\n` });
    assert.equal(ours, await addresses());
  });

  test('kinit takes an enterprise name and lets the KDC put the proper one', async () => {
    const upn = `${lab.reader.name}@${lab.domain}`;
    await done(['kinit', '-E', '--password-file', join(work, 'pw'), upn]);
    assert.match(await must('klist', [], { env }), new RegExp(`Default principal: ${lab.reader.principal}`));
  });

  test('kinit says what is wrong with an account', async () => {
    await writeFile(join(work, 'wrong'), 'wrong\n');
    const { code, stderr } = await cli(['kinit', '--password-file', join(work, 'wrong'), 'no-such-user']);
    assert.equal(code, 1);
    assert.match(stderr, /UNKNOWN_PRINCIPAL/);
  });

  test('keytab add makes the keys that the domain controller exports', async () => {
    const path = join(work, 'reader.keytab');
    await done(['keytab', 'add', '-k', path, '-p', lab.reader.principal, '--password-file', join(work, 'pw')]);
    const keys = (bytes: Uint8Array): string[] =>
      readKeytab(bytes)
        .filter((e) => e.key.etype !== 23)
        .map((e) => `${e.kvno} ${e.key.etype} ${hex(e.key.value)}`)
        .sort();
    const exported = join(work, 'exported.keytab');
    await must(lab.paths.script, ['dump-keys', exported, lab.reader.principal]);
    assert.deepEqual(keys(await readFile(path)), keys(await readFile(exported)));
    await must('kinit', ['-k', '-t', path, lab.reader.principal], { env });
    await done(['kinit', '-k', '-t', path]);
  });

  test("kpasswd sets another's password with an administrator's ticket, and changes one's own", async () => {
    const name = `kpw-${process.pid}`;
    const { administrator } = lab;
    const where = ['-H', `ldap://${lab.dc}`, `-U${administrator.name}%${administrator.password}`];
    await must('samba-tool', ['user', 'create', name, 'Test-Only-Made-1', ...where]);
    try {
      const admin = { KRB5CCNAME: join(work, 'admin') };
      await must('kinit', [administrator.principal], { env: admin, input: `${administrator.password}\n` });
      await writeFile(join(work, 'new'), 'Test-Only-Set-77');
      await done(['kpasswd', '--set', '--new-password-file', join(work, 'new'), name], admin);
      await must('kinit', [name], { env, input: 'Test-Only-Set-77\n' });
      const change = (from: string, to: string): Promise<RunResult> =>
        cli(['kpasswd', '--password-file', join(work, from), '--new-password-file', join(work, to), name]);
      await writeFile(join(work, 'short'), 'x');
      const refused = await change('new', 'short');
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /INVALID_ARGUMENT/);
      const changed = await change('new', 'pw');
      assert.equal(changed.code, 0, changed.stderr);
      await must('kinit', [name], { env, input: `${lab.reader.password}\n` });
    } finally {
      await run('samba-tool', ['user', 'delete', name, ...where]);
    }
  });

  test('gmsa shows keys, when asked, that are those of the domain controller', async () => {
    const gmsa = lab.webApp;
    const told = JSON.parse(await done(['gmsa', ...asReader(), '--keys', '--json', gmsa.name]));
    assert.equal(told.salt, gmsa.salt);
    assert.equal(told.logon, 'ok');
    const exported = join(work, 'gmsa.keytab');
    await must(lab.paths.script, ['dump-keys', exported, gmsa.principal]);
    const theirs = new Map(readKeytab(await readFile(exported)).map((e) => [etypeName(e.key.etype), e]));
    for (const { etype, key, password } of told.keys.filter((k: { password: string }) => k.password === told.valid)) {
      assert.equal(key, hex(theirs.get(etype)!.key.value), `${etype} ${password}`);
      assert.equal(told.kvno, theirs.get(etype)!.kvno);
    }
  });

  test("krun runs ldapsearch as a gMSA, and keeps the program's exit status", async () => {
    const gmsa = lab.webApp;
    const whoami = `ldapwhoami -N -Q -Y GSSAPI -H ldap://${lab.dc}; exit 9`;
    const { code, stdout } = await cli(['krun', '--gmsa', gmsa.name, ...asReader(), '--', 'sh', '-c', whoami]);
    assert.equal(code, 9);
    assert.match(stdout, new RegExp(gmsa.name.replace('$', '\\$'), 'i'));
  });

  test('doctor finds the domain sound', async () => {
    const gmsa = lab.webApp;
    const report = JSON.parse(
      await done(['doctor', ...asReader(), '--gmsa', gmsa.name, '--json'], { KRB5_KTNAME: join(work, 'none') }),
    );
    type Checked = { id: string; findings: { mark: string; text: string }[] };
    const checked: Checked[] = report.checks;
    assert.equal(report.healthy, true, JSON.stringify(report));
    const warned = checked.filter((c) => c.findings.some((f) => f.mark === 'warn')).map((c) => c.id);
    assert.deepEqual(warned, ['daemon'], JSON.stringify(report)); // there is none in the lab
    const said = checked.flatMap((c) => c.findings.map((f) => `${c.id}: ${f.text}`)).join('\n');
    assert.match(
      said,
      /^site: this host is in site Default-First-Site-Name, and dc1\.lab\.example, .* is the closest$/m,
    );
    assert.match(said, /^ports: changes of passwords are taken on dc1\.lab\.example:464$/m);
    assert.match(said, /^gmsa: WebApp01\$ supports AES/m);
  });

  test('doctor sees a gMSA that may not be read, and one that is not there', async () => {
    const { code, stdout } = await cli(['doctor', ...asReader(), '--gmsa', `${lab.otherApp.name},Nonesuch`]);
    assert.equal(code, 1);
    assert.match(
      stdout,
      /^✗ gMSA .*PrincipalsAllowedToRetrieveManagedPassword.*group-msa-membership add --name=OtherApp/m,
    );
    assert.match(stdout, /^✗ gMSA .*no gMSA Nonesuch\$.*New-ADServiceAccount Nonesuch/m);
  });

  test('doctor warns of a gMSA whose services may get RC4', async () => {
    const argv = ['doctor', ...asReader(), '--gmsa', 'LegacyApp'];
    assert.match(
      await done(argv, { KRB5_KTNAME: join(work, 'none') }),
      /^! gMSA .*RC4 — .*-KerberosEncryptionType AES/m,
    );
  });

  test("doctor's advice makes a gMSA that is not there, and lets the reader read it", async () => {
    const { administrator, dc } = lab;
    const name = `Doc${process.pid}`;
    const samba = (args: string) =>
      must('samba-tool', [
        ...args.split(' '),
        '-H',
        `ldap://${dc}`,
        `-U${administrator.name}%${administrator.password}`,
      ]);
    const advised = async (command: RegExp): Promise<string> => {
      const { stdout } = await cli(['doctor', ...asReader(), '--gmsa', name]);
      return command.exec(stdout)?.[1] ?? assert.fail(stdout);
    };
    const create = await advised(/samba-tool (service-account create .*)$/m);
    await samba(create.replace('HOST', `${name.toLowerCase()}.${lab.domain}`));
    try {
      // Samba makes it disabled.
      await samba((await advised(/samba-tool (user enable .*)$/m)).replaceAll("'", ''));
      await samba(await advised(/samba-tool (service-account group-msa-membership add .*?);/));
      await done(['doctor', ...asReader(), '--gmsa', name], { KRB5_KTNAME: join(work, 'none') });
    } finally {
      await samba(`service-account delete --name=${name}`);
    }
  });

  test('doctor sees a clock that is off', { skip: faketime ? false : 'needs faketime' }, async () => {
    const { code, stdout } = await cli(['doctor', ...asReader()], { LD_PRELOAD: faketime!, FAKETIME: '-1h' });
    assert.equal(code, 1);
    assert.match(stdout, /^✗ Clock .*3(59|60)\d s ahead of this host's.*set this host's clock/m);
  });

  test('doctor sees a KDC that is down', async () => {
    const conf = join(work, 'dead.conf');
    await writeFile(
      conf,
      `[libdefaults]\ndefault_realm = ${lab.realm}\n[realms]\n${lab.realm} = {\n kdc = ${lab.dc}:89\n}\n`,
    );
    const { code, stdout } = await cli(['doctor', ...asReader()], { KRB5_CONFIG: conf });
    assert.equal(code, 1);
    assert.match(stdout, /^✗ Ports .*:89 \(Kerberos\)/m);
    assert.match(stdout, /^✗ Ticket /m);
    assert.match(stdout, /^- Directory .*needs Ticket/m);
  });
});
