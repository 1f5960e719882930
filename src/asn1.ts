/**
 * Typed DER codecs over asn1js, the only file that imports it. A message is declared once, reads like the ASN.1 of
 * its RFC, and its TypeScript type is inferred. Decoding is strict on structure (DER minimal lengths and integers, no
 * trailing bytes, bounded depth and size) and reports the path of the field that was wrong.
 */
import * as asn1 from 'asn1js';
import { fromUtf8, utf8 } from './bytes.ts';
import { MalformedError, messageOf } from './errors.ts';

// asn1js types a block by its value class; here only the generic members are used.
// biome-ignore lint/suspicious/noExplicitAny: asn1js' own generic parameters
type Node = asn1.BaseBlock<any, any>;

/** One ASN.1 type: how a value becomes a node and back. */
export interface Codec<T> {
  encode(value: T): Node;
  decode(node: Node): T;
}
export type Infer<C> = C extends Codec<infer T> ? T : never;

class DerError extends MalformedError {
  constructor(message: string, cause?: unknown) {
    super('DER', message, cause);
  }
}
const fail = (message: string): never => {
  throw new DerError(message);
};

const UNIVERSAL = 1;
const APPLICATION = 2;
const CONTEXT = 3;
const LIMITS = { parseEmbedded: false, copyInput: false, maxDepth: 32, maxNodes: 8192, maxContentLength: 1 << 20 };

function expect(node: Node, tagClass: number, tag: number, what: string): Node {
  const { idBlock } = node;
  if (idBlock.tagClass === tagClass && idBlock.tagNumber === tag) return node;
  return fail(`expected ${what}, found class ${idBlock.tagClass} tag ${idBlock.tagNumber}`);
}
function content(node: Node): Uint8Array {
  if (node.idBlock.isConstructed) fail('constructed encoding of a primitive type');
  return node.valueBlock.valueHexView as Uint8Array;
}
function children(node: Node): Node[] {
  if (!node.idBlock.isConstructed) fail('primitive encoding of a constructed type');
  return node.valueBlock.value as Node[];
}

