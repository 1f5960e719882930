/** MS-KKDCP: KDC proxies over HTTPS, sound and rude ones, straight and through an HTTP proxy; last, python3-kdcproxy. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttp, type RequestListener, type Server } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { fromDer, toDer } from '../../../src/asn1.ts';
import { utf8 } from '../../../src/bytes.ts';
import { KrbClient } from '../../../src/krb5/client.ts';
import { parseKrb5Conf } from '../../../src/krb5/config.ts';
import { DEFAULT_ETYPES } from '../../../src/krb5/crypto/index.ts';
import { readAnchors } from '../../../src/krb5/files/anchors.ts';
import { proxyFor } from '../../../src/krb5/network/http-proxy.ts';
import { KdcProxies, KdcProxyMessage } from '../../../src/krb5/network/kkdcp.ts';
import { Locator } from '../../../src/krb5/network/locate.ts';
import { NetworkTransport, networkSettings } from '../../../src/krb5/network/network.ts';
import type { Resolver } from '../../../src/krb5/network/resolver.ts';
import { principal } from '../../../src/krb5/principal.ts';
import { PasswordSecret } from '../../../src/krb5/secret.ts';
import { makeCertificate, needsOpenssl, type TestCertificate } from '../../support/certificates.ts';
import { refusedPort } from '../../support/faulty-server.ts';
import { fuzz } from '../../support/fuzz.ts';
import { needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';

const REQUEST = utf8('request');
const resolver: Resolver = { srv: async () => assert.fail('DNS was asked'), addresses: async () => ['127.0.0.1'] };

let directory = '';
let web: TestCertificate;
before(async () => {
  if (needsOpenssl) return;
  directory = await mkdtemp(join(tmpdir(), 'kkdcp-'));
  web = await makeCertificate(directory, 'DNS:proxy.test');
});
after(() => directory && rm(directory, { recursive: true }));
const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0)) await end();
});

async function listening(server: Server | ReturnType<typeof createHttps>): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ended.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
const proxyServer = (treat: RequestListener, certificate = web) =>
  listening(createHttps({ cert: certificate.cert, key: certificate.key }, treat));
async function bodyOf(request: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}
/** Answers each message with itself, the way a proxy does. */
const echo: RequestListener = async (request, response) => {
  const { kerbMessage } = fromDer(KdcProxyMessage, new Uint8Array(await bodyOf(request)));
  response.writeHead(200, { 'Content-Type': 'application/kerberos' }).end(toDer(KdcProxyMessage, { kerbMessage }));
};
function ask(port: number, more: { anchors?: string[]; env?: Record<string, string>; signal?: AbortSignal } = {}) {
  const proxies = new KdcProxies({ resolver, env: more.env ?? {} });
  ended.push(() => proxies.close());
  return proxies.exchange({
    server: { host: 'proxy.test', port, protocol: 'https', path: 'KdcProxy' },
    realm: 'R.TEST',
    request: REQUEST,
    anchors: more.anchors ?? [`FILE:${web.ca}`],
    signal: more.signal ?? new AbortController().signal,
  });
}

describe('KDC-PROXY-MESSAGE', () => {
  test('is what the specification says, byte by byte', () => {
    const message = { kerbMessage: Uint8Array.of(0, 0, 0, 5, ...utf8('hello')), targetDomain: 'AREALM.TEST' };
    const golden = '301c a00b 0409 00000005 68656c6c6f a10d 1b0b 415245414c4d2e54455354';
    const bytes = Buffer.from(golden.replaceAll(' ', ''), 'hex');
    assert.deepEqual(Buffer.from(toDer(KdcProxyMessage, message)).toString('hex'), bytes.toString('hex'));
    assert.deepEqual(fromDer(KdcProxyMessage, new Uint8Array(bytes)), message);
    const { accepted, refused } = fuzz([new Uint8Array(bytes)], (input) => fromDer(KdcProxyMessage, input));
    assert.ok(accepted > 100 && refused > 100, `${accepted} ${refused}`);
  });
});

