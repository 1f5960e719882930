/** A gMSA's password that a KDC refuses: domain controllers that have not all heard of the roll. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromDer } from '../../../src/asn1.ts';
import { isAdError } from '../../../src/errors.ts';
import { AsReq, KdcReqBody } from '../../../src/krb5/messages.ts';
import { Locator } from '../../../src/krb5/network/locate.ts';
import { NetworkTransport } from '../../../src/krb5/network/network.ts';
import { DnsResolver } from '../../../src/krb5/network/resolver.ts';
import type { KdcTransport } from '../../../src/krb5/network/transport.ts';
import type { TestDomain } from '../../../src/testdomain/index.ts';
import { HOUR, world } from '../world.ts';

const DAY = 24 * HOUR;
const BORN = Date.UTC(2026, 4, 1, 12, 0, 0);

/** Two names for the embedded domain's one server, as if they were two domain controllers. */
function twoControllers(logins: string[] = []) {
  return (domain: TestDomain) => {
    const resolver = new DnsResolver();
    const locator = new Locator({ resolver, clock: Date.now });
    const kdcs = ['127.0.0.1', 'localhost'].map((host) => ({ host, port: domain.kdcPort }));
    const transport = new NetworkTransport({ resolver, locator, kdcs: () => kdcs });
    const watched: KdcTransport = {
      async exchange(realm, request, signal, service, last) {
        const reply = await transport.exchange(realm, request, signal, service, last);
        const name = clientOf(request);
        if (name?.startsWith('Daily')) logins.push(reply.server.split(':')[0]!);
        return reply;
      },
      close: () => transport.close(),
    };
    return {
      kerberos: { transport: watched, clock: () => BORN + 4 * DAY },
      locator,
      domainControllers: ['127.0.0.1', 'localhost'].map((host) => ({ host, port: domain.ldapPort })),
    };
  };
}

function clientOf(request: Uint8Array): string | undefined {
  return request[0] === 0x6a
    ? fromDer(KdcReqBody, fromDer(AsReq, request).reqBody).cname?.nameString.join('/')
    : undefined;
}

/** A directory that is behind by days for so many searches. */
const behindFor = (searches: number) => ({ directoryLagMs: () => (searches-- > 0 ? 3 * DAY : 0) });

async function later(t: Parameters<typeof world>[0], logins: string[] = []) {
  const made = await world(t, {}, twoControllers(logins));
  made.time.now = BORN + 4 * DAY;
  return made;
}

describe('a password that the KDC refuses', () => {
  test('is read again at another domain controller, and tried at another KDC', async (t) => {
    const logins: string[] = [];
    const { domain, add, user, left } = await later(t, logins);
    await add(user, 'WebApp01');
    const before = { ...domain.stats };
    domain.setFaults(behindFor(1));
    const [path] = await add(user, 'Daily');
    assert.ok((await left(path!)) > 9 * HOUR);
    assert.equal(domain.stats.ldapSearches - before.ldapSearches, 2);
    assert.equal(domain.stats.ldapConnections - before.ldapConnections, 1, 'the other one');
    assert.equal(new Set(logins).size, 2, `${logins}`);
    assert.notEqual(logins.at(-1), logins[0]);
  });

  test('and by every domain controller, is given up after a few', async (t) => {
    const { domain, add, user } = await later(t);
    await add(user, 'WebApp01');
    const before = { ...domain.stats };
    domain.setFaults(behindFor(100));
    await assert.rejects(add(user, 'Daily'), (e: Error) => isAdError(e.cause, 'WRONG_PASSWORD'));
    assert.equal(domain.stats.ldapSearches - before.ldapSearches, 2);
    assert.ok(domain.stats.as - before.as <= 8, `${domain.stats.as - before.as} AS requests`);
  });

  test('costs the other accounts of the request nothing', async (t) => {
    const { domain, add, user, left } = await later(t);
    domain.setFaults(behindFor(1));
    const [daily, web] = await add(user, 'Daily', 'WebApp01');
    assert.ok((await left(daily!)) > 9 * HOUR);
    assert.ok((await left(web!)) > 9 * HOUR);
  });

  test('has no second opinion where there is one domain controller', async (t) => {
    const { domain, time, add, user } = await world(t);
    time.now += 4 * DAY;
    await add(user, 'WebApp01');
    const before = domain.stats.ldapSearches;
    domain.setFaults(behindFor(100));
    await assert.rejects(add(user, 'Daily'), (e: Error) => isAdError(e.cause, 'WRONG_PASSWORD'));
    assert.equal(domain.stats.ldapSearches - before, 1);
  });
});
