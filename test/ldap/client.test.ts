/** The sealed connection and its search, with a directory that refuses, drops, hangs or is not who it should be. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { EqualityFilter, PresenceFilter } from 'ldapts';
import { isAdError } from '../../src/errors.ts';
import type { KrbClient } from '../../src/krb5/client.ts';
import type { NetworkTransport } from '../../src/krb5/network/network.ts';
import type { Resolver } from '../../src/krb5/network/resolver.ts';
import { connectSealed, type SealedConnection, type SealedConnectionOptions } from '../../src/ldap/client.ts';
import { ldapResultError } from '../../src/ldap/errors.ts';
import { startTestDomain, type TestDomain } from '../../src/testdomain/index.ts';
import { localTransport, testClient } from '../support/kdc-client.ts';
import { TcpServer } from '../support/tcp-server.ts';
import { members, PASSWORD } from '../testdomain/domain.ts';

/** Every name is this machine. */
const resolver: Resolver = { srv: async () => [], addresses: async () => ['127.0.0.1'] };

let domain: TestDomain;
let transport: NetworkTransport;
let client: KrbClient;
const open: SealedConnection[] = [];

before(async () => {
  domain = await startTestDomain(members);
  transport = localTransport(domain.kdcPort);
  const { realm, kdcPort: port } = domain;
  client = testClient({ port, realm, name: 'svc-fetch', password: PASSWORD, transport });
});
after(async () => {
  client.close();
  transport.close();
  await domain.close();
});
afterEach(() => {
  for (const connection of open.splice(0)) connection.close();
  domain.setFaults({});
});

async function connected(more: Partial<SealedConnectionOptions> = {}): Promise<SealedConnection> {
  const endpoint = { host: domain.controllerName, port: domain.ldapPort };
  const connection = await connectSealed({ endpoint, client, resolver, ...more });
  open.push(connection);
  return connection;
}
const byName = (name: string) => new EqualityFilter({ attribute: 'sAMAccountName', value: name });
const search = (connection: SealedConnection, name: string, signal?: AbortSignal) =>
  connection.search({
    base: domain.baseDn,
    scope: 'sub',
    filter: byName(name),
    attributes: { sAMAccountName: 'text', objectSid: 'binary', description: 'text' },
    signal,
  });

