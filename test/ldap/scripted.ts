/** A directory that answers as a test says, over a connection that seals nothing. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { TestContext } from 'node:test';
import { concat, utf8 } from '../../src/bytes.ts';
import { SealedConnection } from '../../src/ldap/client.ts';
import { framed, onMessage, TcpServer } from '../support/tcp-server.ts';

/** One BER element with the shortest length, or one that is a lie. */
export function tlv(tag: number, parts: readonly Uint8Array[], length?: number): Uint8Array {
  const value = concat(...parts);
  const n = length ?? value.length;
  const head = n < 0x80 ? [tag, n] : [tag, 0x84, n >>> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255];
  return concat(Uint8Array.from(head), value);
}
export const text = (s: string, length?: number) => tlv(4, [utf8(s)], length);
/** An LDAPMessage; without a number it is the second of its connection. */
export const message = (parts: readonly Uint8Array[], id = 2) => tlv(0x30, [tlv(2, [Uint8Array.of(id)]), ...parts]);
/** SearchResultEntry. */
export const entryOf = (dn: string, attributes: Readonly<Record<string, readonly string[]>>): Uint8Array =>
  tlv(0x64, [
    text(dn),
    tlv(
      0x30,
      Object.entries(attributes).map(([name, values]) =>
        tlv(0x30, [
          text(name),
          tlv(
            0x31,
            values.map((v) => text(v)),
          ),
        ]),
      ),
    ),
  ]);
/** SearchResultDone and its kin: an LDAPResult with this code. */
export const resultOf = (tag: number, code = 0) => tlv(tag, [tlv(10, [Uint8Array.of(code)]), text(''), text('')]);

/** @param answer the LDAPMessages for a request, by its message id: ldapts counts from 2 */
export async function scriptedDirectory(
  t: TestContext,
  answer: (request: Uint8Array, id: number) => readonly Uint8Array[],
): Promise<SealedConnection> {
  const server = await TcpServer.start((socket) => {
    onMessage(socket, (request, number) => {
      for (const part of answer(request, number + 1)) socket.write(framed(part));
    });
  });
  const raw = connect(server.port, '127.0.0.1');
  await once(raw, 'connect');
  const same = (bytes: Uint8Array) => bytes;
  const layer = { wrap: same, unwrap: same, maxSend: 65_536, maxReceive: 65_536, destroy: () => undefined };
  const connection = new SealedConnection(raw, layer, { host: 'dc1.example', port: 389 }, 5000);
  t.after(async () => {
    connection.close();
    await server.stop();
  });
  return connection;
}
