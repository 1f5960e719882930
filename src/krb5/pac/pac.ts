/**
 * The privilege attribute certificate that Active Directory puts into tickets (MS-PAC): its directory of buffers and the
 * small ones among them. Reading proves nothing: `verifyPac` does.
 */
import { Reader } from '../../bytes.ts';
import { profileOfChecksum } from './checksums.ts';
import { type DelegationInfo, parseDelegationInfo } from './delegation-info.ts';
import { type LogonInfo, type Membership, parseLogonInfo } from './logon-info.ts';
import { fromFileTime, utf16 } from './ndr.ts';
import { readSid } from './sid.ts';

/** ulType, MS-PAC 2.4. */
export const pacBuffer = {
  LOGON_INFO: 1,
  CREDENTIALS: 2,
  SERVER_CHECKSUM: 6,
  KDC_CHECKSUM: 7,
  CLIENT_INFO: 10,
  DELEGATION_INFO: 11,
  UPN_DNS_INFO: 12,
  CLIENT_CLAIMS: 13,
  DEVICE_INFO: 14,
  DEVICE_CLAIMS: 15,
  TICKET_CHECKSUM: 16,
  ATTRIBUTES: 17,
  REQUESTOR: 18,
  FULL_CHECKSUM: 19,
} as const;

/** PAC_SIGNATURE_DATA (MS-PAC 2.8). */
export interface PacSignature {
  /** Of the registry `cksumType`. */
  readonly type: number;
  readonly signature: Uint8Array;
  /** Number of the read-only controller that signed; undefined for the others. */
  readonly rodc: number | undefined;
}

/** UPN_DNS_INFO (MS-PAC 2.10). */
export interface UpnDnsInfo {
  readonly upn: string;
  /** False: the account has a UPN of its own; true: it was made of account and domain names. */
  readonly constructed: boolean;
  /** The realm in DNS' form. */
  readonly dnsDomain: string;
  readonly samName: string | undefined;
  readonly sid: string | undefined;
}

/** PAC_CLIENT_INFO (MS-PAC 2.7). */
export interface ClientInfo {
  /** The ticket's authtime. */
  readonly authtime: Date | undefined;
  /** The client's name without the realm. */
  readonly name: string;
}

/** A privilege attribute certificate taken apart; `verifyPac` says whether to believe it. */
export interface Pac {
  /** The exact bytes. */
  readonly bytes: Uint8Array;
  /** Every buffer by its type, views of `bytes`. */
  readonly buffers: ReadonlyMap<number, Uint8Array>;
  /** Absent in PACs of MIT's KDC. */
  readonly logon: LogonInfo | undefined;
  readonly upn: UpnDnsInfo | undefined;
  readonly client: ClientInfo | undefined;
  /** Where the ticket came by constrained delegation (S4U2Proxy). */
  readonly delegation: DelegationInfo | undefined;
  /** SID of the account that asked for the ticket-granting ticket (MS-PAC 2.14); in such tickets only. */
  readonly requestorSid: string | undefined;
  /** PAC_ATTRIBUTES_INFO (MS-PAC 2.13): 1 the PAC was asked for, 2 it was given unasked. */
  readonly attributes: number | undefined;
  readonly serverSignature: PacSignature | undefined;
  readonly kdcSignature: PacSignature | undefined;
  /** Over the whole ticket, by the KDC's key (MS-PAC 2.8.3). */
  readonly ticketSignature: PacSignature | undefined;
  /** Over the whole PAC, by the KDC's key (MS-PAC 2.8.4). */
  readonly fullSignature: PacSignature | undefined;
}

const FORMAT = 'PAC';
/** Nineteen kinds are known. */
const MAX_BUFFERS = 64;
const ENTRY_BYTES = 16;

/** @throws MalformedError when the structure is not that of MS-PAC; unknown buffers are kept unread */
export function parsePac(bytes: Uint8Array): Pac {
  const buffers = directory(bytes);
  const read = <T>(type: number, parse: (buffer: Uint8Array) => T): T | undefined => {
    const buffer = buffers.get(type);
    return buffer && parse(buffer);
  };
  return {
    bytes,
    buffers,
    logon: read(pacBuffer.LOGON_INFO, parseLogonInfo),
    upn: read(pacBuffer.UPN_DNS_INFO, parseUpnDnsInfo),
    client: read(pacBuffer.CLIENT_INFO, parseClientInfo),
    delegation: read(pacBuffer.DELEGATION_INFO, parseDelegationInfo),
    requestorSid: read(pacBuffer.REQUESTOR, parseRequestor),
    attributes: read(pacBuffer.ATTRIBUTES, parseAttributes),
    serverSignature: read(pacBuffer.SERVER_CHECKSUM, parseSignature),
    kdcSignature: read(pacBuffer.KDC_CHECKSUM, parseSignature),
    ticketSignature: read(pacBuffer.TICKET_CHECKSUM, parseSignature),
    fullSignature: read(pacBuffer.FULL_CHECKSUM, parseSignature),
  };
}

