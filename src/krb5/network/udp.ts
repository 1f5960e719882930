/**
 * Kerberos over UDP, RFC 4120 7.2.1: one datagram each way. Nothing tells a lost datagram from a slow server, so the
 * request is sent again a few times.
 */
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { deferred } from '../../async.ts';
import { AdError, abortError, messageOf, throwIfAborted } from '../../errors.ts';
import { type Endpoint, endpointName } from './locate.ts';
import type { Resolver } from './resolver.ts';

/** When the request is sent again, ms after the first time; after the last the wait ends. */
export const UDP_SCHEDULE: readonly number[] = [1000, 2000, 4000];

export interface UdpOptions {
  readonly resolver: Resolver;
  readonly signal: AbortSignal;
  /** Whether a datagram is an answer at all; others are passed over, since anyone can send them. */
  readonly accepts: (datagram: Uint8Array) => boolean;
  readonly schedule?: readonly number[];
  /** Told when the request was sent the first time. */
  readonly sent?: () => void;
}

/**
 * Sends a request and returns the first acceptable answer from that very address and port.
 * @throws AdError UNREACHABLE when the server refuses datagrams or stays silent; TIMEOUT or ABORTED by the signal
 */
export async function askOverUdp(endpoint: Endpoint, request: Uint8Array, options: UdpOptions): Promise<Uint8Array> {
  const { signal, schedule = UDP_SCHEDULE } = options;
  const server = endpointName(endpoint);
  const [address] = await options.resolver.addresses(endpoint.host);
  if (address === undefined) throw new AdError('UNREACHABLE', `no address for ${endpoint.host}`, { server });
  throwIfAborted(signal, `asking ${server}`);
  const { promise, resolve, reject } = deferred<Uint8Array>();
  const unreachable = (why: string, cause?: unknown) =>
    reject(new AdError('UNREACHABLE', `${why} (UDP)`, { server }, cause));
  const onAbort = () => reject(abortError(signal, `waiting for ${server}`));
  signal.addEventListener('abort', onAbort, { once: true });
  const timers: NodeJS.Timeout[] = [];
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  try {
    socket.on('error', (e) => unreachable(messageOf(e), e));
    // The kernel passes on what comes from the connected address alone, and tells when nobody listens there.
    socket.on('message', (datagram) => options.accepts(datagram) && resolve(new Uint8Array(datagram)));
    socket.connect(endpoint.port, address, (e?: Error) => {
      // Such as that of a network without a route; sending would then throw past every catch.
      if (e) {
        unreachable(messageOf(e), e);
        return;
      }
      const send = () => socket.send(request, (e) => e && unreachable(messageOf(e), e));
      send();
      options.sent?.();
      for (const at of schedule.slice(0, -1)) timers.push(setTimeout(send, at));
      timers.push(setTimeout(() => unreachable(`silent for ${schedule.at(-1)} ms`), schedule.at(-1)));
    });
    return await promise;
  } finally {
    signal.removeEventListener('abort', onAbort);
    for (const timer of timers) clearTimeout(timer);
    socket.close();
  }
}
