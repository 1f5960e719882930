/** Servers of a realm in DNS: URI and SRV records, services, sites. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AdError } from '../../../src/errors.ts';
import { parseKrb5Conf } from '../../../src/krb5/config.ts';
import { type DiscoveryOptions, discoverServers, uriServer } from '../../../src/krb5/network/discovery.ts';
import { Locator, type SiteOf } from '../../../src/krb5/network/locate.ts';
import type { Resolver } from '../../../src/krb5/network/resolver.ts';
import { configuredKdcs, type KdcService, serverName } from '../../../src/krb5/network/servers.ts';

/** `priority weight port host` of SRV, `priority weight target` of URI records. */
type Zone = Readonly<Record<string, readonly string[] | Error | 'silence'>>;

function setup(zone: Zone, siteOf?: SiteOf) {
  const asked: string[] = [];
  const records = async (key: string): Promise<string[][]> => {
    asked.push(key);
    const found = zone[key] ?? [];
    if (found === 'silence') return new Promise(() => undefined);
    if (found instanceof Error) throw found;
    return found.map((line) => line.split(' '));
  };
  const resolver: Resolver = {
    srv: async (name) =>
      (await records(`SRV ${name}`)).map(([p, w, port, host]) => ({
        priority: Number(p),
        weight: Number(w),
        port: Number(port),
        host: host!,
      })),
    uri: async (name) =>
      (await records(`URI ${name}`)).map(([p, w, target]) => ({
        priority: Number(p),
        weight: Number(w),
        target: target!,
      })),
    addresses: async () => assert.fail('no address was wanted'),
  };
  const locator = new Locator({ resolver, clock: Date.now, ...(siteOf && { siteOf }) });
  const find = async (options: Partial<DiscoveryOptions> = {}, service: KdcService = 'kerberos') =>
    (await discoverServers(locator, 'R.TEST', service, { uri: true, ...options })).map(
      (server) => `${server.protocol ?? 'any'} ${serverName(server)}`,
    );
  return { asked, locator, find };
}
const down = new AdError('UNREACHABLE', 'DNS is down', {}, new Error('timeout'));

describe('URI records', () => {
  const TARGETS: Record<string, string | undefined> = {
    'krb5srv:m:tcp:kdc1.r.test': 'tcp kdc1.r.test:88',
    'krb5srv::udp:kdc1.r.test:1088': 'udp kdc1.r.test:1088',
    'KRB5SRV:M:UDP:[2001:db8::1]:88': 'udp [2001:db8::1]:88',
    'krb5srv:m:kkdcp:https://proxy.r.test/KdcProxy': 'https https://proxy.r.test:443/KdcProxy',
    'krb5srv::kkdcp:https://proxy.r.test:8443': 'https https://proxy.r.test:8443/',
    'krb5srv::kkdcp:http://proxy.r.test/': undefined,
    'krb5srv::kkdcp:proxy.r.test': undefined,
    'krb5srv::tcp:https://proxy.r.test/': undefined,
    'krb5srv::tcp:udp/kdc1.r.test': undefined,
    'krb5srv::sctp:kdc1.r.test': undefined,
    'krb5srv::tcp:': undefined,
    'krb5srv:tcp:kdc1.r.test': undefined,
    'other:m:tcp:kdc1.r.test': undefined,
    '': undefined,
  };
  for (const [target, expected] of Object.entries(TARGETS)) {
    test(JSON.stringify(target), () => {
      const server = uriServer(target, 'kerberos');
      assert.equal(server && `${server.protocol} ${serverName(server)}`, expected);
    });
  }

  const SRV = { 'SRV _kerberos._tcp.r.test': ['0 0 88 dc1.r.test.'] };
  const URI = ['20 0 krb5srv::udp:kdc2.r.test', '10 0 krb5srv:m:kkdcp:https://proxy.r.test/x', '5 0 other:x'];

  test('go before SRV records, in their order', async () => {
    const { find } = setup({ ...SRV, 'URI _kerberos.r.test': URI });
    assert.deepEqual(await find(), ['https https://proxy.r.test:443/x', 'udp kdc2.r.test:88']);
  });
  test('of other schemes leave it to SRV records', async () => {
    const { find } = setup({ ...SRV, 'URI _kerberos.r.test': ['5 0 other:x'] });
    assert.deepEqual(await find(), ['any dc1.r.test:88']);
  });
  test('that DNS does not tell leave it to SRV records', async () => {
    assert.deepEqual(await setup({ ...SRV, 'URI _kerberos.r.test': down }).find(), ['any dc1.r.test:88']);
    assert.deepEqual(await setup({ ...SRV, 'URI _kerberos.r.test': 'silence' }).find(), ['any dc1.r.test:88']);
  });
  test('do where SRV fails', async () => {
    const { find } = setup({ 'SRV _kerberos._tcp.r.test': down, 'URI _kerberos.r.test': URI });
    assert.equal((await find()).length, 2);
  });
  test('are asked for once, and not at all when switched off', async () => {
    const { find, asked } = setup({ ...SRV, 'URI _kerberos.r.test': URI });
    await find();
    await find();
    assert.deepEqual(asked.sort(), ['SRV _kerberos._tcp.r.test', 'URI _kerberos.r.test']);
    asked.length = 0;
    assert.deepEqual(await find({ uri: false }), ['any dc1.r.test:88']);
    assert.deepEqual(asked, []);
  });
  test('of changes of passwords have a name and a port of their own', async () => {
    const { find } = setup({ 'URI _kpasswd.r.test': ['0 0 krb5srv:m:udp:kdc1.r.test'] });
    assert.deepEqual(await find({}, 'kpasswd'), ['udp kdc1.r.test:464']);
  });
});

