import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { AdError } from '../../../src/errors.ts';
import { DnsResolver, lookupWith, type Resolver } from '../../../src/krb5/network/resolver.ts';
import { FakeDns, rcode } from '../../support/fake-dns.ts';

let dns: FakeDns;
let directory: string;
let hosts: string;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'resolver-'));
  hosts = join(directory, 'hosts');
  await writeFile(
    hosts,
    [
      '# comment dc9.example.test',
      '127.0.0.1\tlocalhost   # loopback only.test',
      '::1 both.test',
      '10.0.0.7 both.test DC7.Example.test alias',
      '10.0.0.8 dc7.example.test',
      'nonsense bad.test',
      '10.0.0.9 commented.test#too',
      '',
    ].join('\r\n'),
  );
  dns = await FakeDns.start({
    'SRV _ldap._tcp.dc._msdcs.example.test': ['0 100 389 dc1.example.test', '10 0 3890 dc2.example.test'],
    'SRV _none._tcp.example.test': ['0 0 0 .'],
    'SRV _empty._tcp.example.test': [],
    'SRV _broken._tcp.example.test': rcode.SERVFAIL,
    'SRV _refused._tcp.example.test': rcode.REFUSED,
    'SRV _silent._tcp.example.test': 'silence',
    'SRV _noise._tcp.example.test': 'noise',
    'A dc1.example.test': ['10.0.0.1', '10.0.0.2'],
    'AAAA dc1.example.test': ['fd00::1'],
    'A four.example.test': ['10.0.0.4'],
    'AAAA four.example.test': rcode.SERVFAIL,
    'AAAA six.example.test': ['fd00::6'],
    'A six.example.test': [],
    'A broken.example.test': rcode.SERVFAIL,
    'AAAA broken.example.test': rcode.SERVFAIL,
  });
});
after(async () => {
  await dns.stop();
  await rm(directory, { recursive: true });
});

const resolver = (hostsFile = '/nonexistent') =>
  new DnsResolver({ servers: [dns.address], timeoutMs: 50, tries: 1, hostsFile });

describe('SRV records', () => {
  test('are read', async () => {
    assert.deepEqual(
      (await resolver().srv('_ldap._tcp.dc._msdcs.example.test')).sort((a, b) => a.priority - b.priority),
      [
        { host: 'dc1.example.test', port: 389, priority: 0, weight: 100 },
        { host: 'dc2.example.test', port: 3890, priority: 10, weight: 0 },
      ],
    );
  });

  for (const [what, name] of [
    ['a name that does not exist', '_nowhere._tcp.example.test'],
    ['a name without such records', '_empty._tcp.example.test'],
    ['a service that is decidedly not there, RFC 2782', '_none._tcp.example.test'],
  ] as const) {
    test(`are none for ${what}`, async () => assert.deepEqual(await resolver().srv(name), []));
  }

  for (const what of ['broken', 'refused', 'silent', 'noise']) {
    test(`from a server that is ${what} are an error, not none`, async () => {
      await assert.rejects(resolver().srv(`_${what}._tcp.example.test`), {
        code: 'UNREACHABLE',
        message: new RegExp(`SRV _${what}\\._tcp\\.example\\.test`),
      });
    });
  }
});

describe('addresses', () => {
  for (const literal of ['10.1.2.3', 'fd00::1', '::1']) {
    test(`${literal} is one already`, async () => {
      const before = dns.asked.length;
      assert.deepEqual(await resolver().addresses(literal), [literal]);
      assert.equal(dns.asked.length, before);
    });
  }

  test('of both families come from DNS, IPv4 first', async () => {
    assert.deepEqual(await resolver().addresses('dc1.example.test'), ['10.0.0.1', '10.0.0.2', 'fd00::1']);
  });
  test('the dot at the end of a name does not matter', async () => {
    assert.deepEqual(await resolver().addresses('four.example.test.'), ['10.0.0.4']);
  });
  test('of one family are enough, though the question for the other failed', async () => {
    assert.deepEqual(await resolver().addresses('four.example.test'), ['10.0.0.4']);
    assert.deepEqual(await resolver().addresses('six.example.test'), ['fd00::6']);
  });
  test('that DNS fails to tell are an error', async () => {
    await assert.rejects(resolver().addresses('broken.example.test'), {
      code: 'UNREACHABLE',
      message: /broken\.example/,
    });
  });
  test('that DNS does not know may be known to the system', async () => {
    assert.ok((await resolver().addresses('localhost')).includes('127.0.0.1'));
  });
});

describe('the hosts file', () => {
  test('comes before DNS, in any case of letters, IPv4 first', async () => {
    const before = dns.asked.length;
    assert.deepEqual(await resolver(hosts).addresses('dc7.example.TEST'), ['10.0.0.7', '10.0.0.8']);
    assert.deepEqual(await resolver(hosts).addresses('both.test'), ['10.0.0.7', '::1']);
    assert.deepEqual(await resolver(hosts).addresses('alias'), ['10.0.0.7']);
    assert.deepEqual(await resolver(hosts).addresses('commented.test'), ['10.0.0.9']);
    assert.equal(dns.asked.length, before);
  });

  test('gives nothing for a name that is not in it', async () => {
    assert.deepEqual(await resolver(hosts).addresses('four.example.test'), ['10.0.0.4']);
  });
});

describe('as the lookup of a connection', () => {
  const found: Resolver = { srv: async () => [], addresses: async () => ['127.0.0.1'] };

  test('it connects to the address found', async () => {
    const server = createServer((s) => s.end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    for (const autoSelectFamily of [true, false]) {
      const socket = connect({ host: 'dc1.example.test', port, lookup: lookupWith(found), autoSelectFamily });
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
      socket.destroy();
    }
    server.close();
  });

  test('its error is that of the connection', async () => {
    const none: Resolver = { ...found, addresses: () => Promise.reject(new AdError('UNREACHABLE', 'no address')) };
    const socket = connect({ host: 'dc1.example.test', port: 1, lookup: lookupWith(none) });
    const error = await new Promise((resolve) => socket.once('error', resolve));
    assert.equal((error as AdError).code, 'UNREACHABLE');
  });
});
