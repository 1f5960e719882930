/** BER: ldapts' reader, bounded, as it counts on its caller to look after lengths; and writing, by nesting values. */
import { Ber, BerReader } from 'ldapts';
import { MalformedError } from '../../errors.ts';

export function fail(message: string): never {
  throw new MalformedError('LDAP', message);
}
/** ldapts gives null where bytes are missing. */
export function must<T>(value: T | null, what: string): T {
  return value ?? fail(`${what} is cut short`);
}

/** A reader over the content of the next element alone, so that nothing inside can reach beyond it. */
export function enter(reader: BerReader, tag: number | undefined, what: string): BerReader {
  must(reader.readSequence(tag), what);
  const end = reader.offset + reader.length;
  if (reader.length < 0 || end > reader.buffer.length) fail(`${what} is longer than what holds it`);
  const inner = new BerReader(reader.buffer.subarray(reader.offset, end));
  reader.offset = end;
  return inner;
}

/**
 * The bytes of a string. ldapts takes a length above 2^31 for a negative one and would step back, for ever in a loop.
 */
export function readOctets(r: BerReader, what: string, tag: number = Ber.OctetString): Buffer {
  const before = r.offset;
  const value = must(r.readString(tag, true), what);
  return r.offset > before ? value : fail(`${what} is longer than what holds it`);
}

export function readText(r: BerReader, what: string, tag?: number): string {
  return readOctets(r, what, tag).toString('utf8');
}

/** An element of a tag and what it holds. */
export function tlv(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((n, c) => n + c.length, 0);
  const size: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) size.unshift(rest % 256);
  const head = length < 0x80 ? [tag, length] : [tag, 0x80 | size.length, ...size];
  return Buffer.concat([Buffer.from(head), ...contents]);
}

export function octets(value: string | Uint8Array, tag: number = Ber.OctetString): Buffer {
  return tlv(tag, typeof value === 'string' ? Buffer.from(value, 'utf8') : value);
}

/** A number of 0 to 2^31 - 1. */
export function integer(value: number, tag: number = Ber.Integer): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  let from = 0;
  while (from < 3 && bytes[from] === 0 && bytes[from + 1]! < 0x80) from++;
  return tlv(tag, bytes.subarray(from));
}