/** INTEGER within bounds that fit a double. */
function integer(min: number, max: number): Codec<number> {
  return {
    encode: (v) =>
      Number.isInteger(v) && v >= min && v <= max
        ? new asn1.Integer({ value: v })
        : fail(`${v} is outside ${min}..${max}`),
    decode: (node) => {
      // asn1js' valueDec is 0 for integers of four bytes and more, so the bytes are read here.
      const b = content(expect(node, UNIVERSAL, 2, 'INTEGER'));
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
/**
 * UInt32 for values some implementations write as signed (kvno of an RODC, sequence numbers of old Heimdal): a negative
 * Int32 is taken as the same 32 bits. Encoding is always unsigned.
 */
export const lenientUint32: Codec<number> = {
  encode: uint32.encode,
  decode: (node) => integer(-(2 ** 31), 2 ** 32 - 1).decode(node) >>> 0,
};
/** Microseconds of RFC 4120 5.2.4. */
export const microseconds = integer(0, 999_999);

export const boolean: Codec<boolean> = {
  encode: (v) => new asn1.Boolean({ value: v }),
  decode: (node) => {
    const b = content(expect(node, UNIVERSAL, 1, 'BOOLEAN'));
    return b.length === 1 ? b[0] !== 0 : fail('BOOLEAN of other than one byte');
  },
};

export const octets: Codec<Uint8Array> = {
  encode: (v) => new asn1.OctetString({ valueHex: v as Uint8Array<ArrayBuffer> }),
  decode: (node) => content(expect(node, UNIVERSAL, 4, 'OCTET STRING')),
};

/** KerberosString, RFC 4120 5.2.1. Active Directory and MIT put UTF-8 into it; asn1js itself would cut code units. */
export const kerberosString: Codec<string> = {
  encode: (v) => {
    const node = new asn1.GeneralString();
    node.valueBlock.valueHexView = utf8(v) as Uint8Array<ArrayBuffer>;
    return node;
  },
  decode: (node) => {
    const b = content(expect(node, UNIVERSAL, 27, 'GeneralString'));
    try {
      return fromUtf8(b);
    } catch {
      return fail('GeneralString is not UTF-8');
    }
  },
};

/** KerberosTime, RFC 4120 5.2.3: GeneralizedTime in UTC "without fractional seconds". */
export const kerberosTime: Codec<Date> = {
  encode: (v) =>
    Number.isNaN(v.getTime())
      ? fail('not a time')
      : new asn1.GeneralizedTime({ valueDate: new Date(Math.floor(v.getTime() / 1000) * 1000) }),
  decode: (node) => {
    const text = Buffer.from(content(expect(node, UNIVERSAL, 24, 'GeneralizedTime'))).toString('latin1');
    const m = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text) ?? fail(`bad KerberosTime ${JSON.stringify(text)}`);
    const iso = `${m[1]}-${m[2]}-${m[3]}T${m[4]}:${m[5]}:${m[6]}.000Z`;
    const date = new Date(iso);
    // A date such as February 30 would roll over instead of being refused.
    if (Number.isNaN(date.getTime()) || date.toISOString() !== iso) fail(`no such date in KerberosTime ${text}`);
    return date;
  },
};

/** KerberosFlags, RFC 4120 5.2.8: "at least 32 bits", bit 0 the most significant of the number given here. */
export const kerberosFlags: Codec<number> = {
  encode: (v) => {
    const b = new Uint8Array(4);
    new DataView(b.buffer).setUint32(0, v >>> 0);
    return new asn1.BitString({ valueHex: b });
  },
  decode: (node) => {
    const b = content(expect(node, UNIVERSAL, 3, 'BIT STRING'));
    // X.690 8.6.2.3: even an empty string has the octet that counts unused bits, which asn1js took off.
    if (node.lenBlock.length < 1) fail('BIT STRING without its first octet');
    let v = 0;
    for (let i = 0; i < 4; i++) v = v * 256 + (b[i] ?? 0);
    return v;
  },
};

export const objectIdentifier: Codec<string> = {
  encode: (v) => new asn1.ObjectIdentifier({ value: v }),
  decode: (node) => {
    expect(node, UNIVERSAL, 6, 'OBJECT IDENTIFIER');
    return (node as asn1.ObjectIdentifier).valueBlock.toString();
  },
};

/** asn1js' RawData ignores the writer a parent hands it, so inside a SEQUENCE it would vanish. */
class Verbatim extends asn1.RawData {
  override toBER(sizeOnly?: boolean, writer?: asn1.ViewWriter): ArrayBuffer {
    if (!sizeOnly) writer?.write(this.dataView);
    return super.toBER(sizeOnly);
  }
}
/** Any value, kept as its exact DER: tickets are forwarded byte for byte. */
export const raw: Codec<Uint8Array> = {
  encode: (v) => new Verbatim({ data: v as Uint8Array<ArrayBuffer> }) as unknown as Node,
  decode: (node) => node.valueBeforeDecodeView,
};

export function sequenceOf<T>(item: Codec<T>): Codec<T[]> {
  return {
    encode: (v) => new asn1.Sequence({ value: v.map((x) => item.encode(x)) }),
    decode: (node) => children(expect(node, UNIVERSAL, 16, 'SEQUENCE OF')).map((x) => item.decode(x)),
  };
}

/** [APPLICATION tag] EXPLICIT. Several tags may be accepted on decoding; the first is written. */
export function application<T>(tag: number, inner: Codec<T>, alsoAccepted: readonly number[] = []): Codec<T> {
  return {
    encode: (v) =>
      new asn1.Constructed({ idBlock: { tagClass: APPLICATION, tagNumber: tag }, value: [inner.encode(v)] }),
    decode: (node) => {
      const found = alsoAccepted.includes(node.idBlock.tagNumber) ? node.idBlock.tagNumber : tag;
      return only(expect(node, APPLICATION, found, `[APPLICATION ${tag}]`), inner);
    },
  };
}

function only<T>(node: Node, inner: Codec<T>): T {
  const c = children(node);
  return c.length === 1 ? inner.decode(c[0]!) : fail('an explicit tag must hold one value');
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
  const entries = Object.entries(fields);
  return {
    encode: (v) =>
      new asn1.Sequence({
        value: entries.flatMap(([name, f]) => {
          const x = (v as Record<string, unknown>)[name];
          if (x === undefined) return f.optional ? [] : fail(`${name} is missing`);
          return [
            new asn1.Constructed({ idBlock: { tagClass: CONTEXT, tagNumber: f.tag }, value: [f.codec.encode(x)] }),
          ];
        }),
      }),
    decode: (node) => {
      const out: Record<string, unknown> = {};
      const nodes = children(expect(node, UNIVERSAL, 16, 'SEQUENCE'));
      let i = 0;
      for (const [name, f] of entries) {
        const child = nodes[i];
        if (child?.idBlock.tagClass === CONTEXT && child.idBlock.tagNumber === f.tag) {
          out[name] = within(name, () => only(child, f.codec));
          i++;
        } else if (!f.optional) fail(`${name} [${f.tag}] is missing`);
      }
      // RFC 4120 1.5: types marked extensible may grow at the end, with tags above those known.
      const highest = entries.at(-1)?.[1].tag ?? -1;
      for (; i < nodes.length; i++) {
        const extra = nodes[i]!.idBlock;
        if (extra.tagClass !== CONTEXT || extra.tagNumber <= highest) fail(`unexpected element [${extra.tagNumber}]`);
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

function parse(der: Uint8Array): Node {
  let parsed: ReturnType<typeof asn1.fromBER>;
  try {
    parsed = asn1.fromBER(der as Uint8Array<ArrayBuffer>, LIMITS);
  } catch (e) {
    throw new DerError(messageOf(e)); // asn1js throws on malformed time strings
  }
  if (parsed.offset === -1) fail(parsed.result.error);
  if (parsed.offset !== der.length) fail(`${der.length - parsed.offset} bytes after the value`);
  requireShortestLengths(parsed.result as Node);
  return parsed.result as Node;
}

/** X.690 10.1: "The definite form of length encoding shall be used, encoded in the minimum number of octets." */
function requireShortestLengths(root: Node): void {
  const stack = [root];
  for (let node = stack.pop(); node; node = stack.pop()) {
    const { isIndefiniteForm, length, blockLength } = node.lenBlock;
    if (isIndefiniteForm) fail('indefinite length');
    const octets = length < 0x80 ? 1 : length < 0x100 ? 2 : length < 0x10000 ? 3 : 4;
    if (blockLength !== octets) fail(`length ${length} in ${blockLength} octets`);
    if (node.idBlock.blockLength !== 1) fail('tag in more than one octet');
    if (!node.idBlock.isConstructed) continue;
    const { tagClass, tagNumber } = node.idBlock;
    // SEQUENCE and SET are the only constructed universal types in DER (X.690 10.2).
    if (tagClass === UNIVERSAL && tagNumber !== 16 && tagNumber !== 17)
      fail('constructed encoding of a primitive type');
    stack.push(...(node.valueBlock.value as Node[]));
  }
}

/** The DER of a value. @throws MalformedError when the value does not fit the type */
export function toDer<T>(codec: Codec<T>, value: T): Uint8Array {
  return new Uint8Array(codec.encode(value).toBER());
}

/** The value of a DER encoding that fills `der` exactly. @throws MalformedError on anything else */
export function fromDer<T>(codec: Codec<T>, der: Uint8Array): T {
  return codec.decode(parse(der));
}
