/** The LDAP SASL bind with binary credentials (RFC 4511 4.2), which ldapts has only as text, over an open socket. */
import type { Socket } from 'node:net';
import { Ber, BerReader, type BerWriter, BindRequest, BindResponse, ProtocolOperation } from 'ldapts';
import { AdError, abortError, MalformedError, messageOf, throwIfAborted } from '../errors.ts';
import { ldapResultError } from './errors.ts';
import type { SaslMechanism } from './sasl-gssapi.ts';
import type { SecurityLayer } from './security-layer.ts';

const SUCCESS = 0;
const SASL_BIND_IN_PROGRESS = 14;
/** serverSaslCreds [7], RFC 4511 4.2.2. */
const SERVER_SASL_CREDS = 0x87;
const MAX_ROUNDS = 8;
const MAX_RESPONSE = 1 << 17;

class SaslBindRequest extends BindRequest {
  readonly #credentials: Uint8Array | undefined;

  constructor(messageId: number, mechanism: string, credentials: Uint8Array | undefined) {
    super({ messageId, mechanism });
    this.#credentials = credentials;
  }

  override writeMessage(w: BerWriter): void {
    w.writeInt(3);
    w.writeString('');
    w.startSequence(ProtocolOperation.LDAP_REQ_BIND_SASL);
    w.writeString(this.mechanism ?? '');
    if (this.#credentials) w.writeBuffer(Buffer.from(this.#credentials), Ber.OctetString);
    w.endSequence();
  }
}

class SaslBindResponse extends BindResponse {
  credentials: Buffer | undefined;

  override parseMessage(r: BerReader): void {
    this.status = r.readEnumeration() ?? -1;
    this.matchedDN = r.readString() ?? '';
    this.errorMessage = r.readString() ?? '';
    for (let tag = r.peek(); tag !== null && tag !== ProtocolOperation.LDAP_CONTROLS; tag = r.peek()) {
      const value = r.readString(tag, true);
      if (value === null) throw new MalformedError('LDAP', 'truncated BindResponse');
      if (tag === SERVER_SASL_CREDS) this.credentials = value;
    }
  }
}

/**
 * Binds and returns the negotiated layer. The socket stays the caller's, also on failure.
 * @throws AdError LDAP, WRONG_PASSWORD, ACCOUNT_DISABLED … by the result; UNREACHABLE when the connection ends;
 *   MalformedError; TIMEOUT or ABORTED by the signal; what the mechanism throws
 */
export async function saslBind(
  socket: Socket,
  mechanism: SaslMechanism,
  server: string,
  signal?: AbortSignal,
): Promise<SecurityLayer> {
  const responses = readResponses(socket, server);
  const onAbort = () => socket.destroy();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    let token: Uint8Array | undefined;
    for (let id = 1; id <= MAX_ROUNDS; id++) {
      throwIfAborted(signal, `binding to ${server}`);
      socket.write(new SaslBindRequest(id, mechanism.name, mechanism.step(token)).write());
      const { value: response, done } = await responses.next();
      if (done) throw new AdError('UNREACHABLE', `${server} closed the connection during the bind`, { server });
      if (response.messageId !== id)
        throw new MalformedError('LDAP', `response to message ${response.messageId}, not ${id}`);
      if (response.status === SUCCESS) return mechanism.finish();
      if (response.status !== SASL_BIND_IN_PROGRESS)
        throw ldapResultError(response.status, response.errorMessage, 'bind', server);
      token = response.credentials;
    }
    throw new AdError('LDAP', `the bind to ${server} does not come to an end`, { server });
  } catch (e) {
    mechanism.destroy();
    if (signal?.aborted) throw abortError(signal, `binding to ${server}`);
    throw e;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    await responses.return(undefined);
  }
}

/** The BindResponses of a connection, one at a time; anything after the final one would be in nobody's order. */
async function* readResponses(socket: Socket, server: string): AsyncGenerator<SaslBindResponse, undefined> {
  let received: Buffer = Buffer.alloc(0);
  const chunks = socket.iterator({ destroyOnReturn: false });
  try {
    for await (const chunk of chunks) {
      received = Buffer.concat([received, chunk as Buffer]);
      if (received.length > MAX_RESPONSE) throw new MalformedError('LDAP', 'BindResponse is too large');
      const response = parseResponse(received);
      if (!response) continue;
      received = Buffer.alloc(0);
      yield response;
    }
  } catch (e) {
    if (e instanceof AdError) throw e;
    throw new AdError(
      'UNREACHABLE',
      `the connection to ${server} failed during the bind: ${messageOf(e)}`,
      { server },
      e,
    );
  } finally {
    await chunks.return?.(); // takes the 'readable' listener off, or 'data' would never flow
  }
}

/** One whole LDAPMessage that fills `bytes`, or undefined while it is incomplete. */
function parseResponse(bytes: Buffer): SaslBindResponse | undefined {
  try {
    const r = new BerReader(bytes);
    if (r.readSequence() === null || r.remain < r.length) return undefined;
    if (r.remain > r.length) throw new MalformedError('LDAP', 'data after the BindResponse');
    const messageId = r.readInt() ?? -1;
    if (r.readSequence() !== ProtocolOperation.LDAP_RES_BIND) throw new MalformedError('LDAP', 'not a BindResponse');
    const response = new SaslBindResponse({ messageId });
    response.parse(r, []);
    return response;
  } catch (e) {
    if (e instanceof MalformedError) throw e;
    throw new MalformedError('LDAP', messageOf(e), e);
  }
}
