/**
 * Kerberos over TCP, RFC 4120 7.2.2: each message behind its length in four bytes, big endian. Connections are kept for a
 * while, because an exchange over an open one saves a round trip.
 */
import { connect, type Socket } from 'node:net';
import { abortable, deferred } from '../../async.ts';
import { AdError, abortError, isAdError, messageOf } from '../../errors.ts';
import { FrameReader } from '../../frames.ts';
import { type Endpoint, endpointName } from './locate.ts';
import { lookupWith, type Resolver } from './resolver.ts';

/** Far above any ticket with a PAC (AD's MaxTokenSize is 64 KiB at most). */
export const MAX_REPLY = 1 << 20;

export interface TcpPoolOptions {
  readonly resolver: Resolver;
  /** How long an idle connection is kept, ms. */
  readonly keepAlive: number;
  /** Connections to one KDC at a time; a listen backlog is short, and a dropped SYN costs a second. */
  readonly connections: number;
}

/** The connections to one KDC. */
export class TcpPool {
  readonly #endpoint: Endpoint;
  readonly #options: TcpPoolOptions;
  readonly #idle: Socket[] = [];
  readonly #open = new Set<Socket>();
  readonly #waiting: (() => void)[] = [];
  #busy = 0;
  /** Kept connections that turned out closed when they were used again, one after the other. */
  #keptInVain = 0;
  #notKept = 0;

  constructor(endpoint: Endpoint, options: TcpPoolOptions) {
    this.#endpoint = endpoint;
    this.#options = options;
  }

  /**
   * One request and its reply, over a kept connection or a new one.
   * @param sent called when the request goes out
   * @throws AdError UNREACHABLE; TIMEOUT or ABORTED by the signal
   */
  async exchange(request: Uint8Array, signal: AbortSignal, sent?: () => void): Promise<Uint8Array> {
    await this.#enter(signal);
    try {
      const kept = this.#idle.pop();
      if (kept) {
        sent?.();
        const reply = await this.#overKept(kept, request, signal);
        this.#keptInVain = reply ? 0 : this.#keptInVain + 1;
        if (reply) return reply;
      }
      const socket = await this.#connect(signal);
      sent?.();
      return await this.#over(socket, request, signal);
    } finally {
      this.#busy--;
      this.#waiting.shift()?.();
    }
  }

  /** Waits for one of the allowed connections. */
  async #enter(signal: AbortSignal): Promise<void> {
    while (this.#busy >= this.#options.connections) {
      const { promise, resolve } = deferred<void>();
      this.#waiting.push(resolve);
      await abortable(promise, signal, 'waiting for a connection').catch((e) => {
        const i = this.#waiting.indexOf(resolve);
        if (i === -1)
          this.#waiting.shift()?.(); // the turn came too late: hand it on
        else this.#waiting.splice(i, 1);
        throw e;
      });
    }
    this.#busy++;
  }

  /** A kept connection may have been closed by the KDC meanwhile: then undefined, and a new one is made. */
  async #overKept(socket: Socket, request: Uint8Array, signal: AbortSignal): Promise<Uint8Array | undefined> {
    try {
      return await this.#over(socket, request, signal);
    } catch (e) {
      if (isAdError(e, 'UNREACHABLE')) return undefined;
      throw e;
    }
  }

  async #over(socket: Socket, request: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    try {
      socket.ref();
      const reply = await roundTrip(socket, request, signal, endpointName(this.#endpoint));
      this.#keep(socket);
      return reply;
    } catch (e) {
      socket.destroy();
      throw e;
    }
  }

  /** MIT's KDC closes after each answer. After a few disappointments only one connection in 16 is kept, as a trial. */
  #worthKeeping(): boolean {
    return this.#keptInVain < 3 || ++this.#notKept % 16 === 0;
  }

  #keep(socket: Socket): void {
    if (socket.destroyed) return;
    if (!this.#worthKeeping()) {
      socket.destroy();
      return;
    }
    socket.unref(); // an idle connection does not hold the process open
    socket.setTimeout(this.#options.keepAlive);
    this.#idle.push(socket);
  }

  #connect(signal: AbortSignal): Promise<Socket> {
    const { host, port } = this.#endpoint;
    const { promise, resolve, reject } = deferred<Socket>();
    if (signal.aborted) {
      reject(abortError(signal, 'connecting'));
      return promise;
    }
    const socket = connect({ host, port, lookup: lookupWith(this.#options.resolver), noDelay: true });
    this.#open.add(socket);
    socket.on('timeout', () => socket.destroy()); // armed only while the connection is idle
    // Nothing is due on an idle connection; what came there would pass for the answer to the next request.
    socket.on('data', () => this.#idle.includes(socket) && socket.destroy());
    const onAbort = () => {
      reject(abortError(signal, `connecting to ${endpointName(this.#endpoint)}`));
      socket.destroy();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const onEarlyClose = () => reject(new AdError('UNREACHABLE', 'the connection was closed'));
    socket.once('close', onEarlyClose).once('connect', () => {
      socket.off('close', onEarlyClose);
      resolve(socket);
    });
    socket.on('error', (e) =>
      reject(new AdError('UNREACHABLE', messageOf(e), { server: endpointName(this.#endpoint) }, e)),
    );
    socket.once('close', () => {
      this.#open.delete(socket);
      const i = this.#idle.indexOf(socket);
      if (i !== -1) this.#idle.splice(i, 1);
    });
    return promise.finally(() => signal.removeEventListener('abort', onAbort));
  }

  close(): void {
    for (const socket of this.#open) socket.destroy();
  }
}

/** One request and its reply on an open connection. */
function roundTrip(socket: Socket, request: Uint8Array, signal: AbortSignal, server: string): Promise<Uint8Array> {
  const { promise, resolve, reject } = deferred<Uint8Array>();
  // RFC 4120 7.2.2: the high bit of the length "is reserved for future expansion", and so beyond the limit.
  const frames = new FrameReader(MAX_REPLY);
  const unreachable = (why: string) => reject(new AdError('UNREACHABLE', why, { server }));
  const onAbort = () => reject(abortError(signal, `waiting for ${server}`));
  const onClose = () =>
    unreachable(frames.idle ? 'the connection was closed without a reply' : 'the connection broke inside a reply');
  const onData = (chunk: Buffer) => {
    try {
      const [reply, ...more] = frames.push(chunk);
      if (reply && (more.length > 0 || !frames.idle)) unreachable('it sent more than one reply');
      else if (reply) resolve(new Uint8Array(reply));
    } catch (e) {
      unreachable(messageOf(e));
    }
  };
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  socket.on('data', onData).once('close', onClose);
  socket.setTimeout(0);
  if (socket.destroyed || !socket.writable) onClose();
  else {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(request.length);
    socket.write(Buffer.concat([head, request]));
  }
  return promise.finally(() => {
    signal.removeEventListener('abort', onAbort);
    socket.off('data', onData).off('close', onClose);
  });
}
