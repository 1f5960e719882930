/** Writes MSDS-MANAGEDPASSWORD_BLOB (MS-ADTS 2.2.19). The reader is src/gmsa/blob.ts; the two share nothing. */
import { Writer } from '../../bytes.ts';

const HEADER_BYTES = 16;

export interface ManagedPasswordBlob {
  /** UTF-16 little endian without terminator. */
  readonly current: Uint8Array;
  readonly previous?: Uint8Array | undefined;
  /** How long until the password should be asked for again, in milliseconds. */
  readonly queryMs: number;
  /** How long the password will surely stay the same, in milliseconds. */
  readonly unchangedMs: number;
}

/**
 * The blob as Windows lays it out: the intervals follow the passwords at once, two bytes off the eight-byte alignment
 * the text of the specification asks for. 290 bytes, or 548 with a previous password.
 */
export function encodeManagedPassword(blob: ManagedPasswordBlob): Uint8Array {
  const previousAt = HEADER_BYTES + blob.current.length + 2;
  const queryAt = blob.previous === undefined ? previousAt : previousAt + blob.previous.length + 2;
  const w = new Writer({ littleEndian: true, capacity: queryAt + 16 });
  w.u16(1)
    .u16(0)
    .u32(queryAt + 16);
  w.u16(HEADER_BYTES)
    .u16(blob.previous === undefined ? 0 : previousAt)
    .u16(queryAt)
    .u16(queryAt + 8);
  w.bytes(blob.current).u16(0);
  if (blob.previous !== undefined) w.bytes(blob.previous).u16(0);
  // Intervals count 100 nanoseconds.
  w.u64(BigInt(Math.round(blob.queryMs)) * 10_000n).u64(BigInt(Math.round(blob.unchangedMs)) * 10_000n);
  return w.finish();
}
