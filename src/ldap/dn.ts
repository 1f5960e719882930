/** Distinguished names as text (RFC 4514): taken apart, compared, and a value made fit for one. */
import { concat, fromUtf8, hex, utf8 } from '../bytes.ts';
import { MalformedError } from '../errors.ts';

export interface AttributeValue {
  /** As written: `CN`, `2.5.4.3`. */
  readonly type: string;
  /** Without escapes; `#` and hexadecimal digits where it was written so. */
  readonly value: string;
}

/** Relative distinguished names, the entry's own first; more than one value in one where `+` joins them. */
export type Dn = readonly (readonly AttributeValue[])[];

/** Longest name taken, in UTF-16 code units; Active Directory's longest have some hundreds. */
const MAX_LENGTH = 4096;

const fail = (message: string): never => {
  throw new MalformedError('DN', message);
};

const TYPE = / *([A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+) *= */y;
/** RFC 4514 section 2.4: these stand for themselves only behind a backslash. */
const SPECIAL = '"+,;<>\\';
const HEX_STRING = /#(?:[0-9A-Fa-f]{2})+ *(?=[,+]|$)/y;

/**
 * Takes a distinguished name apart. Blanks beside `,`, `+` and `=` are passed over, as Active Directory does; other white
 * space of Unicode is part of the value.
 * @throws MalformedError; never quotes the text
 */
export function parseDn(text: string): Dn {
  if (text.length > MAX_LENGTH) fail(`longer than ${MAX_LENGTH} characters`);
  if (/[\p{Cc}\p{Cs}]/u.test(text)) fail('holds a control character');
  const dn: AttributeValue[][] = [[]];
  let at = 0;
  for (;;) {
    TYPE.lastIndex = at;
    const type = TYPE.exec(text)?.[1] ?? fail(`no attribute type at character ${at}`);
    const [value, end] = readValue(text, TYPE.lastIndex);
    dn.at(-1)!.push({ type, value });
    if (end >= text.length) return dn;
    if (text[end] === ',') dn.push([]);
    at = end + 1;
  }
}

/** @returns the value, and where the `,` or `+` after it or the end of the text is */
function readValue(text: string, start: number): [string, number] {
  HEX_STRING.lastIndex = start;
  const encoded = HEX_STRING.exec(text)?.[0];
  if (encoded !== undefined) return [encoded.replace(/ +$/, '').toLowerCase(), start + encoded.length];
  const bytes: Uint8Array[] = [];
  let kept = 0; // pieces up to the last one that is no plain blank
  let at = start;
  while (at < text.length && text[at] !== ',' && text[at] !== '+') {
    const c = String.fromCodePoint(text.codePointAt(at)!);
    if (c !== '\\') {
      if (SPECIAL.includes(c) || (c === '#' && at === start)) fail(`${c} without a backslash at character ${at}`);
      bytes.push(utf8(c));
      at += c.length;
      if (c !== ' ') kept = bytes.length;
      continue;
    }
    const pair = /[0-9A-Fa-f]{2}/y;
    pair.lastIndex = at + 1;
    const octet = pair.exec(text)?.[0];
    const next = text[at + 1] ?? '';
    // Section 3: a backslash stands before a special, a blank, '#', '=' or two hexadecimal digits.
    if (octet === undefined && (next === '' || !`${SPECIAL} #=`.includes(next))) {
      fail(`a backslash before nothing it may stand before at character ${at}`);
    }
    bytes.push(octet === undefined ? utf8(next) : Uint8Array.of(Number.parseInt(octet, 16)));
    at += octet === undefined ? 2 : 3;
    kept = bytes.length;
  }
  if (kept === 0) fail(`no value at character ${start}`);
  return [decoded(bytes.slice(0, kept)), at];
}

function decoded(pieces: readonly Uint8Array[]): string {
  try {
    return fromUtf8(concat(...pieces));
  } catch {
    return fail('a value that is not UTF-8');
  }
}

/** A value as it stands in a distinguished name (RFC 4514 section 2.4). */
export function escapeDnValue(value: string): string {
  const escaped = [...value].map((c) => {
    if (SPECIAL.includes(c) || c === '=') return `\\${c}`;
    return /\p{Cc}/u.test(c) ? [...utf8(c)].map((b) => `\\${hex(Uint8Array.of(b))}`).join('') : c;
  });
  const text = escaped.join('').replace(/^[ #]/, '\\$&');
  return value.length > 1 && value.endsWith(' ') ? `${text.slice(0, -1)}\\ ` : text;
}

/** True when `dn` is `ancestor` or below it; attribute types and values compare without regard to case. */
export function isWithin(dn: Dn, ancestor: Dn): boolean {
  return dn.length >= ancestor.length && comparable(dn.slice(dn.length - ancestor.length)) === comparable(ancestor);
}

const comparable = (dn: Dn): string =>
  JSON.stringify(dn.map((rdn) => rdn.map(({ type, value }) => `${type}=${value}`.toLowerCase()).sort()));

/** The DNS name of the domain that an entry is in: the DC components at the end of its name (RFC 2247). */
export function domainOfDn(dn: Dn): string | undefined {
  const labels: string[] = [];
  for (const [first, ...more] of [...dn].reverse()) {
    if (more.length > 0 || first?.type.toUpperCase() !== 'DC') break;
    labels.unshift(first.value);
  }
  return labels.length > 0 ? labels.join('.') : undefined;
}
