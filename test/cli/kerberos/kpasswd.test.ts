/** kpasswd against MIT's kadmind. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';
import { needs } from '../../support/programs.ts';
import { cli, type Shown } from '../run.ts';

describe('kpasswd', { skip: needsMitRealm || needs('kadmind') }, () => {
  let mit: MitRealm;
  before(async () => {
    const user = (name: string) => ({ name, password: `old of ${name}` });
    mit = await startMitRealm({
      kpasswd: true,
      acl: ['admin@MIT.TEST c'],
      kdcConf: ['encrypted_challenge_indicator = armored'],
      principals: [
        user('alice'),
        user('bob'),
        user('admin'),
        { name: 'late', password: 'x', attributes: ['+needchange', '+requires_preauth'] },
      ],
    });
  });
  after(() => mit?.stop());
  const kpasswd = (argv: string[], input: string): Promise<Shown> =>
    cli(['kpasswd', ...argv], { env: { ...mit.env }, input });
  const logsOn = async (name: string, password: string): Promise<boolean> =>
    (await mit.run('kinit', ['-c', join(mit.directory, 'probe'), name], `${password}\n`)).code === 0;

  test('changes a password by the lines of standard input', async () => {
    const { code, out, err } = await kpasswd(['alice'], 'old of alice\nnew of alice\nnew of alice\n');
    assert.deepEqual([code, out], [0, 'Password changed.\n'], err);
    assert.ok(await logsOn('alice', 'new of alice'));
    assert.ok(!(await logsOn('alice', 'old of alice')));
  });

  test('takes both from files', async () => {
    const [old, fresh] = [join(mit.directory, 'old'), join(mit.directory, 'new')];
    await writeFile(old, 'old of bob\n');
    await writeFile(fresh, 'new of bob\n');
    const { code, err } = await kpasswd(['--password-file', old, '--new-password-file', fresh, 'bob'], '');
    assert.equal(code, 0, err);
    assert.ok(await logsOn('bob', 'new of bob'));
  });

  test('changes one that must be changed before it is of use', async () => {
    const { code, err } = await kpasswd(['late'], 'x\nof late\nof late\n');
    assert.equal(code, 0, err);
    assert.ok(await logsOn('late', 'of late'));
  });

  test('kinit has an expired one changed at once where somebody can be asked', async () => {
    await mit.kadmin('modify_principal +needchange late');
    const answers = ['of late', 'yet another', 'yet another'];
    const { code, questions, err } = await cli(['kinit', 'late'], {
      env: { ...mit.env },
      typed: () => answers.shift(),
    });
    assert.equal(code, 0, err);
    assert.match(questions[1]!, /^Password expired\. {2}You must change it now\.\nEnter new password: $/);
    assert.equal((await mit.run('klist', ['-s'])).code, 0);
    assert.ok(await logsOn('late', 'yet another'));
  });

  test('kinit in armor has an expired one changed in armor too', async () => {
    const machine = join(mit.directory, 'machine.cc');
    assert.equal((await mit.run('kinit', ['-c', machine, 'admin'], 'old of admin\n')).code, 0);
    await mit.kadmin('modify_principal +needchange late', 'set_string kadmin/changepw require_auth armored');
    try {
      const answers = ['yet another', 'in armor', 'in armor'];
      const typed = () => answers.shift();
      const { code, err } = await cli(['kinit', '-T', machine, 'late'], { env: { ...mit.env }, typed });
      assert.equal(code, 0, err);
      assert.ok(await logsOn('late', 'in armor'));
    } finally {
      await mit.kadmin('del_string kadmin/changepw require_auth');
    }
  });

  test("sets another's as an administrator", async () => {
    const { code, err } = await kpasswd(
      ['--set', '--admin', 'admin', 'bob'],
      'old of admin\nset for bob\nset for bob\n',
    );
    assert.equal(code, 0, err);
    assert.ok(await logsOn('bob', 'set for bob'));
  });

  test('asks, and refuses two that differ', async () => {
    const { code, questions } = await cli(['kpasswd', 'alice'], { env: { ...mit.env }, typed: 'new of alice' });
    assert.deepEqual(questions, ['Password for alice@MIT.TEST: ', 'Enter new password: ', 'Enter it again: ']);
    assert.equal(code, 0);
    const differing = await kpasswd(['alice'], 'new of alice\none\nanother\n');
    assert.equal(differing.code, 2);
    assert.match(differing.err, /not the same/);
  });

  test('says that the old one is wrong', async () => {
    const { code, err } = await kpasswd(['alice'], 'wrong\na new one\na new one\n');
    assert.equal(code, 1);
    assert.match(err, /WRONG_PASSWORD/);
  });
});
