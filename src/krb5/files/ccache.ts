/**
 * The credential cache file (MIT krb5 documentation, "Credential cache file format"): versions 1 to 4 are read,
 * version 4 is written, byte for byte as MIT writes it. Versions 1 and 2 use the byte order of the machine that wrote
 * them. A file holds keys, so whoever reads one wipes it.
 */
import { endianness } from 'node:os';
import { copy, Reader, utf8, Writer, wipe } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import type { Credentials } from '../credentials.ts';
import type { Principal } from '../principal.ts';
import { fromSeconds, optionalFromSeconds, toSeconds } from './fields.ts';

/** What a ticket cache holds. */
export interface CCache {
  /** The version read; always 4 in what `writeCCache` writes. */
  version?: 1 | 2 | 3 | 4;
  /** The default principal: whose cache this is. */
  principal: Principal;
  /** KDC time minus local time when the cache was made (version 4 header, tag DeltaTime). */
  kdcOffset?: { seconds: number; microseconds: number };
  /** In the file's order, configuration entries (see ccache-config.ts) among them. */
  credentials: Credentials[];
}

const FORMAT = 'ccache';
const FIRST_BYTE = 5;
/** Header field tag of the KDC time offset; the only one ever assigned. */
const DELTA_TIME = 1;
/** Name type given to principals of version 1, which stores none: NT-UNKNOWN. */
const NO_NAME_TYPE = 0;

type Version = 1 | 2 | 3 | 4;

/**
 * Reads a whole cache file.
 * @param native byte order of the machine that wrote it, if that is not this one: it matters for versions 1 and 2 only
 * @returns copies: nothing in the result shares memory with `bytes`
 * @throws MalformedError when the structure is not that of versions 1 to 4, to the last byte
 */
export function readCCache(bytes: Uint8Array, native: 'LE' | 'BE' = endianness()): CCache {
  const head: Reader = new Reader(bytes, FORMAT);
  if (head.u8('format byte') !== FIRST_BYTE) head.fail('does not begin with byte 5');
  const version = head.u8('version');
  if (version !== 1 && version !== 2 && version !== 3 && version !== 4) head.fail(`version ${version} is unknown`);
  const reader = new Reader(bytes, FORMAT, { offset: 2, littleEndian: version <= 2 && native === 'LE' });
  const kdcOffset = version === 4 ? readHeader(reader) : undefined;
  const principal = readPrincipal(reader, version);
  const credentials: Credentials[] = [];
  try {
    while (reader.remaining > 0) credentials.push(readCredentials(reader, version));
  } catch (e) {
    for (const done of credentials) wipe(done.key.value);
    throw e;
  }
  return { version, principal, ...(kdcOffset && { kdcOffset }), credentials };
}

/** Version 4: u16 length of all fields, then u16 tag, u16 length, value each. Unknown tags are for others. */
function readHeader(reader: Reader): CCache['kdcOffset'] {
  const header = new Reader(reader.bytes(reader.u16('header length'), 'header'), FORMAT);
  let kdcOffset: CCache['kdcOffset'];
  while (header.remaining > 0) {
    const tag = header.u16('header tag');
    const value = new Reader(header.bytes(header.u16('header field length'), 'header field'), FORMAT);
    if (tag !== DELTA_TIME) continue;
    kdcOffset = { seconds: value.i32('offset seconds'), microseconds: value.i32('offset microseconds') };
    value.end();
  }
  return kdcOffset;
}

function readPrincipal(reader: Reader, version: Version): Principal {
  const nameType = version === 1 ? NO_NAME_TYPE : reader.i32('name type');
  let count = reader.u32('component count');
  // Version 1 counts the realm among the components.
  if (version === 1) {
    if (count === 0) reader.fail('principal without a realm');
    count--;
  }
  const realm = reader.utf8(reader.u32('realm length'), 'realm');
  atMost(reader, count, 4, 'components');
  const components: string[] = [];
  for (let i = 0; i < count; i++) components.push(reader.utf8(reader.u32('component length'), 'component'));
  return { nameType, components, realm };
}

/** Refuses a count that the bytes left cannot hold, before anything is allocated for it. */
function atMost(reader: Reader, count: number, eachAtLeast: number, what: string): void {
  if (count * eachAtLeast > reader.remaining) {
    reader.fail(`${count} ${what} do not fit into ${reader.remaining} bytes`);
  }
}

