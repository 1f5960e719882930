/** The KDC on the wire: TCP with a four-byte length (RFC 4120 7.2.2), kept open, and UDP on the same port. */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { concat } from '../../bytes.ts';
import { bound, listening } from '../listen.ts';
import type { Faults, Stats } from '../options.ts';
import { answer, tooBig, tooLong } from './kdc.ts';
import { changePassword, isPasswordChange } from './kpasswd.ts';
import type { KdcContext } from './tickets.ts';

const MAX_REQUEST = 128 * 1024;
/** Windows' MaxDatagramReplySize. */
const MAX_DATAGRAM = 1465;

export class KdcServer {
  readonly #context: KdcContext;
  readonly #stats: Stats;
  readonly #faults: () => Faults;
  readonly #sockets = new Set<Socket>();
  readonly #abort = new AbortController();
  #tcp: Server | undefined;
  #udp: DatagramSocket | undefined;

  constructor(context: KdcContext, stats: Stats, faults: () => Faults) {
    this.#context = context;
    this.#stats = stats;
    this.#faults = faults;
  }

  /** Listens on one port for both transports. @returns the port. @throws the socket's error */
  async listen(host: string, port: number): Promise<number> {
    // A free TCP port may be taken for UDP, so another is tried.
    for (let attempt = 0; ; attempt++) {
      const tcp = createServer((socket) => this.#accept(socket));
      const chosen = await listening(tcp, host, port);
      const udp = createSocket(host.includes(':') ? 'udp6' : 'udp4');
      try {
        await bound(udp, host, chosen);
      } catch (e) {
        tcp.close();
        udp.close();
        if (port !== 0 || attempt >= 20) throw e;
        continue;
      }
      udp.on('message', (data, from) => void this.#datagram(udp, data, from.port, from.address));
      udp.on('error', () => undefined);
      this.#tcp = tcp;
      this.#udp = udp;
      return chosen;
    }
  }

  async #reply(request: Uint8Array): Promise<Uint8Array | undefined> {
    const { kdcDelayMs, kdcSilent, kdcError, rewriteKdcReply } = this.#faults();
    if (kdcSilent) return undefined;
    if (kdcDelayMs) await delay(kdcDelayMs, undefined, { signal: this.#abort.signal });
    const reply = isPasswordChange(request)
      ? await changePassword(this.#context, request)
      : await answer(this.#context, this.#stats, request, kdcError);
    return rewriteKdcReply ? rewriteKdcReply(reply, request) : reply;
  }

  async #datagram(udp: DatagramSocket, data: Uint8Array, port: number, address: string): Promise<void> {
    this.#stats.kdcDatagrams++;
    try {
      const reply = this.#faults().udpTooBig ? tooBig(this.#context) : await this.#reply(data);
      if (reply === undefined || this.#abort.signal.aborted) return;
      udp.send(reply.length > MAX_DATAGRAM ? tooBig(this.#context) : reply, port, address);
    } catch {
      // The server is closing; nobody waits for this answer.
    }
  }

  #accept(socket: Socket): void {
    this.#stats.kdcConnections++;
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
    let pending: Uint8Array = new Uint8Array(0);
    let working: Promise<void> = Promise.resolve();
    socket.on('data', (chunk) => {
      pending = concat(pending, chunk);
      while (pending.length >= 4) {
        const length = new DataView(pending.buffer, pending.byteOffset).getUint32(0);
        // RFC 4120 7.2.2: the high bit is reserved; a request too long is answered KRB_ERR_FIELD_TOOLONG and cut off.
        if (length > MAX_REQUEST) {
          pending = new Uint8Array(0);
          socket.end(framed(tooLong(this.#context)));
          return;
        }
        if (pending.length < 4 + length) return;
        const request = pending.slice(4, 4 + length);
        pending = pending.slice(4 + length);
        // In order, so that answers match a client's requests one to one.
        working = working.then(() => this.#serve(socket, request));
      }
    });
  }

  async #serve(socket: Socket, request: Uint8Array): Promise<void> {
    try {
      const reply = await this.#reply(request);
      if (reply === undefined || socket.destroyed) return;
      socket.write(framed(reply));
      if (this.#faults().kdcCloseAfterReply) socket.end();
    } catch {
      socket.destroy();
    }
  }

  async close(): Promise<void> {
    this.#abort.abort();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([
      new Promise<void>((done) => (this.#tcp ? this.#tcp.close(() => done()) : done())),
      new Promise<void>((done) => (this.#udp ? this.#udp.close(() => done()) : done())),
    ]);
  }
}

function framed(message: Uint8Array): Uint8Array {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, message.length);
  return concat(length, message);
}
