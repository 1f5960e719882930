/**
 * The "checksum" of type 0x8003 in a GSS authenticator (RFC 4121 4.1.1), which is none: it carries channel bindings,
 * the flags asked for, and a delegated credential. Little endian.
 */
import { Reader, Writer } from '../../bytes.ts';
import { AdError } from '../../errors.ts';

/** Context flags, RFC 4121 4.1.1.1. */
export const gssFlag = { DELEG: 1, MUTUAL: 2, REPLAY: 4, SEQUENCE: 8, CONF: 16, INTEG: 32 } as const;

export interface GssChecksum {
  readonly flags: number;
  /** MD5 of the channel bindings, 16 bytes; undefined where the initiator gave none. */
  readonly bindings: Uint8Array | undefined;
  /** DER of the KRB-CRED with the forwarded ticket. */
  readonly delegation: Uint8Array | undefined;
}

const BINDINGS_BYTES = 16;
/** DlgOpt, RFC 4121 4.1.1: "the delegation option identifier (=1)". */
const DELEGATION_OPTION = 1;

/** @throws AdError INVALID_ARGUMENT for a KRB-CRED that its length does not fit */
export function encodeGssChecksum({ flags, bindings, delegation }: GssChecksum): Uint8Array {
  if (delegation && delegation.length > 0xffff)
    throw new AdError('INVALID_ARGUMENT', `a KRB-CRED of ${delegation.length} bytes cannot be delegated`);
  const w = new Writer({ littleEndian: true, capacity: 28 + (delegation?.length ?? 0) });
  w.u32(BINDINGS_BYTES);
  w.bytes(bindings ?? new Uint8Array(BINDINGS_BYTES));
  w.u32(flags);
  if (delegation) w.u16(DELEGATION_OPTION).u16(delegation.length).bytes(delegation);
  return w.finish();
}

/** @returns views of `bytes` @throws MalformedError when the structure is not that of RFC 4121 4.1.1 */
export function decodeGssChecksum(bytes: Uint8Array): GssChecksum {
  const r = new Reader(bytes, 'GSS checksum', { littleEndian: true });
  const length = r.u32('Lgth');
  if (length !== BINDINGS_BYTES) r.fail(`channel bindings of ${length} bytes`);
  const bound = r.bytes(BINDINGS_BYTES, 'Bnd');
  const flags = r.u32('Flags');
  let delegation: Uint8Array | undefined;
  if (flags & gssFlag.DELEG) {
    const option = r.u16('DlgOpt');
    if (option !== DELEGATION_OPTION) r.fail(`delegation option ${option}`);
    delegation = r.bytes(r.u16('Dlgth'), 'Deleg');
  }
  // What follows are extensions (RFC 4121 4.1.1, Exts), of which none is known here.
  return { flags, bindings: bound.some((b) => b !== 0) ? bound : undefined, delegation };
}
