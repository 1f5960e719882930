/** Frames of GSS-API tokens (RFC 2743 3.1) and the mechanisms named in them. */
import { concat, equal, fromHex, Reader } from '../../bytes.ts';
import { MalformedError } from '../../errors.ts';

/** Object identifiers of the mechanisms spoken here. */
export const mechanism = {
  /** RFC 4121. */
  KRB5: '1.2.840.113554.1.2.2',
  /** The same mechanism by a slip of Windows 2000, "113554 is 0x1bb92, truncated to 16 bits": MS-SPNG 3.1.5.2. */
  MS_KRB5: '1.2.840.48018.1.2.2',
  /** RFC 4178. */
  SPNEGO: '1.3.6.1.5.5.2',
} as const;

/** The same as DER, tag and length included. */
export const mechanismDer = {
  KRB5: fromHex('06092a864886f712010202'),
  SPNEGO: fromHex('06062b0601050502'),
} as const;

export const gssTokenId = { AP_REQ: 0x0100, AP_REP: 0x0200, ERROR: 0x0300 } as const;

/** Tag 60, length, mechanism, body. */
export function frameMechanism(der: Uint8Array, body: Uint8Array): Uint8Array {
  const n = der.length + body.length;
  const length =
    n < 0x80
      ? [n]
      : n < 0x100
        ? [0x81, n]
        : n < 0x10000
          ? [0x82, n >> 8, n & 0xff]
          : [0x83, n >> 16, (n >> 8) & 0xff, n & 0xff];
  return concat(Uint8Array.of(0x60, ...length), der, body);
}

/**
 * Takes the frame off.
 * @returns the mechanism's DER and what follows it, views both
 * @throws MalformedError when `token` is not one framed token that fills it
 */
export function unframeMechanism(token: Uint8Array): { mechanism: Uint8Array; body: Uint8Array } {
  const r = new Reader(token, 'GSS token');
  if (r.u8('tag') !== 0x60) r.fail('not an initial context token');
  const first = r.u8('length');
  let length = first;
  if (first >= 0x80) {
    const bytes = first & 0x7f;
    if (bytes < 1 || bytes > 3) r.fail(`length in ${bytes} bytes`);
    length = 0;
    for (let i = 0; i < bytes; i++) length = length * 256 + r.u8('length');
  }
  if (length !== r.remaining) r.fail(`length ${length}, but ${r.remaining} bytes follow`);
  const start = r.offset;
  if (r.u8('mechanism') !== 0x06) r.fail('no mechanism');
  const oidBytes = r.u8('mechanism');
  if (oidBytes < 1 || oidBytes > 0x7f) r.fail(`mechanism of ${oidBytes} bytes`);
  r.bytes(oidBytes, 'mechanism');
  return { mechanism: token.subarray(start, r.offset), body: r.bytes(r.remaining) };
}

/** Frames an inner token of Kerberos: mechanism, TOK_ID, token (RFC 4121 4.1). */
export function frameToken(tokId: number, inner: Uint8Array): Uint8Array {
  return frameMechanism(mechanismDer.KRB5, concat(Uint8Array.of(tokId >> 8, tokId & 0xff), inner));
}

/** Takes the frame off. @throws MalformedError when it is not a token of Kerberos that fills `token` exactly */
export function unframeToken(token: Uint8Array): { tokId: number; inner: Uint8Array } {
  const { mechanism, body } = unframeMechanism(token);
  if (!equal(mechanism, mechanismDer.KRB5)) throw new MalformedError('GSS token', 'another mechanism than Kerberos');
  const r = new Reader(body, 'GSS token');
  return { tokId: r.u16('TOK_ID'), inner: r.bytes(r.remaining) };
}
