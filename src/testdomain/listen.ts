/** Listening on a port, as promises. */
import type { Socket as DatagramSocket } from 'node:dgram';
import type { AddressInfo, Server } from 'node:net';

/** Starts listening and gives the port. */
export function listening(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.removeListener('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Binds a datagram socket to the very port. */
export function bound(udp: DatagramSocket, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    udp.once('error', reject);
    udp.bind({ port, address: host, exclusive: true }, () => {
      udp.removeListener('error', reject);
      resolve();
    });
  });
}
