/** Bounded access to fixed binary layouts (ccache, keytab, managed-password blob, GSS tokens), and care for secrets. */
import { timingSafeEqual } from 'node:crypto';
import { MalformedError } from './errors.ts';

/**
 * Reads a byte array from front to back and never past its end. Views, not copies, are handed out by `bytes()`:
 * a caller that keeps one beyond the life of the input copies it.
 */
export class Reader {
  readonly #data: Uint8Array;
  readonly #view: DataView;
  readonly #format: string;
  readonly littleEndian: boolean;
  offset: number;

  /** @param format name used in errors, such as 'ccache' */
  constructor(data: Uint8Array, format: string, options: { littleEndian?: boolean; offset?: number } = {}) {
    this.#data = data;
    this.#view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    this.#format = format;
    this.littleEndian = options.littleEndian ?? false;
    this.offset = options.offset ?? 0;
  }

  get remaining(): number {
    return this.#data.length - this.offset;
  }

  fail(message: string): never {
    throw new MalformedError(this.#format, `${message} (at byte ${this.offset})`);
  }

  /** Moves past `n` bytes and returns where they began; throws MalformedError when fewer are left. */
  #take(n: number, what: string): number {
    if (!Number.isInteger(n) || n < 0 || n > this.remaining) {
      this.fail(`${what} needs ${n} bytes, ${this.remaining} are left`);
    }
    const at = this.offset;
    this.offset += n;
    return at;
  }

  u8(what = 'u8'): number {
    return this.#view.getUint8(this.#take(1, what));
  }

  u16(what = 'u16'): number {
    return this.#view.getUint16(this.#take(2, what), this.littleEndian);
  }

  i16(what = 'i16'): number {
    return this.#view.getInt16(this.#take(2, what), this.littleEndian);
  }

  u32(what = 'u32'): number {
    return this.#view.getUint32(this.#take(4, what), this.littleEndian);
  }

  i32(what = 'i32'): number {
    return this.#view.getInt32(this.#take(4, what), this.littleEndian);
  }

  u64(what = 'u64'): bigint {
    return this.#view.getBigUint64(this.#take(8, what), this.littleEndian);
  }

  /** A view of the next `n` bytes. */
  bytes(n: number, what = 'bytes'): Uint8Array {
    const at = this.#take(n, what);
    return this.#data.subarray(at, at + n);
  }

  /** The next `n` bytes as UTF-8; throws when they are not. */
  utf8(n: number, what = 'text'): string {
    const raw = this.bytes(n, what);
    try {
      return utf8Decoder.decode(raw);
    } catch {
      return this.fail(`${what} is not UTF-8`);
    }
  }

  /** Throws unless everything was read. */
  end(): void {
    if (this.remaining !== 0) this.fail(`${this.remaining} bytes after the end`);
  }
}

const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const utf8Encoder = new TextEncoder();

/** UTF-8 bytes of a string; a lone surrogate becomes U+FFFD. */
export function utf8(text: string): Uint8Array {
  return utf8Encoder.encode(text);
}

/** Text of UTF-8 bytes, keeping a leading U+FEFF; throws a TypeError on anything else. */
export function fromUtf8(bytes: Uint8Array): string {
  return utf8Decoder.decode(bytes);
}

/** Grows as it is written; `finish()` gives the bytes and wipes what was outgrown. */
export class Writer {
  #buffer: Uint8Array;
  #view: DataView;
  #length = 0;
  readonly littleEndian: boolean;

  constructor(options: { littleEndian?: boolean; capacity?: number } = {}) {
    this.#buffer = new Uint8Array(options.capacity ?? 256);
    this.#view = new DataView(this.#buffer.buffer);
    this.littleEndian = options.littleEndian ?? false;
  }

  get length(): number {
    return this.#length;
  }

  #grow(n: number): number {
    const at = this.#length;
    const need = at + n;
    if (need > this.#buffer.length) {
      const bigger = new Uint8Array(Math.max(need, this.#buffer.length * 2));
      bigger.set(this.#buffer.subarray(0, at));
      wipe(this.#buffer);
      this.#buffer = bigger;
      this.#view = new DataView(bigger.buffer);
    }
    this.#length = need;
    return at;
  }

  u8(v: number): this {
    const at = this.#grow(1);
    this.#view.setUint8(at, v);
    return this;
  }

  u16(v: number): this {
    const at = this.#grow(2);
    this.#view.setUint16(at, v, this.littleEndian);
    return this;
  }

  u32(v: number): this {
    const at = this.#grow(4);
    this.#view.setUint32(at, v, this.littleEndian);
    return this;
  }

  i32(v: number): this {
    const at = this.#grow(4);
    this.#view.setInt32(at, v, this.littleEndian);
    return this;
  }

  u64(v: bigint): this {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, v, this.littleEndian);
    return this;
  }

  bytes(v: Uint8Array): this {
    const at = this.#grow(v.length);
    this.#buffer.set(v, at);
    return this;
  }

  /** Overwrites a u32 written earlier, for lengths known only afterwards. */
  patchU32(at: number, v: number): void {
    this.#view.setUint32(at, v, this.littleEndian);
  }

  finish(): Uint8Array {
    const out = this.#buffer.slice(0, this.#length);
    wipe(this.#buffer);
    return out;
  }
}

/** Overwrites secrets with zeros. Undefined entries are allowed so that `finally` blocks stay short. */
export function wipe(...secrets: (Uint8Array | undefined)[]): void {
  for (const secret of secrets) secret?.fill(0);
}

/** Compares in time that depends on the lengths only. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** A copy with memory of its own. (`slice()` of a Buffer is a view: wiping one would wipe both.) */
export function copy(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Lower-case hex. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** Bytes of an even number of hex digits (white space allowed, for vectors); throws a RangeError otherwise. */
export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, '');
  if (digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits)) throw new RangeError('not hexadecimal');
  return new Uint8Array(Buffer.from(digits, 'hex'));
}
