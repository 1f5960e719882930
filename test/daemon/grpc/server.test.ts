/** The server's limits, against clients that test them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from 'node:http2';
import net from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { createClient } from '../../../src/client/index.ts';
import { Overview } from '../../../src/daemon/grpc/overview.ts';
import { createServer, type ServerLimits } from '../../../src/daemon/grpc/server.ts';
import { listenOnSocket } from '../../../src/daemon/grpc/socket.ts';
import type { CredentialsFetcherServiceServer } from '../../../src/proto/generated/credentialsfetcher.ts';
import { scratchDirectory, until } from '../fake.ts';

const unused = (): never => {
  throw new Error('not called here');
};
const service: CredentialsFetcherServiceServer = {
  healthCheck: (_call, callback) => callback(null, { status: 'OK' }),
  addKerberosLease: unused,
  addNonDomainJoinedKerberosLease: unused,
  renewNonDomainJoinedKerberosLease: unused,
  deleteKerberosLease: unused,
  addKerberosArnLease: unused,
  renewKerberosArnLease: unused,
};

async function serve(t: TestContext, limits: ServerLimits): Promise<{ path: string; connections: Set<net.Socket> }> {
  const path = join(await scratchDirectory(t), 'socket');
  const listener = await listenOnSocket(path);
  const overview = new Overview({ store: { list: async () => [] }, version: '1', clock: Date.now });
  const server = createServer(service, overview, limits);
  const connections = new Set<net.Socket>();
  listener.on('connection', (connection) => {
    connections.add(connection);
    connection.once('close', () => connections.delete(connection));
    server.serve(connection);
  });
  t.after(async () => {
    listener.close();
    await server.close(10);
  });
  return { path, connections };
}

function open(t: TestContext, path: string): ClientHttp2Session {
  const session = connectHttp2('http://localhost', { createConnection: () => net.connect(path) });
  session.on('error', () => undefined);
  t.after(() => session.destroy());
  return session;
}

/** Announces a message of 100 bytes and sends two. */
function beginCall(session: ClientHttp2Session): ClientHttp2Stream {
  const stream = session.request({
    ':method': 'POST',
    ':path': '/credentialsfetcher.CredentialsFetcherService/HealthCheck',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => undefined).resume();
  stream.write(Uint8Array.of(0, 0, 0, 0, 100, 10, 98));
  return stream;
}

describe('the server', () => {
  test('ends a request that does not arrive, and lets go of what came of it', async (t) => {
    const { path } = await serve(t, { withinMs: 20 });
    const stream = beginCall(open(t, path));
    const [headers] = await once(stream, 'response');
    assert.equal(headers['grpc-status'], '4');
    await once(stream, 'close');
  });

  test('takes a few requests in at a time, and the others when there is room', async (t) => {
    const late: (() => void)[] = [];
    const timers = {
      after: (ms: number, then: () => void) => {
        if (ms === 3000) late.push(then);
        return () => undefined;
      },
    };
    const { path } = await serve(t, { most: 2, timers });
    for (let i = 0; i < 3; i++) beginCall(open(t, path));
    await until(() => late.length === 2);
    const client = createClient({ address: path });
    t.after(() => client.close());
    const answer = client.health();
    const answered = answer.then(() => true);
    assert.equal(await Promise.race([answered, new Promise((r) => setTimeout(() => r(false), 50))]), false);
    for (const end of late.splice(0)) end();
    assert.equal((await answer).status, 'OK');
  });

  test('keeps room for others however much one connection begins', async (t) => {
    const { path } = await serve(t, { withinMs: 60_000 });
    const session = open(t, path);
    for (let i = 0; i < 500; i++) beginCall(session);
    await new Promise((resolve) => session.ping((e) => resolve(e)));
    const client = createClient({ address: path });
    t.after(() => client.close());
    assert.equal((await client.health()).status, 'OK');
  });

  test('ends what is slow sooner while others wait, whose connections take turns', async (t) => {
    const { path } = await serve(t, { withinMs: 600 });
    for (let i = 0; i < 8; i++) {
      const session = open(t, path);
      for (let n = 0; n < 100; n++) beginCall(session);
      await new Promise((resolve) => session.ping((e) => resolve(e)));
    }
    const client = createClient({ address: path, timeoutMs: 2000 });
    t.after(() => client.close());
    assert.equal((await client.health()).status, 'OK');
  });

  test('has room again when those who were let in go', async (t) => {
    const { path } = await serve(t, { most: 2, withinMs: 60_000 });
    for (let i = 0; i < 5; i++) {
      const session = open(t, path);
      for (let n = 0; n < 3; n++) beginCall(session);
      await new Promise((resolve) => session.ping((e) => resolve(e)));
      session.destroy();
    }
    const client = createClient({ address: path });
    t.after(() => client.close());
    assert.equal((await client.health()).status, 'OK');
  });

  test('lets new clients in although somebody holds all connections, and keeps those that are used', async (t) => {
    const { path, connections } = await serve(t, { maxConnections: 8 });
    const session = open(t, path);
    const answered = async (client: ClientHttp2Session) => {
      const stream = beginCall(client);
      stream.end(Buffer.alloc(98));
      await once(stream, 'response');
      stream.destroy();
    };
    await answered(session);
    const silent = Array.from({ length: 20 }, () =>
      net
        .connect(path)
        .on('error', () => undefined)
        .resume(),
    );
    t.after(() => silent.forEach((socket) => void socket.destroy()));
    await until(() => silent.filter((socket) => socket.closed).length === 13);
    assert.equal(connections.size, 8);
    await answered(open(t, path));
    assert.equal(session.closed, false);
    await answered(session);
  });

  test('forgets a connection that broke the protocol when its client is gone', async (t) => {
    const { path, connections } = await serve(t, { idleMs: 20 });
    const socket = net.connect(path);
    // The preface, SETTINGS, and a PING of three bytes where eight are due (RFC 9113 6.7).
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.write(Uint8Array.from([0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 3, 6, 0, 0, 0, 0, 0, 1, 2, 3]));
    socket.on('error', () => undefined).resume();
    await until(() => connections.size === 1);
    socket.destroy();
    await until(() => connections.size === 0);
  });
});
