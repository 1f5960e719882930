/** A UDP server on 127.0.0.1 that treats each datagram as a test says. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';

export class UdpServer {
  readonly port: number;
  readonly socket: Socket;
  /** Datagrams so far. */
  received = 0;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.port = socket.address().port;
  }

  /**
   * @param treat gets each datagram, who sent it, its number from 1 and a way to answer
   * @param port a port that a test's TCP server has already; any when absent
   * @param address one of 127.0.0.0/8
   */
  static async start(
    treat: (datagram: Buffer, answer: (reply: Uint8Array) => void, number: number, from: RemoteInfo) => void,
    port = 0,
    address = '127.0.0.1',
  ): Promise<UdpServer> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(port, address, resolve));
    const self = new UdpServer(socket);
    socket.on('message', (datagram, from) => {
      treat(datagram, (reply) => socket.send(reply, from.port, from.address), ++self.received, from);
    });
    return self;
  }

  get endpoint(): { host: string; port: number } {
    return { host: '127.0.0.1', port: this.port };
  }

  stop(): Promise<void> {
    return new Promise((resolve) => this.socket.close(() => resolve()));
  }
}
