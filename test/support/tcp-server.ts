/** A TCP server on a free port of 127.0.0.1 that treats each connection as a test says. */
import { createServer, type Server, type Socket } from 'node:net';
import { FrameReader } from '../../src/frames.ts';

export class TcpServer {
  readonly port: number;
  /** Connections so far. */
  connections = 0;
  /** Most connections open at the same time. */
  most = 0;
  readonly open = new Set<Socket>();
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  /**
   * @param treat gets each connection and its number, from 1
   * @param port that a test's UDP server has already; any when absent
   */
  static async start(treat: (socket: Socket, number: number) => void, port = 0): Promise<TcpServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    const self = new TcpServer(server, (server.address() as { port: number }).port);
    server.on('connection', (socket) => {
      self.connections++;
      self.open.add(socket);
      self.most = Math.max(self.most, self.open.size);
      socket.on('error', () => undefined);
      socket.on('close', () => self.open.delete(socket));
      treat(socket, self.connections);
      socket.resume(); // one that is not read does not notice its end
    });
    return self;
  }

  get endpoint(): { host: string; port: number } {
    return { host: '127.0.0.1', port: this.port };
  }

  /** Waits until no connection is open. */
  async emptied(): Promise<void> {
    while (this.open.size > 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }

  async stop(): Promise<void> {
    for (const socket of this.open) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A message behind its length in four octets. */
export function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(message.length);
  return Buffer.concat([head, message]);
}

/** Calls back with each whole message that arrives on a connection, and its number there, from 1. */
export function onMessage(socket: Socket, got: (message: Uint8Array, number: number) => void): void {
  const frames = new FrameReader(1 << 20);
  let number = 0;
  socket.on('data', (chunk: Buffer) => {
    for (const message of frames.push(chunk)) got(message, ++number);
  });
}
