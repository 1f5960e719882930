/**
 * Elements of DER, X.690: their frames are written and read here, with every bound that input must keep. What stands in
 * them is the business of the codecs in asn1.ts and of what is composed of those.
 *
 * asn1js makes four objects of each frame, 90 times the work of this, and a login has some hundred and fifty.
 */
import { MalformedError } from './errors.ts';

/** An element as it stands in the input: views, no copies. */
export interface Element {
  /** The identifier octet: class, constructed bit, tag number below 31 (X.690 8.1.2). */
  readonly id: number;
  readonly content: Uint8Array;
  /** With identifier and length. */
  readonly whole: Uint8Array;
}

export class DerError extends MalformedError {
  constructor(message: string, cause?: unknown) {
    super('DER', message, cause);
  }
}
/** @throws DerError */
export const fail = (message: string): never => {
  throw new DerError(message);
};

export const APPLICATION = 0x40;
export const CONTEXT = 0x80;
export const CLASS = 0xc0;
export const CONSTRUCTED = 0x20;
export const NUMBER = 0x1f;
export const SEQUENCE = 16 | CONSTRUCTED;
const MAX_DEPTH = 32;
const MAX_ELEMENTS = 8192;
const MAX_LENGTH = 1 << 20;

/** An element of these contents, its length "encoded in the minimum number of octets" (X.690 10.1). */
export function frame(id: number, ...contents: Uint8Array[]): Uint8Array {
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
export function elementAt(input: Uint8Array, at: number): Element {
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
export function parse(der: Uint8Array): Element {
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
export function contentOf(element: Element, id: number, what: string): Uint8Array {
  if (element.id === id) return element.content;
  if ((element.id ^ id) === CONSTRUCTED)
    fail(
      element.id & CONSTRUCTED
        ? 'constructed encoding of a primitive type'
        : 'primitive encoding of a constructed type',
    );
  return fail(`expected ${what}, found ${describe(element.id)}`);
}
export function elementsIn(content: Uint8Array): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < content.length; at += found.at(-1)!.whole.length) found.push(elementAt(content, at));
  return found;
}
