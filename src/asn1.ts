/**
 * Typed DER codecs. A message is declared once, reads like the ASN.1 of its RFC, and its TypeScript type is inferred.
 * Decoding is strict on structure (DER minimal lengths and integers, no trailing bytes, bounded depth and size) and
 * reports the path of the field that was wrong. What RFC 4120 has no use for (members without tags, implicit tags,
 * sets) is in asn1-untagged.ts.
 *
 * asn1js serves object identifiers, and in the tests it is the judge of all encodings. It is imported in this file only.
 */
import { ObjectIdentifier } from 'asn1js';
import { concat, fromUtf8, utf8 } from './bytes.ts';
import {
  APPLICATION,
  CLASS,
  CONSTRUCTED,
  CONTEXT,
  contentOf,
  DerError,
  type Element,
  elementAt,
  elementsIn,
  fail,
  frame,
  NUMBER,
  parse,
  SEQUENCE,
} from './der.ts';
import { MalformedError } from './errors.ts';

/** One ASN.1 type: how a value becomes a whole element and back. */
export interface Codec<T> {
  encode(value: T): Uint8Array;
  decode(element: Element): T;
}
export type Infer<C> = C extends Codec<infer T> ? T : never;

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

/** More than any that is assigned has: those of a megabyte would keep asn1js busy for seconds. */
const MAX_OBJECT_IDENTIFIER = 128;

export const objectIdentifier: Codec<string> = {
  encode: (v) => new Uint8Array(new ObjectIdentifier({ value: v }).toBER()),
  decode: (element) => {
    const content = contentOf(element, 6, 'OBJECT IDENTIFIER') as Uint8Array<ArrayBuffer>;
    if (content.length > MAX_OBJECT_IDENTIFIER) fail(`OBJECT IDENTIFIER of ${content.length} bytes`);
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

/** The one value that an explicit tag holds. */
export function only<T>(content: Uint8Array, inner: Codec<T>): T {
  const value = content.length > 0 ? elementAt(content, 0) : undefined;
  return value?.whole.length === content.length ? inner.decode(value) : fail('an explicit tag must hold one value');
}

export interface Field<T, O extends boolean> {
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
export type Fields = Record<string, Field<any, boolean>>;
export type Struct<F extends Fields> = {
  // biome-ignore lint/suspicious/noExplicitAny: inference position
  [K in keyof F as F[K] extends Field<any, false> ? K : never]: F[K] extends Field<infer T, false> ? T : never;
} & {
  // biome-ignore lint/suspicious/noExplicitAny: inference position
  [K in keyof F as F[K] extends Field<any, true> ? K : never]?: F[K] extends Field<infer T, true>
    ? T | undefined
    : never;
};
export type Flat<T> = { [K in keyof T]: T[K] } & {};

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

/** Names the field in what its decoding throws. */
export function within<T>(name: string, decode: () => T): T {
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
