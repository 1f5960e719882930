/** TLS under LDAP with somebody on the wire: certificates of others, and bytes slipped in before it begins. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { TLSSocket } from 'node:tls';
import { concat, fromHex } from '../../src/bytes.ts';
import { secure, type TlsOptions } from '../../src/ldap/tls.ts';
import { makeCertificate, needsOpenssl, type TestCertificate } from '../support/certificates.ts';
import { TcpServer } from '../support/tcp-server.ts';

let directory: string;
let ours: TestCertificate;
let ca: string;
before(async () => {
  if (needsOpenssl) return;
  directory = await mkdtemp(join(tmpdir(), 'ldap-tls-'));
  ours = await makeCertificate(directory, 'DNS:localhost');
  ca = await readFile(ours.ca, 'utf8');
});
after(async () => {
  if (directory) await rm(directory, { recursive: true });
});

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0)) await end();
});

/** ExtendedResponse: a message number, success, no names. */
const granted = (id: number) => fromHex(`300c 0201 0${id} 7807 0a0100 0400 0400`);

const beginTls = (socket: Socket): void => {
  const tls = new TLSSocket(socket, { isServer: true, cert: ours.cert, key: ours.key });
  tls.on('error', () => undefined);
};

/** @param serve what the server does with a connection */
async function securing(serve: (socket: Socket) => void, options: TlsOptions) {
  const server = await TcpServer.start((socket) => {
    socket.on('error', () => undefined);
    serve(socket);
  });
  const raw = connect(server.port, '127.0.0.1');
  raw.on('error', () => undefined);
  ended.push(
    () => raw.destroy(),
    () => server.stop(),
  );
  await new Promise((resolve) => raw.once('connect', resolve));
  return secure(raw, 'localhost', options, 'localhost:389');
}

/** Answers StartTLS with these bytes, and does TLS from there on. */
const answering = (answer: Uint8Array) => (socket: Socket) => {
  socket.once('data', () => {
    socket.write(answer);
    beginTls(socket);
  });
};

describe('TLS', { skip: needsOpenssl }, () => {
  test('begins after the answer to StartTLS, and gives the bindings of its certificate', async () => {
    const { socket, bindings } = await securing(answering(granted(1)), { mode: 'starttls', ca });
    assert.equal(socket.authorized, true);
    assert.equal(bindings?.length, 16);
  });

  test('is refused with a certificate of nobody that is trusted, whatever the environment says', async () => {
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    try {
      await assert.rejects(securing(beginTls, { mode: 'ldaps' }), { code: 'UNREACHABLE', message: /no TLS/ });
    } finally {
      if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
    }
  });

  test('does not begin with bytes that came before it', async () => {
    const injected = concat(granted(1), granted(2));
    await assert.rejects(securing(answering(injected), { mode: 'starttls', ca }), { code: 'MALFORMED' });
  });

  test('does not begin with the answer to another request', async () => {
    await assert.rejects(securing(answering(granted(0)), { mode: 'starttls', ca }), { code: 'MALFORMED' });
  });
});
