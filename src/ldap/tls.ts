/**
 * TLS under LDAP: from the first byte (LDAPS), or from StartTLS on (RFC 4511 4.14). The certificate is always checked; a
 * hash of it goes into the bind, since domain controllers may insist on that (LDAP channel binding).
 */
import type { Socket } from 'node:net';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { ExtendedRequest, ProtocolOperation } from 'ldapts';
import { deferred } from '../async.ts';
import { AdError, abortError, MalformedError, messageOf } from '../errors.ts';
import { channelBindings, tlsServerEndPoint } from '../krb5/gss/bindings.ts';
import { ldapResultError } from './errors.ts';
import { readResponses } from './responses.ts';

/** TLS below LDAP. */
export interface TlsOptions {
  /** When TLS begins. */
  readonly mode: 'ldaps' | 'starttls';
  /** Certificate authorities to trust, PEM; Node's own where absent. */
  readonly ca?: string | readonly string[];
}

const START_TLS = '1.3.6.1.4.1.1466.20037';
const START_TLS_ID = 1;

/**
 * Secures an open connection.
 * @param host the name that the certificate must be for
 * @returns the secured connection, and the GSS channel bindings of its certificate (16 bytes) where there are such
 * @throws AdError UNREACHABLE, also for a certificate that is not trusted; LDAP when StartTLS is refused; TIMEOUT or
 *   ABORTED by the signal; MalformedError for what is no answer to StartTLS, or more than it
 */
export async function secure(
  raw: Socket,
  host: string,
  options: TlsOptions,
  server: string,
  signal?: AbortSignal,
): Promise<{ socket: TLSSocket; bindings: Uint8Array | undefined }> {
  if (options.mode === 'starttls') await startTls(raw, server, signal);
  const { connect } = await import('node:tls');
  const { ca } = options;
  // Checked whatever NODE_TLS_REJECT_UNAUTHORIZED says: there is nothing else that seals the connection.
  const tls: ConnectionOptions = { socket: raw, servername: host, minVersion: 'TLSv1.2', rejectUnauthorized: true };
  const socket = connect(ca === undefined ? tls : { ...tls, ca: typeof ca === 'string' ? ca : [...ca] });
  try {
    await handshake(socket, server, signal);
    const certificate = socket.getPeerCertificate().raw;
    const endPoint = certificate && tlsServerEndPoint(certificate);
    return { socket, bindings: endPoint && channelBindings(endPoint) };
  } catch (e) {
    socket.destroy();
    throw e;
  }
}

function handshake(socket: TLSSocket, server: string, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve, reject } = deferred<void>();
  const unreachable = (why: string, cause?: unknown) =>
    reject(new AdError('UNREACHABLE', `no TLS connection to ${server}: ${why}`, { server }, cause));
  const onAbort = () => reject(abortError(signal!, `connecting to ${server}`));
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  socket.once('secureConnect', () => resolve());
  socket.on('error', (e) => unreachable(messageOf(e), e));
  socket.once('close', () => unreachable('the connection was closed'));
  return promise.finally(() => signal?.removeEventListener('abort', onAbort));
}

/** "The client ... MUST NOT send any LDAP PDUs ... following this request until it receives a response" (4.14.1). */
async function startTls(raw: Socket, server: string, signal: AbortSignal | undefined): Promise<void> {
  const responses = readResponses(raw, ProtocolOperation.LDAP_RES_EXTENSION, server, 'StartTLS');
  const onAbort = () => raw.destroy();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    raw.write(new ExtendedRequest({ messageId: START_TLS_ID, oid: START_TLS }).write());
    const { value: response } = await responses.next();
    if (signal?.aborted) throw abortError(signal, `StartTLS with ${server}`);
    if (!response) throw new AdError('UNREACHABLE', `${server} closed the connection during StartTLS`, { server });
    if (response.messageId !== START_TLS_ID)
      throw new MalformedError('LDAP', `response to message ${response.messageId}, not ${START_TLS_ID}`);
    if (response.status !== 0) throw ldapResultError(response.status, response.diagnostic, 'StartTLS request', server);
  } catch (e) {
    if (signal?.aborted) throw abortError(signal, `StartTLS with ${server}`);
    throw e;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    await responses.return(undefined);
  }
}
