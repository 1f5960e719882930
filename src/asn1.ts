/**
 * Typed DER codecs. A message is declared once, reads like the ASN.1 of its RFC, and its TypeScript type is inferred.
 * Decoding is strict on structure (DER minimal lengths and integers, no trailing bytes, bounded depth and size) and
 * reports the path of the field that was wrong.
 *
 * The frames of elements, tag and length, are read and written here: asn1js makes four objects of each, 90 times the
 * work, and a login has some hundred and fifty. asn1js stays for object identifiers, and as the judge of all encodings
 * in the tests. It is imported in this file only.
 */
import { ObjectIdentifier } from 'asn1js';
import { concat, fromUtf8, utf8 } from './bytes.ts';
import { MalformedError } from './errors.ts';

/** One ASN.1 type: how a value becomes a whole element and back. */
export interface Codec<T> {
  encode(value: T): Uint8Array;
  decode(element: Element): T;
}
export type Infer<C> = C extends Codec<infer T> ? T : never;

/** An element as it stands in the input: views, no copies. */
interface Element {
  /** The identifier octet: class, constructed bit, tag number below 31 (X.690 8.1.2). */
  readonly id: number;
  readonly content: Uint8Array;
  /** With identifier and length. */
  readonly whole: Uint8Array;
}

class DerError extends MalformedError {
  constructor(message: string, cause?: unknown) {
    super('DER', message, cause);
  }
}
const fail = (message: string): never => {
  throw new DerError(message);
};

const APPLICATION = 0x40;
const CONTEXT = 0x80;
const CLASS = 0xc0;
const CONSTRUCTED = 0x20;
const NUMBER = 0x1f;
const SEQUENCE = 16 | CONSTRUCTED;
const MAX_DEPTH = 32;
const MAX_ELEMENTS = 8192;
const MAX_LENGTH = 1 << 20;

/** An element of these contents, its length "encoded in the minimum number of octets" (X.690 10.1). */
function frame(id: number, ...contents: Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of contents) length += part.length;
  const more = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : length < 0x1000000 ? 3 : 4;
  const out = new Uint8Array(2 + more + length);
  out[0] = id;
  out[1] = more === 0 ? length : 0x80 | more;
  for (let i = 0; i < more; i++) out[2 + i] = length >>> (8 * (more - 1 - i));
  let at = 2 + more;
  for (const part of contents) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** The element that begins at `at`. */
function elementAt(input: Uint8Array, at: number): Element {
  if (at + 2 > input.length) fail('end of input inside an element');
  const id = input[at]!;
  if ((id & NUMBER) === NUMBER) fail('tag in more than one octet');
  let start = at + 2;
  let length = input[at + 1]!;
  if (length === 0x80) fail('indefinite length');
  if (length > 0x80) {
    const octets = length & 0x7f;
    if (octets > 4) fail(`length in ${octets} octets`);
    if (start + octets > input.length) fail('end of input inside a length');
    length = 0;
    for (let i = 0; i < octets; i++) length = length * 256 + input[start++]!;
    // X.690 10.1: "The definite form of length encoding shall be used, encoded in the minimum number of octets."
    const fewest = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : length < 0x1000000 ? 3 : 4;
    if (octets !== fewest) fail(`length ${length} in ${octets + 1} octets`);
    if (length > MAX_LENGTH) fail(`a length of ${length} is above any message's`);
  }
  const end = start + length;
  if (end > input.length) fail(`end of input ${end - input.length} bytes before that of an element`);
  return { id, content: input.subarray(start, end), whole: input.subarray(at, end) };
}

/**
 * Walks through all elements, also those nobody will decode, since some are kept or forwarded as they are.
 * @returns the outermost one
 */
function parse(der: Uint8Array): Element {
  const root = elementAt(der, 0);
  const after = der.length - root.whole.length;
  if (after > 0) fail(`${after} bytes after the value`);
  // Ends of the constructed elements around the place reached, outermost first: no recursion on the input's depth.
  const ends: number[] = [];
  let elements = 0;
  for (let at = 0; at < der.length; ) {
    const { id, content, whole } = elementAt(der, at);
    if (++elements > MAX_ELEMENTS) fail(`more than ${MAX_ELEMENTS} elements`);
    const end = at + whole.length;
    if (end > (ends.at(-1) ?? der.length)) fail('end of input: an element is longer than the one around it');
    // SEQUENCE and SET are the only constructed universal types in DER (X.690 10.2).
    const constructed = (id & CONSTRUCTED) !== 0;
    if (constructed && (id & CLASS) === 0 && (id & NUMBER) !== 16 && (id & NUMBER) !== 17)
      fail('constructed encoding of a primitive type');
    if (constructed && content.length > 0) {
      if (ends.push(end) > MAX_DEPTH) fail(`nested beyond a depth of ${MAX_DEPTH}`);
      at = end - content.length;
    } else at = end;
    while (ends.at(-1) === at) ends.pop();
  }
  return root;
}