function readCredentials(reader: Reader, version: Version): Credentials {
  const client = readPrincipal(reader, version);
  const server = readPrincipal(reader, version);
  const keyType = reader.i16('key type');
  // Version 3 writes the key type twice.
  if (version === 3) reader.u16('second key type');
  const keyValue = copy(reader.bytes(reader.u32('key length'), 'key'));
  try {
    const [authtime, starttime, endtime, renewTill] = [reader.u32(), reader.u32(), reader.u32(), reader.u32('times')];
    const isSkey = reader.u8('is_skey') !== 0;
    const flags = reader.u32('flags');
    const addresses = readList(reader, 'addresses').map(([addrType, address]) => ({ addrType, address }));
    const authorizationData = readList(reader, 'authdata').map(([adType, adData]) => ({ adType, adData }));
    const start = optionalFromSeconds(starttime!);
    const renew = optionalFromSeconds(renewTill!);
    return {
      client,
      server,
      key: { etype: keyType, value: keyValue },
      authtime: fromSeconds(authtime!),
      ...(start && { starttime: start }),
      endtime: fromSeconds(endtime!),
      ...(renew && { renewTill: renew }),
      flags,
      isSkey,
      addresses,
      authorizationData,
      ticket: copy(reader.bytes(reader.u32('ticket length'), 'ticket')),
      secondTicket: copy(reader.bytes(reader.u32('second ticket length'), 'second ticket')),
    };
  } catch (e) {
    wipe(keyValue);
    throw e;
  }
}

/** u32 count, then i16 type, u32 length, value each: addresses and authorization data alike. */
function readList(reader: Reader, what: string): [type: number, value: Uint8Array][] {
  const count = reader.u32(`${what} count`);
  atMost(reader, count, 6, what);
  const list: [number, Uint8Array][] = [];
  for (let i = 0; i < count; i++) {
    const type = reader.i16(`${what} type`);
    list.push([type, copy(reader.bytes(reader.u32(`${what} length`), what))]);
  }
  return list;
}

/**
 * Writes a version 4 file; with `kdcOffset` its header holds DeltaTime as MIT's does, else it is empty.
 * @throws AdError INVALID_ARGUMENT when a time lies before 1970 or a type does not fit its 16 bits
 */
export function writeCCache(cache: CCache): Uint8Array {
  const w = new Writer({ capacity: 4096 });
  w.u8(FIRST_BYTE).u8(4);
  if (cache.kdcOffset) {
    w.u16(12).u16(DELTA_TIME).u16(8).i32(cache.kdcOffset.seconds).i32(cache.kdcOffset.microseconds);
  } else w.u16(0);
  writePrincipal(w, cache.principal);
  for (const c of cache.credentials) {
    writePrincipal(w, c.client);
    writePrincipal(w, c.server);
    w.u16(sixteenBits(c.key.etype, 'key type'));
    counted(w, c.key.value);
    w.u32(toSeconds(c.authtime, 'authtime'));
    w.u32(toSeconds(c.starttime, 'starttime'));
    w.u32(toSeconds(c.endtime, 'endtime'));
    w.u32(toSeconds(c.renewTill, 'renewTill'));
    w.u8(c.isSkey ? 1 : 0).u32(c.flags >>> 0);
    w.u32(c.addresses.length);
    for (const a of c.addresses) counted(w.u16(sixteenBits(a.addrType, 'address type')), a.address);
    w.u32(c.authorizationData.length);
    for (const a of c.authorizationData) counted(w.u16(sixteenBits(a.adType, 'authdata type')), a.adData);
    counted(w, c.ticket);
    counted(w, c.secondTicket);
  }
  return w.finish();
}

function writePrincipal(w: Writer, p: Principal): void {
  w.i32(p.nameType).u32(p.components.length);
  for (const text of [p.realm, ...p.components]) counted(w, utf8(text));
}

function counted(w: Writer, value: Uint8Array): void {
  w.u32(value.length).bytes(value);
}

function sixteenBits(value: number, what: string): number {
  if (value < -0x8000 || value > 0x7fff) {
    throw new AdError('INVALID_ARGUMENT', `ccache: ${what} ${value} does not fit into 16 bits`, { value });
  }
  return value & 0xffff;
}
