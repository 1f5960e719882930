/**
 * The ASN.1 of X.509, CMS and PKINIT, which is not all explicit tags as RFC 4120's is: members that go without one,
 * members whose tag stands in place of their own, sets.
 */
import { type Codec, type Field, type Flat, only, type Struct, within } from './asn1.ts';
import { concat } from './bytes.ts';
import {
  CLASS,
  CONSTRUCTED,
  CONTEXT,
  contentOf,
  type Element,
  elementsIn,
  fail,
  frame,
  NUMBER,
  SEQUENCE,
} from './der.ts';

/** Identifier octets of universal types, for `implicit` and for optional members without a tag. */
export const universal = { BOOLEAN: 1, BIT_STRING: 3, OCTET_STRING: 4, SEQUENCE, SET: 17 | CONSTRUCTED } as const;

interface Member<T, O extends boolean> extends Field<T, O> {
  readonly form: 'untagged' | 'implicit';
  /** The identifier octet of the value itself; undefined where it may be any. */
  readonly own: number | undefined;
}

/** A member without a tag. */
export function untagged<T>(codec: Codec<T>): Member<T, false> {
  return { tag: -1, codec, optional: false, form: 'untagged', own: undefined };
}
/** One that may be absent. @param own its identifier octet, undefined at the end of a sequence where it may be any */
export function untaggedOptional<T>(codec: Codec<T>, own?: number): Member<T, true> {
  return { tag: -1, codec, optional: true, form: 'untagged', own };
}
/** `[tag] IMPLICIT`. @param own the identifier octet that the tag replaces */
export function implicit<T>(tag: number, codec: Codec<T>, own: number): Member<T, false> {
  return { tag, codec, optional: false, form: 'implicit', own };
}
/** One that may be absent. */
export function implicitOptional<T>(tag: number, codec: Codec<T>, own: number): Member<T, true> {
  return { tag, codec, optional: true, form: 'implicit', own };
}

// biome-ignore lint/suspicious/noExplicitAny: inference position
type Members = Record<string, Field<any, boolean> | Member<any, boolean>>;

/** SEQUENCE of members of every form, `field` and `optional` of asn1.ts among them. */
export function mixedSequence<F extends Members>(members: F): Codec<Flat<Struct<F>>> {
  const entries = Object.entries(members).map(([name, m]) => ({
    name,
    own: undefined,
    form: 'explicit' as const,
    ...m,
  }));
  type Entry = (typeof entries)[number];
  const fits = ({ form, tag, own }: Entry, child: Element): boolean => {
    if (form === 'untagged') return own === undefined || child.id === own;
    return (child.id & ~CONSTRUCTED) === (CONTEXT | tag);
  };
  return {
    encode: (v) => {
      const parts: Uint8Array[] = [];
      for (const { name, form, tag, codec, optional } of entries) {
        const x = (v as Record<string, unknown>)[name];
        if (x === undefined) {
          if (!optional) fail(`${name} is missing`);
        } else if (form === 'explicit') parts.push(frame(CONTEXT | CONSTRUCTED | tag, codec.encode(x)));
        else parts.push(form === 'untagged' ? codec.encode(x) : retagged(codec.encode(x), CONTEXT | tag));
      }
      return frame(SEQUENCE, ...parts);
    },
    decode: (element) => {
      const out: Record<string, unknown> = {};
      const elements = elementsIn(contentOf(element, SEQUENCE, 'SEQUENCE'));
      let i = 0;
      for (const entry of entries) {
        const child = elements[i];
        if (child && fits(entry, child)) {
          out[entry.name] = within(entry.name, () => value(entry, child));
          i++;
        } else if (!entry.optional) fail(`${entry.name} is missing`);
      }
      // Only a type whose last member has a tag can grow: nothing else could be told from what is known.
      const highest = entries.at(-1)?.tag ?? -1;
      for (; i < elements.length; i++) {
        const { id } = elements[i]!;
        if (highest < 0 || (id & CLASS) !== CONTEXT || (id & NUMBER) <= highest)
          fail(`unexpected element ${id & NUMBER} at the end`);
      }
      return out as Flat<Struct<F>>;
    },
  };

  function value({ form, tag, own, codec }: Entry, child: Element): unknown {
    if (form === 'explicit') return only(contentOf(child, CONTEXT | CONSTRUCTED | tag, `[${tag}]`), codec);
    if (form === 'untagged') return codec.decode(child);
    const id = own! & CONSTRUCTED;
    const content = contentOf(child, CONTEXT | id | tag, `[${tag}]`);
    return codec.decode({ id: own!, content, whole: retagged(child.whole, own! & ~CONSTRUCTED) });
  }
}

/** The same element under another identifier, constructed or not as before. */
function retagged(whole: Uint8Array, id: number): Uint8Array {
  const out = Uint8Array.from(whole);
  out[0] = id | (whole[0]! & CONSTRUCTED);
  return out;
}

/** SET OF, written in the order of the encodings (X.690 11.6) and read in any: not all who sign keep to it. */
export function setOf<T>(item: Codec<T>): Codec<T[]> {
  return {
    encode: (v) => frame(universal.SET, concat(...v.map((x) => item.encode(x)).sort(Buffer.compare))),
    decode: (element) => elementsIn(contentOf(element, universal.SET, 'SET OF')).map((x) => item.decode(x)),
  };
}

/** BIT STRING of whole octets: keys and signatures. */
export const bitString: Codec<Uint8Array> = {
  encode: (v) => frame(universal.BIT_STRING, Uint8Array.of(0), v),
  decode: (element) => {
    const b = contentOf(element, universal.BIT_STRING, 'BIT STRING');
    return b.length > 0 && b[0] === 0 ? b.subarray(1) : fail('BIT STRING that is not of whole octets');
  },
};

/** INTEGER of any size that is not negative, as big-endian bytes without zeros in front. */
export const unsignedBytes: Codec<Uint8Array> = {
  encode: (v) => {
    const first = v.findIndex((b) => b !== 0);
    const bytes = first < 0 ? Uint8Array.of(0) : v.subarray(first);
    return bytes[0]! & 0x80 ? frame(2, Uint8Array.of(0), bytes) : frame(2, bytes);
  },
  decode: (element) => {
    const b = contentOf(element, 2, 'INTEGER');
    if (b.length === 0 || b[0]! & 0x80) return fail('INTEGER that is empty or negative');
    if (b.length > 1 && b[0] === 0 && b[1]! < 0x80) return fail('INTEGER is not minimal');
    return b[0] === 0 ? b.subarray(1) : b;
  },
};
