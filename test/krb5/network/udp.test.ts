/** Kerberos over UDP, alone and beside TCP. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { utf8 } from '../../../src/bytes.ts';
import { Locator } from '../../../src/krb5/network/locate.ts';
import { NetworkTransport, type NetworkTransportOptions } from '../../../src/krb5/network/network.ts';
import type { Resolver } from '../../../src/krb5/network/resolver.ts';
import type { KdcServer } from '../../../src/krb5/network/servers.ts';
import { askOverUdp } from '../../../src/krb5/network/udp.ts';
import { errorReply } from '../../support/fake-kdc.ts';
import { framed, onMessage, TcpServer } from '../../support/tcp-server.ts';
import { UdpServer } from '../../support/udp-server.ts';

const REQUEST = utf8('request');
/** What passes for an AS-REP as far as the transport looks. */
const REPLY = Uint8Array.of(0x6b, 1, 0);
const resolver: Resolver = { srv: async () => assert.fail('DNS was asked'), addresses: async (host) => [host] };

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0)) await end();
});
async function udp(treat: Parameters<typeof UdpServer.start>[0], port?: number): Promise<UdpServer> {
  const server = await UdpServer.start(treat, port);
  ended.push(() => server.stop());
  return server;
}
async function tcp(treat: (socket: Socket) => void): Promise<TcpServer> {
  const server = await TcpServer.start(treat);
  ended.push(() => server.stop());
  return server;
}
function transport(kdcs: readonly KdcServer[], more: Partial<NetworkTransportOptions> = {}): NetworkTransport {
  const locator = new Locator({ resolver, clock: Date.now });
  const made = new NetworkTransport({ resolver, locator, kdcs: () => kdcs, stagger: 30, patience: 60, ...more });
  ended.push(() => made.close());
  return made;
}
const ask = async (t: NetworkTransport, request: Uint8Array = REQUEST) =>
  new Uint8Array((await t.exchange('R.TEST', request)).message);
const alone = (server: UdpServer, schedule: readonly number[], accepts = (d: Uint8Array) => d[0] === 0x6b) =>
  askOverUdp(server.endpoint, REQUEST, { resolver, signal: new AbortController().signal, accepts, schedule });

describe('a request by UDP', () => {
  test('is one datagram and its answer', async () => {
    const server = await udp((d, answer) => answer(Uint8Array.of(0x6b, ...d)));
    assert.deepEqual(await alone(server, [5000]), Uint8Array.of(0x6b, ...REQUEST));
  });

  test('to an address without a route is refused', async () => {
    // A link-local address without its interface: no host can send there.
    const endpoint = { host: 'fe80::1', port: 88 };
    const { signal } = new AbortController();
    await assert.rejects(askOverUdp(endpoint, REQUEST, { resolver, signal, accepts: () => true, schedule: [5000] }), {
      code: 'UNREACHABLE',
    });
  });

  test('is sent again where a datagram was lost', async () => {
    const server = await udp((_, answer, n) => n === 3 && answer(REPLY));
    assert.deepEqual(await alone(server, [10, 20, 5000]), REPLY);
  });

  test('is sent so often and not more', async () => {
    const server = await udp(() => undefined);
    await assert.rejects(alone(server, [10, 20, 60]), { code: 'UNREACHABLE', message: /silent for 60 ms \(UDP\)/ });
    assert.equal(server.received, 3);
  });

  test('is not answered by anybody else', async () => {
    const liar = createSocket('udp4');
    ended.push(() => liar.close());
    const server = await udp((_, answer, __, from) => {
      liar.send(Uint8Array.of(0x6b, 0x66), from.port, from.address, () => setTimeout(() => answer(REPLY), 20));
    });
    assert.deepEqual(await alone(server, [5000]), REPLY);
  });

  test('is not answered by noise', async () => {
    const server = await udp((_, answer) => {
      answer(utf8('noise'));
      answer(new Uint8Array());
      answer(REPLY);
    });
    assert.deepEqual(await alone(server, [5000]), REPLY);
  });

  test('to a port where nobody listens fails at once', async () => {
    const server = await UdpServer.start(() => undefined);
    await server.stop();
    await assert.rejects(alone(server, [60_000]), { code: 'UNREACHABLE', message: /ECONNREFUSED \(UDP\)/ });
  });

  test('ends with its signal', async () => {
    const server = await udp(() => undefined);
    const quit = new AbortController();
    const options = { resolver, signal: quit.signal, accepts: () => true };
    const asked = askOverUdp(server.endpoint, REQUEST, options);
    setTimeout(() => quit.abort(), 10);
    await assert.rejects(asked, { code: 'ABORTED' });
  });
});

