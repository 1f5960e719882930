/** Search filters (RFC 4511 4.5.1.7): decoded within a depth, matched as Active Directory does, without regard to case. */
import type { BerReader } from 'ldapts';
import { equal, utf8 } from '../../bytes.ts';
import { MalformedError } from '../../errors.ts';
import { sidToBytes } from '../gmsa/identifiers.ts';
import { enter, must, readOctets, readText } from './ber.ts';

export type Filter =
  | { readonly kind: 'and' | 'or'; readonly of: readonly Filter[] }
  | { readonly kind: 'not'; readonly of: Filter }
  | { readonly kind: 'present'; readonly attribute: string }
  | { readonly kind: 'equal' | 'atLeast' | 'atMost'; readonly attribute: string; readonly value: Buffer }
  | { readonly kind: 'substring'; readonly attribute: string; readonly pattern: RegExp }
  | { readonly kind: 'extensible'; readonly rule: string; readonly attribute: string; readonly value: Buffer };

/** Gives an entry's values of an attribute, named in lower case; empty when it has none. */
export type Values = (attribute: string) => readonly (string | Uint8Array)[];

const MAX_DEPTH = 32;
/** Matching rules of MS-ADTS 3.1.1.3.4.4; groups here do not nest, so a chain is one link. */
const RULE = { bitAnd: '1.2.840.113556.1.4.803', bitOr: '1.2.840.113556.1.4.804', inChain: '1.2.840.113556.1.4.1941' };

/** @throws MalformedError */
export function readFilter(r: BerReader, depth = 0): Filter {
  if (depth > MAX_DEPTH) throw new MalformedError('LDAP', `filter is nested deeper than ${MAX_DEPTH}`);
  const tag = must(r.peek(), 'filter');
  switch (tag) {
    case 0xa0:
    case 0xa1: {
      const inner = enter(r, tag, 'filter');
      const of: Filter[] = [];
      while (inner.remain > 0) of.push(readFilter(inner, depth + 1));
      return { kind: tag === 0xa0 ? 'and' : 'or', of };
    }
    case 0xa2:
      return { kind: 'not', of: readFilter(enter(r, tag, 'filter'), depth + 1) };
    case 0x87:
      return { kind: 'present', attribute: readText(r, 'attribute', 0x87) };
    case 0xa4:
      return readSubstring(enter(r, tag, 'filter'));
    case 0xa9:
      return readExtensible(enter(r, tag, 'filter'));
    case 0xa3:
    case 0xa5:
    case 0xa6:
    case 0xa8: {
      const inner = enter(r, tag, 'filter');
      const attribute = readText(inner, 'attribute');
      const value = readOctets(inner, 'value');
      return { kind: tag === 0xa5 ? 'atLeast' : tag === 0xa6 ? 'atMost' : 'equal', attribute, value };
    }
    default:
      throw new MalformedError('LDAP', `unknown filter 0x${tag.toString(16)}`);
  }
}

const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

function readSubstring(r: BerReader): Filter {
  const attribute = readText(r, 'attribute');
  const parts = enter(r, 0x30, 'substrings');
  let pattern = '';
  while (parts.remain > 0) {
    const tag = must(parts.peek(), 'substring');
    const text = literal(readText(parts, 'substring', tag));
    // [0] initial, [1] any, [2] final.
    if (tag === 0x80) pattern = `^${text}`;
    else if (tag === 0x81) pattern += `.*${text}`;
    else pattern += `.*${text}$`;
  }
  return { kind: 'substring', attribute, pattern: new RegExp(pattern, 'is') };
}

function readExtensible(r: BerReader): Filter {
  const text: Record<number, Buffer> = {};
  while (r.remain > 0) {
    const tag = must(r.peek(), 'assertion');
    text[tag] = readOctets(r, 'assertion', tag);
  }
  const get = (tag: number): string => text[tag]?.toString('utf8') ?? '';
  return { kind: 'extensible', rule: get(0x81), attribute: get(0x82), value: text[0x83] ?? Buffer.alloc(0) };
}

/** What does not apply is false: this server has no third truth value. */
export function matches(filter: Filter, values: Values): boolean {
  switch (filter.kind) {
    case 'and':
      return filter.of.every((f) => matches(f, values));
    case 'or':
      return filter.of.some((f) => matches(f, values));
    case 'not':
      return !matches(filter.of, values);
    case 'present':
      return values(filter.attribute.toLowerCase()).length > 0;
    case 'substring':
      return values(filter.attribute.toLowerCase()).some((v) => typeof v === 'string' && filter.pattern.test(v));
    case 'equal':
      return values(filter.attribute.toLowerCase()).some((v) => same(v, filter.value));
    case 'atLeast':
    case 'atMost':
      return values(filter.attribute.toLowerCase()).some((v) => ordered(v, filter.value, filter.kind === 'atLeast'));
    case 'extensible':
      return values(filter.attribute.toLowerCase()).some((v) => byRule(filter.rule, v, filter.value));
  }
}

function same(value: string | Uint8Array, asserted: Buffer): boolean {
  if (typeof value === 'string') return value.toLowerCase() === asserted.toString('utf8').toLowerCase();
  if (equal(value, asserted)) return true;
  // Active Directory takes a SID in text for a binary one.
  const text = asserted.toString('latin1');
  return /^S-1-\d+(-\d+)+$/.test(text) && equal(value, sidToBytes(text));
}

function ordered(value: string | Uint8Array, asserted: Buffer, atLeast: boolean): boolean {
  if (typeof value !== 'string') return false;
  const other = asserted.toString('utf8');
  const numbers = /^-?\d+$/.test(value) && /^-?\d+$/.test(other);
  const order = numbers ? Number(BigInt(value) - BigInt(other)) : Buffer.compare(utf8(value), asserted);
  return atLeast ? order >= 0 : order <= 0;
}

function byRule(rule: string, value: string | Uint8Array, asserted: Buffer): boolean {
  if (rule === RULE.inChain) return same(value, asserted);
  const text = asserted.toString('latin1');
  if (typeof value !== 'string' || !/^-?\d{1,10}$/.test(value) || !/^-?\d{1,10}$/.test(text)) return false;
  const [bits, mask] = [Number(value) | 0, Number(text) | 0];
  if (rule === RULE.bitAnd) return (bits & mask) === mask;
  return rule === RULE.bitOr && (bits & mask) !== 0;
}