describe('a KDC proxy', { skip: needsOpenssl }, () => {
  test('gets the message behind its length, with the realm', async () => {
    let seen: unknown;
    const port = await proxyServer(async (request, response) => {
      const { method, url, headers } = request;
      seen = {
        method,
        url,
        type: headers['content-type'],
        ...fromDer(KdcProxyMessage, new Uint8Array(await bodyOf(request))),
      };
      const kerbMessage = Uint8Array.of(0, 0, 0, 2, 0x6f, 0x6b);
      response.end(toDer(KdcProxyMessage, { kerbMessage }));
    });
    assert.deepEqual(Buffer.from(await ask(port)).toString(), 'ok');
    assert.deepEqual(seen, {
      method: 'POST',
      url: '/KdcProxy',
      type: 'application/kerberos',
      kerbMessage: Uint8Array.of(0, 0, 0, REQUEST.length, ...REQUEST),
      targetDomain: 'R.TEST',
    });
  });

  test('is asked over a connection that is kept', async () => {
    let connections = 0;
    const server = createHttps({ cert: web.cert, key: web.key }, echo).on('secureConnection', () => connections++);
    const port = await listening(server);
    const proxies = new KdcProxies({ resolver, env: {} });
    ended.push(() => proxies.close());
    const asked = {
      server: { host: 'proxy.test', port, protocol: 'https', path: '' } as const,
      realm: 'R.TEST',
      request: REQUEST,
      anchors: [`FILE:${web.ca}`],
      signal: new AbortController().signal,
    };
    for (let i = 0; i < 3; i++) assert.deepEqual(await proxies.exchange(asked), REQUEST);
    assert.equal(connections, 1);
  });

  test('with a certificate of somebody else is refused, whatever the environment allows', async () => {
    const port = await proxyServer(echo);
    const other = await makeCertificate(directory, 'DNS:proxy.test', 'other');
    await assert.rejects(ask(port, { anchors: [`FILE:${other.ca}`] }), { code: 'UNREACHABLE', message: /certificate/ });
    await assert.rejects(ask(port, { anchors: [] }), { code: 'UNREACHABLE', message: /certificate/ });
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    ended.push(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED);
    await assert.rejects(ask(port, { anchors: [] }), { code: 'UNREACHABLE', message: /certificate/ });
  });

  test('with a certificate for another name is refused', async () => {
    const other = await makeCertificate(directory, 'DNS:else.test', 'else');
    const port = await proxyServer(echo, other);
    const asked = ask(port, { anchors: [`FILE:${other.ca}`] });
    await assert.rejects(asked, { code: 'UNREACHABLE', message: /does not match certificate's altnames/ });
  });

  const rude: Record<string, [treat: RequestListener, words: RegExp]> = {
    'cannot serve': [(_, r) => r.writeHead(503).end('later'), /HTTP 503/],
    'sends elsewhere': [(_, r) => r.writeHead(302, { Location: 'https://x.test/' }).end(), /HTTP 302/],
    'answers with noise': [(_, r) => r.end('noise'), /holds no Kerberos message/],
    'answers with nothing': [(_, r) => r.end(), /holds no Kerberos message/],
    'lies about the length': [
      (_, r) => r.end(toDer(KdcProxyMessage, { kerbMessage: Uint8Array.of(0, 0, 0, 9, 1) })),
      /its length is wrong/,
    ],
    'sends a message without a length': [
      (_, r) => r.end(toDer(KdcProxyMessage, { kerbMessage: Uint8Array.of(0) })),
      /its length is wrong/,
    ],
    'sends more than any reply has': [(_, r) => r.end(Buffer.alloc(2 << 20)), /longer than/],
    'hangs up': [(request) => request.socket.destroy(), /socket hang up|ECONNRESET/],
  };
  for (const [what, [treat, words]] of Object.entries(rude)) {
    test(`that ${what} is as good as down`, async () => {
      await assert.rejects(ask(await proxyServer(treat)), { code: 'UNREACHABLE', message: words });
    });
  }

  test('that is silent is given up with the signal', async () => {
    const port = await proxyServer(() => undefined);
    await assert.rejects(ask(port, { signal: AbortSignal.timeout(50) }), { code: 'TIMEOUT' });
  });

  test('that is down is followed by the next', async () => {
    const port = await proxyServer(echo);
    const config = parseKrb5Conf(`[realms]\nR.TEST = {\n kdc = https://proxy.test:${await refusedPort()}/x\n
      kdc = https://proxy.test:${port}/KdcProxy\n http_anchors = FILE:${web.ca}\n}`);
    const locator = new Locator({ resolver, clock: Date.now });
    const transport = new NetworkTransport({ resolver, locator, ...networkSettings(config) });
    ended.push(() => transport.close());
    const { message, server } = await transport.exchange('R.TEST', REQUEST);
    assert.deepEqual(message, REQUEST);
    assert.equal(server, `https://proxy.test:${port}/KdcProxy`);
  });
});

describe('an HTTP proxy before it', { skip: needsOpenssl }, () => {
  /** Connects to 127.0.0.1 whatever the name; with a password it wants that. */
  async function httpProxy(password?: string) {
    const asked: string[] = [];
    const server = createHttp((_, response) => response.writeHead(405).end());
    server.on('connect', (request, socket) => {
      asked.push(request.url!);
      const wanted = `Basic ${Buffer.from(`user:${password}`).toString('base64')}`;
      if (password && request.headers['proxy-authorization'] !== wanted) {
        socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
        return;
      }
      const through = connect(Number(request.url!.split(':')[1]), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        through.pipe(socket).pipe(through);
      });
      through.on('error', () => socket.destroy());
      socket.on('error', () => through.destroy()).on('close', () => through.destroy());
      ended.push(() => socket.destroy());
    });
    return { port: await listening(server), asked };
  }

  test('leads to it, and its certificate is still checked', async () => {
    const port = await proxyServer(echo);
    const { port: first, asked } = await httpProxy();
    const env = { HTTPS_PROXY: `http://127.0.0.1:${first}` };
    assert.deepEqual(await ask(port, { env }), REQUEST);
    assert.deepEqual(asked, [`proxy.test:${port}`]);
    await assert.rejects(ask(port, { env, anchors: [] }), { code: 'UNREACHABLE', message: /certificate/ });
  });

  test('gets its user and password', async () => {
    const port = await proxyServer(echo);
    const { port: first } = await httpProxy('p@ss');
    assert.deepEqual(await ask(port, { env: { https_proxy: `http://user:p%40ss@127.0.0.1:${first}` } }), REQUEST);
    const refused = ask(port, { env: { https_proxy: `http://user:no@127.0.0.1:${first}` } });
    await assert.rejects(
      refused,
      (e: Error) => /refuses a connection .* 407/.test(e.message) && !e.message.includes('no@'),
    );
  });

  test('that is down or silent is named', async () => {
    const port = await proxyServer(echo);
    const down = await refusedPort();
    await assert.rejects(ask(port, { env: { https_proxy: `127.0.0.1:${down}` } }), {
      code: 'UNREACHABLE',
      message: /the HTTP proxy 127\.0\.0\.1:\d+ failed/,
    });
  });
});

describe('HTTPS_PROXY and NO_PROXY', () => {
  const at = (host: string, port = 443) => ({ host, port });
  const P = 'http://p.test:3128';
  const cases: [host: string, env: Record<string, string>, through: string | undefined][] = [
    ['kdc.test', {}, undefined],
    ['kdc.test', { HTTPS_PROXY: '' }, undefined],
    ['kdc.test', { HTTPS_PROXY: P }, 'p.test:3128'],
    ['kdc.test', { ALL_PROXY: 'p.test:3128' }, 'p.test:3128'],
    ['kdc.test', { HTTPS_PROXY: 'http://q.test', https_proxy: P }, 'p.test:3128'],
    ['kdc.test', { HTTP_PROXY: P }, undefined],
    ['kdc.test', { HTTPS_PROXY: P, NO_PROXY: '*' }, undefined],
    ['kdc.test', { HTTPS_PROXY: P, NO_PROXY: 'a.test, KDC.test' }, undefined],
    ['kdc.a.test', { HTTPS_PROXY: P, NO_PROXY: 'a.test' }, undefined],
    ['kdc.a.test', { HTTPS_PROXY: P, no_proxy: '.a.test' }, undefined],
    ['nota.test', { HTTPS_PROXY: P, no_proxy: 'a.test' }, 'p.test:3128'],
    ['kdc.test', { HTTPS_PROXY: P, no_proxy: 'kdc.test:8443' }, 'p.test:3128'],
    ['kdc.test', { HTTPS_PROXY: P, no_proxy: 'kdc.test:443' }, undefined],
    ['::1', { HTTPS_PROXY: P, no_proxy: '[::1]' }, undefined],
  ];
  for (const [host, env, through] of cases) {
    test(`${host} ${JSON.stringify(env)}`, () => {
      assert.equal(proxyFor(at(host), env)?.host, through);
    });
  }
  test('of other kinds are refused without their password', () => {
    const refused = { code: 'INVALID_ARGUMENT', message: /only http:/ };
    assert.throws(() => proxyFor(at('kdc.test'), { HTTPS_PROXY: 'socks5://user:secret@p.test' }), refused);
    const silent = (e: Error) => /no URL/.test(e.message) && !e.message.includes('secret');
    assert.throws(() => proxyFor(at('kdc.test'), { HTTPS_PROXY: 'http://user:secret@:x' }), silent);
  });
});

describe('http_anchors', { skip: needsOpenssl }, () => {
  test('are files, directories and variables that name them', async () => {
    const all = [`FILE:${web.ca}`, `DIR:${directory}`, 'ENV:CA'];
    const found = await readAnchors(all, { CA: `FILE:${web.ca}` }, 'http_anchors');
    assert.ok(found.length >= 3 && found.every((text) => text.includes('BEGIN CERTIFICATE')));
  });
  const bad: Record<string, [anchor: string, code: string]> = {
    'without a kind': ['/etc/ca.pem', 'INVALID_ARGUMENT'],
    'of a variable that is not set': ['ENV:NONE', 'INVALID_ARGUMENT'],
    'of a variable that names itself': ['ENV:LOOP', 'INVALID_ARGUMENT'],
    'of a file that is not there': ['FILE:/nonexistent', 'FILE'],
    'of a directory that is not there': ['DIR:/nonexistent', 'FILE'],
    'without a certificate': ['FILE:/dev/null', 'FILE'],
  };
  for (const [what, [anchor, code]] of Object.entries(bad)) {
    test(`${what} are refused`, async () => {
      await assert.rejects(readAnchors([anchor], { LOOP: 'ENV:LOOP' }, 'http_anchors'), {
        code,
        message: /http_anchors/,
      });
    });
  }
});

const PYTHON = '/usr/bin/python3';
const hasKdcProxy = spawnSync(PYTHON, ['-c', 'import kdcproxy']).status === 0;
const needsKdcProxy = hasKdcProxy ? needsMitRealm || needsOpenssl : 'needs kdcproxy (Debian: python3-kdcproxy)';

describe("python3-kdcproxy before MIT's KDC", { skip: needsKdcProxy }, () => {
  test('gives tickets', async () => {
    const realm = await startMitRealm({ principals: [{ name: 'alice', password: 'pw' }, { name: 'HTTP/web' }] });
    ended.push(() => realm.stop());
    const conf = join(directory, 'kdcproxy.conf');
    await writeFile(conf, `[${realm.realm}]\nkerberos = kerberos+tcp://127.0.0.1:${realm.port}\n`);
    const script = join(import.meta.dirname, '../../support/kdc_proxy.py');
    const child = spawn(PYTHON, [script, conf, web.certFile, web.keyFile], { stdio: ['pipe', 'pipe', 'inherit'] });
    ended.push(() => child.kill('SIGKILL'));
    const died = once(child, 'exit').then(() => ['']);
    const [said] = (await Promise.race([once(child.stdout, 'data'), died])) as [Buffer];
    const config =
      parseKrb5Conf(`[realms]\n${realm.realm} = {\n kdc = https://proxy.test:${String(said).trim()}/KdcProxy
      http_anchors = FILE:${web.ca}\n}`);
    const locator = new Locator({ resolver, clock: Date.now });
    const transport = new NetworkTransport({ resolver, locator, ...networkSettings(config), patience: 5000 });
    const secret = new PasswordSecret(utf8('pw'), `${realm.realm}alice`, DEFAULT_ETYPES);
    const client = new KrbClient({ transport, client: principal(realm.realm, 'alice'), secret });
    ended.push(() => {
      client.close();
      transport.close();
    });
    const ticket = await client.ticket(principal(realm.realm, 'HTTP', 'web'));
    assert.deepEqual(ticket.server.components, ['HTTP', 'web']);
    assert.match(await realm.log(), /ISSUE: .* for HTTP\/web/);
  });
});
