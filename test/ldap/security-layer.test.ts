/** The sealed stream over a real socket whose other end cuts, floods or alters it. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { concat, utf8 } from '../../src/bytes.ts';
import { AdError } from '../../src/errors.ts';
import { Key } from '../../src/krb5/crypto/index.ts';
import { CfxContext } from '../../src/krb5/gss/cfx.ts';
import { SealedSocket, type SecurityLayer } from '../../src/ldap/security-layer.ts';
import { fuzz } from '../support/fuzz.ts';
import { framed, onMessage, TcpServer } from '../support/tcp-server.ts';

const keyBytes = new Uint8Array(32).fill(9);
function end(initiator: boolean): CfxContext {
  return new CfxContext({ key: new Key(18, keyBytes), initiator, acceptorSubkey: true, sendSeq: 0n, recvSeq: 0n });
}

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const e of ended.splice(0)) await e();
});

interface Ends {
  readonly sealed: SealedSocket;
  readonly raw: Socket;
  readonly peer: Socket;
  readonly acceptor: CfxContext;
  /** The error the stream ended with, or undefined. */
  readonly closed: Promise<Error | undefined>;
  readonly state: { destroyed: boolean };
}

async function open(more: Partial<SecurityLayer> = {}): Promise<Ends> {
  let peer!: Socket;
  const server = await TcpServer.start((socket) => {
    peer = socket;
  });
  const raw = connect(server.port, '127.0.0.1');
  await new Promise((resolve) => raw.once('connect', resolve));
  while (!peer) await new Promise(setImmediate);
  const context = end(true);
  const state = { destroyed: false };
  const sealed = new SealedSocket(raw, {
    maxSend: 1000,
    maxReceive: 100_000,
    wrap: (plain) => context.wrap(plain, { confidential: true }),
    unwrap: (token) => context.unwrap(token).plain,
    destroy: () => {
      state.destroyed = true;
      context.destroy();
    },
    ...more,
  });
  let error: Error | undefined;
  sealed.on('error', (e) => {
    error = e;
  });
  const closed = new Promise<Error | undefined>((resolve) => sealed.once('close', () => resolve(error)));
  ended.push(
    () => server.stop(),
    () => sealed.destroy(),
  );
  return { sealed, raw, peer, acceptor: end(false), closed, state };
}

/** Collects `n` bytes of a stream. */
async function read(stream: SealedSocket, n: number): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  let length = 0;
  return new Promise((resolve) => {
    stream.on('data', (chunk: Buffer) => {
      parts.push(chunk);
      length += chunk.length;
      if (length >= n) resolve(new Uint8Array(Buffer.concat(parts)));
    });
  });
}
const seal = (acceptor: CfxContext, text: string | Uint8Array) =>
  framed(acceptor.wrap(typeof text === 'string' ? utf8(text) : text, { confidential: true }));

