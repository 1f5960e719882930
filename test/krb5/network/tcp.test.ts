/** Kerberos over TCP with servers that are dead, silent, slow, rude or plainly wrong. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { deferred } from '../../../src/async.ts';
import { utf8 } from '../../../src/bytes.ts';
import { isAdError } from '../../../src/errors.ts';
import { type Endpoint, Locator } from '../../../src/krb5/network/locate.ts';
import { NetworkTransport, type NetworkTransportOptions } from '../../../src/krb5/network/network.ts';
import type { Resolver } from '../../../src/krb5/network/resolver.ts';
import { errorReply } from '../../support/fake-kdc.ts';
import { framed, onMessage, TcpServer } from '../../support/tcp-server.ts';

const REQUEST = utf8('request');
const noDns: Resolver = {
  srv: async () => assert.fail('DNS was asked'),
  addresses: async (host) => [host],
};

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0)) await end();
});

async function server(treat: (socket: Socket, number: number) => void): Promise<TcpServer> {
  const started = await TcpServer.start(treat);
  ended.push(() => started.stop());
  return started;
}
/** Repeats each request after a word, so that answers tell which request they are for. */
const echo = (socket: Socket) => onMessage(socket, (m) => socket.write(framed(Buffer.concat([utf8('re:'), m]))));
const silent = () => undefined;

function transport(kdcs: readonly Endpoint[], more: Partial<NetworkTransportOptions> = {}): NetworkTransport {
  const locator = new Locator({ resolver: noDns, clock: Date.now });
  const made = new NetworkTransport({ resolver: noDns, locator, kdcs: () => kdcs, stagger: 30, ...more });
  ended.push(() => made.close());
  return made;
}
const ask = async (t: NetworkTransport, request: Uint8Array = REQUEST, signal?: AbortSignal) =>
  Buffer.from((await t.exchange('R.TEST', request, signal)).message).toString();

/** A port nobody listens on. */
async function refusing(): Promise<Endpoint> {
  const closed = await TcpServer.start(silent);
  await closed.stop();
  return closed.endpoint;
}

test('a change of a password is asked of one server, however long it takes', async () => {
  const slow = await server((s) => onMessage(s, (m) => setTimeout(() => s.write(framed(m)), 120)));
  const other = await server(echo);
  const t = transport([slow.endpoint, other.endpoint], { patience: 10 });
  const { message } = await t.exchange('R.TEST', REQUEST, undefined, 'kpasswd');
  assert.deepEqual(Buffer.from(message).toString(), 'request');
  assert.equal(other.connections, 0);
});

