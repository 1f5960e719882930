/** The embedded directory asked by ldapts' own client, and by raw bytes. */
import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Client, InvalidCredentialsError, OperationsError } from 'ldapts';
import { startTestDomain, type TestDomain } from '../../src/testdomain/index.ts';
import { members, PASSWORD } from './domain.ts';

describe('embedded directory', () => {
  let domain: TestDomain;
  let client: Client;
  before(async () => {
    domain = await startTestDomain({ ...members, domainSid: 'S-1-5-21-1-2-3' });
    client = new Client({ url: domain.ldapUrl, timeout: 5000 });
    await client.bind('svc-fetch@example.test', PASSWORD);
  });
  after(async () => {
    await client.unbind();
    await domain.close();
  });

  const names = async (
    filter: string,
    base = domain.baseDn,
    scope: 'base' | 'one' | 'sub' = 'sub',
  ): Promise<string[]> => {
    const { searchEntries } = await client.search(base, { scope, filter, attributes: ['cn'] });
    return searchEntries.map((e) => String(e.cn)).sort();
  };

  test('finds by equality whatever the case of attribute and value', async () => {
    assert.deepEqual(await names('(SAMACCOUNTNAME=SVC-FETCH)'), ['svc-fetch']);
  });

  test('joins filters with and, or, not', async () => {
    assert.deepEqual(await names('(&(objectClass=user)(|(cn=bob)(cn=off))(!(cn=off)))'), ['bob']);
  });

  test('matches presence and parts of values', async () => {
    assert.deepEqual(await names('(&(objectClass=msDS-GroupManagedServiceAccount)(cn=*a*p*1))'), ['WebApp01']);
    assert.deepEqual(await names('(msDS-ManagedPasswordInterval=*)'), ['Other02', 'WebApp01']);
    assert.deepEqual(
      await names('(cn=svc-*)'),
      (await names('(cn=*)')).filter((n) => n.startsWith('svc-')),
    );
  });

  test('matches bits, numbers and SIDs', async () => {
    assert.deepEqual(await names('(userAccountControl:1.2.840.113556.1.4.803:=2)'), ['off']);
    assert.deepEqual(await names('(&(msDS-ManagedPasswordInterval>=2)(msDS-ManagedPasswordInterval<=30))'), [
      'Other02',
    ]);
    assert.deepEqual(await names('(objectSid=S-1-5-21-1-2-3)').then((n) => n.length), 1);
  });

  test('keeps to the scope', async () => {
    const container = `cn=managed service accounts, ${domain.baseDn}`;
    assert.deepEqual(await names('(objectClass=*)', container, 'one'), ['Other02', 'WebApp01']);
    assert.deepEqual(await names('(objectClass=*)', container, 'base'), ['Managed Service Accounts']);
  });

  test('shows group membership on both sides', async () => {
    const { searchEntries } = await client.search(domain.baseDn, { filter: '(cn=Readers)', attributes: ['member'] });
    assert.equal(searchEntries[0]?.member, `CN=svc-fetch,CN=Users,${domain.baseDn}`);
    assert.deepEqual(await names(`(memberOf=cn=readers,cn=users,${domain.baseDn})`), ['svc-fetch']);
  });

  test('names a missing base as Active Directory does', async () => {
    await assert.rejects(names('(cn=*)', `CN=None,${domain.baseDn}`), /0000208D: NameErr/);
  });

  test('refers to the naming contexts below when the whole domain is searched', async () => {
    const { searchReferences } = await client.search(domain.baseDn, { filter: '(cn=bob)' });
    assert.equal(searchReferences.length, 2);
  });

  test('fails the whole search for a managed password in the clear', async () => {
    const search = client.search(domain.baseDn, { filter: '(cn=WebApp01)', attributes: ['msDS-ManagedPassword'] });
    await assert.rejects(search, (e) => e instanceof OperationsError && /00002020/.test(e.message));
  });

  test('lets the anonymous read the rootDSE and nothing else', async () => {
    const anonymous = new Client({ url: domain.ldapUrl, timeout: 5000 });
    const { searchEntries } = await anonymous.search('', { scope: 'base', filter: '(objectClass=*)' });
    assert.equal(searchEntries[0]?.defaultNamingContext, domain.baseDn);
    await assert.rejects(anonymous.search(domain.baseDn, { filter: '(cn=bob)' }), /successful bind must be completed/);
    await anonymous.unbind();
  });

  test('refuses a wrong password', async () => {
    const other = new Client({ url: domain.ldapUrl, timeout: 5000 });
    await assert.rejects(
      other.bind('bob@example.test', 'wrong'),
      (e) => e instanceof InvalidCredentialsError && /data 52e/.test(e.message),
    );
    await other.unbind();
  });

  test('cuts the connection on bytes that are not LDAP', async () => {
    for (const bytes of ['ff00', '30847fffffff', '3005020101630000', `30060201016301${'a0'}`]) {
      const socket = createConnection(domain.ldapPort, domain.host);
      await new Promise<void>((closed) => {
        socket.on('close', () => closed());
        socket.on('error', () => undefined);
        socket.write(Buffer.from(bytes, 'hex'));
        socket.resume();
      });
    }
    assert.deepEqual(await names('(cn=bob)'), ['bob']);
  });
});
