/** Reads MSDS-MANAGEDPASSWORD_BLOB (MS-ADTS 2.2.19), the value of msDS-ManagedPassword. */
import { Reader } from '../bytes.ts';

const FORMAT = 'managed password blob';
const HEADER_BYTES = 16;
const INTERVAL_BYTES = 8;
/** More than alignment to eight bytes can ever ask for is not padding. */
const MAX_PADDING_BYTES = 7;

/** What `msDS-ManagedPassword` holds (MS-ADTS 2.2.19). The passwords are secrets; the caller wipes them. */
export interface ManagedPassword {
  /** UTF-16 little endian code units without the terminator, as the directory made them: 256 bytes from a real DC. */
  readonly current: Uint8Array;
  /** The password before; absent for an account that never had another. */
  readonly previous?: Uint8Array;
  /** How long after this answer the password should be asked for again, in units of 100 ns. */
  readonly queryPasswordInterval: bigint;
  /** How long after this answer the password is sure to stay the same, in units of 100 ns. */
  readonly unchangedPasswordInterval: bigint;
}

/**
 * Every field is found by its offset in the header, never computed: domain controllers put the intervals two bytes off
 * the alignment that the specification's padding promises. The reserved field is ignored, so that a later meaning of
 * it does no harm; all else must be as specified.
 * @param blob the whole attribute value; not changed, and the caller wipes it
 * @returns copies, which the caller wipes
 * @throws MalformedError
 */
export function parseManagedPassword(blob: Uint8Array): ManagedPassword {
  const r = new Reader(blob, FORMAT, { littleEndian: true });
  // "The Version field MUST be set to 0x0001."
  const version = r.u16('Version');
  if (version !== 1) r.fail(`Version is ${version} instead of 1`);
  r.u16('Reserved');
  // Length counts the whole blob: more or fewer bytes mean that it was cut or is something else.
  const length = r.u32('Length');
  if (length !== blob.length) r.fail(`Length is ${length}, but ${blob.length} bytes are there`);
  const currentAt = r.u16('CurrentPasswordOffset');
  // Zero: the account has no previous password.
  const previousAt = r.u16('PreviousPasswordOffset') || undefined;
  const queryAt = r.u16('QueryPasswordIntervalOffset');
  const unchangedAt = r.u16('UnchangedPasswordIntervalOffset');
  // Fields in the order of the structure, none over another: no byte of a password is read as anything else.
  if (currentAt < HEADER_BYTES) r.fail(`the current password is at ${currentAt}, inside the header`);
  if ((previousAt ?? queryAt) < currentAt) r.fail('the current password is not the first field');
  if (queryAt < (previousAt ?? currentAt)) r.fail('the query interval stands before a password');
  if (unchangedAt < queryAt + INTERVAL_BYTES) r.fail('the two intervals overlap');
  return {
    current: passwordIn(r, currentAt, previousAt ?? queryAt, 'current password'),
    ...(previousAt !== undefined && { previous: passwordIn(r, previousAt, queryAt, 'previous password') }),
    queryPasswordInterval: intervalAt(r, queryAt, 'QueryPasswordInterval'),
    unchangedPasswordInterval: intervalAt(r, unchangedAt, 'UnchangedPasswordInterval'),
  };
}

/**
 * A password is the code units up to the first U+0000, which must be there. Whatever follows it up to `end` must be
 * padding, for a terminator amid a password means that we and the DC do not speak of the same password.
 */
function passwordIn(r: Reader, start: number, end: number, what: string): Uint8Array {
  r.offset = start;
  const field = r.bytes(end - start, what);
  let length = 0;
  while (length + 1 < field.length && (field[length]! | field[length + 1]!) !== 0) length += 2;
  if (length + 1 >= field.length) r.fail(`the ${what} has no terminator`);
  if (length === 0) r.fail(`the ${what} is empty`);
  const padding = field.subarray(length + 2);
  if (padding.length > MAX_PADDING_BYTES || padding.some((b) => b !== 0)) {
    r.fail(`the ${what} ends after ${length} bytes, but ${padding.length} more belong to it`);
  }
  return Uint8Array.from(field.subarray(0, length));
}

function intervalAt(r: Reader, at: number, what: string): bigint {
  r.offset = at;
  return r.u64(what);
}
