/** Our fetch and our server together, and each with somebody who does not keep to the rules. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { request as ask, createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { utf8 } from '../../src/bytes.ts';
import { negotiateHeader, parseAuthorization } from '../../src/http/challenge.ts';
import {
  type AcceptNegotiateOptions,
  acceptNegotiate,
  type GssError,
  KeytabKeys,
  type NegotiateOptions,
  negotiate,
} from '../../src/http/index.ts';
import type { KrbClient } from '../../src/krb5/client.ts';
import { readKeytab } from '../../src/krb5/files/keytab.ts';
import { ReplayCache } from '../../src/krb5/gss/replay-cache.ts';
import { NegotiateAcceptor } from '../../src/krb5/gss/spnego-acceptor.ts';
import type { NetworkTransport } from '../../src/krb5/network/network.ts';
import { startTestDomain, type TestDomain } from '../../src/testdomain/index.ts';
import { localTransport, testClient } from '../support/kdc-client.ts';
import { needs } from '../support/programs.ts';
import { type TestCertificate, testCertificate } from '../support/tls.ts';

const PASSWORD = 'Only-For-Tests-1';

describe('Negotiate over HTTP', { skip: needs('openssl') }, () => {
  let domain: TestDomain;
  let transport: NetworkTransport;
  let client: KrbClient;
  let keys: KeytabKeys;
  let certificate: TestCertificate;
  let other: TestCertificate;
  const ended: (() => void)[] = [];
  const refusals: GssError[] = [];

  before(async () => {
    domain = await startTestDomain({
      users: [{ name: 'alice', password: PASSWORD }],
      services: [{ spn: 'HTTP/localhost' }, { spn: 'HTTP/127.0.0.1' }],
    });
    keys = new KeytabKeys([
      ...readKeytab(await domain.keytab('HTTP/localhost')),
      ...readKeytab(await domain.keytab('HTTP/127.0.0.1')),
    ]);
    [certificate, other] = await Promise.all([testCertificate(), testCertificate('-sha384')]);
    transport = localTransport(domain.kdcPort);
    client = testClient({ transport, port: domain.kdcPort, realm: domain.realm, name: 'alice', password: PASSWORD });
  });
  after(async () => {
    for (const end of ended) end();
    client?.close();
    transport?.close();
    await domain?.close();
  });

  /** A server on a port of its own; the URL has a name that its certificate fits. */
  async function listen(handler: RequestListener, tls?: { key: string; cert: string }, name = 'localhost') {
    const server: Server = tls ? createTlsServer(tls, handler) : createServer(handler);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ended.push(() => {
      server.close();
      server.closeAllConnections();
    });
    return `${tls ? 'https' : 'http'}://${name}:${(server.address() as AddressInfo).port}`;
  }
  async function read(request: IncomingMessage): Promise<string> {
    let body = '';
    for await (const chunk of request) body += chunk;
    return body;
  }
  /** A server of ours that tells what it saw. */
  function told(more: Partial<AcceptNegotiateOptions> = {}, seen: IncomingMessage[] = []): RequestListener {
    const authenticate = acceptNegotiate({ keytab: keys, onRefused: (e) => refusals.push(e), ...more });
    return async (request, response) => {
      seen.push(request);
      const user = await authenticate(request, response);
      if (!user) return;
      const { principal, channelBound } = user;
      response.end(JSON.stringify({ principal, channelBound, method: request.method, body: await read(request) }));
    };
  }
  function ours(more: Partial<NegotiateOptions> = {}) {
    const made = negotiate({ client, tls: { ca: [certificate.cert, other.cert] }, ...more });
    ended.push(() => made.close());
    return made;
  }

  describe('a logon', () => {
    test('is made where it is asked for, bound to the TLS connection', async () => {
      const url = await listen(told({ channelBinding: 'require' }), certificate);
      const response = await ours()(url);
      assert.deepEqual(await response.json(), {
        principal: `alice@${domain.realm}`,
        channelBound: true,
        method: 'GET',
        body: '',
      });
      assert.equal(response.url, `${url}/`);
    });

    test('is not made where it is not asked for', async () => {
      const seen: IncomingMessage[] = [];
      const url = await listen((request, response) => {
        seen.push(request);
        response.end('free');
      }, certificate);
      assert.equal(await (await ours()(url)).text(), 'free');
      assert.equal(seen[0]!.headers.authorization, undefined);
    });

    test('sends the body again', async () => {
      const seen: IncomingMessage[] = [];
      const fetch = ours();
      const url = await listen(told({}, seen), certificate);
      const body = new ReadableStream({
        start(stream) {
          stream.enqueue(utf8('part one, '));
          stream.enqueue(utf8('part two'));
          stream.close();
        },
      });
      const { method, body: arrived } = (await (await fetch(url, { method: 'PUT', body })).json()) as Record<
        string,
        string
      >;
      assert.deepEqual([method, arrived, seen.length], ['PUT', 'part one, part two', 2]);
      const form = await fetch(url, { method: 'POST', body: new URLSearchParams({ a: 'b' }) });
      assert.equal(((await form.json()) as { body: string }).body, 'a=b');
      assert.match(seen.at(-1)!.headers['content-type']!, /x-www-form-urlencoded/);
    });

    test('unasked takes one request, and keeps its connection', async () => {
      const seen: IncomingMessage[] = [];
      const fetch = ours({ preemptive: true });
      const url = await listen(told({}, seen), certificate);
      for (let i = 0; i < 3; i++) await (await fetch(url)).text();
      assert.equal(seen.length, 3);
      assert.equal(new Set(seen.map((r) => r.socket.remotePort)).size, 1);
    });

    test('of many at once gets each its own answer', async () => {
      const fetch = ours();
      const url = await listen(told(), certificate);
      const bodies = await Promise.all(
        Array.from({ length: 12 }, async (_, i) => (await fetch(url, { method: 'POST', body: `${i}` })).json()),
      );
      assert.deepEqual(
        bodies.map((b) => (b as { body: string }).body),
        bodies.map((_, i) => `${i}`),
      );
    });

    test('of more rounds stays on its connection', async () => {
      const rounds = new Map<number, NegotiateAcceptor>();
      const replays = new ReplayCache();
      const url = await listen((request, response) => {
        const port = request.socket.remotePort!;
        const token = parseAuthorization(request.headers.authorization);
        if (!token) return void response.writeHead(401, { 'www-authenticate': 'Negotiate' }).end('please');
        const acceptor = rounds.get(port) ?? new NegotiateAcceptor({ keys, replays, requireMic: true });
        rounds.set(port, acceptor);
        const reply = acceptor.step(token);
        if (!acceptor.context)
          return void response.writeHead(401, { 'www-authenticate': negotiateHeader(reply) }).end('more');
        response.end('in');
      }, certificate);
      assert.equal(await (await ours()(url)).text(), 'in');
    });

    test('hands a ticket on only where that is wished, and the service trusted', async () => {
      const delegated: number[] = [];
      const authenticate = acceptNegotiate({ keytab: keys, delegation: true });
      const url = await listen(async (request, response) => {
        const user = await authenticate(request, response);
        if (!user) return;
        delegated.push(user.context.delegated.length);
        response.end();
      }, certificate);
      for (const delegate of ['never', 'if-trusted', 'always'] as const) await ours({ delegate })(url);
      // No service of this domain is trusted for delegation.
      assert.deepEqual(delegated, [0, 0, 1]);
    });

    test('is given up with the signal', async () => {
      const url = await listen(() => undefined, certificate);
      await assert.rejects(ours()(url, { signal: AbortSignal.timeout(50) }), { code: 'TIMEOUT' });
    });
  });

  describe('our fetch refuses', () => {
    const answer = (make: (response: ServerResponse, token: Uint8Array) => void) => async (): Promise<string> =>
      listen((request, response) => {
        const token = parseAuthorization(request.headers.authorization);
        if (!token) response.writeHead(401, { 'www-authenticate': 'Negotiate' }).end();
        else make(response, token);
      }, certificate);

    test('a success without the proof of the server', async () => {
      const url = await answer((response) => response.end('secret?'))();
      await assert.rejects(ours()(url), { code: 'REPLY_REJECTED' });
      assert.equal(await (await ours({ mutual: 'offer' })(url)).text(), 'secret?');
    });

    test("another's proof, whatever is asked", async () => {
      const thief = new KeytabKeys([]);
      assert.equal(thief.candidates((await client.login()).server, 18, 1).length, 0);
      const noise = negotiateHeader(utf8('noise'));
      const url = await answer((response) => response.writeHead(200, { 'www-authenticate': noise }).end())();
      for (const mutual of ['require', 'offer'] as const)
        await assert.rejects(ours({ mutual })(url), { code: 'MALFORMED' });
    });

    test('our own token come back', async () => {
      const url = await answer((response, token) =>
        response.writeHead(200, { 'www-authenticate': negotiateHeader(token) }).end(),
      )();
      await assert.rejects(ours()(url), { code: 'MALFORMED' });
    });

    test('to go round and round', async () => {
      let rounds = 0;
      const url = await answer((response) => {
        rounds++;
        response.writeHead(401, { 'www-authenticate': 'Negotiate' }).end('no');
      })();
      const response = await ours()(url);
      assert.deepEqual([response.status, await response.text(), rounds], [401, 'no', 1]);
    });

    test('a logon in the clear that nobody allowed', async () => {
      const url = await listen(told());
      await assert.rejects(ours()(url), { code: 'NOT_ALLOWED', message: /insecureOrigins/ });
      const response = await ours({ insecureOrigins: [url] })(url);
      assert.equal(((await response.json()) as { channelBound: boolean }).channelBound, false);
    });

    test('a certificate it does not know', async () => {
      const url = await listen(told(), certificate);
      await assert
        .rejects(ours({ tls: {} })(url), { code: 'UNREACHABLE', details: { errno: /SELF_SIGNED/ } } as never)
        .catch(() => assert.rejects(ours({ tls: {} })(url), { code: 'UNREACHABLE' }));
    });

    test('an Authorization of the caller, another scheme, a closed fetch', async () => {
      const fetch = ours();
      await assert.rejects(fetch('https://localhost:1/', { headers: { authorization: 'x' } }), {
        code: 'INVALID_ARGUMENT',
      });
      await assert.rejects(fetch('data:,x'), { code: 'INVALID_ARGUMENT' });
      fetch.close();
      await assert.rejects(fetch('https://localhost:1/'), { code: 'ABORTED' });
    });
  });

  describe('a redirect', () => {
    const to =
      (location: string, status = 302): RequestListener =>
      (request, response) => {
        request.resume();
        response.writeHead(status, { location }).end('elsewhere');
      };

    test('within the origin is followed and logged on to', async () => {
      const page = told();
      const url = await listen((request, response) => {
        if (request.url === '/page') page(request, response);
        else to('/page')(request, response);
      }, certificate);
      const response = await ours()(url);
      assert.equal(response.status, 200);
      assert.deepEqual([response.url, response.redirected], [`${url}/page`, true]);
      await response.text();
    });

    test('to another origin is followed, and logged on to only where that is named', async () => {
      const there = await listen(told(), certificate, '127.0.0.1');
      const here = await listen(to(`${there}/`), certificate);
      assert.equal((await ours()(here)).status, 401);
      assert.equal((await ours({ preemptive: true })(here).catch((e) => e)).code, 'REPLY_REJECTED');
      const response = await ours({ origins: [there] })(here);
      assert.equal(response.status, 200);
      await response.text();
    });

    test('turns a POST into a GET, or keeps it, as its status says', async () => {
      const there = await listen(told(), certificate);
      for (const [status, method, body] of [
        [303, 'GET', ''],
        [302, 'GET', ''],
        [307, 'POST', 'data'],
        [308, 'POST', 'data'],
      ] as const) {
        const here = await listen(to(`${there}/`, status), certificate);
        const response = await ours({ origins: [there] })(here, { method: 'POST', body: 'data' });
        const seen = (await response.json()) as { method: string; body: string };
        assert.deepEqual([seen.method, seen.body], [method, body]);
      }
    });

    test('out of TLS, in circles, or unwanted is refused', async () => {
      const plain = await listen(told());
      await assert.rejects(ours()(await listen(to(plain), certificate)), { code: 'NOT_ALLOWED' });
      await assert.rejects(ours()(await listen(to('/again'), certificate)), {
        code: 'NOT_ALLOWED',
        message: /circles/,
      });
      await assert.rejects(ours()(await listen(to('/'), certificate), { redirect: 'error' }), { code: 'NOT_ALLOWED' });
      const response = await ours()(await listen(to('/x'), certificate), { redirect: 'manual' });
      assert.equal(response.headers.get('location'), '/x');
      await response.text();
    });
  });

  describe('our server', () => {
    test('refuses a logon that was made through another TLS connection', async () => {
      refusals.length = 0;
      // Somebody in the middle with a certificate of his own passes requests on.
      const real = await listen(told(), other);
      const between = ours({ preemptive: true });
      const middle = await listen((request, response) => {
        const { authorization } = request.headers;
        ask(real, { ca: other.cert, headers: { ...(authorization && { authorization }) } }, (answer) => {
          response.writeHead(answer.statusCode!, { 'www-authenticate': answer.headers['www-authenticate'] ?? '' });
          answer.pipe(response);
        }).end();
      }, certificate);
      const response = await between(middle).catch((e) => e);
      assert.ok(
        response.status === 401 || response.code === 'NOT_ALLOWED' || response.code === 'KDC_ERROR',
        String(response),
      );
      assert.equal(refusals[0]?.major, 'BAD_BINDINGS');
    });

    test('lets a client in behind a proxy whose certificate it was told', async () => {
      const bound = await listen(told({ certificate: certificate.der, channelBinding: 'require' }), certificate);
      assert.equal((await ours()(bound)).status, 200);
      const wrong = await listen(told({ certificate: other.der, channelBinding: 'require' }), certificate);
      assert.notEqual((await ours()(wrong).catch((e) => ({ status: e.code }))).status, 200);
      const ignored = await listen(told({ certificate: other.der, channelBinding: 'ignore' }), certificate);
      assert.equal((await ours()(ignored)).status, 200);
    });

    test('refuses a token that comes again', async () => {
      let stolen: string | undefined;
      const page = told();
      const url = await listen((request, response) => {
        stolen = request.headers.authorization ?? stolen;
        page(request, response);
      });
      await (await ours({ insecureOrigins: [url] })(url)).text();
      refusals.length = 0;
      const again = await fetch(url, { headers: { authorization: stolen! } });
      assert.equal(again.status, 401);
      assert.equal(refusals[0]?.major, 'DUPLICATE_TOKEN');
    });

    test('answers noise, NTLM and nothing with 401 and no word of why', async () => {
      const url = await listen(told());
      for (const authorization of [
        'Negotiate',
        'Negotiate ====',
        'Basic YTpi',
        negotiateHeader(utf8('noise')),
        negotiateHeader(utf8('NTLMSSP\0\u0001\0\0\0')),
      ]) {
        const response = await fetch(url, { headers: { authorization } });
        assert.equal(response.status, 401, authorization);
        assert.match(response.headers.get('www-authenticate')!, /^Negotiate/);
        assert.equal(await response.text(), 'Log on with Kerberos.\n');
      }
    });

    test('goes on with the keys it has while its keytab is not there', async () => {
      const directory = await mkdtemp(join(tmpdir(), 'cf-http-'));
      const path = join(directory, 'keytab');
      const errors: unknown[] = [];
      try {
        await writeFile(path, await domain.keytab('HTTP/localhost'));
        const url = await listen(told({ keytab: path, onKeytabError: (e) => errors.push(e) }), certificate);
        const fetch = ours({ preemptive: true });
        assert.equal((await fetch(url)).status, 200);
        await rm(path);
        assert.equal((await fetch(url)).status, 200);
        assert.equal((errors[0] as { code?: string }).code, 'FILE');
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    });

    test('says that its keytab is missing', async () => {
      const authenticate = acceptNegotiate({ keytab: '/nonexistent/keytab' });
      const error = await new Promise<unknown>((resolve) => {
        listen((request, response) => {
          authenticate(request, response).then(resolve, (e) => {
            response.writeHead(500).end();
            resolve(e);
          });
        }).then((url) => fetch(url, { headers: { authorization: negotiateHeader(utf8('x')) } }));
      });
      assert.equal((error as { code?: string }).code, 'FILE');
    });
  });
});
