/** Searching: scopes, filters, chosen attributes, pages, and the managed password with the rules that guard it. */
import { BerReader } from 'ldapts';
import { type Account, Gmsa } from '../accounts.ts';
import type { KdcContext } from '../kdc/tickets.ts';
import { enter, integer, must, octets, readText, tlv } from './ber.ts';
import { dnByGuid, type Entry, normalDn, rootDse } from './entries.ts';
import { matches } from './filter.ts';
import {
  type Control,
  responseTag,
  result,
  resultCode,
  type SearchRequest,
  searchEntry,
  writeMessage,
} from './messages.ts';

export interface Session {
  readonly account: Account | undefined;
  /** True when answers travel encrypted. */
  readonly sealed: boolean;
  /** How far behind its managed passwords are, ms. */
  readonly lagMs: number;
}

const SCOPE = { base: 0, one: 1, sub: 2 } as const;
const PAGED = '1.2.840.113556.1.4.319';
const KNOWN_CONTROLS = new Set([PAGED, '1.2.840.113556.1.4.801', '1.2.840.113556.1.4.529', '1.2.840.113556.1.4.1339']);
/** Active Directory's MaxPageSize. */
const MAX_PAGE = 1000;
const MANAGED_PASSWORD = 'msds-managedpassword';

/** All messages that answer a search, in order. */
export function search(
  context: KdcContext,
  session: Session,
  entries: readonly Entry[],
  id: number,
  request: SearchRequest,
  controls: readonly Control[],
): Buffer[] {
  const done = (code: number, text = '', answer: readonly Control[] = []): Buffer =>
    writeMessage(id, responseTag.searchDone, result(code, text), answer);
  if (controls.some((c) => c.critical && !KNOWN_CONTROLS.has(c.oid))) {
    return [done(resultCode.unavailableCriticalExtension, '00000057: LdapErr: unknown critical control')];
  }
  const { directory } = context;
  const now = context.now();
  if (request.base === '' && request.scope === SCOPE.base) {
    // MS-ADTS 3.1.1.3.2: the rootDSE has no objectClass, yet answers the usual (objectClass=*).
    return [select(id, rootDse(directory, now), request), done(resultCode.success)];
  }
  if (session.account === undefined) {
    const text =
      '000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a successful bind must be completed on the connection., data 0, v4f7c';
    return [done(resultCode.operationsError, text)];
  }

  const base = normalDn(dnByGuid(directory, request.base) ?? request.base);
  if (!entries.some((e) => e.id === base)) {
    const text = `0000208D: NameErr: DSID-0310028B, problem 2001 (NO_OBJECT), data 0, best match of:\n\t'${directory.baseDn}'\n`;
    return [done(resultCode.noSuchObject, text)];
  }
  const found = entries.filter((e) => inScope(e.id, base, request.scope) && matches(request.filter, e.values));
  const wantsPassword = request.attributes.some((a) => a.toLowerCase() === MANAGED_PASSWORD);
  if (wantsPassword && !session.sealed && found.some((e) => e.account instanceof Gmsa)) {
    // A controller fails the whole search rather than let a password out in the clear.
    const text =
      "00002020: operational_search_post_process failed for attribute 'msDS-ManagedPassword' - Operations error";
    return [done(resultCode.operationsError, text)];
  }

  const { page, from, more, limited } = pageOf(found, request, controls);
  const messages = page.map((e) => select(id, withPassword(context, session, e, wantsPassword, now), request));
  if (base === normalDn(directory.baseDn) && request.scope === SCOPE.sub && from === 0) {
    // The naming contexts below this one, which a subtree search does not enter.
    for (const name of ['DomainDnsZones', 'ForestDnsZones']) {
      const uri = `ldap://${name}.${directory.domain}/DC=${name},${directory.baseDn}`;
      messages.push(writeMessage(id, responseTag.searchReference, [octets(uri)]));
    }
  }
  messages.push(done(limited ? resultCode.sizeLimitExceeded : resultCode.success, '', more));
  return messages;
}

function inScope(dn: string, base: string, scope: number): boolean {
  if (scope === SCOPE.base) return dn === base;
  const below = dn.endsWith(`,${base}`);
  if (scope === SCOPE.one) return below && !dn.slice(0, -base.length - 1).includes(',');
  return dn === base || below;
}

/** The attribute is simply absent for a reader without the right. */
function withPassword({ directory }: KdcContext, session: Session, entry: Entry, wanted: boolean, now: number): Entry {
  const { account } = entry;
  if (!wanted || !(account instanceof Gmsa) || !session.account || !directory.mayRead(session.account, account))
    return entry;
  return {
    ...entry,
    attributes: new Map([...entry.attributes, ['msDS-ManagedPassword', [account.blobAt(now - session.lagMs)]]]),
  };
}

/** RFC 4511 4.5.1.8: none or `*` for all, `1.1` for none, else those named. */
function select(id: number, entry: Entry, { attributes, typesOnly }: SearchRequest): Buffer {
  const asked = new Set(attributes.map((a) => a.toLowerCase()));
  const all = asked.size === 0 || asked.has('*');
  const chosen = [...entry.attributes]
    .filter(([name]) => all || asked.has(name.toLowerCase()))
    .map(([name, values]) => ({ name, values: typesOnly ? [] : values }));
  return searchEntry(id, entry.dn, chosen);
}

/** Simple paged results (RFC 2696); the cookie is the number of entries already sent. */
function pageOf(
  found: readonly Entry[],
  { sizeLimit }: SearchRequest,
  controls: readonly Control[],
): { page: readonly Entry[]; from: number; more: Control[]; limited: boolean } {
  const value = controls.find((c) => c.oid === PAGED)?.value;
  if (value === undefined) {
    const limit = Math.min(sizeLimit || MAX_PAGE, MAX_PAGE);
    return { page: found.slice(0, limit), from: 0, more: [], limited: found.length > limit };
  }
  const r = enter(new BerReader(value), 0x30, 'paged control');
  const size = Math.min(Math.max(must(r.readInt(), 'page size'), 1), MAX_PAGE);
  const from = Number(readText(r, 'cookie')) || 0;
  const cookie = from + size < found.length ? String(from + size) : '';
  const answer = tlv(0x30, integer(0), octets(cookie));
  return {
    page: found.slice(from, from + size),
    from,
    more: [{ oid: PAGED, critical: false, value: answer }],
    limited: false,
  };
}
