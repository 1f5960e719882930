/** Security identifiers (MS-DTYP 2.4.2): who somebody is, in Active Directory. */
import type { Reader } from '../../bytes.ts';

/** MS-DTYP 2.4.2.1: "SID_MAX_SUB_AUTHORITIES 15". */
const MAX_SUB_AUTHORITIES = 15;

/**
 * The next security identifier as text: `S-1-5-21-1-2-3-1105`.
 * @param count sub-authorities it must have, where something before told so
 * @throws MalformedError
 */
export function readSid(r: Reader, count?: number): string {
  if (r.u8('SID revision') !== 1) r.fail('SID of a revision other than 1');
  const parts = r.u8('SID count');
  if (parts > MAX_SUB_AUTHORITIES) r.fail(`SID with ${parts} sub-authorities`);
  if (count !== undefined && parts !== count) r.fail(`SID with ${parts} sub-authorities where ${count} were announced`);
  let authority = 0;
  for (const byte of r.bytes(6, 'SID authority')) authority = authority * 256 + byte;
  // MS-DTYP 2.4.2.1: an authority of 2^32 and more is written in hexadecimal.
  const shown = authority < 2 ** 32 ? `${authority}` : `0x${authority.toString(16).padStart(12, '0')}`;
  let text = `S-1-${shown}`;
  for (let i = 0; i < parts; i++) text += `-${r.u32('SID sub-authority')}`;
  return text;
}