/** PACTYPE (MS-PAC 2.3). */
function directory(bytes: Uint8Array): Map<number, Uint8Array> {
  const r = new Reader(bytes, FORMAT, { littleEndian: true });
  const count = r.u32('cBuffers');
  // "Version (4 bytes): ... MUST be 0x00000000."
  if (r.u32('Version') !== 0) r.fail('a version other than 0');
  if (count < 1 || count > MAX_BUFFERS) r.fail(`${count} buffers`);
  const start = r.offset + count * ENTRY_BYTES;
  const buffers = new Map<number, Uint8Array>();
  for (let i = 0; i < count; i++) {
    const type = r.u32('ulType');
    const size = r.u32('cbBufferSize');
    const offset = r.u64('Offset');
    if (offset < BigInt(start) || offset + BigInt(size) > BigInt(bytes.length))
      r.fail(`buffer of type ${type} lies outside: ${size} bytes from ${offset} of ${bytes.length}`);
    // MS-PAC 2.3: "the Offset field ... MUST be a multiple of eight".
    if (offset % 8n !== 0n) r.fail(`buffer of type ${type} begins at ${offset}`);
    if (buffers.has(type)) r.fail(`two buffers of type ${type}`);
    buffers.set(type, bytes.subarray(Number(offset), Number(offset) + size));
  }
  return buffers;
}

function reader(buffer: Uint8Array, format: string): Reader {
  return new Reader(buffer, format, { littleEndian: true });
}

function parseClientInfo(buffer: Uint8Array): ClientInfo {
  const r = reader(buffer, 'PAC_CLIENT_INFO');
  const authtime = fromFileTime(r.u64('ClientId'));
  const length = r.u16('NameLength');
  if (length % 2 !== 0) r.fail(`a name of ${length} bytes`);
  return { authtime, name: utf16(r.bytes(length, 'Name')) };
}

const UPN_CONSTRUCTED = 1;
const UPN_EXTENDED = 2;

function parseUpnDnsInfo(buffer: Uint8Array): UpnDnsInfo {
  const r = reader(buffer, 'UPN_DNS_INFO');
  const place = (what: string) => {
    const length = r.u16(what);
    return { length, offset: r.u16(what), what };
  };
  const slice = ({ length, offset, what }: ReturnType<typeof place>): Reader => {
    if (offset + length > buffer.length) r.fail(`${what} lies outside`);
    return reader(buffer.subarray(offset, offset + length), 'UPN_DNS_INFO');
  };
  const text = (at: ReturnType<typeof place>): string => {
    if (at.length % 2 !== 0) r.fail(`${at.what} of ${at.length} bytes`);
    return utf16(slice(at).bytes(at.length));
  };
  const upn = place('Upn');
  const dnsDomain = place('DnsDomainName');
  const flags = r.u32('Flags');
  const extended = (flags & UPN_EXTENDED) !== 0;
  const samName = extended ? place('SamName') : undefined;
  const sid = extended ? place('Sid') : undefined;
  return {
    upn: text(upn),
    constructed: (flags & UPN_CONSTRUCTED) !== 0,
    dnsDomain: text(dnsDomain),
    samName: samName && text(samName),
    sid: sid && wholeSid(slice(sid)),
  };
}

function parseRequestor(buffer: Uint8Array): string {
  return wholeSid(reader(buffer, 'PAC_REQUESTOR'));
}

function wholeSid(r: Reader): string {
  const sid = readSid(r);
  r.end();
  return sid;
}

function parseAttributes(buffer: Uint8Array): number {
  const r = reader(buffer, 'PAC_ATTRIBUTES_INFO');
  const bits = r.u32('FlagsLength');
  // Two bits are defined, in one word.
  return bits === 0 ? 0 : r.u32('Flags');
}

function parseSignature(buffer: Uint8Array): PacSignature {
  const r = reader(buffer, 'PAC_SIGNATURE_DATA');
  const type = r.i32('SignatureType');
  const length = profileOfChecksum(type)?.cksumBytes;
  // Of an unknown kind the end cannot be told; nobody will verify it either.
  if (length === undefined) return { type, signature: r.bytes(r.remaining), rodc: undefined };
  const signature = r.bytes(length, 'Signature');
  return { type, signature, rodc: r.remaining >= 2 ? r.u16('RODCIdentifier') : undefined };
}

/** SE_GROUP_ENABLED and SE_GROUP_USE_FOR_DENY_ONLY (MS-PAC 2.2.1). */
const ENABLED = 0x4;
const DENY_ONLY = 0x10;

/**
 * The groups to decide by, each once: primary, of the domain, of other domains, of the service's domain; without those
 * that are not enabled or may only be used to deny.
 */
export function groupSids(logon: LogonInfo): string[] {
  const counts = ({ attributes }: Membership): boolean =>
    (attributes & ENABLED) !== 0 && (attributes & DENY_ONLY) === 0;
  const all = [...logon.groups, ...logon.extraSids, ...logon.resourceGroups].filter(counts).map(({ sid }) => sid);
  return [...new Set([logon.primaryGroupSid, ...all])];
}
