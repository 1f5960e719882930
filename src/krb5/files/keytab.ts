/**
 * The keytab file (MIT krb5 documentation, "Keytab file format"): versions 1 and 2 are read, version 2 is written byte
 * for byte as MIT's ktutil writes it. Version 1 used its machine's byte order. A keytab is a secret; whoever reads one
 * wipes its keys.
 */
import { endianness } from 'node:os';
import { copy, Reader, utf8, Writer, wipe } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import { type Principal, samePrincipal } from '../principal.ts';
import { fromSeconds, toSeconds } from './fields.ts';

/** One key of a keytab. `key.value` is a secret. */
export interface KeytabEntry {
  principal: Principal;
  /** When the entry was made. */
  timestamp: Date;
  kvno: number;
  key: { etype: number; value: Uint8Array };
}

const FORMAT = 'keytab';
const FIRST_BYTE = 5;
/** Name type given to principals of version 1, which stores none: NT-PRINCIPAL, as MIT does. */
const DEFAULT_NAME_TYPE = 1;

/**
 * Reads a whole keytab; deleted entries are left out.
 * @param native byte order of the machine that wrote it, if that is not this one: it matters for version 1 only
 * @returns copies: nothing in the result shares memory with `bytes`
 * @throws MalformedError when the structure is not that of version 1 or 2
 */
export function readKeytab(bytes: Uint8Array, native: 'LE' | 'BE' = endianness()): KeytabEntry[] {
  const head: Reader = new Reader(bytes, FORMAT);
  if (head.u8('format byte') !== FIRST_BYTE) head.fail('does not begin with byte 5');
  const version = head.u8('version');
  if (version !== 1 && version !== 2) head.fail(`version ${version} is unknown`);
  const littleEndian = version === 1 && native === 'LE';
  const reader = new Reader(bytes, FORMAT, { offset: 2, littleEndian });
  const entries: KeytabEntry[] = [];
  try {
    while (reader.remaining > 0) {
      const size = reader.i32('entry size');
      // "A length of zero ends the file": what follows was given up by a writer that could not cut the file short.
      if (size === 0) break;
      // "A negative length is a hole": a deleted entry, zeroed, of that many bytes.
      if (size < 0) reader.bytes(-size, 'hole');
      else entries.push(readEntry(reader.bytes(size, 'entry'), version, littleEndian));
    }
  } catch (e) {
    for (const done of entries) wipe(done.key.value);
    throw e;
  }
  return entries;
}

function readEntry(body: Uint8Array, version: 1 | 2, littleEndian: boolean): KeytabEntry {
  const reader = new Reader(body, FORMAT, { littleEndian });
  let count = reader.u16('component count');
  // Version 1 counts the realm among the components.
  if (version === 1) {
    if (count === 0) reader.fail('principal without a realm');
    count--;
  }
  const realm = reader.utf8(reader.u16('realm length'), 'realm');
  if (count * 2 > reader.remaining) reader.fail(`${count} components do not fit into ${reader.remaining} bytes`);
  const components: string[] = [];
  for (let i = 0; i < count; i++) components.push(reader.utf8(reader.u16('component length'), 'component'));
  const nameType = version === 1 ? DEFAULT_NAME_TYPE : reader.i32('name type');
  const timestamp = fromSeconds(reader.u32('timestamp'));
  let kvno = reader.u8('kvno');
  const etype = reader.i16('key type');
  const value = reader.bytes(reader.u16('key length'), 'key');
  // A 32-bit kvno follows "if the record length leaves at least 4 bytes"; zero there means that it is not meant. What
  // still follows belongs to a deleted, longer entry whose place this one took, or to a later format.
  if (reader.remaining >= 4) kvno = reader.u32('32-bit kvno') || kvno;
  return { principal: { nameType, components, realm }, timestamp, kvno, key: { etype, value: copy(value) } };
}

/**
 * Writes a version 2 file, each entry with its 32-bit kvno.
 * @throws AdError INVALID_ARGUMENT when a name or key exceeds 65535 bytes, a kvno 32 bits, a type 16 bits, or a
 *   timestamp lies before 1970
 */
export function writeKeytab(entries: readonly KeytabEntry[]): Uint8Array {
  const w = new Writer({ capacity: 1024 });
  w.u8(FIRST_BYTE).u8(2);
  for (const { principal, timestamp, kvno, key } of entries) {
    const sizeAt = w.length;
    w.u32(0);
    w.u16(inRange(principal.components.length, 0, 0xffff, 'component count'));
    for (const text of [principal.realm, ...principal.components]) counted(w, utf8(text), 'name');
    w.i32(principal.nameType);
    w.u32(toSeconds(timestamp, 'timestamp'));
    w.u8(inRange(kvno, 0, 0xffffffff, 'kvno') & 0xff);
    w.u16(inRange(key.etype, -0x8000, 0x7fff, 'key type') & 0xffff);
    counted(w, key.value, 'key');
    w.u32(kvno);
    w.patchU32(sizeAt, w.length - sizeAt - 4);
  }
  return w.finish();
}

function counted(w: Writer, value: Uint8Array, what: string): void {
  w.u16(inRange(value.length, 0, 0xffff, `${what} length`)).bytes(value);
}

function inRange(value: number, least: number, most: number, what: string): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new AdError('INVALID_ARGUMENT', `keytab: ${what} ${value} is not within ${least} and ${most}`, { field: what });
}

/**
 * The newest key of each encryption type that a keytab holds for a principal, highest kvno first and otherwise in the
 * file's order. Of two with one kvno the later timestamp wins. Keys of an older kvno than the first one's may be
 * stale: the account's last password change made no key of that type.
 */
export function findKeys(entries: readonly KeytabEntry[], principal: Principal): KeytabEntry[] {
  const newest = new Map<number, KeytabEntry>();
  for (const entry of entries) {
    if (!samePrincipal(entry.principal, principal)) continue;
    const known = newest.get(entry.key.etype);
    if (!known || isNewer(entry, known)) newest.set(entry.key.etype, entry);
  }
  return [...newest.values()].sort((a, b) => b.kvno - a.kvno);
}

function isNewer(a: KeytabEntry, b: KeytabEntry): boolean {
  return a.kvno !== b.kvno ? a.kvno > b.kvno : a.timestamp.getTime() > b.timestamp.getTime();
}

/** Active Directory cuts a computer's account name (before its "$") to the length of a NetBIOS name. */
const NETBIOS_NAME = 15;

/**
 * The computer account of a machine keytab: the entry `HOST$` of this host, its short name in upper case cut to 15
 * characters and compared without case, else the first `NAME$` there is.
 * @param hostName short or fully qualified
 */
export function machinePrincipal(entries: readonly KeytabEntry[], hostName: string): Principal | undefined {
  const own = `${hostName.split('.', 1)[0]!.toUpperCase().slice(0, NETBIOS_NAME)}$`;
  const machines = entries
    .map((entry) => entry.principal)
    .filter(({ components }) => components.length === 1 && components[0]!.length > 1 && components[0]!.endsWith('$'));
  return machines.find((p) => p.components[0]!.toUpperCase() === own) ?? machines[0];
}
