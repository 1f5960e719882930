/**
 * The minutes around the roll of a managed password, where its blob and the KDC disagree. The suite finds the moment R of
 * the roll in the blob and restarts its lab with the clock just before and just after, so it needs a lab of its own:
 * `lab up --name alone`, `accounts`, `exec node --import tsx --test test/lab/*.alone.ts`, `down`, each with `--name alone`.
 */
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type ManagedPassword, parseManagedPassword } from '../../src/gmsa/blob.ts';
import { deriveKeys } from '../../src/gmsa/keys.ts';
import { readCCache } from '../../src/krb5/files/ccache.ts';
import { writeKeytab } from '../../src/krb5/files/keytab.ts';
import { principal } from '../../src/krb5/principal.ts';
import { credspec, type DaemonProcess, foreignClient, startDaemonProcess } from '../support/daemon-process.ts';
import { lab, labStatus, ldapsearchBlob, must, run } from './lab.ts';

const status = labStatus();
const skip = !status.available ? status.reason : process.env.FAKETIME ? 'the clock of this lab is shifted' : false;
const app = lab.dailyApp;
const SECOND = 10_000_000n; // in the blob's units of 100 ns

describe('around the roll of a managed password', { skip }, () => {
  let work = '';
  /** Milliseconds since the epoch. */
  let roll = 0;
  let password: ManagedPassword;
  let lease: Record<string, unknown>;
  const ccache = (name: string) => `FILE:${join(work, name)}`;
  /** The environment of a process in the lab's time. */
  let env: Record<string, string> = {};

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'cf-lab-test-'));
    password = await read();
    assert.equal(password.previous, undefined, 'this lab has seen a roll already');
    roll = Date.now() + Number(password.queryPasswordInterval / 10_000n);
  });
  after(() => rm(work, { recursive: true, force: true }));

  async function moveTo(milliseconds: number): Promise<void> {
    await must(lab.paths.script, ['restart', '--faketime', `+${Math.round((milliseconds - Date.now()) / 1000)}s`]);
    const lines = (await must(lab.paths.script, ['env'])).split('\n').filter((line) => /^(LD_|.*FAKE)/.test(line));
    env = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  }

  async function read(): Promise<ManagedPassword> {
    const reader = { ...env, KRB5CCNAME: ccache('reader') };
    await must('kinit', [lab.reader.principal], { env: reader, input: `${lab.reader.password}\n` });
    return parseManagedPassword((await ldapsearchBlob(app, ccache('reader'), env))!);
  }

  /** Whether MIT's kinit gets a ticket with the keys of one of the account's passwords. */
  async function accepted(candidate: Uint8Array): Promise<boolean> {
    const keys = [...(await deriveKeys(candidate, app.salt, [18, 17]))].map(([etype, value]) => ({ etype, value }));
    const entries = keys.map((key) => ({
      principal: principal(lab.realm, app.name),
      timestamp: new Date(0),
      kvno: 1,
      key,
    }));
    await writeFile(join(work, 'keytab'), writeKeytab(entries), { mode: 0o600 });
    const args = ['-kt', join(work, 'keytab'), app.principal];
    const { code, stderr } = await run('kinit', args, { env: { ...env, KRB5CCNAME: ccache('gmsa') } });
    if (code !== 0) assert.match(stderr, /Preauthentication failed|Password incorrect/);
    return code === 0;
  }

  async function withDaemon(
    work: (daemon: DaemonProcess, call: ReturnType<typeof foreignClient>['call']) => Promise<void>,
  ) {
    const daemon = await startDaemonProcess({
      ...env,
      CF_KRB_DIR: krbDir(),
      KRB5_CONFIG: lab.paths.krb5Conf,
      CF_WRITE_KEYTAB: 'true',
    });
    const client = foreignClient(daemon.socket);
    try {
      await work(daemon, client.call);
    } finally {
      client.close();
      await daemon.stop();
    }
  }
  const krbDir = () => join(work, 'krbdir');
  const identity = { username: lab.reader.name, password: lab.reader.password, domain: lab.domain };
  const add = { ...identity, credspec_contents: [credspec(app.name.replace('$', ''), lab.domain)] };

  /** The ticket is the account's, its times are the lab's, and the domain controller takes it. */
  async function proveTicket(directory: string): Promise<void> {
    const cache = join(directory, 'krb5cc');
    const [tgt] = readCCache(await readFile(cache)).credentials;
    assert.ok(Math.abs(tgt!.authtime.getTime() - roll) < 10 * 60_000, tgt!.authtime.toISOString());
    const proof = { env: { ...env, KRB5CCNAME: cache } };
    assert.match(await must('kvno', [`ldap/${lab.dc}`], proof), /kvno = \d+/);
    const who = await must('ldapwhoami', ['-Q', '-Y', 'GSSAPI', '-N', '-H', `ldap://${lab.dc}`], proof);
    assert.equal(who, `u:${lab.netbios}\\${app.name}\n`);
    assert.match(await accept(directory, cache), /keytab entry valid/);
  }
  /** What kvno says of a ticket for the account itself, in the cache or else new, and the keytab of a lease. */
  const accept = (directory: string, cache: string) =>
    must('kvno', ['-k', join(directory, 'krb5.keytab'), app.name], { env: { ...env, KRB5CCNAME: cache } });
  async function keytabVersions(directory: string): Promise<number[]> {
    const listed = await must('klist', ['-k', join(directory, 'krb5.keytab')], { env });
    return [...new Set([...listed.matchAll(/^ *(\d+) DailyApp\$@/gm)].map((m) => Number(m[1])))].sort();
  }
  const accountKvno = async () => {
    const out = await must('kvno', [app.name], { env: { ...env, KRB5CCNAME: ccache('reader') } });
    return Number(/kvno = (\d+)/.exec(out)?.[1]);
  };

  test('four minutes before, the blob shows the next password and the KDC takes the one before: a lease works', async () => {
    await moveTo(roll - 4 * 60_000);
    const [old, now] = [password, await read()];
    assert.ok(now.queryPasswordInterval <= 300n * SECOND, `${now.queryPasswordInterval}`);
    assert.deepEqual(now.previous, old.current);
    assert.deepEqual([await accepted(now.current), await accepted(now.previous!)], [false, true]);
    await withDaemon(async (_, call) => {
      const answer = await call('AddNonDomainJoinedKerberosLease', add);
      assert.ok('ok' in answer, JSON.stringify(answer));
      lease = answer.ok;
      const directory = (lease.created_kerberos_file_paths as string[])[0]!;
      await proveTicket(directory);
      assert.deepEqual(await keytabVersions(directory), [1, 2]);
      await copyFile(join(directory, 'krb5cc'), join(work, 'before'));
    });
    assert.equal(await accountKvno(), 1);
    password = now;
  });

  test('twenty seconds after, a lease works and one from before is renewed', async () => {
    await moveTo(roll + 20_000);
    await withDaemon(async (_, call) => {
      const answer = await call('AddNonDomainJoinedKerberosLease', add);
      assert.ok('ok' in answer, JSON.stringify(answer));
      await proveTicket((answer.ok.created_kerberos_file_paths as string[])[0]!);
      const renewed = await call('RenewNonDomainJoinedKerberosLease', identity);
      assert.ok('ok' in renewed, JSON.stringify(renewed));
      const directory = (lease.created_kerberos_file_paths as string[])[0]!;
      assert.ok((renewed.ok.renewed_kerberos_file_paths as string[]).includes(join(directory, 'krb5cc')));
      await proveTicket(directory);
      // The blob has no previous password now, yet tickets from before the roll are still about.
      assert.deepEqual(await keytabVersions(directory), [1, 2]);
      assert.match(await accept(directory, ccache('before')), /kvno = 1, keytab entry valid/);
      assert.match(await accept(directory, join(directory, 'krb5cc')), /kvno = 2, keytab entry valid/);
    });
    assert.deepEqual((await read()).current, password.current);
    assert.deepEqual([await accepted(password.current), await accepted(password.previous!)], [true, true]);
    assert.equal(await accountKvno(), 2);
  });

  test('ten minutes after, the old password is dead and a lease works', async () => {
    await moveTo(roll + 10 * 60_000);
    assert.deepEqual([await accepted(password.current), await accepted(password.previous!)], [true, false]);
    await withDaemon(async (_, call) => {
      const answer = await call('AddNonDomainJoinedKerberosLease', add);
      assert.ok('ok' in answer, JSON.stringify(answer));
    });
  });
});
