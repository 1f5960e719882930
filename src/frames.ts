/**
 * Messages that each follow their length in four octets, network byte order: Kerberos over TCP (RFC 4120 7.2.2) and the
 * buffers of a SASL security layer (RFC 4422 3.7).
 */
import { MalformedError } from './errors.ts';

/** Puts messages together from chunks of any size; a byte is copied once at most, however small the chunks are. */
export class FrameReader {
  readonly #limit: number;
  readonly #head = new Uint8Array(4);
  #headBytes = 0;
  /** The message being received, once its length is known. */
  #body: Uint8Array | undefined;
  #bodyBytes = 0;

  /** @param limit longest message taken, in bytes: that much memory an announced length may claim */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** True between messages. */
  get idle(): boolean {
    return this.#headBytes === 0;
  }

  /**
   * The messages that `chunk` completes. Views of the chunk or memory of their own: no one else writes to them.
   * @throws MalformedError for a length above the limit
   */
  *push(chunk: Uint8Array): Generator<Uint8Array, void> {
    for (let at = 0; at < chunk.length; ) {
      if (!this.#body) {
        this.#head[this.#headBytes++] = chunk[at++]!;
        if (this.#headBytes < 4) continue;
        const length = new DataView(this.#head.buffer).getUint32(0);
        if (length > this.#limit) {
          throw new MalformedError('frame', `message of ${length} bytes where ${this.#limit} are the limit`);
        }
        if (chunk.length - at >= length) {
          this.#headBytes = 0;
          yield chunk.subarray(at, at + length);
          at += length;
          continue;
        }
        this.#body = new Uint8Array(length);
        this.#bodyBytes = 0;
      }
      const part = chunk.subarray(at, at + this.#body.length - this.#bodyBytes);
      this.#body.set(part, this.#bodyBytes);
      this.#bodyBytes += part.length;
      at += part.length;
      if (this.#bodyBytes === this.#body.length) {
        const whole = this.#body;
        this.#body = undefined;
        this.#headBytes = 0;
        yield whole;
      }
    }
  }
}
