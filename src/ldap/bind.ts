/** The LDAP SASL bind with binary credentials (RFC 4511 4.2), which ldapts has only as text, over an open socket. */
import type { Socket } from 'node:net';
import { Ber, type BerWriter, BindRequest, ProtocolOperation } from 'ldapts';
import { AdError, abortError, MalformedError, throwIfAborted } from '../errors.ts';
import { ldapResultError } from './errors.ts';
import { readResponses } from './responses.ts';
import type { SaslMechanism } from './sasl.ts';
import type { SecurityLayer } from './security-layer.ts';

const SUCCESS = 0;
const SASL_BIND_IN_PROGRESS = 14;
const MAX_ROUNDS = 8;

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

/**
 * Binds and returns the negotiated layer, or undefined when TLS protects the connection. The socket stays the caller's, also on failure.
 * @throws AdError LDAP, WRONG_PASSWORD, ACCOUNT_DISABLED … by the result; UNREACHABLE when the connection ends;
 *   MalformedError; TIMEOUT or ABORTED by the signal; what the mechanism throws
 */
export async function saslBind(
  socket: Socket,
  mechanism: SaslMechanism,
  server: string,
  signal?: AbortSignal,
): Promise<SecurityLayer | undefined> {
  const responses = readResponses(socket, ProtocolOperation.LDAP_RES_BIND, server, 'bind');
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
      if (response.status === SUCCESS) return mechanism.finish(response.credentials);
      if (response.status !== SASL_BIND_IN_PROGRESS)
        throw ldapResultError(response.status, response.diagnostic, 'bind', server);
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
