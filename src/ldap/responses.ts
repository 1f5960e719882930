/**
 * Responses of a server whose identity nobody has proven yet, one at a time. They are read here and not by ldapts, whose
 * reader trusts lengths.
 */
import type { Socket } from 'node:net';
import { Reader } from '../bytes.ts';
import { AdError, MalformedError, messageOf } from '../errors.ts';
import { anyElement, ber, element, headerLength, number } from './ber.ts';

/** serverSaslCreds [7], RFC 4511 4.2.2. */
const SERVER_SASL_CREDS = 0x87;
const MAX_RESPONSE = 1 << 17;

/** What a BindResponse or ExtendedResponse says. */
export interface LdapResponse {
  readonly messageId: number;
  readonly status: number;
  readonly diagnostic: string;
  /** serverSaslCreds of a BindResponse. */
  readonly credentials: Uint8Array | undefined;
}

/**
 * The responses of a connection; anything behind one is refused, since it would be in nobody's order.
 * @param operation the tag of the responses that are due
 * @param doing for messages: 'bind'
 * @throws AdError UNREACHABLE; MalformedError
 */
export async function* readResponses(
  socket: Socket,
  operation: number,
  server: string,
  doing: string,
): AsyncGenerator<LdapResponse, undefined> {
  let received: Buffer = Buffer.alloc(0);
  const chunks = socket.iterator({ destroyOnReturn: false });
  try {
    for await (const chunk of chunks) {
      received = Buffer.concat([received, chunk as Buffer]);
      if (received.length > MAX_RESPONSE) throw new MalformedError('LDAP', `the response to the ${doing} is too large`);
      const response = parseResponse(received, operation);
      if (!response) continue;
      received = Buffer.alloc(0);
      yield response;
    }
  } catch (e) {
    if (e instanceof AdError) throw e;
    throw new AdError(
      'UNREACHABLE',
      `the connection to ${server} failed during the ${doing}: ${messageOf(e)}`,
      { server },
      e,
    );
  } finally {
    await chunks.return?.(); // takes the 'readable' listener off, or 'data' would never flow
  }
}

/** One whole LDAPMessage that fills `bytes`, or undefined while it is incomplete. */
function parseResponse(bytes: Uint8Array, operation: number): LdapResponse | undefined {
  const r = new Reader(bytes, 'LDAP');
  const length = headerLength(r, ber.sequence, MAX_RESPONSE);
  if (length === undefined || r.remaining < length) return undefined;
  if (r.remaining > length) r.fail('data after the response');
  const messageId = number(element(r, ber.integer));
  const response = new Reader(element(r, operation), 'LDAP');
  const status = number(element(response, ber.enumerated));
  element(response, ber.octetString); // matchedDN
  const diagnostic = Buffer.from(element(response, ber.octetString)).toString('utf8');
  let credentials: Uint8Array | undefined;
  while (response.remaining > 0) {
    const [tag, value] = anyElement(response); // a referral [3] may stand before serverSaslCreds
    if (tag === SERVER_SASL_CREDS) credentials = value;
  }
  return { messageId, status, diagnostic, credentials };
}
