/**
 * A TCP relay that counts round trips, and may make each cost time as a network does. A round trip is what a client sends
 * until the server answers; a connection's handshake is one too, counted apart.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Relay {
  readonly port: number;
  /** Requests (turns of the client) and connections since `reset()`. */
  readonly counts: { requests: number; connections: number };
  reset(): void;
  /** Milliseconds each round trip takes from now on: a handshake and every request. */
  delay: number;
  /** Ends every connection that is open. */
  drop(): Promise<void>;
  close(): Promise<void>;
}

export async function startRelay(to: { readonly host: string; readonly port: number }): Promise<Relay> {
  const open = new Set<Socket>();
  const server = createServer({ noDelay: true }, (client) => {
    relay.counts.connections++;
    const target = connect({ ...to, noDelay: true });
    // A handshake over a real network would be through only now.
    const established = performance.now() + relay.delay;
    let asking = false;
    client.on('data', (chunk) => {
      if (!asking) relay.counts.requests++;
      asking = true;
      const wait = Math.max(0, established - performance.now()) + relay.delay;
      if (wait === 0) target.write(chunk);
      else setTimeout(() => target.write(chunk), wait);
    });
    target.on('data', (chunk) => {
      asking = false;
      client.write(chunk);
    });
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.once('end', () => other.end());
      socket.once('close', () => {
        open.delete(socket);
        other.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const drop = async (): Promise<void> => {
    const closed = [...open].map((socket) => once(socket, 'close'));
    for (const socket of open) socket.destroy();
    await Promise.all(closed);
  };
  const relay: Relay = {
    port: (server.address() as AddressInfo).port,
    counts: { requests: 0, connections: 0 },
    reset: () => Object.assign(relay.counts, { requests: 0, connections: 0 }),
    delay: 0,
    drop,
    async close() {
      server.close();
      await drop();
    },
  };
  return relay;
}