describe('a sealed search', () => {
  test('gives text as text, bytes as bytes, and what is not there not at all', async () => {
    const [entry, ...more] = await search(await connected(), 'svc-fetch');
    assert.deepEqual(more, []);
    assert.equal(entry!.dn, `CN=svc-fetch,CN=Users,${domain.baseDn}`);
    assert.deepEqual(entry!.text.get('samaccountname'), ['svc-fetch']);
    assert.ok(entry!.binary.get('objectsid')![0] instanceof Uint8Array);
    assert.equal(entry!.text.has('description'), false);
  });

  test('finds nothing by a name that is a filter', async () => {
    const connection = await connected();
    for (const name of ['*', '*)(objectClass=*', 'svc-fetch)(|(a=b)', '\\2a', 'svc-fetch\0', 'ü'.repeat(1000)]) {
      assert.deepEqual(await search(connection, name), []);
    }
  });

  test('of many at once gives each its own answer', async () => {
    const connection = await connected();
    const names = ['svc-fetch', 'bob', 'WebApp01$', 'nobody', 'off', 'HOST1$'];
    const found = await Promise.all(names.map((name) => search(connection, name)));
    assert.deepEqual(
      found.map(([entry]) => entry?.text.get('samaccountname')?.[0]),
      ['svc-fetch', 'bob', 'WebApp01$', undefined, 'off', 'HOST1$'],
    );
  });

  test('gives all entries where there are many', async () => {
    const connection = await connected();
    const found = await connection.search({
      base: domain.baseDn,
      scope: 'sub',
      filter: new PresenceFilter({ attribute: 'sAMAccountName' }),
      attributes: { sAMAccountName: 'text' },
    });
    assert.ok(found.length >= 8, `${found.length}`);
  });

  test('below a base that does not exist says so', async () => {
    const connection = await connected();
    const filter = byName('bob');
    const request = { base: `CN=None,${domain.baseDn}`, scope: 'sub', filter, attributes: { cn: 'text' } } as const;
    await assert.rejects(connection.search(request), { code: 'LDAP', message: /noSuchObject \(32\).*0000208D/ });
    assert.equal(connection.closed, false);
    assert.equal((await search(connection, 'bob')).length, 1);
  });

  test('on a connection that the server dropped is UNREACHABLE, and is not tried again in the clear', async () => {
    const connection = await connected();
    domain.setFaults({ ldapDropOnSearch: true });
    await assert.rejects(search(connection, 'bob'), { code: 'UNREACHABLE' });
    assert.ok(connection.closed);
    domain.setFaults({});
    const { ldapConnections } = domain.stats;
    await assert.rejects(search(connection, 'bob'), { code: 'UNREACHABLE' });
    assert.equal(domain.stats.ldapConnections, ldapConnections);
  });

  test('that takes longer than allowed is UNREACHABLE and ends the connection', async () => {
    const connection = await connected({ operationTimeout: 50 });
    domain.setFaults({ ldapSilent: true });
    await assert.rejects(search(connection, 'bob'), { code: 'UNREACHABLE' });
    assert.ok(connection.closed);
  });

  test('may be given up', async () => {
    const connection = await connected();
    domain.setFaults({ ldapSilent: true });
    await assert.rejects(search(connection, 'bob', AbortSignal.timeout(20)), { code: 'TIMEOUT' });
    await assert.rejects(search(connection, 'bob', AbortSignal.abort()), { code: 'ABORTED' });
  });

  test('that was given up and is never answered ends the connection all the same', async () => {
    const connection = await connected({ operationTimeout: 50 });
    domain.setFaults({ ldapSilent: true });
    await assert.rejects(search(connection, 'bob', AbortSignal.timeout(5)), { code: 'TIMEOUT' });
    assert.equal(connection.closed, false);
    while (!connection.closed) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  test('after close() is UNREACHABLE', async () => {
    const connection = await connected();
    connection.close();
    assert.ok(connection.closed);
    await assert.rejects(search(connection, 'bob'), { code: 'UNREACHABLE' });
  });
});

describe('a connection is not had', () => {
  test('from a directory that does not offer confidentiality', async () => {
    for (const securityLayers of [1, 2, 3]) {
      const weak = await startTestDomain({ ...members, securityLayers });
      const weakTransport = localTransport(weak.kdcPort);
      const { realm, kdcPort: port } = weak;
      const reader = testClient({ port, realm, name: 'svc-fetch', password: PASSWORD, transport: weakTransport });
      try {
        const endpoint = { host: weak.controllerName, port: weak.ldapPort };
        await assert.rejects(connected({ endpoint, client: reader }), { code: 'NOT_SEALED' });
      } finally {
        reader.close();
        weakTransport.close();
        await weak.close();
      }
    }
  });

  test('from a directory that refuses the bind', async () => {
    domain.setFaults({ ldapBindResult: 51 });
    await assert.rejects(connected(), { code: 'UNREACHABLE', message: /busy/ });
    domain.setFaults({ ldapBindResult: 49 });
    await assert.rejects(connected(), { code: 'WRONG_PASSWORD' });
  });

  test('from a directory that is silent, for a caller with a deadline', async () => {
    domain.setFaults({ ldapSilent: true });
    await assert.rejects(connected({ signal: AbortSignal.timeout(50) }), { code: 'TIMEOUT' });
  });

  test('from one that hangs up', async () => {
    const rude = await TcpServer.start((socket) => socket.destroy());
    const endpoint = { host: domain.controllerName, port: rude.port };
    await assert.rejects(connected({ endpoint }), { code: 'UNREACHABLE', message: /dc1\.example\.test/ });
    await rude.stop();
  });

  test('from one that hangs up while the ticket is still being fetched', async () => {
    const rude = await TcpServer.start((socket) => socket.destroy());
    const { realm, kdcPort: port } = domain;
    const fresh = testClient({ port, realm, name: 'svc-fetch', password: PASSWORD, transport });
    domain.setFaults({ kdcDelayMs: 20 });
    const endpoint = { host: domain.controllerName, port: rude.port };
    await assert.rejects(connected({ endpoint, client: fresh }), { code: 'UNREACHABLE' });
    fresh.close();
    await rude.stop();
  });

  test('from a port nobody listens on', async () => {
    const gone = await TcpServer.start(() => undefined);
    await gone.stop();
    const endpoint = { host: domain.controllerName, port: gone.port };
    await assert.rejects(connected({ endpoint }), { code: 'UNREACHABLE', message: /ECONNREFUSED/ });
  });

  test('from a server whose name the realm does not know, and its socket is closed', async () => {
    const stranger = await TcpServer.start(() => undefined);
    const endpoint = { host: 'stranger.example.test', port: stranger.port };
    await assert.rejects(connected({ endpoint }), { code: 'UNKNOWN_SERVICE' });
    await stranger.emptied();
    await stranger.stop();
  });

  test('from a server that does not hold the key of its name', async () => {
    // dc1's ticket is for another realm's key here: an impostor behind the same name and address.
    const impostor = await startTestDomain(members);
    const endpoint = { host: impostor.controllerName, port: impostor.ldapPort };
    await assert.rejects(connected({ endpoint }), (e) => isAdError(e) && !isAdError(e, 'UNREACHABLE'));
    await impostor.close();
  });

  test('when the password is wrong, and the socket is closed', async () => {
    const { realm, kdcPort: port } = domain;
    const wrong = testClient({ port, realm, name: 'svc-fetch', password: 'wrong', transport });
    const listening = await TcpServer.start(() => undefined);
    const endpoint = { host: domain.controllerName, port: listening.port };
    await assert.rejects(connected({ endpoint, client: wrong }), { code: 'WRONG_PASSWORD' });
    wrong.close();
    await listening.emptied();
    await listening.stop();
  });
});

describe('the result of a search', () => {
  for (const [status, text, code] of [
    [1, '0000202D: SvcErr: DSID-0315213D, problem 5003 (WILL_NOT_PERFORM), data 0', 'NOT_SEALED'],
    [1, '00002020: operational_search_post_process: not sealed', 'NOT_SEALED'],
    [1, '00000000: something else', 'LDAP'],
    [13, 'confidentiality required', 'NOT_SEALED'],
    [32, '0000208D: NameErr', 'LDAP'],
    [50, '00002098: SecErr', 'NOT_ALLOWED'],
    [51, '', 'UNREACHABLE'],
    [52, '', 'UNREACHABLE'],
    [53, '', 'LDAP'],
    [123, '', 'LDAP'],
  ] as const) {
    test(`${status} "${text.slice(0, 30)}" is ${code}`, () => {
      const e = ldapResultError(status, text, 'search', 'dc1:389');
      assert.equal(e.code, code);
      assert.equal(e.details.ldapStatus, status);
      assert.match(e.message, /^DC dc1:389 answered the search with /);
    });
  }
});
