import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { createConnection } from 'node:net';
import { describe, test } from 'node:test';
import { fromDer } from '../../src/asn1.ts';
import { fromHex } from '../../src/bytes.ts';
import { KrbError } from '../../src/krb5/messages.ts';
import { krbError } from '../../src/krb5/numbers.ts';
import { startTestDomain, type TestDomain, type TestDomainOptions } from '../../src/testdomain/index.ts';

async function withDomain(
  options: TestDomainOptions,
  use: (domain: TestDomain) => Promise<void> | void,
): Promise<void> {
  const domain = await startTestDomain(options);
  try {
    await use(domain);
  } finally {
    await domain.close();
  }
}

/** One framed request over TCP, the framed answer without its length. */
function ask(domain: TestDomain, request: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(domain.kdcPort, domain.host);
    let got = Buffer.alloc(0);
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      got = Buffer.concat([got, chunk]);
      if (got.length < 4 || got.length < 4 + got.readUInt32BE(0)) return;
      socket.destroy();
      resolve(got.subarray(4));
    });
    const length = Buffer.alloc(4);
    length.writeUInt32BE(request.length);
    socket.write(Buffer.concat([length, request]));
  });
}

describe('test domain', () => {
  test('starts with no options and names itself', async () => {
    await withDomain({}, (d) => {
      assert.deepEqual(
        [d.realm, d.domain, d.netbiosName, d.baseDn],
        ['EXAMPLE.TEST', 'example.test', 'EXAMPLE', 'DC=example,DC=test'],
      );
      assert.match(d.krb5Conf, new RegExp(`kdc = 127\\.0\\.0\\.1:${d.kdcPort}`));
    });
  });

  test('two domains live side by side', async () => {
    await withDomain({ domain: 'one.test' }, (a) =>
      withDomain({ domain: 'two.test' }, (b) => assert.notEqual(a.kdcPort, b.kdcPort)),
    );
  });

  test('a reader that does not exist is refused at the start', async () => {
    await assert.rejects(startTestDomain({ gmsas: [{ name: 'App', readers: ['Nobody'] }] }), {
      code: 'INVALID_ARGUMENT',
    });
  });

  test('two accounts of one name are refused', async () => {
    const users = [
      { name: 'bob', password: 'x' },
      { name: 'BOB', password: 'y' },
    ];
    await assert.rejects(startTestDomain({ users }), { code: 'INVALID_ARGUMENT' });
  });

  test('the blob grows by the previous password shortly before the roll', async () => {
    const start = Date.UTC(2026, 0, 1);
    let now = start;
    await withDomain(
      { clock: () => now, groups: ['R'], gmsas: [{ name: 'App', readers: ['R'], managedPasswordIntervalDays: 1 }] },
      (d) => {
        const blob = Buffer.from(d.managedPasswordBlob('App'));
        assert.equal(blob.length, 290);
        now = start + Number(blob.readBigUInt64LE(274) / 10_000n) - 60_000;
        const later = Buffer.from(d.managedPasswordBlob('App$'));
        assert.equal(later.length, 548);
        assert.deepEqual(later.subarray(274, 530), blob.subarray(16, 272));
        now += 120_000;
        assert.deepEqual(Buffer.from(d.managedPassword('App')), later.subarray(16, 272));
      },
    );
  });

  test('update refuses what the kind of account does not have', async () => {
    await withDomain({ users: [{ name: 'bob', password: 'x' }] }, (d) => {
      assert.throws(() => d.update('bob', { readers: ['bob'] }), { code: 'INVALID_ARGUMENT' });
      assert.throws(() => d.update('none', { disabled: true }), { code: 'NO_SUCH_ACCOUNT' });
    });
  });

  test('the KDC answers rubbish with a well-formed KRB-ERROR over TCP', async () => {
    await withDomain({}, async (d) => {
      for (const rubbish of ['00', '6a03020105', '6c80', 'ffffffff']) {
        const error = fromDer(KrbError, await ask(d, fromHex(rubbish)));
        assert.equal(error.realm, 'EXAMPLE.TEST');
      }
    });
  });

  test('a request too long is answered KRB_ERR_FIELD_TOOLONG', async () => {
    await withDomain({}, async (d) => {
      const socket = createConnection(d.kdcPort, d.host);
      const chunks: Buffer[] = [];
      socket.write(fromHex('7fffffff'));
      for await (const chunk of socket) chunks.push(chunk as Buffer);
      const error = fromDer(KrbError, Buffer.concat(chunks).subarray(4));
      assert.equal(error.errorCode, krbError.KRB_ERR_FIELD_TOOLONG);
    });
  });

  test('the KDC answers over UDP on the same port', async () => {
    await withDomain({}, async (d) => {
      const socket = createSocket('udp4');
      const reply = new Promise<Buffer>((resolve) => socket.on('message', resolve));
      socket.send(fromHex('00'), d.kdcPort, d.host);
      assert.equal(fromDer(KrbError, await reply).errorCode, krbError.KRB_AP_ERR_MSG_TYPE);
      assert.equal(d.stats.kdcDatagrams, 1);
      socket.close();
    });
  });

  test('close ends open connections', async () => {
    const domain = await startTestDomain();
    const ended = [domain.kdcPort, domain.ldapPort].map(async (port) => {
      const socket = createConnection(port, domain.host);
      await new Promise((connected) => socket.on('connect', connected));
      return { closed: new Promise((done) => socket.on('close', done).on('error', () => undefined)) };
    });
    const sockets = await Promise.all(ended);
    await domain.close();
    await Promise.all(sockets.map((s) => s.closed));
  });
});
