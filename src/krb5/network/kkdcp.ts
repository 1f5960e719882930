/**
 * KDC proxies, MS-KKDCP: Kerberos messages in HTTPS requests, for clients that reach no KDC themselves. The proxy reads
 * along, so its certificate is checked; the messages are as safe as over open wires.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { isIP, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { field, fromDer, type Infer, int32, kerberosString, octets, optional, sequence, toDer } from '../../asn1.ts';
import { deferred } from '../../async.ts';
import { AdError, abortError, isAdError, messageOf } from '../../errors.ts';
import { readAnchors } from '../files/anchors.ts';
import { proxyFor } from './http-proxy.ts';
import { lookupWith, type Resolver } from './resolver.ts';
import { type KdcServer, serverName } from './servers.ts';
import { MAX_REPLY } from './tcp-pool.ts';

/**
 * MS-KKDCP 2.2.2:
 * `KDC-PROXY-MESSAGE ::= SEQUENCE { kerb-message [0] OCTET STRING, target-domain [1] KERB-REALM OPTIONAL, dclocator-hint
 * [2] INTEGER OPTIONAL }`. The message within stands behind its length in four bytes, as over TCP.
 */
export const KdcProxyMessage = sequence({
  kerbMessage: field(0, octets),
  targetDomain: optional(1, kerberosString),
  dclocatorHint: optional(2, int32),
});
export type KdcProxyMessage = Infer<typeof KdcProxyMessage>;

export interface KdcProxiesOptions {
  readonly resolver: Resolver;
  /** Where HTTPS_PROXY and NO_PROXY are read, and the variables that anchors name. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Limit of one idle connection, ms. */
  readonly keepAlive?: number;
}

export interface ProxiedRequest {
  readonly server: KdcServer;
  readonly realm: string;
  readonly request: Uint8Array;
  /** As http_anchors of krb5.conf. */
  readonly anchors: readonly string[];
  readonly signal: AbortSignal;
  readonly sent?: () => void;
}

/** Speaks to KDC proxies, over connections that are kept. */
export class KdcProxies {
  readonly #options: Required<KdcProxiesOptions>;
  /** By proxy and anchors: a connection that was checked against other certificates is not shared. */
  readonly #agents = new Map<string, Promise<Agent>>();

  constructor(options: KdcProxiesOptions) {
    this.#options = { env: process.env, keepAlive: 30_000, ...options };
  }

  /**
   * The KDC's answer to one request.
   * @throws AdError UNREACHABLE with the proxy's reason; INVALID_ARGUMENT or FILE for anchors that cannot be read;
   *   TIMEOUT or ABORTED by the signal
   */
  async exchange(asked: ProxiedRequest): Promise<Uint8Array> {
    const { server, realm, request } = asked;
    const name = serverName(server);
    const framed = new Uint8Array(4 + request.length);
    new DataView(framed.buffer).setUint32(0, request.length);
    framed.set(request, 4);
    const body = toDer(KdcProxyMessage, { kerbMessage: framed, targetDomain: realm });
    const answer = await this.#post(asked, await this.#agent(server, asked.anchors), body);
    try {
      const { kerbMessage } = fromDer(KdcProxyMessage, answer);
      const length =
        kerbMessage.length < 4 ? -1 : new DataView(kerbMessage.buffer, kerbMessage.byteOffset).getUint32(0);
      if (length !== kerbMessage.length - 4) throw new AdError('UNREACHABLE', 'its length is wrong');
      return kerbMessage.slice(4);
    } catch (e) {
      if (!isAdError(e, 'MALFORMED', 'UNREACHABLE')) throw e;
      throw new AdError(
        'UNREACHABLE',
        `the answer of ${name} holds no Kerberos message: ${e.message}`,
        { server: name },
        e,
      );
    }
  }

