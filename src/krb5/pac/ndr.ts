/**
 * The part of NDR (C706 chapter 14, MS-RPCE 2.2.6) that a PAC's logon information is written in: little endian, values
 * aligned to their size, what a pointer leads to behind the structure it stands in.
 */
import { Reader } from '../../bytes.ts';
import { readSid } from './sid.ts';

/** A pointer, which is read where it stands and followed later: its referent, or 0. */
export type Pointer = number;

/** An RPC_UNICODE_STRING before its characters: their bytes, and where they are. */
export interface StringHeader {
  readonly length: number;
  readonly maximum: number;
  readonly pointer: Pointer;
}

const HEADER_BYTES = 16;

export class NdrReader {
  readonly #r: Reader;

  /**
   * Reads the headers of type serialization version 1 (MS-RPCE 2.2.6.1, 2.2.6.2).
   * @throws MalformedError
   */
  constructor(bytes: Uint8Array, format: string) {
    const head = new Reader(bytes, format, { littleEndian: true });
    if (head.u8('version') !== 1) head.fail('type serialization of a version other than 1');
    if (head.u8('endianness') !== 0x10) head.fail('not little endian');
    if (head.u16('header length') !== 8) head.fail('common header of other than 8 bytes');
    head.u32('filler');
    const length = head.u32('object buffer length');
    head.u32('filler');
    // Some writers count without the padding to eight bytes, some with: what is announced must be there.
    if (length > head.remaining) head.fail(`an object of ${length} bytes in ${head.remaining}`);
    if (head.remaining - length >= 8) head.fail(`${head.remaining - length} bytes after the object`);
    this.#r = new Reader(bytes.subarray(HEADER_BYTES, HEADER_BYTES + length), format, { littleEndian: true });
  }

  fail(message: string): never {
    return this.#r.fail(message);
  }

  #align(to: number): void {
    const over = this.#r.offset % to;
    if (over > 0) this.#r.bytes(to - over, 'padding');
  }

  u16(what: string): number {
    this.#align(2);
    return this.#r.u16(what);
  }

  u32(what: string): number {
    this.#align(4);
    return this.#r.u32(what);
  }

  /** FILETIME, a structure of two halves, aligned to four bytes. */
  fileTime(what: string): Date | undefined {
    const low = this.u32(what);
    return fromFileTime((BigInt(this.u32(what)) << 32n) | BigInt(low));
  }

  bytes(n: number, what: string): Uint8Array {
    return this.#r.bytes(n, what);
  }

  pointer(what: string): Pointer {
    return this.u32(what);
  }

  /** A pointer that must lead somewhere. */
  required(what: string): void {
    if (this.pointer(what) === 0) this.#r.fail(`${what} is missing`);
  }

  string(what: string): StringHeader {
    this.#align(4);
    return { length: this.#r.u16(what), maximum: this.#r.u16(what), pointer: this.pointer(what) };
  }

  /** The characters of a string read before. */
  characters(header: StringHeader, what: string): string {
    const { length, maximum, pointer } = header;
    if (length % 2 !== 0 || length > maximum) this.#r.fail(`${what} of ${length} bytes in ${maximum}`);
    if (pointer === 0) return length === 0 ? '' : this.#r.fail(`${what} leads nowhere`);
    const room = this.u32(what);
    const offset = this.u32(what);
    const actual = this.u32(what);
    if (offset !== 0 || actual > room || actual * 2 < length || room * 2 < length || room > 0x8000)
      this.#r.fail(`${what}: ${actual} characters of ${room} from ${offset}, where ${length} bytes were announced`);
    const raw = this.#r.bytes(actual * 2, what);
    return utf16(raw.subarray(0, length));
  }

  /** The announced size of an array before its items; each takes `itemBytes` at least. */
  arraySize(count: number, itemBytes: number, what: string): void {
    const announced = this.u32(what);
    if (announced !== count) this.#r.fail(`${what}: an array of ${announced} where ${count} were announced`);
    if (count * itemBytes > this.#r.remaining) this.#r.fail(`${what}: ${count} items do not fit`);
  }

  sid(what: string): string {
    const count = this.u32(what);
    return readSid(this.#r, count);
  }

  /** Nothing but padding to eight bytes may follow. */
  end(): void {
    if (this.#r.remaining >= 8) this.#r.fail(`${this.#r.remaining} bytes after the structure`);
  }
}

/** Seconds between 1601 and 1970. */
const EPOCH = 11_644_473_600n;
/** "0x7FFFFFFFFFFFFFFF ... does not expire" (MS-PAC 2.5). */
const NEVER = 0x7fffffffffffffffn;

/** 100 ns since 1601 as a date; undefined for the values that mean never or not set. */
export function fromFileTime(value: bigint): Date | undefined {
  if (value === 0n || value >= NEVER) return undefined;
  const date = new Date(Number(value / 10_000n - EPOCH * 1000n));
  return Number.isNaN(date.getTime()) ? undefined : date;
}

/** Little-endian code units; a lone surrogate stays one. */
export function utf16(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf16le');
}
