/**
 * A domain controller whose directory is stopped in the middle (its processes get SIGSTOP): connections are taken by the
 * kernel and nobody answers. Disturbs every user of its lab, so it runs alone, as rotation.alone.ts does.
 */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import {
  credspec,
  type DaemonProcess,
  type ForeignClient,
  foreignClient,
  startDaemonProcess,
} from '../support/daemon-process.ts';
import { lab, labStatus, must } from './lab.ts';

const status = labStatus();

describe('a directory that is stopped', { skip: status.available ? false : status.reason }, () => {
  let daemon: DaemonProcess;
  let client: ForeignClient;
  let stopped: number[] = [];

  before(async () => {
    daemon = await startDaemonProcess({ KRB5_CONFIG: lab.paths.krb5Conf });
    client = foreignClient(daemon.socket);
  });
  after(async () => {
    wake();
    client?.close();
    await daemon?.stop();
  });

  /** The processes of this lab's domain controller that serve LDAP, by the names Samba gives them. */
  async function directoryProcesses(): Promise<number[]> {
    const inside = (await must('ip', ['netns', 'pids', `cf-lab-${process.env.CF_LAB_NAME}`])).trim().split('\n');
    const listed = await must('ps', ['-o', 'pid=,args=', '-p', inside.join(',')]);
    return [...listed.matchAll(/^ *(\d+) samba: task\[ldap\]/gm)].map((match) => Number(match[1]));
  }
  function wake(): void {
    for (const pid of stopped.splice(0)) process.kill(pid, 'SIGCONT');
  }

  const add = (account: string) =>
    client.call('AddNonDomainJoinedKerberosLease', {
      credspec_contents: [credspec(account, lab.domain)],
      username: lab.reader.name,
      password: lab.reader.password,
      domain: lab.domain,
    });

  test('a call over the kept connection ends within 15 s, leaves nothing, and works again when it goes on', async () => {
    const first = await add('WebApp01');
    assert.ok('ok' in first, JSON.stringify(first));
    stopped = await directoryProcesses();
    assert.ok(stopped.length > 0, 'no process serves LDAP');
    for (const pid of stopped) process.kill(pid, 'SIGSTOP');
    const start = performance.now();
    const waiting = add('App01');
    const other = foreignClient(daemon.socket);
    const health = await other.call('HealthCheck', { service: 'test' });
    assert.deepEqual(health, { ok: { status: 'OK' } });
    other.close();
    const answer = await waiting;
    assert.ok('code' in answer && answer.code === 'UNAVAILABLE', JSON.stringify(answer));
    assert.ok(performance.now() - start < 15_500, `${performance.now() - start} ms`);
    assert.equal((await readdir(daemon.krbDir)).length, 1);

    wake();
    const again = await add('App01');
    assert.ok('ok' in again, JSON.stringify(again));
    const [directory] = again.ok.created_kerberos_file_paths as string[];
    await must('kvno', [`ldap/${lab.dc}`], { env: { KRB5CCNAME: `${directory}/krb5cc` } });
  });
});
