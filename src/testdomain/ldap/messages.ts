/** LDAP messages (RFC 4511 4) as a server meets them: requests decoded, responses encoded, over ldapts' BER. */
import { Ber, BerReader } from 'ldapts';
import { MalformedError, messageOf } from '../../errors.ts';
import { enter, fail, integer, must, octets, readOctets, readText, tlv } from './ber.ts';
import { type Filter, readFilter } from './filter.ts';

export interface Control {
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Buffer | undefined;
}
export interface SearchRequest {
  readonly op: 'search';
  readonly base: string;
  /** 0 base, 1 one level, 2 subtree. */
  readonly scope: number;
  readonly sizeLimit: number;
  readonly typesOnly: boolean;
  readonly filter: Filter;
  readonly attributes: readonly string[];
}
export interface BindRequest {
  readonly op: 'bind';
  readonly version: number;
  readonly name: string;
  readonly simple?: Buffer;
  readonly sasl?: { readonly mechanism: string; readonly credentials: Buffer | undefined };
}
export type Operation =
  | BindRequest
  | SearchRequest
  | { readonly op: 'unbind' }
  | { readonly op: 'abandon' }
  | { readonly op: 'extended'; readonly oid: string }
  | { readonly op: 'other'; readonly tag: number };
export interface Request {
  readonly id: number;
  readonly operation: Operation;
  readonly controls: readonly Control[];
}

/** Response tags, RFC 4511 appendix B. */
export const responseTag = {
  bind: 0x61,
  searchEntry: 0x64,
  searchDone: 0x65,
  searchReference: 0x73,
  extended: 0x78,
} as const;
/** Result codes this server gives, RFC 4511 A.1. */
export const resultCode = {
  success: 0,
  operationsError: 1,
  protocolError: 2,
  sizeLimitExceeded: 4,
  authMethodNotSupported: 7,
  unavailableCriticalExtension: 12,
  saslBindInProgress: 14,
  noSuchObject: 32,
  invalidCredentials: 49,
  unavailable: 52,
  unwillingToPerform: 53,
} as const;

const SEQUENCE = 0x30;
const SET = 0x31;
const MAX_MESSAGE = 10 * 1024 * 1024;

/**
 * Length of the LDAPMessage at the start of `bytes`, or undefined while it is incomplete.
 * @throws MalformedError when it is none, or longer than 10 MiB
 */
export function messageLength(bytes: Buffer): number | undefined {
  if (bytes.length < 2) return undefined;
  if (bytes[0] !== 0x30) fail(`message begins with 0x${bytes[0]!.toString(16)}`);
  const reader = new BerReader(bytes);
  try {
    if (reader.readSequence() === null) return undefined;
  } catch (e) {
    fail(messageOf(e));
  }
  if (reader.length < 0 || reader.length > MAX_MESSAGE) fail(`message of ${reader.length} bytes`);
  const length = reader.offset + reader.length;
  return length <= bytes.length ? length : undefined;
}

/** @throws MalformedError */
export function readRequest(bytes: Buffer): Request {
  try {
    const message = enter(new BerReader(bytes), 0x30, 'message');
    const id = must(message.readInt(), 'message id');
    const operation = readOperation(message);
    const controls = message.peek() === 0xa0 ? readControls(enter(message, 0xa0, 'controls')) : [];
    return { id, operation, controls };
  } catch (e) {
    if (e instanceof MalformedError) throw e;
    return fail(messageOf(e));
  }
}

function readOperation(message: BerReader): Operation {
  const tag = must(message.peek(), 'operation');
  switch (tag) {
    case 0x60:
      return readBind(enter(message, tag, 'bind'));
    case 0x42:
      return { op: 'unbind' };
    case 0x63:
      return readSearch(enter(message, tag, 'search'));
    case 0x50:
      return { op: 'abandon' };
    case 0x77:
      return { op: 'extended', oid: readText(enter(message, tag, 'extended'), 'oid', 0x80) };
    default:
      enter(message, tag, 'operation');
      return { op: 'other', tag };
  }
}

function readBind(r: BerReader): BindRequest {
  const version = must(r.readInt(), 'version');
  const name = readText(r, 'name');
  if (r.peek() === 0x80) return { op: 'bind', version, name, simple: readOctets(r, 'password', 0x80) };
  const sasl = enter(r, 0xa3, 'sasl');
  const mechanism = readText(sasl, 'mechanism');
  const credentials = sasl.remain > 0 ? readOctets(sasl, 'credentials') : undefined;
  return { op: 'bind', version, name, sasl: { mechanism, credentials } };
}

function readSearch(r: BerReader): SearchRequest {
  const base = readText(r, 'base');
  const scope = must(r.readEnumeration(), 'scope');
  must(r.readEnumeration(), 'derefAliases');
  const sizeLimit = must(r.readInt(), 'sizeLimit');
  must(r.readInt(), 'timeLimit');
  const typesOnly = must(r.readBoolean(), 'typesOnly');
  const filter = readFilter(r);
  const list = enter(r, 0x30, 'attributes');
  const attributes: string[] = [];
  while (list.remain > 0) attributes.push(readText(list, 'attribute'));
  return { op: 'search', base, scope, sizeLimit, typesOnly, filter, attributes };
}

function readControls(r: BerReader): Control[] {
  const controls: Control[] = [];
  while (r.remain > 0) {
    const c = enter(r, 0x30, 'control');
    const oid = readText(c, 'control type');
    const critical = c.peek() === Ber.Boolean ? must(c.readBoolean(), 'criticality') : false;
    const value = c.peek() === Ber.OctetString ? readOctets(c, 'control value') : undefined;
    controls.push({ oid, critical, value });
  }
  return controls;
}

/** One LDAPMessage: `body` is the inside of the protocol operation. */
export function writeMessage(
  id: number,
  tag: number,
  body: readonly Uint8Array[],
  controls: readonly Control[] = [],
): Buffer {
  const written = controls.map(({ oid, critical, value }) =>
    tlv(
      SEQUENCE,
      octets(oid),
      ...(critical ? [tlv(Ber.Boolean, Buffer.of(0xff))] : []),
      ...(value ? [octets(value)] : []),
    ),
  );
  return tlv(SEQUENCE, integer(id), tlv(tag, ...body), ...(written.length > 0 ? [tlv(0xa0, ...written)] : []));
}

/** The components of an LDAPResult (RFC 4511 4.1.9). */
export function result(code: number, text = ''): Buffer[] {
  return [integer(code, Ber.Enumeration), octets(''), octets(text)];
}

export function bindResponse(id: number, code: number, text = '', credentials?: Uint8Array): Buffer {
  return writeMessage(id, responseTag.bind, [
    ...result(code, text),
    ...(credentials ? [octets(credentials, 0x87)] : []),
  ]);
}

export interface Attribute {
  readonly name: string;
  readonly values: readonly (string | Uint8Array)[];
}

export function searchEntry(id: number, dn: string, attributes: readonly Attribute[]): Buffer {
  const list = attributes.map(({ name, values }) =>
    tlv(SEQUENCE, octets(name), tlv(SET, ...values.map((v) => octets(v)))),
  );
  return writeMessage(id, responseTag.searchEntry, [octets(dn), tlv(SEQUENCE, ...list)]);
}
