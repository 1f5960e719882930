/**
 * A daemon that runs through the whole life of a managed password, its clock and the lab's moved on step by step: the
 * scheduler acts by itself, and what it writes is a ticket that the domain takes, at each row of the timeline. It leaves
 * its lab days in the future, so nothing can follow it there: `lab up --name late`, `accounts`,
 * `exec node --import tsx --test test/lab/timeline.late.ts`, `down`, each with `--name late`.
 */
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { dueAt, spreadOf, wayOf } from '../../src/daemon/renewal/plan.ts';
import { ticketTimes } from '../../src/daemon/renewal/ticket-times.ts';
import { type ManagedPassword, parseManagedPassword } from '../../src/gmsa/blob.ts';
import { credspec, type DaemonProcess, foreignClient, startDaemonProcess } from '../support/daemon-process.ts';
import { lab, labStatus, ldapsearchBlob, must, run } from './lab.ts';

const status = labStatus();
const skip = status.available ? false : status.reason;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const name = 'Timeline';
const app = { ...lab.dailyApp, name: `${name}$`, principal: `${name}$@${lab.realm}` };
const identity = { username: lab.reader.name, password: lab.reader.password, domain: lab.domain };

/** This process may be in a lab's time itself. */
const shift = Number(/^\+(\d+)s$/.exec(process.env.FAKETIME ?? '')?.[1] ?? 0) * SECOND;
const shiftOf36h = process.env.FAKETIME === '+36h' ? 36 * HOUR : shift;
const realNow = (): number => Date.now() - shiftOf36h;

