/** `old:new` user names in Renew: leases go over from one account to another. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Client, createClient } from '../../src/client/index.ts';
import { startTestDomain, type TestDomain } from '../../src/testdomain/index.ts';
import { credspec, type DaemonProcess, startDaemonProcess } from '../support/daemon-process.ts';

describe('Renew with old:new', () => {
  let domain: TestDomain;
  let daemon: DaemonProcess;
  let client: Client;
  const leases: string[] = [];

  before(async () => {
    domain = await startTestDomain({
      users: ['blue', 'green'].map((name) => ({ name, password: `Of-${name}-1`, groups: ['Readers'] })),
      gmsas: ['App1', 'App2'].map((name) => ({ name, readers: ['Readers'] })),
    });
    const env = { DOMAIN_CONTROLLER_GMSA: `localhost:${domain.ldapPort}` };
    daemon = await startDaemonProcess(env, [], { 'krb5.conf': domain.krb5Conf });
    client = createClient({ address: daemon.socket });
    for (const name of ['App1', 'App2']) {
      const credspecs = [credspec(name, domain.domain)];
      const added = await client.addWithUser({
        credspecs,
        username: 'blue',
        password: 'Of-blue-1',
        domain: domain.domain,
      });
      leases.push(added.leaseId);
    }
  });
  after(async () => {
    client?.close();
    await daemon?.stop();
    await domain?.close();
  });

  const renew = (username: string, password = 'Of-green-1') =>
    client.renew({ username, password, domain: domain.domain });
  const users = () =>
    Promise.all(
      leases.map(async (id) => {
        const text = await readFile(join(daemon.krbDir, id, `${id}_metadata.json`), 'utf8');
        return JSON.parse(text).krb_ticket_info[0].domainless_user;
      }),
    );

  test('a wrong password of the new user changes nothing', async () => {
    await assert.rejects(renew('blue:green', 'wrong'), { code: 'UNAUTHENTICATED' });
    assert.deepEqual(await users(), ['blue', 'blue']);
  });

  test("the leases of the old user become the new one's", async () => {
    assert.equal((await renew('blue:green')).paths.length, 2);
    assert.deepEqual(await users(), ['green', 'green']);
  });

  test('again, they are found under the new name', async () => {
    assert.equal((await renew('blue:green')).paths.length, 2);
  });

  test('the same name twice is a plain renewal', async () => {
    assert.equal((await renew('green:green')).paths.length, 2);
  });

  test('users without leases are told so', async () => {
    await assert.rejects(renew('red:yellow'), { code: 'FAILED_PRECONDITION', message: /failed to renew any/ });
  });

  for (const name of ['blue:', ':green', ':']) {
    test(`${JSON.stringify(name)} lacks a name`, async () => {
      await assert.rejects(renew(name), { code: 'INVALID_ARGUMENT', message: /requires both old and new/ });
    });
  }

  test('names are names on both sides', async () => {
    await assert.rejects(renew('a/b:green'), { code: 'INVALID_ARGUMENT', message: /invalid old username/ });
    await assert.rejects(renew('blue:a:b'), { code: 'INVALID_ARGUMENT' });
  });
});
