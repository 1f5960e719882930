/** DNS messages as far as a client needs them for URI records: RFC 1035 section 4, RFC 7553, RFC 6891. */
import { Reader, utf8, Writer } from '../../bytes.ts';
import type { UriRecord } from './resolver.ts';

const TYPE_URI = 256;
const TYPE_OPT = 41;
const CLASS_IN = 1;
/** RFC 6891 6.2.5: what goes through nearly all paths in one piece. */
export const EDNS_SIZE = 1232;

export interface DnsAnswer {
  /** RCODE: 0 no error, 3 no such name. */
  readonly rcode: number;
  /** The answer did not fit the datagram; TCP is to be asked. */
  readonly truncated: boolean;
  readonly uris: readonly UriRecord[];
}

/** A question for URI records. @param id 16 random bits */
export function uriQuery(name: string, id: number): Uint8Array {
  const w = new Writer();
  w.u16(id).u16(0x0100).u16(1).u16(0).u16(0).u16(1); // recursion desired; one question, one additional record
  writeName(w, name);
  w.u16(TYPE_URI).u16(CLASS_IN);
  w.u8(0).u16(TYPE_OPT).u16(EDNS_SIZE).u32(0).u16(0);
  return w.finish();
}

function writeName(w: Writer, name: string): void {
  for (const label of name.split('.').filter(Boolean)) {
    const bytes = utf8(label);
    w.u8(bytes.length).bytes(bytes);
  }
  w.u8(0);
}

/** True when a name can be asked for: labels of 1 to 63 bytes, 255 in all (RFC 1035 2.3.4). */
export function isDnsName(name: string): boolean {
  const labels = name.replace(/\.$/, '').split('.');
  return labels.every((l) => l !== '' && utf8(l).length <= 63) && utf8(name).length <= 253;
}

/**
 * Reads the answer to a query.
 * @param query what was sent: number, name and type must be the same
 * @throws MalformedError
 */
export function readUriAnswer(message: Uint8Array, query: Uint8Array): DnsAnswer {
  const r = new Reader(message, 'DNS');
  const asked = new Reader(query, 'DNS');
  if (r.u16() !== asked.u16()) r.fail('the number is that of another query');
  const flags = r.u16();
  if ((flags & 0xf800) !== 0x8000) r.fail('not an answer to a query');
  const [questions, answers] = [r.u16(), r.u16()];
  r.bytes(4); // authority and additional records are not read
  const rcode = flags & 0x0f;
  const truncated = (flags & 0x0200) !== 0;
  if (questions !== 1) {
    // A server that could not read the query may answer without the question.
    if (questions === 0 && rcode !== 0) return { rcode, truncated, uris: [] };
    r.fail(`${questions} questions in an answer`);
  }
  const question = query.subarray(12, query.length - 11); // the OPT record is 11 bytes long
  const repeated = r.bytes(question.length, 'question');
  // Letters may come back in the other case; the lengths of labels are below those of letters.
  const lower = (b: number) => (b >= 0x41 && b <= 0x5a ? b + 0x20 : b);
  if (!repeated.every((b, i) => lower(b) === lower(question[i]!))) r.fail('the question is another');
  const uris: UriRecord[] = [];
  if (truncated) return { rcode, truncated, uris };
  for (let i = 0; i < answers; i++) {
    skipName(r);
    const [type, cls] = [r.u16(), r.u16()];
    r.u32('ttl');
    const data = r.bytes(r.u16('length'), 'record');
    if (type !== TYPE_URI || cls !== CLASS_IN) continue; // CNAMEs on the way
    const d = new Reader(data, 'DNS');
    const [priority, weight] = [d.u16(), d.u16()];
    const target = d.utf8(d.remaining, 'target');
    if (target !== '') uris.push({ priority, weight, target });
  }
  return { rcode, truncated, uris };
}

/** Goes past a name; where it points to is of no matter. */
function skipName(r: Reader): void {
  for (let length = r.u8('name'); length !== 0; length = r.u8('name')) {
    if (length >= 0xc0) {
      r.u8('pointer');
      return;
    }
    if (length > 63) r.fail(`a label of ${length} bytes`);
    r.bytes(length, 'label');
  }
}
