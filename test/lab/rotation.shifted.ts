/**
 * A lab whose clock was moved on: a one-day gMSA has rolled. Needs a lab of its own, since nothing rolls back:
 * `lab up --name rotation`, `accounts`, `restart --faketime +36h`, then
 * `exec node --import tsx --test test/lab/*.shifted.ts`, `down`, each with `--name rotation`.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { credspec, foreignClient, startDaemonProcess } from '../support/daemon-process.ts';
import { lab, labStatus, ldapsearchBlob, must } from './lab.ts';

const status = labStatus();
const skip = !status.available ? status.reason : !process.env.FAKETIME ? 'the clock of this lab is not shifted' : false;

describe('a lab moved into the future', { skip }, () => {
  test('a one-day gMSA has rolled: its blob holds the previous password, the KDC has a key for each', async () => {
    const work = await mkdtemp(join(tmpdir(), 'cf-lab-test-'));
    try {
      const ccache = `FILE:${join(work, 'reader.cc')}`;
      await must('kinit', [lab.reader.principal], {
        env: { KRB5CCNAME: ccache },
        input: `${lab.reader.password}\n`,
      });
      assert.equal((await ldapsearchBlob(lab.dailyApp, ccache))?.length, 548);
      assert.equal((await ldapsearchBlob(lab.webApp, ccache))?.length, 290);
      const file = join(work, 'daily.keytab');
      await must(lab.paths.script, ['dump-keys', file, lab.dailyApp.name]);
      const kvnos = new Set((await must('klist', ['-kt', file])).match(/^ +\d+(?= .*DailyApp)/gm)?.map(Number));
      assert.ok(kvnos.size >= 2, `kvnos ${[...kvnos]}`);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });

  test('a lease of it works, beside one of an account that has not rolled', async () => {
    const daemon = await startDaemonProcess({ KRB5_CONFIG: lab.paths.krb5Conf, KRB5_KTNAME: lab.host1.keytab });
    const client = foreignClient(daemon.socket);
    try {
      const names = ['DailyApp', 'RolledApp', 'WebApp01'];
      const answer = await client.call('AddKerberosLease', {
        credspec_contents: names.map((name) => credspec(name, lab.domain)),
      });
      assert.ok('ok' in answer, JSON.stringify(answer));
      for (const [i, directory] of (answer.ok.created_kerberos_file_paths as string[]).entries()) {
        const env = { KRB5CCNAME: join(directory, 'krb5cc') };
        assert.match(await must('kvno', [`ldap/${lab.dc}`], { env }), /kvno = \d+/);
        const who = await must('ldapwhoami', ['-Q', '-Y', 'GSSAPI', '-N', '-H', `ldap://${lab.dc}`], { env });
        assert.equal(who, `u:LAB\\${names[i]}$\n`);
      }
    } finally {
      client.close();
      await daemon.stop();
    }
  });
});