describe('UDP and TCP', () => {
  const echo = (socket: Socket) => onMessage(socket, (m) => socket.write(framed(m)));

  test('TCP goes first by default, however short the request', async () => {
    const kdc = await tcp(echo);
    const beside = await udp((_, answer) => answer(REPLY), kdc.port);
    assert.deepEqual(await ask(transport([kdc.endpoint])), REQUEST);
    assert.equal(beside.received, 0);
  });

  test('udp_preference_limit sends requests of up to its length by UDP', async () => {
    const kdc = await tcp(echo);
    await udp((_, answer) => answer(REPLY), kdc.port);
    const t = transport([kdc.endpoint], { udpPreferenceLimit: REQUEST.length });
    assert.deepEqual(await ask(t), REPLY);
    const longer = utf8('a longer request');
    assert.deepEqual(await ask(t, longer), longer);
  });

  test('an answer that is too big for UDP is fetched by TCP from the same KDC', async () => {
    const kdc = await tcp(echo);
    const tooBig = errorReply('KRB_ERR_RESPONSE_TOO_BIG', Date.now());
    const beside = await udp((_, answer) => answer(tooBig), kdc.port);
    const other = await tcp(() => assert.fail('another KDC was asked'));
    const t = transport([kdc.endpoint, other.endpoint], { udpPreferenceLimit: 1465, patience: 60_000 });
    assert.deepEqual(await ask(t), REQUEST);
    assert.equal(beside.received, 1);
  });

  test('a KDC that only UDP reaches is not asked by TCP when its answer is too big', async () => {
    const tooBig = errorReply('KRB_ERR_RESPONSE_TOO_BIG', Date.now());
    const kdc = await udp((_, answer) => answer(tooBig));
    assert.deepEqual(await ask(transport([{ ...kdc.endpoint, protocol: 'udp' }])), new Uint8Array(tooBig));
  });

  test('a KDC that refuses TCP is asked by UDP', async () => {
    const kdc = await udp((_, answer) => answer(REPLY));
    assert.deepEqual(await ask(transport([kdc.endpoint])), REPLY);
  });

  test('a KDC that drops UDP is asked by TCP', async () => {
    const kdc = await tcp(echo);
    await udp(() => undefined, kdc.port);
    assert.deepEqual(await ask(transport([kdc.endpoint], { udpPreferenceLimit: 1465 })), REQUEST);
  });

  test('a KDC that answers by TCP is not held silent because UDP is dropped', async () => {
    const [kdc, other] = [await tcp(echo), await tcp(echo)];
    await udp(() => undefined, kdc.port);
    await udp(() => undefined, other.port);
    const locator = new Locator({ resolver, clock: Date.now });
    const servers = [kdc.endpoint, other.endpoint];
    await ask(transport(servers, { udpPreferenceLimit: 1465, locator }));
    // The second was silent by UDP as well, and nobody asked it otherwise.
    assert.deepEqual(locator.inOrder([...servers].reverse()), servers);
  });

  test('a KDC that got the request by TCP does not get it by UDP too', async () => {
    const kdc = await tcp((socket) => onMessage(socket, () => socket.destroy()));
    const beside = await udp((_, answer) => answer(REPLY), kdc.port);
    await assert.rejects(ask(transport([kdc.endpoint])), { code: 'UNREACHABLE', message: /closed without a reply/ });
    assert.equal(beside.received, 0);
  });

  test('the next KDC by TCP goes before the first by UDP', async () => {
    const first = await udp((_, answer) => answer(REPLY));
    const second = await tcp(echo);
    assert.deepEqual(await ask(transport([first.endpoint, second.endpoint])), REQUEST);
    assert.equal(first.received, 0);
  });

  test('a prefix leaves one of them', async () => {
    const kdc = await tcp(echo);
    await udp((_, answer) => answer(REPLY), kdc.port);
    assert.deepEqual(await ask(transport([{ ...kdc.endpoint, protocol: 'udp' }])), REPLY);
    const limit = { udpPreferenceLimit: 1465 };
    assert.deepEqual(await ask(transport([{ ...kdc.endpoint, protocol: 'tcp' }], limit)), REQUEST);
  });
});
