/** Who still depends on RC4 is named: by each of the three keys of a logon, and in an engine before a domain. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { toDer } from '../../../src/asn1.ts';
import { daemonMetrics, renderMetrics } from '../../../src/daemon/metrics/metrics.ts';
import { isFailure } from '../../../src/daemon/tickets/engine.ts';
import { DirectoryEngine } from '../../../src/daemon/tickets/fetch.ts';
import { weakFindings } from '../../../src/daemon/tickets/weak-tickets.ts';
import type { Credentials } from '../../../src/krb5/credentials.ts';
import { Ticket } from '../../../src/krb5/messages.ts';
import { Locator } from '../../../src/krb5/network/locate.ts';
import { DnsResolver } from '../../../src/krb5/network/resolver.ts';
import { etype } from '../../../src/krb5/numbers.ts';
import { krbtgt, principal } from '../../../src/krb5/principal.ts';
import { startTestDomain, type TestDomainOptions } from '../../../src/testdomain/index.ts';
import { localTransport } from '../../support/kdc-client.ts';
import { keptLog } from '../fake.ts';

const { AES256_CTS_HMAC_SHA1_96: AES, AES256_CTS_HMAC_SHA384_192: SHA2, RC4_HMAC: RC4 } = etype;
const REALM = 'CORP.EXAMPLE';

function tgt(session: number, sealed: number): Credentials {
  const server = krbtgt(REALM);
  return {
    client: principal(REALM, 'App$'),
    server,
    key: { etype: session, value: new Uint8Array(16) },
    authtime: new Date(0),
    endtime: new Date(1),
    flags: 0,
    isSkey: false,
    addresses: [],
    authorizationData: [],
    ticket: toDer(Ticket, {
      tktVno: 5,
      realm: REALM,
      sname: { nameType: 2, nameString: [...server.components] },
      encPart: { etype: sealed, cipher: new Uint8Array(8) },
    }),
    secondTicket: new Uint8Array(),
  };
}

describe('weakFindings', () => {
  const cases: readonly [what: string, session: number, ticket: number, key: number | undefined, found: RegExp[]][] = [
    ['no RC4', AES, AES, AES, []],
    ['the types of RFC 8009', SHA2, SHA2, SHA2, []],
    ['a type unknown here', AES, 99, undefined, []],
    ['the key of the account', AES, AES, RC4, [/logged on with an RC4 key/]],
    ['the session key', RC4, AES, AES, [/session key/]],
    ['the ticket', AES, RC4, AES, [/sealed a ticket/]],
    ['all three', RC4, RC4, RC4, [/logged on with/, /session key/, /sealed a ticket/]],
  ];
  for (const [what, session, ticket, key, words] of cases) {
    test(`${what}: ${words.length}`, () => {
      const found = weakFindings([tgt(session, ticket)], key);
      assert.equal(found.length, words.length);
      for (const [i, word] of words.entries()) assert.match(found[i]!.text, word);
    });
  }

  test('names the service whose ticket it is', () => {
    assert.equal(weakFindings([tgt(RC4, AES)])[0]!.principal, `krbtgt/${REALM}@${REALM}`);
  });
});

describe('an engine that permits RC4', () => {
  async function fetched(t: TestContext, accounts: Pick<TestDomainOptions, 'users' | 'gmsas'>) {
    const domain = await startTestDomain({ domain: 'corp.example', ...accounts });
    const { log, lines } = keptLog();
    const metrics = daemonMetrics();
    const resolver = new DnsResolver();
    const engine = new DirectoryEngine({
      kerberos: { transport: localTransport(domain.kdcPort), permittedEtypes: [AES, RC4] },
      resolver,
      locator: new Locator({ resolver, clock: Date.now }),
      clock: Date.now,
      domainControllers: [{ host: 'localhost', port: domain.ldapPort }],
      keytab: '/nowhere',
      log,
      metrics,
    });
    t.after(async () => {
      await engine.close();
      await domain.close();
    });
    const outcomes = await engine.fetch({
      identity: { kind: 'password', username: 'svc', domain: 'corp.example', password: Buffer.from('Fresh-1') },
      accounts: accounts.gmsas!.map(({ name }) => ({ name, domain: 'corp.example' })),
      signal: AbortSignal.timeout(30_000),
    });
    for (const outcome of outcomes) if (isFailure(outcome)) throw outcome.error;
    return { warned: lines.filter((line) => line.includes('RC4')), metrics: renderMetrics(metrics) };
  }
  const svc = { name: 'svc', password: 'Fresh-1' };

  test('names the gMSA with RC4 keys alone, and no other, though its ticket is sealed with AES', async (t) => {
    const gmsas = ['Old', 'New'].map((name) => ({ name, readers: ['svc'], ...(name === 'Old' && { etypes: [RC4] }) }));
    const { warned, metrics } = await fetched(t, { users: [svc], gmsas });
    assert.equal(warned.length, 1, warned.join('\n'));
    assert.match(warned[0]!, /logged on with an RC4 key.*Old/);
    assert.deepEqual(metrics.match(/^cf_rc4_tickets_total\{.*$/gm), ['cf_rc4_tickets_total{account="Old"} 1']);
  });

  test('names the reader', async (t) => {
    const gmsas = [{ name: 'New', readers: ['svc'] }];
    const { warned } = await fetched(t, { users: [{ ...svc, etypes: [RC4] }], gmsas });
    assert.equal(warned.length, 1, warned.join('\n'));
    assert.match(warned[0]!, /logged on with an RC4 key.*svc/);
  });

  test('says nothing where AES does', async (t) => {
    const { warned, metrics } = await fetched(t, { users: [svc], gmsas: [{ name: 'New', readers: ['svc'] }] });
    assert.deepEqual(warned, []);
    assert.doesNotMatch(metrics, /^cf_rc4_tickets_total\{/m);
  });
});
