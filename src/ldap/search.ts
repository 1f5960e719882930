/** A search as Active Directory answers it: in pages, long attributes in ranges, other naming contexts as references. */
import {
  Ber,
  BerWriter,
  type Client,
  Control,
  type Entry,
  type Filter,
  PagedResultsControl,
  PresenceFilter,
} from 'ldapts';
import { MalformedError } from '../errors.ts';

/** Where is searched, for what, and which attributes are wanted. */
export interface SearchRequest {
  readonly base: string;
  readonly scope: 'base' | 'one' | 'sub';
  readonly filter: Filter;
  /** Attributes by the names the server sends (case counts for ldapts), with how their values are to be read. */
  readonly attributes: Readonly<Record<string, 'text' | 'binary'>>;
  /** Entries a page (RFC 2696); without it a server answers with its limit of them (AD: 1000) and refuses to go on. */
  readonly pageSize?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Attribute names in lower case; an attribute without values is absent. */
export interface LdapEntry {
  readonly dn: string;
  readonly text: ReadonlyMap<string, readonly string[]>;
  readonly binary: ReadonlyMap<string, readonly Uint8Array[]>;
}

/** What a search found here, and where the directory says there is more. */
export interface SearchResult {
  readonly entries: LdapEntry[];
  /** LDAP URLs (RFC 4516) of other servers with more of the answer, as they came (RFC 4511 4.5.3): nobody went there. */
  readonly references: string[];
}

/** A long attribute comes in at most this many pieces; AD cuts at 1500 values. */
const MAX_RANGES = 1000;
/** `member;range=0-1499`, the last piece `member;range=1500-*` (MS-ADTS 3.1.1.3.1.3.3). */
const RANGED = /^([^;]+);range=(\d+)-(\d+|\*)$/i;

const NO_COOKIE: Uint8Array = new Uint8Array(0);
/** More than a directory has entries; a page may be empty, and an end must come. */
const MAX_PAGES = 100_000;

/** pagedResultsControl, RFC 2696. ldapts has one too, but ends at the first empty page, with more to come or not. */
class PageRequest extends Control {
  readonly #size: number;
  readonly #cookie: Uint8Array;

  constructor(size: number, cookie: Uint8Array) {
    super(PagedResultsControl.type, { critical: true });
    this.#size = size;
    this.#cookie = cookie;
  }

  override writeControl(writer: BerWriter): void {
    const value = new BerWriter();
    value.startSequence();
    value.writeInt(this.#size);
    value.writeBuffer(Buffer.from(this.#cookie), Ber.OctetString);
    value.endSequence();
    writer.writeBuffer(value.buffer, Ber.OctetString);
  }
}

/**
 * Runs a search to its end.
 * @param answers where the cookie of the page that was received last is put
 * @throws MalformedError, and what ldapts throws
 */
export async function runSearch(
  client: Client,
  request: SearchRequest,
  answers: { cookie: Uint8Array } = { cookie: NO_COOKIE },
): Promise<SearchResult> {
  const { base, scope, filter, attributes, pageSize } = request;
  const names = Object.keys(attributes);
  const options = {
    scope,
    filter,
    attributes: names,
    explicitBufferAttributes: names, // text too: ldapts' guess what is text would depend on the bytes
  };
  const found: { searchEntries: Entry[]; searchReferences: string[] }[] = [];
  if (pageSize === undefined) found.push(await client.search(base, options));
  else {
    let next = NO_COOKIE;
    do {
      if (found.length >= MAX_PAGES) throw new MalformedError('LDAP', `more than ${MAX_PAGES} pages`);
      answers.cookie = NO_COOKIE; // an answer without one is the last
      found.push(await client.search(base, options, new PageRequest(pageSize, next)));
      next = answers.cookie;
    } while (next.length > 0);
  }

  const entries: LdapEntry[] = [];
  for (const entry of found.flatMap((page) => page.searchEntries)) {
    const values = new Map(names.map((name) => [name.toLowerCase(), bytesOf(entry[name])]));
    for (const key of Object.keys(entry)) {
      if (RANGED.test(key)) await completeRange(client, entry, key, values);
    }
    entries.push(readEntry(entry.dn, attributes, values));
  }
  return { entries, references: found.flatMap((page) => page.searchReferences) };
}

/** Reads the rest of an attribute of which the server sent the first values. */
async function completeRange(
  client: Client,
  entry: Entry,
  first: string,
  values: Map<string, Uint8Array[]>,
): Promise<void> {
  let key = first;
  let piece = bytesOf(entry[key]);
  const [, name] = RANGED.exec(key)!;
  const all: Uint8Array[] = [];
  for (let n = 0; n < MAX_RANGES; n++) {
    const [, , low, high] = RANGED.exec(key)!;
    if (Number(low) !== all.length || (high !== '*' && Number(high) !== all.length + piece.length - 1))
      throw new MalformedError('LDAP', `${key} with ${piece.length} values behind ${all.length}`);
    all.push(...piece);
    if (high === '*') {
      values.set(name!.toLowerCase(), all);
      return;
    }
    const wanted = `${name};range=${all.length}-*`;
    const { searchEntries } = await client.search(entry.dn, {
      scope: 'base',
      filter: new PresenceFilter({ attribute: 'objectClass' }),
      attributes: [wanted],
    });
    key = Object.keys(searchEntries[0] ?? {}).find((k) => RANGED.exec(k)?.[1] === name) ?? '';
    if (key === '') throw new MalformedError('LDAP', `no more of ${name} where ${all.length} values are not all`);
    piece = bytesOf(searchEntries[0]![key]);
  }
  throw new MalformedError('LDAP', `${name} in more than ${MAX_RANGES} ranges`);
}

function bytesOf(value: Entry[string] | undefined): Uint8Array[] {
  const values = (Array.isArray(value) ? value : [value]).filter((v) => v !== undefined) as (string | Buffer)[];
  return values.map((v) => (typeof v === 'string' ? Buffer.from(v) : v));
}

function readEntry(
  dn: string,
  attributes: SearchRequest['attributes'],
  values: ReadonlyMap<string, Uint8Array[]>,
): LdapEntry {
  const text = new Map<string, readonly string[]>();
  const binary = new Map<string, readonly Uint8Array[]>();
  for (const [name, kind] of Object.entries(attributes)) {
    const key = name.toLowerCase();
    const bytes = values.get(key) ?? [];
    if (bytes.length === 0) continue;
    if (kind === 'binary') binary.set(key, bytes);
    else {
      text.set(
        key,
        bytes.map((b) => Buffer.from(b.buffer, b.byteOffset, b.length).toString('utf8')),
      );
    }
  }
  return { dn, text, binary };
}