  async #post(asked: ProxiedRequest, agent: Agent, body: Uint8Array): Promise<Uint8Array> {
    const { server, signal } = asked;
    const name = serverName(server);
    const { promise, resolve, reject } = deferred<Uint8Array>();
    const unreachable = (why: string, cause?: unknown) =>
      reject(new AdError('UNREACHABLE', why, { server: name }, cause));
    if (signal.aborted) throw abortError(signal, `asking ${name}`);
    const post = httpsRequest({
      agent,
      host: server.host,
      port: server.port,
      path: `/${server.path ?? ''}`,
      method: 'POST',
      headers: {
        // MS-KKDCP 2.1: "The Content-Type header field MUST be application/kerberos".
        'Content-Type': 'application/kerberos',
        'Content-Length': body.length,
        'Cache-Control': 'no-cache',
        Pragma: 'no-cache',
        'User-Agent': 'kerberos/1.0',
      },
    });
    const onAbort = () => {
      reject(abortError(signal, `waiting for ${name}`));
      post.destroy();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    post.on('error', (e) => unreachable(messageOf(e), e));
    post.on('response', (response) => readBody(response).then(resolve, (e: unknown) => unreachable(messageOf(e), e)));
    post.end(body, asked.sent);
    return promise.finally(() => {
      signal.removeEventListener('abort', onAbort);
      post.destroy(); // an exchange that is complete has let go of its connection
    });
  }

  #agent(server: KdcServer, anchors: readonly string[]): Promise<Agent> {
    const key = [serverName(server), ...anchors].join('\n');
    let agent = this.#agents.get(key);
    if (!agent) {
      agent = this.#newAgent(server, anchors);
      this.#agents.set(key, agent);
      agent.catch(() => this.#agents.delete(key));
    }
    return agent;
  }

  async #newAgent(server: KdcServer, anchors: readonly string[]): Promise<Agent> {
    const { resolver, env, keepAlive } = this.#options;
    const ca = anchors.length > 0 ? await readAnchors(anchors, env, 'http_anchors') : undefined;
    // Verified whatever NODE_TLS_REJECT_UNAUTHORIZED says.
    const tls = { ca, rejectUnauthorized: true, minVersion: 'TLSv1.2', ALPNProtocols: ['http/1.1'] } as const;
    const agent = new Agent({ keepAlive: true, timeout: keepAlive, lookup: lookupWith(resolver), ...tls });
    const proxy = proxyFor(server, env);
    if (proxy) {
      const servername = isIP(server.host) ? '' : server.host;
      agent.createConnection = (_, done) => {
        tunnel(server, proxy, resolver).then(
          (socket) => {
            const secure = tlsConnect({ socket, host: server.host, servername, ...tls });
            done?.(null, secure);
          },
          (e: Error) => done?.(e, undefined as never),
        );
        return undefined;
      };
    }
    return agent;
  }

  close(): void {
    for (const agent of this.#agents.values()) {
      agent.then(
        (a) => a.destroy(),
        () => undefined,
      );
    }
    this.#agents.clear();
  }
}

/** A connection to the server through an HTTP proxy (RFC 9110 9.3.6, CONNECT). */
function tunnel(server: KdcServer, proxy: URL, resolver: Resolver): Promise<Socket> {
  const { promise, resolve, reject } = deferred<Socket>();
  const target = `${server.host.includes(':') ? `[${server.host}]` : server.host}:${server.port}`;
  const user = decodeURIComponent(proxy.username);
  const basic = Buffer.from(`${user}:${decodeURIComponent(proxy.password)}`).toString('base64');
  const ask = httpRequest({
    host: proxy.hostname.replace(/^\[|\]$/g, ''),
    port: Number(proxy.port || 80),
    method: 'CONNECT',
    path: target,
    headers: { Host: target, ...(user && { 'Proxy-Authorization': `Basic ${basic}` }) },
    agent: false,
    lookup: lookupWith(resolver),
    timeout: 10_000,
  });
  const unreachable = (why: string) =>
    reject(new AdError('UNREACHABLE', `the HTTP proxy ${proxy.host} ${why}`, { server: proxy.host }));
  ask.on('connect', (response, socket, head) => {
    if (response.statusCode === 200 && head.length === 0) resolve(socket as Socket);
    else {
      socket.destroy();
      unreachable(`refuses a connection to ${target}: ${response.statusCode} ${response.statusMessage}`);
    }
  });
  ask.on('response', (response) => {
    response.destroy();
    unreachable(`does not connect to ${target}: ${response.statusCode} ${response.statusMessage}`);
  });
  ask
    .on('timeout', () => ask.destroy(new Error('is silent')))
    .on('error', (e) => unreachable(`failed: ${messageOf(e)}`));
  ask.end();
  return promise;
}

async function readBody(response: IncomingMessage): Promise<Uint8Array> {
  if (response.statusCode !== 200) {
    response.resume();
    throw new AdError('UNREACHABLE', `it answers with HTTP ${response.statusCode} ${response.statusMessage}`);
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_REPLY + 64) throw new AdError('UNREACHABLE', `its answer is longer than ${MAX_REPLY} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
