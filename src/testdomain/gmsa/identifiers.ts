/** Security identifiers (MS-DTYP 2.4.2) and GUIDs (MS-DTYP 2.3.4) between text and bytes. */
import { hex } from '../../bytes.ts';
import { AdError } from '../../errors.ts';

/** Binary form of `S-1-5-21-…`: revision, count, 48-bit big-endian authority, then little-endian 32-bit parts. */
export function sidToBytes(text: string): Uint8Array {
  const match = /^S-1-(\d+)((?:-\d+){1,15})$/.exec(text);
  if (match === null) throw new AdError('INVALID_ARGUMENT', `not a security identifier: ${text}`);
  const parts = match[2]!.slice(1).split('-').map(Number);
  const out = new Uint8Array(8 + 4 * parts.length);
  const view = new DataView(out.buffer);
  out[0] = 1;
  out[1] = parts.length;
  view.setUint32(4, Number(match[1]));
  for (const [i, part] of parts.entries()) view.setUint32(8 + 4 * i, part, true);
  return out;
}

/** The 16 bytes of a GUID, its first three groups little endian. */
export function guidToBytes(text: string): Uint8Array {
  const digits = text.replaceAll('-', '');
  if (!/^[0-9a-fA-F]{32}$/.test(digits)) throw new AdError('INVALID_ARGUMENT', `not a GUID: ${text}`);
  const big = Buffer.from(digits, 'hex');
  return new Uint8Array([
    ...big.subarray(0, 4).reverse(),
    ...big.subarray(4, 6).reverse(),
    ...big.subarray(6, 8).reverse(),
    ...big.subarray(8),
  ]);
}

/** Text of a GUID's 16 bytes. */
export function guidToText(bytes: Uint8Array): string {
  const swap = (from: number, to: number): string => hex(bytes.slice(from, to).reverse());
  return `${swap(0, 4)}-${swap(4, 6)}-${swap(6, 8)}-${hex(bytes.subarray(8, 10))}-${hex(bytes.subarray(10, 16))}`;
}
