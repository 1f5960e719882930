/** Where gMSAs are looked for first, before a directory that counts the searches. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { GmsaRef, ReaderIdentity } from '../../src/daemon/tickets/engine.ts';
import { isFailure } from '../../src/daemon/tickets/engine.ts';
import { DirectoryEngine } from '../../src/daemon/tickets/fetch.ts';
import type { PlaceHints } from '../../src/gmsa/hints.ts';
import { Locator } from '../../src/krb5/network/locate.ts';
import { DnsResolver } from '../../src/krb5/network/resolver.ts';
import { startTestDomain } from '../../src/testdomain/index.ts';
import { localTransport } from '../support/kdc-client.ts';
import { keptLog } from './fake.ts';

const HOME = 'CN=Managed Service Accounts';
const ROOT = 'DC=corp,DC=example';

/** The names and places of what was fetched, how many searches it took, and what the log said. */
async function look(
  t: TestContext,
  places: PlaceHints,
  options: { own?: string; secretDn?: string; names?: string[] } = {},
) {
  const domain = await startTestDomain({
    domain: 'corp.example',
    users: [{ name: 'svc', password: 'Fresh-1', groups: ['Readers'] }],
    gmsas: ['App', 'Web'].map((name) => ({ name, readers: ['Readers'] })),
  });
  const { log, lines } = keptLog();
  const resolver = new DnsResolver();
  const engine = new DirectoryEngine({
    kerberos: { transport: localTransport(domain.kdcPort) },
    resolver,
    locator: new Locator({ resolver, clock: Date.now }),
    clock: Date.now,
    domainControllers: [{ host: 'localhost', port: domain.ldapPort }],
    keytab: '/nowhere',
    places,
    log,
    readSecret: async () =>
      Buffer.from(
        JSON.stringify({
          username: 'svc',
          password: 'Fresh-1',
          domainName: 'corp.example',
          distinguishedName: options.secretDn,
        }),
      ),
  });
  t.after(async () => {
    await engine.close();
    await domain.close();
  });
  const identity: ReaderIdentity =
    options.secretDn === undefined
      ? { kind: 'password', username: 'svc', domain: 'corp.example', password: Buffer.from('Fresh-1') }
      : { kind: 'secret', secretId: 'svc' };
  const accounts: GmsaRef[] = (options.names ?? ['App']).map((name) => ({
    name,
    domain: 'corp.example',
    ...(options.own !== undefined && { distinguishedName: options.own }),
  }));
  const outcomes = await engine.fetch({ identity, accounts, signal: AbortSignal.timeout(10_000) });
  assert.ok(outcomes.every((o) => !isFailure(o)));
  const lost = lines.map((l) => JSON.parse(l)).filter((l) => l.text.includes('not where it was said to be'));
  return { searches: domain.stats.ldapSearches, lost: lost.map((l) => `${l.account} ${l.path}`) };
}

describe('a gMSA is looked for', () => {
  test('in the whole domain when nobody said where it is', async (t) => {
    assert.deepEqual(await look(t, {}), { searches: 1, lost: [] });
  });

  test('where CF_GMSA_OU says, in both its meanings', async (t) => {
    assert.deepEqual(await look(t, { ou: HOME }), { searches: 1, lost: [] });
    assert.deepEqual(await look(t, { ou: `${HOME},${ROOT}` }), { searches: 1, lost: [] });
  });

  test('where CF_GMSA_DISTINGUISHED_NAME says', async (t) => {
    assert.deepEqual(await look(t, { distinguishedName: `CN=App,${HOME},${ROOT}` }), { searches: 1, lost: [] });
  });

  test("where the secret says, the reader's own or that of a request", async (t) => {
    const dn = `CN=App,${HOME},${ROOT}`;
    assert.deepEqual(await look(t, {}, { secretDn: dn }), { searches: 1, lost: [] });
    assert.deepEqual(await look(t, {}, { own: dn }), { searches: 1, lost: [] });
  });

  test('in the whole domain when it is not there, and the log says so', async (t) => {
    assert.deepEqual(await look(t, { ou: 'OU=Moved' }), { searches: 2, lost: [`App CN=App,OU=Moved,${ROOT}`] });
  });

  test('in one place after the other: the settings, the secret, the unit', async (t) => {
    const result = await look(t, { distinguishedName: `CN=A,${ROOT}`, ou: HOME }, { own: `CN=B,${ROOT}` });
    assert.deepEqual(result, { searches: 3, lost: [`App CN=A,${ROOT}`, `App CN=B,${ROOT}`] });
  });

  test('with others, each in its place, and what is not there together', async (t) => {
    const dn = `CN=App,${HOME},${ROOT}`;
    const result = await look(t, { distinguishedName: dn }, { names: ['App', 'Web'] });
    assert.deepEqual(result, { searches: 2, lost: [`Web ${dn}`] });
  });

  test('not at all in a place of another domain', async (t) => {
    assert.deepEqual(await look(t, { ou: 'OU=Apps,DC=other,DC=example' }), { searches: 1, lost: [] });
  });
});
