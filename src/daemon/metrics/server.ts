/** Serves the metrics over HTTP on a loopback port or a unix socket: GET /metrics, nothing else. */
import { createServer, type Server } from 'node:http';
import { isIP } from 'node:net';
import { AdError, messageOf } from '../../errors.ts';
import { listenOnSocket } from '../grpc/socket.ts';

/** `127.0.0.1:9464`, `[::1]:9464`, a port alone, or `unix:/path`. */
export type MetricsAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * @throws AdError INVALID_ARGUMENT for anything but a loopback address or an absolute socket path: metrics name accounts,
 *   and nobody authenticates who asks
 */
export function parseMetricsAddress(text: string): MetricsAddress {
  if (text.startsWith('unix:/')) return { path: text.slice('unix:'.length) };
  const [, v6, v4, port] = /^(?:(?:\[([0-9a-f:]+)\]|([0-9.]+|localhost)):)?(\d{1,5})$/.exec(text) ?? [];
  const host = v6 ?? (v4 === 'localhost' ? '127.0.0.1' : v4) ?? '127.0.0.1';
  const loopback = host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
  if (port === undefined || Number(port) > 65_535 || !loopback) {
    throw new AdError(
      'INVALID_ARGUMENT',
      `${JSON.stringify(text)} is no address for metrics: give a port, a loopback address with port such as 127.0.0.1:9464, or unix:/path`,
    );
  }
  return { host, port: Number(port) };
}

export interface MetricsServer {
  /** As `parseMetricsAddress` takes it, with the port in use. */
  readonly address: string;
  close(): Promise<void>;
}

/** @throws AdError FILE when the address cannot be used */
export async function serveMetrics(
  address: MetricsAddress,
  render: () => Promise<string> | string,
): Promise<MetricsServer> {
  const http = createServer({ requestTimeout: 5000, maxHeaderSize: 8192 }, (request, response) => {
    const known = request.method === 'GET' && request.url?.split('?', 1)[0] === '/metrics';
    if (!known) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('GET /metrics\n');
      return;
    }
    Promise.resolve()
      .then(render)
      .then(
        (text) => response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text),
        () => response.writeHead(500).end(),
      );
  });
  http.maxConnections = 16;
  const where = 'path' in address ? await onSocket(http, address.path) : await onPort(http, address);
  return {
    address: where,
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
}

/** The socket is taken over by the same rules as the daemon's own. */
async function onSocket(http: Server, path: string): Promise<string> {
  const listener = await listenOnSocket(path, 0o660);
  listener.on('connection', (connection) => {
    http.emit('connection', connection);
    connection.resume();
  });
  http.once('close', () => listener.close());
  return `unix:${path}`;
}

function onPort(http: Server, { host, port }: { host: string; port: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    http.once('error', (e) =>
      reject(new AdError('FILE', `cannot serve metrics on ${host}:${port}: ${messageOf(e)}`, {}, e)),
    );
    http.listen({ host, port, exclusive: true }, () => {
      const bound = http.address();
      const used = bound !== null && typeof bound === 'object' ? bound.port : port;
      resolve(host.includes(':') ? `[${host}]:${used}` : `${host}:${used}`);
    });
  });
}
