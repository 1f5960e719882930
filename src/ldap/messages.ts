/**
 * What a server answers to a search, checked before ldapts reads it: that reader trusts the lengths inside a message,
 * and one that points beyond its end makes it loop until the memory is full. A sealed connection says who the server
 * is, not that it means well: a request may name any domain.
 */
import { PagedResultsControl, ProtocolOperation } from 'ldapts';
import { copy, Reader, wipe } from '../bytes.ts';
import { MalformedError } from '../errors.ts';
import { anyElement, ber, element, headerLength, number } from './ber.ts';

/** Longest message taken, in bytes. An entry with a managed password has one or two thousand. */
const MAX_MESSAGE = 1 << 20;
/** Most that is taken between two requests, in bytes: fifty gMSAs are a hundred thousand. */
const MAX_ANSWER = 32 << 20;
const NO_COOKIE = new Uint8Array(0);
/** Controls [0], RFC 4511 4.1.11. */
const CONTROLS = 0xa0;

/** Puts whole LDAPMessages together from a decrypted stream, whose memory it takes over. */
export class AnswerReader {
  readonly #header: number[] = [];
  #message: Uint8Array | undefined;
  #filled = 0;
  #taken = 0;
  /** True while a search is under way that asks for pages: its answers carry a control. */
  pageDue = false;
  /** What the last page said about the next (RFC 2696 2): empty after the last. */
  cookie: Uint8Array = NO_COOKIE;

  /** A request was sent: as much as one may be answered with is due again. */
  requested(): void {
    this.#taken = 0;
  }

  /**
   * The messages that `chunk` completes.
   * @throws MalformedError for what is no answer to a search, or too much of it
   */
  *push(chunk: Uint8Array): Generator<Uint8Array, void> {
    this.#taken += chunk.length;
    if (this.#taken > MAX_ANSWER) throw new MalformedError('LDAP', `more than ${MAX_ANSWER} bytes for one request`);
    for (let at = 0; at < chunk.length; ) {
      if (!this.#message) {
        this.#header.push(chunk[at++]!);
        const header = Uint8Array.from(this.#header);
        const length = headerLength(new Reader(header, 'LDAP'), ber.sequence, MAX_MESSAGE);
        if (length === undefined) continue;
        this.#message = new Uint8Array(header.length + length);
        this.#message.set(header);
        this.#filled = header.length;
        this.#header.length = 0;
      }
      const part = chunk.subarray(at, at + this.#message.length - this.#filled);
      this.#message.set(part, this.#filled);
      wipe(part); // a managed password may be in it
      this.#filled += part.length;
      at += part.length;
      if (this.#filled < this.#message.length) continue;
      const whole = this.#message;
      this.#message = undefined;
      yield checked(whole, this.pageDue ? (cookie) => (this.cookie = cookie) : undefined);
    }
  }
}

/**
 * The message, when every element in it ends where the one around it ends, or before.
 * @throws MalformedError
 */
function checked(message: Uint8Array, onPage: ((cookie: Uint8Array) => void) | undefined): Uint8Array {
  const r = new Reader(element(new Reader(message, 'LDAP'), ber.sequence), 'LDAP');
  number(element(r, ber.integer));
  const [operation, value] = anyElement(r);
  const inside = new Reader(value, 'LDAP');
  switch (operation) {
    case ProtocolOperation.LDAP_RES_SEARCH_ENTRY:
      checkEntry(inside);
      break;
    case ProtocolOperation.LDAP_RES_SEARCH_REF:
      while (inside.remaining > 0) element(inside, ber.octetString);
      break;
    case ProtocolOperation.LDAP_RES_SEARCH:
    case ProtocolOperation.LDAP_RES_EXTENSION: // a server says goodbye with it (RFC 4511 4.4.1)
      number(element(inside, ber.enumerated));
      element(inside, ber.octetString); // matchedDN
      element(inside, ber.octetString); // diagnosticMessage
      while (inside.remaining > 0) anyElement(inside);
      break;
    default:
      r.fail(`operation 0x${operation.toString(16)} is no answer to a search`);
  }
  if (r.remaining === 0) return message;
  const [tag, controls] = anyElement(r);
  if (tag !== CONTROLS) r.fail('data after the operation');
  if (!onPage) return r.fail('a control that nobody asked for');
  r.end();
  onPage(pageCookie(new Reader(controls, 'LDAP')));
  return message;
}

/** The one control that is ever asked for: pagedResultsControl, RFC 2696 2. */
function pageCookie(r: Reader): Uint8Array {
  const control = new Reader(element(r, ber.sequence), 'LDAP');
  r.end();
  if (Buffer.from(element(control, ber.octetString)).toString('latin1') !== PagedResultsControl.type)
    r.fail('a control not asked for');
  let [tag, value] = anyElement(control);
  if (tag === ber.boolean) [tag, value] = anyElement(control);
  if (tag !== ber.octetString) control.fail('a control without a value');
  control.end();
  const outer = new Reader(value, 'LDAP');
  const paging = new Reader(element(outer, ber.sequence), 'LDAP');
  outer.end();
  number(element(paging, ber.integer)); // size
  const cookie = copy(element(paging, ber.octetString));
  paging.end();
  return cookie;
}

/** SearchResultEntry, RFC 4511 4.5.2. */
function checkEntry(r: Reader): void {
  element(r, ber.octetString); // objectName
  const attributes = new Reader(element(r, ber.sequence), 'LDAP');
  while (attributes.remaining > 0) {
    const attribute = new Reader(element(attributes, ber.sequence), 'LDAP');
    element(attribute, ber.octetString); // type
    const values = new Reader(element(attribute, ber.set), 'LDAP');
    while (values.remaining > 0) element(values, ber.octetString);
    attribute.end();
  }
  r.end();
}