describe('the sealed stream', () => {
  test('opens what comes, in one piece or byte by byte', async () => {
    const { sealed, peer, acceptor } = await open();
    const received = read(sealed, 11);
    peer.setNoDelay();
    peer.write(Buffer.concat([seal(acceptor, 'one '), seal(acceptor, ''), seal(acceptor, 'two ')]));
    for (const byte of seal(acceptor, 'end')) await new Promise((r) => peer.write(Uint8Array.of(byte), r));
    assert.deepEqual(await received, utf8('one two end'));
  });

  test('hands on long buffers in slices that do not overwhelm their reader', async () => {
    const { sealed, peer, acceptor } = await open();
    const sizes: number[] = [];
    sealed.on('data', (chunk: Buffer) => sizes.push(chunk.length));
    const long = new Uint8Array(90_000).map((_, i) => i);
    const received = read(sealed, long.length);
    peer.write(seal(acceptor, long));
    assert.deepEqual(await received, long);
    assert.ok(Math.max(...sizes) <= 16_384, `${Math.max(...sizes)}`);
  });

  test('seals what goes, in pieces the server takes', async () => {
    const { sealed, peer, acceptor } = await open({ maxSend: 100 });
    const got: Uint8Array[] = [];
    const done = new Promise<void>((resolve) =>
      onMessage(peer, (token) => {
        assert.ok(token.length <= 160, `${token.length}`);
        const { plain, confidential } = acceptor.unwrap(token);
        assert.ok(confidential);
        got.push(plain);
        if (got.reduce((n, p) => n + p.length, 0) === 1050) resolve();
      }),
    );
    const sent = new Uint8Array(1050).map((_, i) => i * 7);
    sealed.write(sent);
    await done;
    assert.deepEqual(concat(...got), sent);
    assert.equal(got.length, 11);
  });

  test('does not read on while nobody takes what came', async () => {
    const { sealed, raw, peer, acceptor } = await open();
    for (let i = 0; i < 20; i++) peer.write(seal(acceptor, new Uint8Array(80_000)));
    while (!raw.isPaused()) await new Promise(setImmediate);
    const held = sealed.readableLength;
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    assert.equal(sealed.readableLength, held);
    assert.ok(held < 400_000, `${held} bytes are held`);
    await read(sealed, 20 * 80_000);
  });

  test('ends when the server ends', async () => {
    const { sealed, peer, closed, state } = await open();
    sealed.resume();
    peer.end();
    assert.equal(await closed, undefined);
    assert.ok(state.destroyed);
    assert.equal(sealed.readyState, 'closed');
  });

  test('passes on the error of its socket', async () => {
    const { sealed, peer, closed } = await open();
    sealed.resume();
    peer.resetAndDestroy();
    assert.match(String(await closed), /ECONNRESET/);
  });

  test('that is destroyed ends the socket and wipes the keys', async () => {
    const { sealed, raw, state } = await open();
    sealed.destroy();
    assert.ok(state.destroyed && raw.destroyed);
  });
});

describe('the sealed stream is ended', () => {
  const attacks: Readonly<Record<string, (acceptor: CfxContext) => Uint8Array>> = {
    'by a buffer longer than agreed': () => Uint8Array.of(0, 1, 0x86, 0xa1),
    'by a buffer of four gigabytes': () => Uint8Array.of(0xff, 0xff, 0xff, 0xff),
    'by an empty buffer': () => framed(new Uint8Array()),
    'by bytes in the clear': () => framed(utf8('a search result in the clear')),
    'by a signed buffer': (a) => framed(a.wrap(utf8('x'), { confidential: false })),
    'by an altered buffer': (a) => {
      const token = seal(a, 'message');
      token[30]! ^= 1;
      return token;
    },
    'by a buffer left out': (a) => {
      seal(a, 'lost');
      return seal(a, 'second');
    },
    'by a buffer repeated': (a) => {
      const token = seal(a, 'twice');
      return Buffer.concat([token, token]);
    },
    'by our own buffer come back': () => framed(end(true).wrap(utf8('x'), { confidential: true })),
  };
  for (const [what, attack] of Object.entries(attacks)) {
    test(what, async () => {
      const context = end(true);
      const { sealed, peer, acceptor, closed, state } = await open({
        unwrap: (token) => {
          const { plain, confidential } = context.unwrap(token);
          if (!confidential) throw new AdError('NOT_SEALED', 'in the clear');
          return plain;
        },
      });
      let received = '';
      sealed.on('data', (chunk: Buffer) => {
        received += chunk.toString();
      });
      peer.write(attack(acceptor));
      const error = await closed;
      assert.ok(error instanceof AdError, String(error));
      assert.equal(received, what === 'by a buffer repeated' ? 'twice' : '');
      assert.ok(state.destroyed);
    });
  }

  test('by noise, with an error of ours', async () => {
    const honest = seal(end(false), 'message');
    const altered: Uint8Array[] = [];
    fuzz([Uint8Array.from(honest)], (input) => altered.push(input.slice()), { iterations: 150, seed: 4422 });
    for (const bytes of altered) {
      const { sealed, peer, closed } = await open();
      let received = '';
      sealed.on('data', (chunk: Buffer) => {
        received += chunk.toString();
      });
      peer.end(bytes);
      const error = await closed;
      assert.ok(error === undefined || error instanceof AdError, String(error));
      assert.ok(received === '' || received === 'message', received);
      for (const e of ended.splice(0)) await e();
    }
  });
});
