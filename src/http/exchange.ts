/**
 * One HTTP request over a connection whose TLS certificate is known before the headers go out, which `fetch` does not
 * tell: channel bindings are made of it.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { type ConnectionOptions, TLSSocket } from 'node:tls';
import { AdError, abortError, messageOf } from '../errors.ts';
import { clientChannel } from './channel.ts';

/** A request that can be sent again: its body is in memory. */
export interface Outgoing {
  readonly url: URL;
  readonly method: string;
  readonly headers: Headers;
  readonly body: Uint8Array | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Makes the Authorization header, once the channel is known; undefined for none. */
export type Authorize = (bindings: Uint8Array | undefined) => string | undefined;

/** What a call uses from its first request to the end of the last answer: negotiations stay on one connection. */
export interface Connection {
  send(out: Outgoing, authorize: Authorize): Promise<Response>;
}

/** TLS options of connections: certificate authorities and the like. */
export type TlsOptions = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'servername' | 'minVersion'>;

/** Connections kept for each origin while nobody uses them. */
const MAX_IDLE = 8;
/** Answers that never have a body (RFC 9110 6.4.1). */
const NULL_BODY: readonly number[] = [204, 205, 304];
/** Sent again when a kept connection turns out to be closed (RFC 9110 9.2.2). */
const IDEMPOTENT: readonly string[] = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'];

type Agent = HttpAgent | HttpsAgent;

/** Connections to servers: one agent of one socket for each call, kept for later calls to the same origin. */
export class Connections {
  readonly #tls: TlsOptions;
  readonly #idle = new Map<string, Agent[]>();
  readonly #all = new Set<Agent>();
  /** TLS handshakes that are over. */
  readonly #ready = new WeakSet<Socket>();
  #closed = false;

  constructor(tls: TlsOptions = {}) {
    this.#tls = tls;
  }

  /** Takes a connection for a call. `release` gives it back when the last answer's body is at its end, at the latest. */
  take(origin: string): { connection: Connection; release: () => void } {
    if (this.#closed) throw new AdError('ABORTED', 'negotiate() was closed before this request');
    const secure = origin.startsWith('https:');
    const agent = this.#idle.get(origin)?.pop() ?? this.#newAgent(secure);
    let open = 0;
    let released = false;
    const settle = (): void => {
      if (released && open === 0) this.#keep(origin, agent);
    };
    const send = async (out: Outgoing, authorize: Authorize): Promise<Response> => {
      open++;
      const over = (): void => {
        open--;
        settle();
      };
      try {
        return toResponse(await this.#request(agent, out, authorize), out, over);
      } catch (e) {
        over();
        throw e;
      }
    };
    const release = (): void => {
      released = true;
      settle();
    };
    return { connection: { send }, release };
  }

  /** Ends every connection. */
  close(): void {
    this.#closed = true;
    for (const agent of this.#all) agent.destroy();
    this.#all.clear();
    this.#idle.clear();
  }

  #newAgent(secure: boolean): Agent {
    const options = { keepAlive: true, maxSockets: 1 };
    const agent = secure ? new HttpsAgent({ ...options, ...this.#tls }) : new HttpAgent(options);
    this.#all.add(agent);
    return agent;
  }

  #keep(origin: string, agent: Agent): void {
    const idle = this.#idle.get(origin) ?? [];
    if (!this.#closed && idle.length < MAX_IDLE) this.#idle.set(origin, [...idle, agent]);
    else {
      agent.destroy();
      this.#all.delete(agent);
    }
  }

  #request(agent: Agent, out: Outgoing, authorize: Authorize, again = true): Promise<IncomingMessage> {
    const { url, method, headers, body, signal } = out;
    const secure = url.protocol === 'https:';
    return new Promise((resolve, reject) => {
      const request = (secure ? httpsRequest : httpRequest)(url, { method, agent, signal });
      headers.forEach((value, name) => {
        request.setHeader(name, value);
      });
      if (body) request.setHeader('content-length', body.length);
      const go = (socket: Socket): void => {
        try {
          const authorization = authorize(clientChannel(socket));
          if (authorization) request.setHeader('authorization', authorization);
          request.end(body);
        } catch (e) {
          request.destroy(e as Error);
        }
      };
      request.once('socket', (socket) => {
        // Of a connection that is being made the certificate is not known yet.
        if (!(socket instanceof TLSSocket) || this.#ready.has(socket)) go(socket);
        else
          socket.once('secureConnect', () => {
            this.#ready.add(socket);
            go(socket);
          });
      });
      request.once('response', resolve);
      request.on('error', (e: NodeJS.ErrnoException) => {
        if (signal?.aborted) reject(abortError(signal, `asking ${url.origin}`));
        else if (e instanceof AdError) reject(e);
        else if (again && request.reusedSocket && e.code === 'ECONNRESET' && IDEMPOTENT.includes(method))
          resolve(this.#request(agent, out, authorize, false));
        else
          reject(new AdError('UNREACHABLE', `${url.origin}: ${messageOf(e)}`, { server: url.host, errno: e.code }, e));
      });
    });
  }
}

/** Node's answer as the one of `fetch`. Its URL is told, as `fetch` does. */
function toResponse(answer: IncomingMessage, { url, method }: Outgoing, over: () => void): Response {
  const headers = new Headers();
  for (let i = 0; i < answer.rawHeaders.length; i += 2)
    headers.append(answer.rawHeaders[i]!, answer.rawHeaders[i + 1]!);
  answer.once('close', over);
  const status = answer.statusCode!;
  const empty = method === 'HEAD' || NULL_BODY.includes(status);
  if (empty) answer.resume();
  const body = empty ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array>);
  const response = new Response(body, { status, statusText: answer.statusMessage ?? '', headers });
  Object.defineProperty(response, 'url', { value: url.href });
  return response;
}
