/** Asks DNS servers for URI records, over UDP and, for what does not fit, over TCP (RFC 1035 4.2). */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import { abortable, deferred } from '../../async.ts';
import { AdError, isAdError, messageOf, throwIfAborted } from '../../errors.ts';
import { type DnsAnswer, isDnsName, readUriAnswer, uriQuery } from './dns-message.ts';
import type { UriRecord } from './resolver.ts';

const NOERROR = 0;
const NXDOMAIN = 3;

interface Timeouts {
  /** For one server, ms. */
  readonly timeout: number;
  /** How often the list of servers is gone through. */
  readonly tries: number;
}

/**
 * The URI records of a name; none when the name or the records do not exist.
 * @param servers `address`, `address:port` or `[v6]:port`, as Node lists them
 * @throws AdError UNREACHABLE when no server said; TIMEOUT or ABORTED by the signal
 */
export async function queryUri(
  name: string,
  servers: readonly string[],
  timeouts: Timeouts,
  signal?: AbortSignal,
): Promise<UriRecord[]> {
  if (!isDnsName(name)) return [];
  let last: unknown = new AdError('UNREACHABLE', 'no DNS server is configured');
  for (let attempt = 0; attempt < timeouts.tries; attempt++) {
    for (const server of servers) {
      throwIfAborted(signal, 'asking DNS');
      try {
        const answer = await ask(name, server, { timeout: timeouts.timeout, signal });
        if (answer.rcode === NXDOMAIN) return [];
        if (answer.rcode === NOERROR) return [...answer.uris];
        last = new AdError('UNREACHABLE', `${server} answers with code ${answer.rcode}`);
      } catch (e) {
        if (!isAdError(e, 'UNREACHABLE', 'MALFORMED')) throw e;
        last = e;
      }
    }
  }
  throw new AdError('UNREACHABLE', `DNS did not answer for URI ${name}: ${messageOf(last)}`, {}, last);
}

interface Limits {
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

async function ask(name: string, server: string, limits: Limits): Promise<DnsAnswer> {
  const [, v6, v4, port = '53'] = /^(?:\[([^\]]+)\]|([^:]+|.*:.*:.*?))(?::(\d+))?$/.exec(server) ?? [];
  const address = v6 ?? v4 ?? server;
  const query = uriQuery(name, randomInt(0x10000));
  const answer = await overUdp(address, Number(port), query, limits);
  return answer.truncated ? overTcp(address, Number(port), query, limits) : answer;
}

function overUdp(address: string, port: number, query: Uint8Array, { timeout, signal }: Limits): Promise<DnsAnswer> {
  const { promise, resolve, reject } = deferred<DnsAnswer>();
  const unreachable = (why: string) => reject(new AdError('UNREACHABLE', `${address}: ${why}`));
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  const timer = setTimeout(() => unreachable('no answer'), timeout);
  socket.on('error', (e) => unreachable(messageOf(e)));
  socket.on('message', (message) => {
    try {
      resolve(readUriAnswer(message, query));
    } catch {
      // Not the answer to this query: whoever sent it, the true one may still come.
    }
  });
  // Called with an error too, such as that of a network without a route; sending would then throw past every catch.
  socket.connect(port, address, (e?: Error) => {
    if (e) unreachable(messageOf(e));
    else socket.send(query);
  });
  return abortable(promise, signal, 'asking DNS').finally(() => {
    clearTimeout(timer);
    socket.close();
  });
}

function overTcp(address: string, port: number, query: Uint8Array, { timeout, signal }: Limits): Promise<DnsAnswer> {
  const { promise, resolve, reject } = deferred<DnsAnswer>();
  const unreachable = (why: string) => reject(new AdError('UNREACHABLE', `${address}: ${why} (TCP)`));
  const socket = connect({ host: address, port });
  socket.setTimeout(timeout, () => unreachable('no answer'));
  let received = Buffer.alloc(0);
  socket.on('error', (e) => unreachable(messageOf(e))).on('close', () => unreachable('the connection was closed'));
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk]); // at most 64 KiB are waited for
    if (received.length < 2 || received.length < 2 + received.readUInt16BE()) return;
    try {
      resolve(readUriAnswer(received.subarray(2, 2 + received.readUInt16BE()), query));
    } catch (e) {
      reject(e);
    }
  });
  socket.write(Buffer.concat([Uint8Array.of(query.length >> 8, query.length & 0xff), query]));
  return abortable(promise, signal, 'asking DNS').finally(() => socket.destroy());
}