describe('SRV records', () => {
  test('of UDP do where there are none of TCP', async () => {
    const { find } = setup({ 'SRV _kerberos._udp.r.test': ['0 0 88 dc1.r.test.'] });
    assert.deepEqual(await find(), ['any dc1.r.test:88']);
  });
  test('that say there is no such service are none', async () => {
    const { find } = setup({ 'SRV _kerberos._tcp.r.test': ['0 0 88 .', '0 0 0 dc1.r.test'] });
    await assert.rejects(find(), { code: 'UNREACHABLE', message: /no SRV records _kerberos\._tcp\.r\.test/ });
  });
  test('are not asked for by UDP when DNS is down', async () => {
    const { find, asked } = setup({ 'SRV _kerberos._tcp.r.test': down });
    await assert.rejects(find(), down);
    assert.ok(!asked.includes('SRV _kerberos._udp.r.test'));
  });
});

describe('the site', () => {
  const ALL = { 'SRV _kerberos._tcp.r.test': ['0 0 88 a.test', '1 0 88 b.test', '2 0 88 c.test'] };
  const BERLIN = { 'SRV _kerberos._tcp.Berlin._sites.r.test': ['0 0 88 c.test'] };
  const names = (hosts: string) => [...hosts].map((h) => `any ${h}.test:88`);

  test('has its servers go first, and the others stay', async () => {
    const questions: unknown[] = [];
    const siteOf: SiteOf = async (...asked) => {
      questions.push(asked);
      return 'Berlin';
    };
    const { find } = setup({ ...ALL, ...BERLIN }, siteOf);
    assert.deepEqual(await find({ uri: false }), names('cab'));
    assert.deepEqual(questions, [['r.test', ['a.test', 'b.test', 'c.test']]]);
  });
  test('may be configured', async () => {
    const { find } = setup({ ...ALL, ...BERLIN }, async () => assert.fail('asked'));
    assert.deepEqual(await find({ uri: false, sitename: 'Berlin' }), names('cab'));
  });
  test('without servers of its own changes nothing', async () => {
    const { find } = setup(ALL, async () => 'Berlin');
    assert.deepEqual(await find({ uri: false }), names('abc'));
  });
  test('that cannot be found out changes nothing', async () => {
    assert.deepEqual(await setup(ALL, async () => undefined).find({ uri: false }), names('abc'));
    assert.deepEqual(await setup(ALL, () => Promise.reject(down)).find({ uri: false }), names('abc'));
  });
  test('is of no matter where there is one server', async () => {
    const zone = { 'SRV _kerberos._tcp.r.test': ['0 0 88 a.test', '0 0 1088 a.test'] };
    const { find, asked } = setup(zone, async () => assert.fail('asked'));
    await find({ uri: false });
    assert.deepEqual(asked, ['SRV _kerberos._tcp.r.test']);
  });
  test("'s servers that failed lately stand behind the others", async () => {
    const { find, locator } = setup({ ...ALL, ...BERLIN }, async () => 'Berlin');
    locator.failed({ host: 'c.test', port: 88 });
    assert.deepEqual(await find({ uri: false }), names('abc'));
  });
});

describe('a host that was silent', () => {
  const at = (host: string, port: number) => ({ host, port });
  test('on one port stands behind others on every port', () => {
    const { locator } = setup({});
    locator.failed(at('a', 88), 'silent');
    assert.deepEqual(locator.inOrder([at('a', 389), at('b', 389)]), [at('b', 389), at('a', 389)]);
  });
  test('is not what one is that refused there', () => {
    const { locator } = setup({});
    locator.failed(at('a', 88));
    assert.deepEqual(locator.inOrder([at('a', 389), at('b', 389)]), [at('a', 389), at('b', 389)]);
  });
  test('still goes before the very server that failed', () => {
    const { locator } = setup({});
    locator.failed(at('a', 88), 'silent');
    locator.failed(at('b', 389));
    assert.deepEqual(locator.inOrder([at('b', 389), at('a', 389)]), [at('a', 389), at('b', 389)]);
  });
});

describe('servers in krb5.conf', () => {
  const config = parseKrb5Conf(`[realms]
R = {
 kdc = kdc1
 kdc = udp/kdc2:1088
 kdc = https://proxy/KdcProxy
 kdc = [2001:db8::1]
 admin_server = adm:749
}
S = {
 kpasswd_server = kp1
 kpasswd_server = kp2:1464
 admin_server = adm
}`);
  const named = (realm: string, service?: KdcService) =>
    configuredKdcs(config, realm, service)?.map((s) => `${s.protocol ?? 'any'} ${serverName(s)}`);

  test('keep their carriers', () => {
    const proxy = 'https https://proxy:443/KdcProxy';
    assert.deepEqual(named('R'), ['any kdc1:88', 'udp kdc2:1088', proxy, 'any [2001:db8::1]:88']);
  });
  test('change passwords at kpasswd_server, else at admin_server with that port', () => {
    assert.deepEqual(named('S', 'kpasswd'), ['any kp1:464', 'any kp2:1464']);
    assert.deepEqual(named('R', 'kpasswd'), ['any adm:464']);
  });
  test('may be missing', () => {
    assert.equal(named('S'), undefined);
    assert.equal(named('T', 'kpasswd'), undefined);
  });
});
