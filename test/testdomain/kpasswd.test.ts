/** Passwords changed and set in the embedded domain, by this library and by MIT's kpasswd. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseKrb5Conf } from '../../src/krb5/config.ts';
import { type Environment, loadEnvironment } from '../../src/krb5/environment/environment.ts';
import { openClient } from '../../src/krb5/environment/open.ts';
import { principal } from '../../src/krb5/principal.ts';
import { startTestDomain, type TestDomain } from '../../src/testdomain/index.ts';
import { needs, runProgram } from '../support/programs.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('passwords of the embedded domain', () => {
  let domain: TestDomain;
  let environment: Environment;
  before(async () => {
    const user = (name: string, more = {}) => ({ name, password: `old of ${name}`, ...more });
    domain = await startTestDomain({
      users: [
        user('alice'),
        user('bob'),
        user('carol'),
        user('late', { mustChangePassword: true }),
        user('admin', { groups: ['Domain Admins'] }),
      ],
      gmsas: [{ name: 'App', readers: [] }],
    });
    environment = await loadEnvironment({ config: parseKrb5Conf(domain.krb5Conf) });
  });
  after(async () => {
    environment?.close();
    await domain?.close();
  });

  const clientOf = (name: string, password = `old of ${name}`) =>
    openClient({ environment, principal: name, password });
  async function logsOn(name: string, password: string): Promise<boolean> {
    const client = await clientOf(name, password);
    try {
      await client.login();
      return true;
    } catch (e) {
      assert.equal((e as { code?: string }).code, 'WRONG_PASSWORD');
      return false;
    } finally {
      client.close();
    }
  }

  test('one changes its own', async () => {
    const client = await clientOf('alice');
    await client.changePassword(bytes('new of alice'));
    client.close();
    assert.deepEqual([await logsOn('alice', 'new of alice'), await logsOn('alice', 'old of alice')], [true, false]);
  });

  test('one that must be changed is of use afterwards', async () => {
    const client = await clientOf('late');
    await assert.rejects(client.login(), { code: 'PASSWORD_EXPIRED' });
    await client.changePassword(bytes('new of late'));
    client.close();
    assert.ok(await logsOn('late', 'new of late'));
  });

  test('one that is too short is refused with the words of the domain', async () => {
    const client = await clientOf('bob');
    await assert.rejects(client.changePassword(bytes('short')), { code: 'INVALID_ARGUMENT', message: /7 characters/ });
    client.close();
    assert.ok(await logsOn('bob', 'old of bob'));
  });

  test("administrators set another's", async () => {
    const client = await clientOf('admin');
    await client.setPassword(principal(domain.realm, 'carol'), bytes('set by admin'));
    client.close();
    assert.ok(await logsOn('carol', 'set by admin'));
  });

  test('others do not', async () => {
    const client = await clientOf('bob');
    await assert.rejects(client.setPassword(principal(domain.realm, 'carol'), bytes('set by bob')), {
      code: 'NOT_ALLOWED',
    });
    client.close();
  });

  test('a gMSA keeps its own', async () => {
    const client = await clientOf('admin');
    await assert.rejects(client.setPassword(principal(domain.realm, 'App$'), bytes('set by admin')), {
      code: 'NOT_ALLOWED',
    });
    client.close();
  });

  test("MIT's kpasswd changes one", { skip: needs('kpasswd') }, async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'cf-kpasswd-'));
    t.after(() => rm(directory, { recursive: true, force: true }));
    const conf = join(directory, 'krb5.conf');
    await writeFile(conf, domain.krb5Conf);
    domain.update('bob', { password: 'old of bob' });
    const { code, stdout, stderr } = await runProgram('kpasswd', ['bob'], {
      env: { ...process.env, KRB5_CONFIG: conf, KRB5CCNAME: join(directory, 'cc') },
      input: 'old of bob\nnew of bob\nnew of bob\n',
    });
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /Password changed/);
    assert.ok(await logsOn('bob', 'new of bob'));
  });
});