function describe(id: number): string {
  return `class ${id >> 6} tag ${id & NUMBER}`;
}
/** The content of an element that must have this identifier octet. */
function contentOf(element: Element, id: number, what: string): Uint8Array {
  if (element.id === id) return element.content;
  if ((element.id ^ id) === CONSTRUCTED)
    fail(
      element.id & CONSTRUCTED
        ? 'constructed encoding of a primitive type'
        : 'primitive encoding of a constructed type',
    );
  return fail(`expected ${what}, found ${describe(element.id)}`);
}
function elementsIn(content: Uint8Array): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < content.length; at += found.at(-1)!.whole.length) found.push(elementAt(content, at));
  return found;
}

/** Two's complement in the fewest bytes, at most five (X.690 8.3). */
function integerBytes(value: number): Uint8Array {
  const bytes = [value & 0xff];
  for (let rest = Math.floor(value / 256), last = bytes[0]!; ; rest = Math.floor(rest / 256)) {
    if (rest === (last & 0x80 ? -1 : 0)) return Uint8Array.from(bytes);
    last = rest & 0xff;
    bytes.unshift(last);
  }
}

/** INTEGER within bounds that fit a double. */
function integer(min: number, max: number): Codec<number> {
  return {
    encode: (v) =>
      Number.isInteger(v) && v >= min && v <= max ? frame(2, integerBytes(v)) : fail(`${v} is outside ${min}..${max}`),
    decode: (element) => {
      const b = contentOf(element, 2, 'INTEGER');
      if (b.length < 1 || b.length > 5) fail(`INTEGER of ${b.length} bytes`);
      // X.690 8.3.2: the first nine bits shall not all be equal.
      if (b.length > 1 && ((b[0] === 0 && b[1]! < 0x80) || (b[0] === 0xff && b[1]! >= 0x80)))
        fail('INTEGER is not minimal');
      let v = (b[0]! << 24) >> 24;
      for (let i = 1; i < b.length; i++) v = v * 256 + b[i]!;
      return v >= min && v <= max ? v : fail(`INTEGER ${v} is outside ${min}..${max}`);
    },
  };
}

/** Int32 of RFC 4120 5.2.4. */
export const int32 = integer(-(2 ** 31), 2 ** 31 - 1);
/** UInt32 of RFC 4120 5.2.4. */
export const uint32 = integer(0, 2 ** 32 - 1);
const anySign = integer(-(2 ** 31), 2 ** 32 - 1);
/**
 * UInt32 for values some implementations write as signed (kvno of an RODC, sequence numbers of old Heimdal): a negative
 * Int32 is taken as the same 32 bits. Encoding is always unsigned.
 */
export const lenientUint32: Codec<number> = {
  encode: uint32.encode,
  decode: (element) => anySign.decode(element) >>> 0,
};
/** Microseconds of RFC 4120 5.2.4. */
export const microseconds = integer(0, 999_999);

export const boolean: Codec<boolean> = {
  encode: (v) => frame(1, Uint8Array.of(v ? 0xff : 0)),
  decode: (element) => {
    const b = contentOf(element, 1, 'BOOLEAN');
    return b.length === 1 ? b[0] !== 0 : fail('BOOLEAN of other than one byte');
  },
};

/** ENUMERATED of small values that are not negative (X.690 8.4). */
export const enumerated: Codec<number> = {
  encode: (v) => frame(10, Uint8Array.of(v)),
  decode: (element) => {
    const b = contentOf(element, 10, 'ENUMERATED');
    return b.length === 1 && b[0]! < 0x80 ? b[0]! : fail('ENUMERATED that is not in 0..127');
  },
};

export const octets: Codec<Uint8Array> = {
  encode: (v) => frame(4, v),
  decode: (element) => contentOf(element, 4, 'OCTET STRING'),
};