describe('a connection', () => {
  test('is kept for the next exchange', async () => {
    const kdc = await server(echo);
    const t = transport([kdc.endpoint]);
    assert.equal(await ask(t), 're:request');
    assert.equal(await ask(t, utf8('second')), 're:second');
    assert.equal(kdc.connections, 1);
  });

  test('that the KDC closed meanwhile is replaced', async () => {
    const kdc = await server((s) => onMessage(s, (m) => s.end(framed(m))));
    const t = transport([kdc.endpoint]);
    for (let i = 1; i <= 3; i++) {
      await ask(t);
      await kdc.emptied();
    }
    assert.equal(kdc.connections, 3);
  });

  test('that the KDC closes on the second request is replaced once', async () => {
    const kdc = await server((s) => onMessage(s, (m, n) => (n === 1 ? s.write(framed(m)) : s.destroy())));
    const t = transport([kdc.endpoint]);
    for (let i = 1; i <= 3; i++) assert.equal(await ask(t), 'request');
    assert.equal(kdc.connections, 3);
  });

  test('is not asked for again and again where the KDC closes every new one', async () => {
    const kdc = await server((s, n) => onMessage(s, (m, k) => (n + k === 2 ? s.write(framed(m)) : s.destroy())));
    const t = transport([kdc.endpoint]);
    await ask(t);
    await assert.rejects(ask(t), { code: 'UNREACHABLE', message: /closed without a reply/ });
    assert.equal(kdc.connections, 2);
  });

  test('on which something comes unasked is given up, so that it cannot pass for the next answer', async () => {
    const kdc = await server((s) =>
      onMessage(s, (m, n) => {
        s.write(framed(m));
        if (n === 1) setTimeout(() => s.write(framed(utf8('stale'))), 10);
      }),
    );
    const t = transport([kdc.endpoint]);
    await ask(t);
    await kdc.emptied();
    assert.equal(await ask(t, utf8('second')), 'second');
    assert.equal(kdc.connections, 2);
  });

  test('is closed after it was idle for long', async () => {
    const kdc = await server(echo);
    await ask(transport([kdc.endpoint], { keepAlive: 20 }));
    await kdc.emptied();
  });

  test('is shared out: never more than allowed, and everybody is served', async () => {
    const kdc = await server((s) => onMessage(s, (m) => setTimeout(() => s.write(framed(m)), 2)));
    const t = transport([kdc.endpoint], { connections: 3 });
    const asked = Array.from({ length: 20 }, (_, i) => `request ${i}`);
    assert.deepEqual(await Promise.all(asked.map((text) => ask(t, utf8(text)))), asked);
    assert.ok(kdc.most <= 3 && kdc.connections <= 3, `${kdc.most} at once, ${kdc.connections} in all`);
  });

  test('that somebody waited for and gave up goes to the next', async () => {
    const go = deferred<void>();
    const kdc = await server((s) => onMessage(s, (m) => go.promise.then(() => s.write(framed(m)))));
    const t = transport([kdc.endpoint], { connections: 1, stagger: 5000 });
    const first = ask(t, utf8('first'));
    const quitters = [1, 2].map(() => {
      const quit = new AbortController();
      const result = ask(t, utf8('quitter'), quit.signal);
      return { quit, result };
    });
    const last = ask(t, utf8('last'));
    await new Promise(setImmediate);
    for (const { quit, result } of quitters) {
      quit.abort();
      await assert.rejects(result, { code: 'ABORTED' });
    }
    go.resolve();
    assert.deepEqual(await Promise.all([first, last]), ['first', 'last']);
  });

  test('may deliver a reply byte by byte', async () => {
    const kdc = await server((s) => {
      s.setNoDelay();
      onMessage(s, async (m) => {
        for (const byte of framed(m)) await new Promise((r) => s.write(Uint8Array.of(byte), r));
      });
    });
    assert.equal(await ask(transport([kdc.endpoint])), 'request');
  });

  test('delivers an empty reply as one', async () => {
    const kdc = await server((s) => onMessage(s, () => s.write(framed(new Uint8Array()))));
    assert.equal(await ask(transport([kdc.endpoint])), '');
  });
});

describe('the next KDC is asked when the first', () => {
  const rude: Readonly<Record<string, (socket: Socket) => void>> = {
    'closes after it accepted': (s) => s.destroy(),
    'closes instead of answering': (s) => onMessage(s, () => s.end()),
    'resets the connection': (s) => onMessage(s, () => s.resetAndDestroy()),
    'closes inside the length': (s) => onMessage(s, () => s.end(Uint8Array.of(0, 0))),
    'closes inside a reply': (s) => onMessage(s, (m) => s.end(framed(m).subarray(0, -1))),
    'announces four gigabytes': (s) => onMessage(s, () => s.write(Buffer.from('ffffffff', 'hex'))),
    'announces more than any reply has': (s) => onMessage(s, () => s.write(Buffer.from('00100001', 'hex'))),
    'sends two replies': (s) => onMessage(s, (m) => s.write(Buffer.concat([framed(m), framed(m)]))),
    'sends a reply and a half': (s) => onMessage(s, (m) => s.write(Buffer.concat([framed(m), Buffer.of(0)]))),
    'says that it cannot serve': (s) =>
      onMessage(s, () => s.write(framed(errorReply('KDC_ERR_SVC_UNAVAILABLE', Date.now())))),
    'is silent': silent,
    'stops inside a reply': (s) => onMessage(s, (m) => s.write(framed(m).subarray(0, -1))),
  };
  for (const [what, treat] of Object.entries(rude)) {
    test(what, async () => {
      const [bad, good] = [await server(treat), await server(echo)];
      const t = transport([bad.endpoint, good.endpoint]);
      assert.equal(await ask(t), 're:request');
      assert.equal(bad.connections, 1);
    });
  }

  test('refuses the connection', async () => {
    const good = await server(echo);
    assert.equal(await ask(transport([await refusing(), good.endpoint])), 're:request');
  });

  test('has no address', async () => {
    const resolver: Resolver = {
      ...noDns,
      addresses: async (host) => (host === 'gone.test' ? Promise.reject(new Error('no such host')) : [host]),
    };
    const good = await server(echo);
    assert.equal(await ask(transport([{ host: 'gone.test', port: 88 }, good.endpoint], { resolver })), 're:request');
  });

  test('failed a while ago, and the first is spared meanwhile', async () => {
    const [bad, good] = [await server((s) => s.destroy()), await server(echo)];
    const t = transport([bad.endpoint, good.endpoint]);
    for (let i = 0; i < 3; i++) await ask(t);
    assert.equal(bad.connections, 1);
  });

  test('is silent: the connection to it is closed once the other has answered', async () => {
    const [slow, good] = [await server(silent), await server(echo)];
    await ask(transport([slow.endpoint, good.endpoint]));
    await slow.emptied();
  });
});

