/** From the words of an environment to a client: krb5.conf, password, keytab, ticket cache. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseKrb5Conf } from '../../../src/krb5/config.ts';
import { cacheContent } from '../../../src/krb5/environment/cached.ts';
import { cachesOf, type Environment, loadEnvironment } from '../../../src/krb5/environment/environment.ts';
import { openClient } from '../../../src/krb5/environment/open.ts';
import { openCaches } from '../../../src/krb5/files/ccache-collection.ts';
import { parseCacheName } from '../../../src/krb5/files/ccache-name.ts';
import { formatPrincipal, servicePrincipal } from '../../../src/krb5/principal.ts';
import { startTestDomain, type TestDomain } from '../../../src/testdomain/index.ts';

describe('openClient', () => {
  let domain: TestDomain;
  let directory: string;
  let env: Record<string, string>;
  let environment: Environment;

  before(async () => {
    domain = await startTestDomain({
      users: [
        { name: 'alice', password: 'Only-For-Tests-1' },
        { name: 'bob', password: 'Only-For-Tests-2' },
      ],
      computers: [{ name: 'HOST1' }],
      services: [{ spn: 'HTTP/web.example.test' }],
    });
    directory = await mkdtemp(join(tmpdir(), 'cf-open-'));
    env = {
      KRB5_CONFIG: join(directory, 'krb5.conf'),
      KRB5CCNAME: `FILE:${join(directory, 'cc')}`,
      KRB5_KTNAME: join(directory, 'host.keytab'),
    };
    await writeFile(env.KRB5_CONFIG!, domain.krb5Conf);
    await writeFile(env.KRB5_KTNAME!, await domain.keytab('HOST1$'), { mode: 0o600 });
    environment = await loadEnvironment({ env });
  });
  after(async () => {
    environment?.close();
    await domain?.close();
    await rm(directory, { recursive: true, force: true });
  });

  const alice = (password: string | Uint8Array) => openClient({ environment, principal: 'alice', password });
  const nameOf = async (client: Awaited<ReturnType<typeof openClient>>): Promise<string> => {
    const { client: who } = await client.login();
    client.close();
    return formatPrincipal(who);
  };

  test("never takes another's ticket out of a cache for its own", async () => {
    const [own, other] = [
      await alice('Only-For-Tests-1'),
      await openClient({ environment, principal: 'bob', password: 'Only-For-Tests-2' }),
    ];
    const web = servicePrincipal('HTTP', 'web.example.test');
    const [tgt, evidence, theirs] = [await own.login(), await other.ticket(web), await other.login()];
    const path = join(directory, 'proxy');
    const cache = openCaches(parseCacheName(path));
    const skey = { ...(await own.ticket(web)), isSkey: true };
    await (await cache.primary()).write({ principal: tgt.client, credentials: [tgt, evidence, skey] });
    const client = await openClient({ environment, cache: path });
    assert.deepEqual(
      [...client.held].map((c) => formatPrincipal(c.server)),
      ['krbtgt/EXAMPLE.TEST@EXAMPLE.TEST'],
    );
    assert.equal(formatPrincipal((await client.ticket(web)).client), 'alice@EXAMPLE.TEST');
    // As MIT's kvno -P leaves it: the user's ticket beside the service's own ticket-granting ticket.
    await (await cache.primary()).write({ principal: tgt.client, credentials: [theirs, evidence] });
    await assert.rejects(openClient({ environment, cache: path }), {
      code: 'NOT_FOUND',
      message: /no ticket-granting/,
    });
    for (const c of [own, other, client]) c.close();
  });

  test('logs on by password, in the default realm', async () => {
    assert.equal(await nameOf(await alice('Only-For-Tests-1')), 'alice@EXAMPLE.TEST');
  });

  test("a password's bytes stay the caller's", async () => {
    const bytes = Buffer.from('Only-For-Tests-1');
    assert.equal(await nameOf(await alice(bytes)), 'alice@EXAMPLE.TEST');
    assert.equal(bytes.toString(), 'Only-For-Tests-1');
  });

  test('a wrong password is one', async () => {
    const client = await alice('wrong');
    await assert.rejects(client.login(), { code: 'WRONG_PASSWORD' });
    client.close();
  });

  test("logs on by the machine's keytab", async () => {
    assert.equal(await nameOf(await openClient({ environment, keytab: true })), 'HOST1$@EXAMPLE.TEST');
  });

  test('says whom a keytab has when it is another', async () => {
    await assert.rejects(openClient({ environment, keytab: true, principal: 'alice' }), /it has HOST1\$@EXAMPLE.TEST/);
  });

  test('goes on with the tickets of a cache and asks no password', async () => {
    const first = await alice('Only-For-Tests-1');
    await first.login();
    await openCaches(parseCacheName(env.KRB5CCNAME!))
      .primary()
      .then((cache) => cache.write(cacheContent(first)));
    first.close();
    const asked = domain.stats.as;
    const client = await openClient({ environment });
    const ticket = await client.ticket(servicePrincipal('HTTP', 'web.example.test'));
    assert.equal(formatPrincipal(ticket.client), 'alice@EXAMPLE.TEST');
    assert.equal(domain.stats.as, asked);
    client.close();
  });

  test("finds a principal's own cache among those of a directory", async () => {
    const name = `DIR:${join(directory, 'caches')}`;
    const collection = openCaches(parseCacheName(name));
    for (const [who, password] of [
      ['alice', 'Only-For-Tests-1'],
      ['bob', 'Only-For-Tests-2'],
    ] as const) {
      const client = await openClient({ environment, principal: who, password });
      await client.login();
      await (await collection.create()).write(cacheContent(client));
      client.close();
    }
    for (const who of ['alice', 'bob'])
      assert.equal(await nameOf(await openClient({ environment, cache: name, principal: who })), `${who}@EXAMPLE.TEST`);
  });

  test("does not give one principal another's tickets", async () => {
    await assert.rejects(openClient({ environment, principal: 'bob' }), { code: 'NOT_FOUND', message: /is of alice@/ });
  });

  test('without a ticket it is the client of KRB5_CLIENT_KTNAME', async () => {
    const other = { ...env, KRB5CCNAME: join(directory, 'none'), KRB5_CLIENT_KTNAME: env.KRB5_KTNAME! };
    const own = await loadEnvironment({ env: other });
    assert.equal(await nameOf(await openClient({ environment: own })), 'HOST1$@EXAMPLE.TEST');
    own.close();
  });

  test('without anything it says which cache is not there', async () => {
    const own = await loadEnvironment({ env: { ...env, KRB5CCNAME: '/nowhere/cc' } });
    await assert.rejects(openClient({ environment: own }), { code: 'NOT_FOUND', message: /\/nowhere\/cc/ });
    own.close();
  });

  test('a cache whose ticket has ended is as good as none', async () => {
    const later = await loadEnvironment({ env, clock: () => Date.now() + 86_400_000 });
    await assert.rejects(openClient({ environment: later }), { code: 'NOT_FOUND', message: /expired/ });
    later.close();
  });

  test('a cache that cannot be read is another error than one that is not there', async () => {
    await assert.rejects(openClient({ environment, cache: directory }), { code: 'FILE' });
  });

  test('lives on tickets at hand until they end, and says so then', async () => {
    const first = await alice('Only-For-Tests-1');
    const tgt = await first.forward();
    first.close();
    let now = Date.now();
    const client = await openClient({ environment, tickets: [tgt], clock: () => now });
    assert.equal(
      formatPrincipal((await client.ticket(servicePrincipal('HTTP', 'web.example.test'))).client),
      'alice@EXAMPLE.TEST',
    );
    now = tgt.endtime.getTime();
    await assert.rejects(client.login(), { code: 'NOT_FOUND', message: /nothing to get one with/ });
    client.close();
    await assert.rejects(openClient({ environment, tickets: [] }), { code: 'INVALID_ARGUMENT' });
  });

  test('reads a cache again when its ticket has ended', async () => {
    let now = Date.now();
    const own = await startTestDomain({
      clock: () => now,
      users: [{ name: 'alice', password: 'Only-For-Tests-1' }],
      services: [{ spn: 'HTTP/web.example.test' }],
    });
    const path = join(directory, 'followed');
    const config = parseKrb5Conf(own.krb5Conf);
    const host = await loadEnvironment({ config, env: { KRB5CCNAME: path }, clock: () => now });
    const kinit = async () => {
      const client = await openClient({ environment: host, principal: 'alice', password: 'Only-For-Tests-1' });
      await client.login();
      await (await cachesOf(host).primary()).write(cacheContent(client));
      client.close();
    };
    await kinit();
    const client = await openClient({ environment: host });
    const web = servicePrincipal('HTTP', 'web.example.test');
    const before = await client.ticket(web);
    now += 11 * 3600_000;
    await assert.rejects(client.ticket(web), { code: 'NOT_FOUND', message: /expired/ });
    await kinit();
    const asked = own.stats.as;
    assert.ok((await client.ticket(web)).endtime > before.endtime);
    assert.equal(own.stats.as, asked);
    client.close();
    host.close();
    await own.close();
  });

  test("takes no ticket from a cache that has become another principal's", async () => {
    let now = Date.now();
    const path = join(directory, 'taken');
    const host = await loadEnvironment({ env: { ...env, KRB5CCNAME: path }, clock: () => now });
    const [cache, ours, theirs] = [
      await cachesOf(host).primary(),
      await alice('Only-For-Tests-1'),
      await openClient({
        environment,
        principal: 'bob',
        password: 'Only-For-Tests-2',
      }),
    ];
    for (const one of [ours, theirs]) await one.login();
    await cache.write(cacheContent(ours));
    const client = await openClient({ environment: host });
    await cache.write(cacheContent(theirs));
    now += 11 * 3600_000;
    await assert.rejects(client.login(), { code: 'NOT_FOUND', message: /is of bob@/ });
    for (const one of [client, ours, theirs, host]) one.close();
  });

  test("goes by the KDC's clock as the cache tells it", async () => {
    const first = await alice('Only-For-Tests-1');
    await first.login();
    const path = join(directory, 'offset');
    const kdcOffset = { seconds: -3, microseconds: 500_000 };
    const cache = await cachesOf(environment, path).primary();
    await cache.write({ ...cacheContent(first), kdcOffset });
    first.close();
    const client = await openClient({ environment, cache: path });
    assert.equal(client.context.timeOffset, -2500);
    client.close();
  });

  test('several proofs at once make no sense', async () => {
    await assert.rejects(openClient({ environment, principal: 'alice', password: 'x', keytab: true }), {
      code: 'INVALID_ARGUMENT',
    });
    await assert.rejects(openClient({ environment, password: 'x' }), /goes with a principal/);
  });

  test('a client ends the environment that it made, not one that it was given', async () => {
    const client = await alice('Only-For-Tests-1');
    await client.login();
    client.close();
    assert.equal(await nameOf(await alice('Only-For-Tests-1')), 'alice@EXAMPLE.TEST');
    const { KRB5_CONFIG } = process.env;
    process.env.KRB5_CONFIG = env.KRB5_CONFIG!;
    const own = await openClient({ principal: 'alice', password: 'Only-For-Tests-1' });
    if (KRB5_CONFIG === undefined) delete process.env.KRB5_CONFIG;
    else process.env.KRB5_CONFIG = KRB5_CONFIG;
    await own.login();
    const { transport } = own.context;
    own.close();
    own.close();
    await assert.rejects(transport.exchange('EXAMPLE.TEST', new Uint8Array(1)), /closed/);
  });

  test('a client that holds no first ticket has nothing to write', async () => {
    const client = await alice('Only-For-Tests-1');
    assert.throws(() => cacheContent(client), { code: 'INVALID_ARGUMENT' });
    client.close();
  });
});

describe('loadEnvironment', () => {
  test('takes a configuration at hand', async () => {
    const environment = await loadEnvironment({ config: parseKrb5Conf('[libdefaults]\n default_realm = A.EXAMPLE\n') });
    assert.equal(environment.config.defaultRealm, 'A.EXAMPLE');
    environment.close();
  });

  test('a krb5.conf that is not there leaves all to DNS', async () => {
    const environment = await loadEnvironment({ env: { KRB5_CONFIG: '/nowhere/krb5.conf' } });
    assert.equal(environment.config.dnsLookupKdc, true);
    environment.close();
  });
});
