/** The SASL security layer under an LDAP connection (RFC 4422 3.7) as a stream that looks like an open socket. */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { FrameReader } from '../frames.ts';

/** What SASL negotiation leaves behind. */
export interface SecurityLayer {
  wrap(plain: Uint8Array): Uint8Array;
  unwrap(sealed: Uint8Array): Uint8Array;
  /** Bytes of plaintext that fit one buffer to the server. */
  readonly maxSend: number;
  /** Bytes of a sealed buffer we offered to receive. */
  readonly maxReceive: number;
  /** Wipes the keys. */
  destroy(): void;
}

/** What becomes of the decrypted bytes before they are handed on. */
export interface Inspector {
  /** A request goes out. */
  requested(): void;
  /** The chunks to hand on, in this order. Takes `plain` over. @throws to end the connection */
  push(plain: Uint8Array): Iterable<Uint8Array>;
}

const SLICE = 16_384;

/** Small chunks: ldapts parses one message a recursion step inside a chunk. */
const slices: Inspector = {
  requested: () => undefined,
  *push(plain) {
    for (let i = 0; i < plain.length; i += SLICE) yield plain.subarray(i, i + SLICE);
  },
};

/**
 * Everything written is sealed, everything read was opened; one broken token ends the connection. Without a layer the
 * bytes pass as they are: then TLS is underneath.
 */
export class SealedSocket extends Duplex {
  /** ldapts takes a socket in this state as connected. */
  readonly connecting = false;
  /** ldapts labels its sockets. */
  id?: string;
  readonly #raw: Socket;
  readonly #layer: SecurityLayer | undefined;
  readonly #frames: FrameReader;
  readonly #inspector: Inspector;

  constructor(raw: Socket, layer: SecurityLayer | undefined, inspector: Inspector = slices) {
    super({ allowHalfOpen: false });
    this.#raw = raw;
    this.#layer = layer;
    this.#inspector = inspector;
    this.#frames = new FrameReader(layer?.maxReceive ?? 0);
    raw.on('data', (chunk: Buffer) => this.#onData(chunk));
    raw.on('end', () => this.push(null));
    raw.on('error', (e) => this.destroy(e));
    raw.on('close', () => this.destroy());
  }

  get readyState(): string {
    return this.destroyed ? 'closed' : 'open';
  }

  #onData(chunk: Buffer): void {
    try {
      if (!this.#layer) this.#pass(chunk);
      else for (const sealed of this.#frames.push(chunk)) this.#pass(this.#layer.unwrap(sealed));
    } catch (e) {
      this.destroy(e as Error);
    }
  }

  #pass(plain: Uint8Array): void {
    for (const part of this.#inspector.push(plain)) {
      if (!this.push(part)) this.#raw.pause();
    }
  }

  override _read(): void {
    this.#raw.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (e?: Error | null) => void): void {
    this.#inspector.requested();
    if (!this.#layer) {
      this.#raw.write(chunk, done);
      return;
    }
    const out: Uint8Array[] = [];
    for (let i = 0; i < chunk.length; i += this.#layer.maxSend) {
      const sealed = this.#layer.wrap(chunk.subarray(i, i + this.#layer.maxSend));
      const head = Buffer.alloc(4);
      head.writeUInt32BE(sealed.length);
      out.push(head, sealed);
    }
    this.#raw.write(Buffer.concat(out), done);
  }

  override _final(done: (e?: Error | null) => void): void {
    this.#raw.end(done);
  }

  override _destroy(e: Error | null, done: (e?: Error | null) => void): void {
    this.#raw.destroy();
    this.#layer?.destroy();
    done(e);
  }

  /** An idle connection does not hold the process open. */
  ref(): this {
    this.#raw.ref();
    return this;
  }

  unref(): this {
    this.#raw.unref();
    return this;
  }
}