describe('when no KDC answers', () => {
  test('the error names each and its reason', async () => {
    const [closing, dead] = [await server((s) => s.destroy()), await refusing()];
    await assert.rejects(
      ask(transport([closing.endpoint, dead])),
      (e) =>
        isAdError(e, 'UNREACHABLE') &&
        e.message.includes(`127.0.0.1:${closing.port}: the connection was closed`) &&
        /ECONNREFUSED/.test(e.message),
    );
  });

  test('our own limit says so', async () => {
    const kdc = await server(silent);
    await assert.rejects(ask(transport([kdc.endpoint], { timeout: 40 })), {
      code: 'UNREACHABLE',
      message: /no KDC of R\.TEST answered within 40 ms/,
    });
    await kdc.emptied();
  });

  test("the caller's deadline is TIMEOUT", async () => {
    const kdc = await server(silent);
    await assert.rejects(ask(transport([kdc.endpoint]), REQUEST, AbortSignal.timeout(30)), { code: 'TIMEOUT' });
    await kdc.emptied();
  });

  test("the caller's change of mind is ABORTED, also before anything was sent", async () => {
    const kdc = await server(silent);
    const quit = new AbortController();
    const pending = ask(transport([kdc.endpoint]), REQUEST, quit.signal);
    setTimeout(() => quit.abort(), 10);
    await assert.rejects(pending, { code: 'ABORTED' });
    await assert.rejects(ask(transport([kdc.endpoint]), REQUEST, quit.signal), { code: 'ABORTED' });
    await kdc.emptied();
  });

  test('one that gives up does not count as a failure of the KDC', async () => {
    const [first, second] = [await server(silent), await server(silent)];
    const t = transport([first.endpoint, second.endpoint], { stagger: 5000 });
    for (let i = 0; i < 2; i++) {
      await assert.rejects(ask(t, REQUEST, AbortSignal.timeout(20)), { code: 'TIMEOUT' });
    }
    assert.deepEqual([first.connections, second.connections], [2, 0]);
  });

  test('for none is configured and DNS is off', async () => {
    await assert.rejects(ask(transport([], { dns: false })), { code: 'UNREACHABLE', message: /dns_lookup_kdc is off/ });
  });

  test('for DNS hangs, the deadline still holds', async () => {
    const hold = setInterval(silent, 1000); // a deadline alone does not keep the process
    ended.push(() => clearInterval(hold));
    const resolver: Resolver = { ...noDns, srv: () => new Promise(silent) };
    const locator = new Locator({ resolver, clock: Date.now });
    await assert.rejects(ask(transport([], { resolver, locator, timeout: 30 })), { code: 'UNREACHABLE' });
  });
});

describe('KDCs in DNS', () => {
  test('are found by the name of the realm in lower case', async () => {
    const kdc = await server(echo);
    const names: string[] = [];
    const resolver: Resolver = {
      ...noDns,
      srv: async (name) => {
        names.push(name);
        return [{ host: '127.0.0.1', port: kdc.port, priority: 0, weight: 0 }];
      },
    };
    const t = transport([], { resolver, locator: new Locator({ resolver, clock: Date.now }) });
    await ask(t);
    await ask(t);
    assert.deepEqual(names, ['_kerberos._tcp.r.test']);
  });
});

describe('close()', () => {
  test('ends idle connections', async () => {
    const kdc = await server(echo);
    const t = transport([kdc.endpoint]);
    await ask(t);
    t.close();
    await kdc.emptied();
    await assert.rejects(ask(t), { code: 'ABORTED' });
  });

  test('ends exchanges under way', async () => {
    const kdc = await server(silent);
    const t = transport([kdc.endpoint]);
    const pending = ask(t);
    while (kdc.open.size === 0) await new Promise((r) => setTimeout(r, 1));
    t.close();
    await assert.rejects(pending, { code: 'UNREACHABLE' });
    await kdc.emptied();
  });
});
