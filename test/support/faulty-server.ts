/** Servers that fail on purpose: ports where nobody listens, relays that fall silent or cut the line. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A port of 127.0.0.1 on which connections are refused. */
export async function refusedPort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  server.close();
  await once(server, 'close');
  return port;
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** What a relay does with the connections made from now on. */
export interface RelayMode {
  /** Connections are accepted and nothing is said on them until `heal`, as by a program that is stopped. */
  readonly silent?: boolean;
  /** After this many bytes from the server the connection is reset. */
  readonly cutAfter?: number;
  /** Only the next connection is treated so; those after it are relayed as they should be. */
  readonly once?: boolean;
}

/** A TCP relay on 127.0.0.1 in front of a real server. */
export class Relay {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #frozen: (() => void)[] = [];
  #mode: RelayMode = {};
  /** Connections accepted so far. */
  accepted = 0;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  /** @param target the port of 127.0.0.1 that is relayed to */
  static async start(target: number, mode: RelayMode = {}): Promise<Relay> {
    const server = createServer();
    const relay = new Relay(server, await listen(server));
    relay.#mode = mode;
    server.on('connection', (socket) => relay.#accept(socket, target));
    return relay;
  }

  /** Sets the mode, and drops every connection so that it counts from the next one on. */
  become(mode: RelayMode): void {
    this.#mode = mode;
    this.drop();
  }

  /** Relays as it should from now on, also what silent connections have sent. */
  heal(): void {
    this.#mode = {};
    for (const wake of this.#frozen.splice(0)) wake();
  }

  drop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** What comes on the connections that are open now goes nowhere from now on; they stay open. */
  mute(): void {
    for (const socket of this.#sockets) {
      socket.removeAllListeners('data');
      socket.resume();
    }
  }

  get open(): number {
    return this.#sockets.size;
  }

  #accept(client: Socket, target: number): void {
    this.accepted++;
    const mode = this.#mode;
    if (mode.once) this.#mode = {};
    this.#track(client);
    if (!mode.silent) {
      this.#relay(client, target, mode);
      return;
    }
    const unread: Buffer[] = [];
    const hold = (chunk: Buffer) => unread.push(chunk);
    client.on('data', hold);
    this.#frozen.push(() => {
      if (client.destroyed) return;
      client.off('data', hold);
      this.#relay(client, target, {}).write(Buffer.concat(unread));
    });
  }

  #relay(client: Socket, target: number, mode: RelayMode): Socket {
    const server = connect(target, '127.0.0.1');
    this.#track(server);
    client.on('close', () => server.destroy());
    server.on('close', () => client.destroy());
    client.on('data', (chunk) => server.write(chunk));
    let left = mode.cutAfter ?? Number.POSITIVE_INFINITY;
    if (left === 0) client.resetAndDestroy();
    server.on('data', (chunk) => {
      if (left > chunk.length) client.write(chunk);
      else if (left > 0) client.write(chunk.subarray(0, left), () => client.resetAndDestroy());
      left = Math.max(0, left - chunk.length);
    });
    return server;
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  async close(): Promise<void> {
    this.#server.close();
    this.drop();
    await once(this.#server, 'close');
  }
}
