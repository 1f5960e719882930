/** The TLS connection a request goes through, as channel bindings (RFC 5929 section 4). */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { channelBindings, tlsServerEndPoint } from '../krb5/gss/bindings.ts';

/** Bindings to a server's certificate; undefined where RFC 5929 has none for it. @param certificate DER */
export function certificateBindings(certificate: Uint8Array | undefined): Uint8Array | undefined {
  const data = certificate && tlsServerEndPoint(certificate);
  return data && channelBindings(data);
}

/** Bindings of the connection to a server; undefined without TLS. */
export function clientChannel(socket: Socket): Uint8Array | undefined {
  return socket instanceof TLSSocket ? certificateBindings(bytes(socket.getPeerCertificate()?.raw)) : undefined;
}

/** Bindings of a client's connection to us; undefined without TLS, or where TLS ends before us. */
export function serverChannel(socket: Socket): Uint8Array | undefined {
  return socket instanceof TLSSocket ? certificateBindings(bytes(socket.getX509Certificate()?.raw)) : undefined;
}

function bytes(raw: Uint8Array | undefined): Uint8Array | undefined {
  return raw && new Uint8Array(raw);
}