describe('a daemon through the life of a managed password', { skip }, () => {
  let work = '';
  let daemon: DaemonProcess;
  let ahead = shiftOf36h;
  /** For programs in the lab's time. */
  let env: Record<string, string | undefined> = {};
  /** When the password rolls. */
  let roll = 0;
  const now = (): number => realNow() + ahead;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'cf-lab-late-'));
    const { administrator } = lab;
    const where = ['-H', `ldap://${lab.dc}`, `-U${administrator.name}%${administrator.password}`];
    const dns = `--dns-host-name=${name.toLowerCase()}.${lab.domain}`;
    const account = ['service-account', 'create', `--name=${name}`, dns, '--managed-password-interval=1'];
    await must('samba-tool', [...account, ...where]);
    const readers = ['--name', app.name, '--principal', `CN=Readers,CN=Users,${lab.baseDn}`];
    await must('samba-tool', ['service-account', 'group-msa-membership', 'add', ...readers, ...where]);
    await must('samba-tool', ['user', 'enable', app.name, ...where]);
    await setClock();
    daemon = await startDaemonProcess({
      // Its clock is read from a file at each look, so that it can be moved while the daemon runs.
      LD_PRELOAD: (await must('sh', ['-c', 'ls /usr/lib/*/faketime/libfaketime.so.1'])).trim(),
      FAKETIME: undefined,
      FAKETIME_DONT_FAKE_MONOTONIC: undefined,
      DONT_FAKE_MONOTONIC: undefined,
      FAKETIME_TIMESTAMP_FILE: join(work, 'clock'),
      FAKETIME_NO_CACHE: '1',
      KRB5_CONFIG: lab.paths.krb5Conf,
      KRB5_KTNAME: lab.host1.keytab,
    });
    const blob = await read();
    assert.equal(blob.previous, undefined);
    roll = now() + Number(blob.queryPasswordInterval / 10_000n);
  });
  after(async () => {
    await daemon?.stop();
    await rm(work, { recursive: true, force: true });
  });

  /** The daemon's clock, and that of the programs that judge it. */
  async function setClock(): Promise<void> {
    const words = `+${Math.round(ahead / SECOND)}s`;
    await writeFile(join(work, 'clock.new'), `${words}\n`);
    await rename(join(work, 'clock.new'), join(work, 'clock'));
    const lines = (await must(lab.paths.script, ['env'])).split('\n').filter((line) => /^(LD_|.*FAKE)/.test(line));
    env = { LD_PRELOAD: undefined, FAKETIME: undefined };
    for (const line of lines) env[line.slice(0, line.indexOf('='))] = line.slice(line.indexOf('=') + 1);
  }
  /** A process asleep does not see that its clock was moved; whoever connects wakes it, and its timers are due. */
  const wake = (): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect(daemon.socket, () => socket.destroy());
      socket.once('close', () => resolve());
    });
  async function moveTo(time: number, restart = true): Promise<void> {
    ahead = Math.max(ahead, time - realNow());
    if (restart) await must(lab.paths.script, ['restart', '--faketime', `+${Math.round(ahead / SECOND)}s`]);
    await setClock();
    await wake();
  }
  async function read(): Promise<ManagedPassword> {
    const reader = { ...env, KRB5CCNAME: join(work, 'reader') };
    await must('kinit', [lab.reader.principal], { env: reader, input: `${lab.reader.password}\n` });
    return parseManagedPassword((await ldapsearchBlob(app, reader.KRB5CCNAME, env))!);
  }

  async function call(method: string, request: object): Promise<Record<string, unknown>> {
    const client = foreignClient(daemon.socket);
    try {
      const answer = await client.call(method, request);
      assert.ok('ok' in answer, JSON.stringify(answer));
      return answer.ok;
    } finally {
      client.close();
    }
  }
  async function add(method: string, request: object): Promise<string> {
    const answer = await call(method, { ...request, credspec_contents: [credspec(name, lab.domain)] });
    return join((answer.created_kerberos_file_paths as string[])[0]!, 'krb5cc');
  }

  /** Waits until the daemon has replaced a ticket; its timers run by its own clock, which real time moves too. */
  async function renewed(path: string, old: string): Promise<void> {
    for (let tries = 0; tries < 150; tries++) {
      if ((await readFile(path, 'hex')) !== old) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
      if (tries % 10 === 9) await wake();
    }
    assert.fail(`not renewed: ${(await daemon.output()).split('\n').slice(-6).join('\n')}`);
  }
  /** The ticket is in force by MIT's library, the KDC and the directory take it, and it began about now. */
  async function proven(path: string, fresh = true): Promise<void> {
    // MIT's library puts the tickets it gets into the cache it is given.
    const copy = join(work, 'proof');
    await copyFile(path, copy);
    const proof = { env: { ...env, KRB5CCNAME: copy } };
    await must('klist', ['-s'], proof);
    assert.match(await must('kvno', [`ldap/${lab.dc}`], proof), /kvno = \d+/);
    const who = await must('ldapwhoami', ['-Q', '-Y', 'GSSAPI', '-N', '-H', `ldap://${lab.dc}`], proof);
    assert.equal(who, `u:${lab.netbios}\\${app.name}\n`);
    const begun = now() - (await ticketTimes(path)).starts;
    if (fresh) assert.ok(begun > -MINUTE && begun < 2 * MINUTE, `began ${begun / SECOND} s ago`);
  }
  const bytes = (paths: readonly string[]): Promise<string[]> => Promise.all(paths.map((p) => readFile(p, 'hex')));
  const shape = (blob: ManagedPassword): string => (blob.previous === undefined ? 'current' : 'current and previous');

  /** Leases that the machine reads, all of one account. */
  const leases: string[] = [];
  /** Moves on, and sees what the daemon does about its leases by itself. */
  async function row(at: number, does: 'renews' | 'waits'): Promise<void> {
    const before = await bytes(leases);
    await moveTo(at);
    if (does === 'renews') for (const [i, path] of leases.entries()) await renewed(path, before[i]!);
    else assert.deepEqual(await bytes(leases), before);
    for (const path of leases) await proven(path, does === 'renews');
    if (does === 'renews') assert.equal(new Set(await bytes(leases)).size, 1, 'one login for all of them');
  }

  test('created: the leases are made some hours before the roll, due in its last minutes', async () => {
    const times = { starts: 0, ends: 10 * HOUR, renewUntil: 0 };
    const half = dueAt(
      times,
      wayOf({ credspecInfo: '', domainlessUser: '' } as never),
      `${name}@${lab.domain}`.toLowerCase(),
    )!;
    await moveTo(roll - half - 6 * MINUTE);
    for (let i = 0; i < 3; i++) leases.push(await add('AddKerberosLease', {}));
    for (const path of leases) await proven(path);
  });

  test('ten minutes before the roll nothing is due', async () => {
    await row(roll - 10 * MINUTE, 'waits');
    assert.equal(shape(await read()), 'current');
  });

  test('four minutes before, the KDC takes the previous password alone: the leases are renewed', async () => {
    await row(roll - 4 * MINUTE, 'renews');
    const blob = await read();
    assert.equal(shape(blob), 'current and previous');
    assert.ok(blob.queryPasswordInterval <= 3_000_000_000n);
  });

  test('one minute before, nothing is due', () => row(roll - MINUTE, 'waits'));

  test('once the roll has come, the password is read again', async () => {
    // The date of the blob, and the account's share of a minute.
    await row(
      roll + Math.max(20 * SECOND, spreadOf(`${name}@${lab.domain}`.toLowerCase()) * MINUTE + 5 * SECOND),
      'renews',
    );
  });

  test('ten minutes after, the old password is dead and nothing is due', () => row(roll + 10 * MINUTE, 'waits'));

  test('twenty hours after, the ticket has expired, as on a machine that slept: it is renewed at once', async () => {
    await row(roll + 20 * HOUR, 'renews');
  });

  test('24 hours after, at each side of the next interval, tickets are in force', async () => {
    await row(roll + 23 * HOUR + 57 * MINUTE, 'waits');
    await row(roll + 24 * HOUR + 10 * MINUTE, 'waits');
  });

  test('36 hours after, the second roll has passed unseen: the leases are renewed with the third password', async () => {
    await row(roll + 36 * HOUR, 'renews');
  });

  test('a domain controller that goes away keeps nobody waiting, destroys nothing, and is used when it is back', async () => {
    const before = await bytes(leases);
    await must(lab.paths.script, ['stop']);
    await moveTo(now() + 7 * HOUR, false);
    const told = async () => ((await daemon.output()).match(/was not renewed/g) ?? []).length;
    for (let tries = 0; (await told()) === 0 && tries < 100; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok((await told()) > 0);
    assert.deepEqual(await call('HealthCheck', { service: 'test' }), { status: 'OK' });
    assert.deepEqual(await bytes(leases), before);
    await must('klist', ['-s'], { env: { ...env, KRB5CCNAME: leases[0] } });
    await row(now() + MINUTE, 'renews');
  });

  test("a user's lease is extended until it ends for good, then the user's Renew helps", async () => {
    const path = await add('AddNonDomainJoinedKerberosLease', identity);
    const end = (await ticketTimes(path)).renewUntil;
    const untilOf = async () =>
      /renew until (.+)$/m.exec(await must('klist', [], { env: { ...env, KRB5CCNAME: path } }))?.[1];
    const listed = await untilOf();
    for (const hours of [6, 7]) {
      const [old] = await bytes([path]);
      await moveTo(now() + hours * HOUR);
      await renewed(path, old!);
      await proven(path);
      assert.equal(await untilOf(), listed, 'as klist shows it, the end of the end stays');
    }
    await moveTo(end + MINUTE);
    const dead = await run('klist', ['-s'], { env: { ...env, KRB5CCNAME: path } });
    assert.equal(dead.code, 1);
    const renewal = await call('RenewNonDomainJoinedKerberosLease', identity);
    assert.deepEqual(renewal.renewed_kerberos_file_paths, [path]);
    await proven(path);
  });
});