/** KerberosString, RFC 4120 5.2.1. Active Directory and MIT put UTF-8 into it. */
export const kerberosString: Codec<string> = {
  encode: (v) => frame(27, utf8(v)),
  decode: (element) => {
    const b = contentOf(element, 27, 'GeneralString');
    try {
      return fromUtf8(b);
    } catch {
      return fail('GeneralString is not UTF-8');
    }
  },
};

/** KerberosTime, RFC 4120 5.2.3: GeneralizedTime in UTC "without fractional seconds". */
export const kerberosTime: Codec<Date> = {
  encode: (v) => {
    const iso = Number.isNaN(v.getTime()) ? fail('not a time') : v.toISOString();
    // Years before 0 or after 9999 have a sign and six digits.
    return iso.length === 24
      ? frame(24, utf8(`${iso.slice(0, 19).replace(/[-:T]/g, '')}Z`))
      : fail(`no time for DER: ${iso}`);
  },
  decode: (element) => {
    const b = contentOf(element, 24, 'GeneralizedTime');
    const bad = () => fail(`bad KerberosTime ${JSON.stringify(String.fromCharCode(...b.subarray(0, 32)))}`);
    if (b.length !== 15 || b[14] !== 0x5a) return bad();
    for (let i = 0; i < 14; i++) if (b[i]! < 0x30 || b[i]! > 0x39) return bad();
    const two = (at: number) => (b[at]! - 0x30) * 10 + b[at + 1]! - 0x30;
    const [month, day, hours, minutes, seconds] = [two(4), two(6), two(8), two(10), two(12)];
    const date = new Date(0);
    date.setUTCFullYear(two(0) * 100 + two(2), month - 1, day);
    // A date such as February 30 would roll over instead of being refused.
    if (date.getUTCDate() !== day || date.getUTCMonth() !== month - 1 || hours > 23 || minutes > 59 || seconds > 59)
      return bad();
    date.setUTCHours(hours, minutes, seconds);
    return date;
  },
};

/** KerberosFlags, RFC 4120 5.2.8: "at least 32 bits", bit 0 the most significant of the number given here. */
export const kerberosFlags: Codec<number> = {
  encode: (v) => {
    const b = new Uint8Array(5); // the first octet counts unused bits
    new DataView(b.buffer).setUint32(1, v >>> 0);
    return frame(3, b);
  },
  decode: (element) => {
    const b = contentOf(element, 3, 'BIT STRING');
    // X.690 8.6.2.2: "The initial octet shall encode ... the number of unused bits ... in the range zero to seven."
    if (b.length < 1) fail('BIT STRING without its first octet');
    if (b[0]! > 7 || (b[0]! > 0 && b.length === 1)) fail(`BIT STRING with ${b[0]} unused bits`);
    let v = 0;
    for (let i = 1; i < 5; i++) v = v * 256 + (b[i] ?? 0);
    return v;
  },
};

export const objectIdentifier: Codec<string> = {
  encode: (v) => new Uint8Array(new ObjectIdentifier({ value: v }).toBER()),
  decode: (element) => {
    const content = contentOf(element, 6, 'OBJECT IDENTIFIER') as Uint8Array<ArrayBuffer>;
    const { valueBlock } = new ObjectIdentifier();
    return valueBlock.fromBER(content, 0, content.length) === content.length && content.length > 0
      ? valueBlock.toString()
      : fail(`OBJECT IDENTIFIER: ${valueBlock.error || 'empty'}`);
  },
};

/** Any value, kept as its exact DER: tickets are forwarded byte for byte. */
export const raw: Codec<Uint8Array> = {
  encode: (v) => v,
  decode: (element) => element.whole,
};

export function sequenceOf<T>(item: Codec<T>): Codec<T[]> {
  return {
    encode: (v) => frame(SEQUENCE, concat(...v.map((x) => item.encode(x)))),
    decode: (element) => elementsIn(contentOf(element, SEQUENCE, 'SEQUENCE OF')).map((x) => item.decode(x)),
  };
}

/** [APPLICATION tag] EXPLICIT. Several tags may be accepted on decoding; the first is written. */
export function application<T>(tag: number, inner: Codec<T>, alsoAccepted: readonly number[] = []): Codec<T> {
  const id = APPLICATION | CONSTRUCTED | tag;
  return {
    encode: (v) => frame(id, inner.encode(v)),
    decode: (element) => {
      const accepted = alsoAccepted.includes(element.id & NUMBER) ? (id & ~NUMBER) | (element.id & NUMBER) : id;
      return only(contentOf(element, accepted, `[APPLICATION ${tag}]`), inner);
    },
  };
}

