import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { AdError } from '../../../src/errors.ts';
import { type Endpoint, endpointName, Locator, orderSrv } from '../../../src/krb5/network/locate.ts';
import type { Resolver, SrvRecord } from '../../../src/krb5/network/resolver.ts';
import { domainBase, locateDomainControllers } from '../../../src/ldap/locate.ts';
import { Random } from '../../support/fuzz.ts';

const seeded = (seed: number) => {
  const random = new Random(seed);
  return () => random.u32() / 2 ** 32;
};
const record = (host: string, priority: number, weight: number): SrvRecord => ({ host, port: 88, priority, weight });
const hosts = (endpoints: readonly Endpoint[]) => endpoints.map((e) => e.host);

/** How often each host comes first in 4,000 seeded orders. */
function firsts(records: readonly SrvRecord[]): Record<string, number> {
  const random = seeded(2782);
  const count: Record<string, number> = {};
  for (let i = 0; i < 4000; i++) {
    const [first] = orderSrv(records, random);
    count[first!.host] = (count[first!.host] ?? 0) + 1;
  }
  return count;
}
const near = (actual: number | undefined, expected: number) =>
  assert.ok(Math.abs((actual ?? 0) - expected) < 0.05 * 4000, `${actual} where about ${expected} are due`);

describe('the order of SRV records, RFC 2782', () => {
  test('the lowest priority comes first, whatever the weights', () => {
    const records = [record('c', 20, 100), record('a', 0, 0), record('b', 10, 1)];
    for (let i = 0; i < 50; i++) assert.deepEqual(hosts(orderSrv(records, seeded(i))), ['a', 'b', 'c']);
  });

  test('within one, the chance to be first is the weight', () => {
    const count = firsts([record('a', 0, 100), record('b', 0, 200), record('c', 0, 700)]);
    near(count.a, 400);
    near(count.b, 800);
    near(count.c, 2800);
  });

  test('equal weights share evenly', () => {
    const count = firsts([record('a', 0, 100), record('b', 0, 100), record('c', 0, 100), record('d', 0, 100)]);
    for (const host of ['a', 'b', 'c', 'd']) near(count[host], 1000);
  });

  test('weights of zero share too, and keep a small chance beside others', () => {
    const even = firsts([record('a', 0, 0), record('b', 0, 0)]);
    assert.ok(even.a! + (even.b ?? 0) === 4000);
    const count = firsts([record('a', 0, 0), record('b', 0, 9)]);
    assert.ok(count.a! > 0 && count.a! < 800, `${count.a}`);
  });

  test('every record comes once, whatever random says', () => {
    const records = fc.array(
      fc.record({
        host: fc.string({ minLength: 1, maxLength: 5, unit: fc.constantFrom('a', 'b', '1') }),
        port: fc.integer({ min: 1, max: 65535 }),
        priority: fc.nat(3),
        weight: fc.nat(65535),
      }),
      { maxLength: 8 },
    );
    const random = fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }));
    fc.assert(
      fc.property(records, random, (list, stream) => {
        const ordered = orderSrv(list, () => stream.next().value);
        assert.deepEqual(ordered.map(endpointName).sort(), list.map(endpointName).sort());
      }),
    );
  });

  test('the dot at the end of a name is taken off', () => {
    assert.deepEqual(hosts(orderSrv([record('dc1.example.test.', 0, 0)], Math.random)), ['dc1.example.test']);
  });
});

class FakeDns implements Resolver {
  asked: string[] = [];
  records: readonly SrvRecord[] | Error = [record('a', 0, 0), record('b', 1, 0), record('c', 2, 0)];
  async srv(name: string): Promise<SrvRecord[]> {
    this.asked.push(name);
    if (this.records instanceof Error) throw this.records;
    return [...this.records];
  }
  async addresses(): Promise<string[]> {
    return assert.fail('no address was wanted');
  }
}

function setup() {
  const time = { now: 1_000_000 };
  const dns = new FakeDns();
  const locator = new Locator({ resolver: dns, clock: () => time.now, keep: 1000, avoid: 500 });
  return { time, dns, locator };
}

describe('Locator', () => {
  test('asks DNS once for a while', async () => {
    const { time, dns, locator } = setup();
    await Promise.all([locator.find('_x'), locator.find('_x')]);
    await locator.find('_x');
    assert.equal(dns.asked.length, 1);
    time.now += 1000;
    await locator.find('_x');
    assert.equal(dns.asked.length, 2);
  });

  test('keeps names apart', async () => {
    const { dns, locator } = setup();
    await locator.find('_x');
    dns.records = [record('other', 0, 0)];
    assert.deepEqual(hosts(await locator.find('_y')), ['other']);
    assert.deepEqual(hosts(await locator.find('_x')), ['a', 'b', 'c']);
  });

  test('does not keep a failure', async () => {
    const { dns, locator } = setup();
    dns.records = new AdError('UNREACHABLE', 'DNS is down');
    await assert.rejects(locator.find('_x'), { code: 'UNREACHABLE', message: 'DNS is down' });
    dns.records = [];
    await assert.rejects(locator.find('_x'), { code: 'UNREACHABLE', message: /no SRV records _x/ });
    dns.records = [record('a', 0, 0)];
    assert.deepEqual(hosts(await locator.find('_x')), ['a']);
  });

  test('puts servers that failed last, until they worked or time has passed', async () => {
    const { time, locator } = setup();
    const at = (host: string) => ({ host, port: 88 });
    locator.failed(at('a'));
    assert.deepEqual(hosts(await locator.find('_x')), ['b', 'c', 'a']);
    locator.failed(at('b'));
    assert.deepEqual(hosts(await locator.find('_x')), ['c', 'a', 'b']);
    locator.worked(at('a'));
    assert.deepEqual(hosts(await locator.find('_x')), ['a', 'c', 'b']);
    time.now += 500;
    assert.deepEqual(hosts(await locator.find('_x')), ['a', 'b', 'c']);
  });

  test('still tries servers that all failed', () => {
    const { locator } = setup();
    const one = { host: 'a', port: 88 };
    locator.failed(one);
    assert.deepEqual(locator.inOrder([one]), [one]);
  });

  test('a failure counts for the port it happened on', () => {
    const { locator } = setup();
    const [kdc, ldap] = [
      { host: 'a', port: 88 },
      { host: 'a', port: 389 },
    ];
    locator.failed(ldap);
    assert.deepEqual(locator.inOrder([kdc, ldap]), [kdc, ldap]);
    assert.deepEqual(locator.inOrder([ldap, kdc]), [kdc, ldap]);
  });
});

describe('domain controllers', () => {
  test('are found where Active Directory publishes them', async () => {
    const { dns, locator } = setup();
    await locateDomainControllers('Example.TEST', locator);
    assert.deepEqual(dns.asked, ['_ldap._tcp.dc._msdcs.example.test']);
  });
  test('that are configured replace DNS', async () => {
    const { dns, locator } = setup();
    const configured = [{ host: 'dc9', port: 3890 }];
    assert.deepEqual(await locateDomainControllers('example.test', locator, configured), configured);
    assert.equal(dns.asked.length, 0);
  });
  test('have a naming context of one component a label', () => {
    assert.equal(domainBase('ad.example.test'), 'DC=ad,DC=example,DC=test');
  });
});

test('addresses of IPv6 are written in brackets', () => {
  assert.equal(endpointName({ host: '::1', port: 88 }), '[::1]:88');
  assert.equal(endpointName({ host: 'dc1', port: 88 }), 'dc1:88');
});
