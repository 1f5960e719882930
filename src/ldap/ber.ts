/** BER elements as LDAP restricts them (RFC 4511 5.1): tags of one byte, definite lengths of up to four. */
import type { Reader } from '../bytes.ts';
import { MalformedError } from '../errors.ts';

export const ber = {
  boolean: 0x01,
  integer: 0x02,
  octetString: 0x04,
  enumerated: 0x0a,
  sequence: 0x30,
  set: 0x31,
} as const;

/**
 * Reads a tag and the length behind it.
 * @returns the length in bytes, or undefined when the bytes end inside the header
 * @throws MalformedError for another tag or a length above `limit`
 */
export function headerLength(r: Reader, tag: number, limit: number): number | undefined {
  if (r.remaining < 2) return undefined;
  if (r.u8('tag') !== tag) r.fail('not an LDAPMessage');
  const first = r.u8('length');
  if (first < 0x80) return first;
  const count = first & 0x7f;
  if (count < 1 || count > 4) r.fail(`length in ${count} bytes`);
  if (r.remaining < count) return undefined;
  let length = 0;
  for (let i = 0; i < count; i++) length = length * 256 + r.u8('length');
  if (length > limit) r.fail(`a message of ${length} bytes`);
  return length;
}

/** A whole element, whatever its tag. @throws MalformedError when the bytes end inside it */
export function anyElement(r: Reader): [tag: number, value: Uint8Array] {
  const tag = r.u8('tag');
  r.offset--;
  const length = headerLength(r, tag, r.remaining) ?? r.fail('ends inside an element');
  return [tag, r.bytes(length, 'element')];
}

/** A whole element of one tag. @throws MalformedError */
export function element(r: Reader, tag: number): Uint8Array {
  const [found, value] = anyElement(r);
  return found === tag ? value : r.fail(`element 0x${found.toString(16)} where 0x${tag.toString(16)} is due`);
}

/** INTEGER or ENUMERATED of up to four bytes. @throws MalformedError */
export function number(value: Uint8Array): number {
  if (value.length < 1 || value.length > 4) throw new MalformedError('LDAP', `number of ${value.length} bytes`);
  return value.reduce((n, byte) => n * 256 + byte, 0);
}
