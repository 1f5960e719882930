/** The library as its users have it, from its entry points, in a real Active Directory domain beside MIT's programs. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loginManagedAccount, readManagedAccounts } from '../../src/gmsa/index.ts';
import {
  cacheContent,
  cachesOf,
  type Environment,
  formatPrincipal,
  loadEnvironment,
  openClient,
  servicePrincipal,
} from '../../src/krb5/index.ts';
import { connectDomain, domainBase, EqualityFilter } from '../../src/ldap/index.ts';
import { lab, labStatus, must } from './lab.ts';

const status = labStatus();

describe('the library', { skip: status.available ? false : status.reason }, () => {
  let work = '';
  let env: Record<string, string> = {};
  let environment: Environment;
  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'cf-library-'));
    env = { KRB5CCNAME: `DIR:${join(work, 'caches')}`, TZ: 'UTC', LC_ALL: 'C' };
    environment = await loadEnvironment({ env: { ...process.env, ...env } });
  });
  after(async () => {
    environment?.close();
    await rm(work, { recursive: true, force: true });
  });

  const reader = () => openClient({ environment, principal: lab.reader.name, password: lab.reader.password });
  const service = servicePrincipal('ldap', lab.dc);

  test("a logon by password, written to the directory of caches, is MIT's too", async () => {
    const client = await reader();
    await client.login();
    await (await cachesOf(environment).primary()).write(cacheContent(client));
    client.close();
    assert.match(await must('klist', ['-l'], { env }), new RegExp(`${lab.reader.principal} *DIR::`));
    assert.match(await must('kvno', [`ldap/${lab.dc}`], { env }), /kvno = \d/);
  });

  test("MIT's cache is a client", async () => {
    const path = join(work, 'mit');
    await must('kinit', ['-k', '-t', lab.host1.keytab, '-c', path, lab.host1.name], { env });
    const client = await openClient({ environment, cache: path });
    assert.equal(formatPrincipal((await client.ticket(service)).client), lab.host1.principal);
    client.close();
  });

  test('a keytab is a client, and the realm of a service need not be known', async () => {
    const client = await openClient({ environment, keytab: lab.host1.keytab });
    assert.equal(formatPrincipal((await client.ticket(service)).server), `ldap/${lab.dc}@${lab.realm}`);
    client.close();
  });

  for (const mode of [undefined, 'starttls', 'ldaps'] as const) {
    test(`a domain controller is found by DNS and searched, ${mode ?? 'sealed by the bind'}`, async () => {
      const client = await reader();
      const tls = mode && { mode, ca: await readFile(process.env.LDAPTLS_CACERT!, 'utf8') };
      const directory = await connectDomain(lab.domain, { client, environment, ...(tls && { tls }) });
      const [user] = await directory.search({
        base: domainBase(lab.domain),
        scope: 'sub',
        filter: new EqualityFilter({ attribute: 'sAMAccountName', value: lab.alice.name }),
        attributes: { userPrincipalName: 'text' },
      });
      assert.deepEqual(user?.text.get('userprincipalname'), [lab.alice.upn]);
      directory.close();
      client.close();
    });
  }

  test('a managed password is read and logs on', async () => {
    const client = await reader();
    const directory = await connectDomain(lab.domain, { client, environment });
    const [account] = await readManagedAccounts(directory, lab.domain, [lab.webApp.name]);
    if (!account || account instanceof Error) throw account;
    const tgt = await loginManagedAccount(client.context, account, lab.realm);
    const managed = await openClient({ environment, tickets: [tgt] });
    assert.equal(formatPrincipal((await managed.ticket(service)).client), lab.webApp.principal);
    for (const one of [managed, directory, client]) one.close();
  });
});