/** [tag] EXPLICIT outside of a SEQUENCE, as an alternative of a CHOICE. */
export function context<T>(tag: number, inner: Codec<T>): Codec<T> {
  const id = CONTEXT | CONSTRUCTED | tag;
  return {
    encode: (v) => frame(id, inner.encode(v)),
    decode: (element) => only(contentOf(element, id, `[${tag}]`), inner),
  };
}

function only<T>(content: Uint8Array, inner: Codec<T>): T {
  const value = content.length > 0 ? elementAt(content, 0) : undefined;
  return value?.whole.length === content.length ? inner.decode(value) : fail('an explicit tag must hold one value');
}

interface Field<T, O extends boolean> {
  readonly tag: number;
  readonly codec: Codec<T>;
  readonly optional: O;
}
export function field<T>(tag: number, codec: Codec<T>): Field<T, false> {
  return { tag, codec, optional: false };
}
export function optional<T>(tag: number, codec: Codec<T>): Field<T, true> {
  return { tag, codec, optional: true };
}

// biome-ignore lint/suspicious/noExplicitAny: inference position
type Fields = Record<string, Field<any, boolean>>;
type Struct<F extends Fields> = {
  // biome-ignore lint/suspicious/noExplicitAny: inference position
  [K in keyof F as F[K] extends Field<any, false> ? K : never]: F[K] extends Field<infer T, false> ? T : never;
} & {
  // biome-ignore lint/suspicious/noExplicitAny: inference position
  [K in keyof F as F[K] extends Field<any, true> ? K : never]?: F[K] extends Field<infer T, true>
    ? T | undefined
    : never;
};
type Flat<T> = { [K in keyof T]: T[K] } & {};

/** SEQUENCE whose members all carry an explicit context tag in ascending order, as everywhere in RFC 4120. */
export function sequence<F extends Fields>(fields: F): Codec<Flat<Struct<F>>> {
  const entries = Object.entries(fields).map(([name, f]) => ({ name, id: CONTEXT | CONSTRUCTED | f.tag, ...f }));
  return {
    encode: (v) => {
      const parts: Uint8Array[] = [];
      for (const { name, id, codec, optional } of entries) {
        const x = (v as Record<string, unknown>)[name];
        if (x !== undefined) parts.push(frame(id, codec.encode(x)));
        else if (!optional) fail(`${name} is missing`);
      }
      return frame(SEQUENCE, ...parts);
    },
    decode: (element) => {
      const out: Record<string, unknown> = {};
      const elements = elementsIn(contentOf(element, SEQUENCE, 'SEQUENCE'));
      let i = 0;
      for (const { name, id, tag, codec, optional } of entries) {
        const child = elements[i];
        if (child && (child.id | CONSTRUCTED) === id) {
          out[name] = within(name, () => only(contentOf(child, id, `[${tag}]`), codec));
          i++;
        } else if (!optional) fail(`${name} [${tag}] is missing`);
      }
      // RFC 4120 1.5: types marked extensible may grow at the end, with tags above those known.
      const highest = entries.at(-1)?.tag ?? -1;
      for (; i < elements.length; i++) {
        const { id } = elements[i]!;
        if ((id & CLASS) !== CONTEXT || (id & NUMBER) <= highest) fail(`unexpected element [${id & NUMBER}]`);
      }
      return out as Flat<Struct<F>>;
    },
  };
}

function within<T>(name: string, decode: () => T): T {
  try {
    return decode();
  } catch (e) {
    if (!(e instanceof MalformedError)) throw e;
    throw new DerError(`${name}: ${e.message.replace(/^DER: /, '')}`);
  }
}

/** The DER of a value. @throws MalformedError when the value does not fit the type */
export function toDer<T>(codec: Codec<T>, value: T): Uint8Array {
  return codec.encode(value);
}

/** The value of a DER encoding that fills `der` exactly. @throws MalformedError on anything else */
export function fromDer<T>(codec: Codec<T>, der: Uint8Array): T {
  // A Buffer's slice() is a view where everybody else's is a copy: what is handed out is no Buffer.
  return codec.decode(parse(new Uint8Array(der.buffer, der.byteOffset, der.length)));
}
