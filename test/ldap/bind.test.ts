/** The SASL bind with a server that refuses, hangs, stammers or lies: bytes written by hand over a real socket. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { concat, hex, utf8 } from '../../src/bytes.ts';
import { AdError, isAdError } from '../../src/errors.ts';
import { saslBind } from '../../src/ldap/bind.ts';
import type { SaslMechanism } from '../../src/ldap/sasl.ts';
import type { SecurityLayer } from '../../src/ldap/security-layer.ts';
import { fuzz } from '../support/fuzz.ts';
import { TcpServer } from '../support/tcp-server.ts';

/** BER with the shortest length, or always in four octets as Active Directory writes it. */
function tlv(tag: number, value: Uint8Array, long = false): Uint8Array {
  const n = value.length;
  const size = long
    ? [0x84, n >>> 24, (n >> 16) & 0xff, (n >> 8) & 0xff, n & 0xff]
    : n < 0x80
      ? [n]
      : n < 0x100
        ? [0x81, n]
        : [0x82, n >> 8, n & 0xff];
  return concat(Uint8Array.of(tag, ...size), value);
}

interface ResponseParts {
  readonly id?: number;
  readonly status?: number;
  readonly text?: string;
  readonly credentials?: Uint8Array;
  readonly operation?: number;
  readonly referral?: boolean;
  readonly long?: boolean;
}
const IN_PROGRESS = 14;
function bindResponse({ id = 1, status = 0, text = '', operation = 0x61, long = false, ...more }: ResponseParts) {
  const fields = [
    tlv(0x0a, Uint8Array.of(status)),
    tlv(0x04, new Uint8Array()),
    tlv(0x04, utf8(text), long),
    ...(more.referral ? [tlv(0xa3, tlv(0x04, utf8('ldap://elsewhere')))] : []),
    ...(more.credentials ? [tlv(0x87, more.credentials, long)] : []),
  ];
  return tlv(0x30, concat(tlv(0x02, Uint8Array.of(id)), tlv(operation, concat(...fields), long)), long);
}

const layer: SecurityLayer = {
  wrap: (plain) => plain,
  unwrap: (sealed) => sealed,
  maxSend: 1000,
  maxReceive: 1000,
  destroy: () => undefined,
};
class Mechanism implements SaslMechanism {
  readonly name = 'GSSAPI';
  readonly got: (string | undefined)[] = [];
  destroyed = false;
  step(token: Uint8Array | undefined): Uint8Array | undefined {
    this.got.push(token && hex(token));
    return this.got.length === 2 ? new Uint8Array(0) : Uint8Array.of(0xc0, this.got.length);
  }
  finish(): SecurityLayer {
    return layer;
  }
  destroy(): void {
    this.destroyed = true;
  }
}

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0)) await end();
});

/** Binds to a server that treats each chunk of a request as told. */
async function bindTo(
  treat: (socket: Socket, request: number, bytes: Buffer) => void,
  signal?: AbortSignal,
): Promise<{ result: Promise<SecurityLayer | undefined>; mechanism: Mechanism; socket: Socket; server: TcpServer }> {
  const server = await TcpServer.start((s) => {
    let n = 0;
    s.on('data', (chunk: Buffer) => treat(s, ++n, chunk));
  });
  const socket = connect(server.port, '127.0.0.1');
  ended.push(
    () => server.stop(),
    () => socket.destroy(),
  );
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.on('error', () => undefined);
  const mechanism = new Mechanism();
  return { result: saslBind(socket, mechanism, 'dc1:389', signal), mechanism, socket, server };
}
const answering = (...responses: Uint8Array[]) =>
  bindTo((socket, n) => socket.write(responses[Math.min(n, responses.length) - 1]!));

describe('a SASL bind', () => {
  test('passes tokens to and fro, and ends with the layer', async () => {
    const sent: string[] = [];
    const { result, mechanism, socket } = await bindTo((s, id, bytes) => {
      sent.push(bytes.toString('hex'));
      const more = { id, status: IN_PROGRESS, credentials: Uint8Array.of(0xa0, id) };
      s.write(bindResponse(id < 3 ? more : { id }));
    });
    assert.equal(await result, layer);
    assert.deepEqual(mechanism.got, [undefined, 'a001', 'a002']);
    // RFC 4511 4.2: version 3, no name, SASL with mechanism and credentials, which may be empty
    assert.deepEqual(
      sent,
      [
        '3018 020101 6013 020103 0400 a30c 0406475353415049 0402c001',
        '3016 020102 6011 020103 0400 a30a 0406475353415049 0400',
        '3018 020103 6013 020103 0400 a30c 0406475353415049 0402c003',
      ].map((text) => text.replaceAll(' ', '')),
    );
    assert.equal(mechanism.destroyed, false);
    assert.equal(socket.destroyed, false);
    assert.equal(socket.listenerCount('readable'), 0);
  });

  test('understands lengths in four octets, as Active Directory writes them, and a referral before the token', async () => {
    const credentials = Uint8Array.of(1, 2, 3);
    const { result, mechanism } = await answering(
      bindResponse({ status: IN_PROGRESS, credentials, long: true, referral: true }),
      bindResponse({ id: 2, long: true }),
    );
    await result;
    assert.deepEqual(mechanism.got, [undefined, '010203']);
  });

  test('understands responses that come byte by byte', async () => {
    const { result } = await bindTo(async (s) => {
      s.setNoDelay();
      for (const byte of bindResponse({ text: 'x'.repeat(200), long: true })) {
        await new Promise((resolve) => s.write(Uint8Array.of(byte), resolve));
      }
    });
    assert.equal(await result, layer);
  });

  test('leaves what follows the bind to the layer', async () => {
    const { result, socket } = await answering(bindResponse({}));
    await result;
    const next = new Promise((resolve) => socket.once('data', resolve));
    socket.write('more');
    assert.equal(hex((await next) as Buffer), hex(bindResponse({})));
  });
});

describe('a refused bind', () => {
  const text = (data: string) =>
    `80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data ${data}, v3839\0`;
  for (const [status, diagnostic, code, told] of [
    [49, text('525'), 'UNKNOWN_PRINCIPAL', /NO_SUCH_USER/],
    [49, text('52e'), 'WRONG_PASSWORD', /LOGON_FAILURE|WRONG_PASSWORD/],
    [49, text('530'), 'WRONG_PASSWORD', /INVALID_LOGON_HOURS/],
    [49, text('532'), 'PASSWORD_EXPIRED', /PASSWORD_EXPIRED/],
    [49, text('533'), 'ACCOUNT_DISABLED', /ACCOUNT_DISABLED/],
    [49, text('701'), 'ACCOUNT_DISABLED', /ACCOUNT_EXPIRED/],
    [49, text('773'), 'PASSWORD_EXPIRED', /PASSWORD_MUST_CHANGE/],
    [49, text('775'), 'ACCOUNT_DISABLED', /ACCOUNT_LOCKED_OUT/],
    [49, text('57'), 'WRONG_PASSWORD', /data 57/],
    [49, '', 'WRONG_PASSWORD', /invalidCredentials \(49\)/],
    [7, '00002027: no such mechanism', 'LDAP', /authMethodNotSupported \(7\)/],
    [8, '00002028: the server requires binds to turn on integrity checking', 'LDAP', /strongerAuthRequired \(8\)/],
    [13, '', 'NOT_SEALED', /confidentialityRequired/],
    [50, '', 'NOT_ALLOWED', /insufficientAccessRights/],
    [51, 'busy', 'UNREACHABLE', /busy \(51\)/],
    [52, '', 'UNREACHABLE', /unavailable \(52\)/],
    [99, '', 'LDAP', /result \(99\)/],
  ] as const) {
    test(`with ${status} "${diagnostic.slice(0, -7).slice(-9).trim()}" means ${code}`, async () => {
      const { result, mechanism } = await answering(bindResponse({ status, text: diagnostic }));
      await assert.rejects(
        result,
        (e) => isAdError(e) && e.code === code && told.test(e.message) && /dc1:389/.test(e.message),
      );
      assert.ok(mechanism.destroyed);
    });
  }

  test('tells no more of a long or odd text than is good for a log', async () => {
    const { result } = await answering(bindResponse({ status: 80, text: `\u001b[2J${'long '.repeat(1000)}` }));
    await assert.rejects(
      result,
      (e) => e instanceof AdError && e.message.length < 500 && !/[^\x20-\x7e]/.test(e.message),
    );
  });
});

describe('a bind fails', () => {
  const broken: Readonly<Record<string, Uint8Array>> = {
    'on an answer to another message': bindResponse({ id: 7 }),
    'on an answer to another operation': bindResponse({ operation: 0x65 }),
    'on two answers at once': concat(bindResponse({}), bindResponse({ id: 2 })),
    'on bytes behind the answer': concat(bindResponse({}), Uint8Array.of(0)),
    'on another protocol': utf8('HTTP/1.1 400 Bad Request\r\n\r\n'),
    'on an indefinite length': Uint8Array.of(0x30, 0x80, 0, 0),
    'on a length of five octets': Uint8Array.of(0x30, 0x85, 0, 0, 0, 0, 1),
    'on a length of four gigabytes': Uint8Array.of(0x30, 0x84, 0xff, 0xff, 0xff, 0xff),
    'on a length of a megabyte': Uint8Array.of(0x30, 0x83, 0x10, 0, 0),
    'on an element longer than its message': tlv(0x30, concat(tlv(2, Uint8Array.of(1)), Uint8Array.of(0x61, 0x50, 0))),
    'on an empty message': tlv(0x30, new Uint8Array()),
    'on a number of no octets': tlv(0x30, concat(tlv(2, new Uint8Array()), tlv(0x61, new Uint8Array()))),
    'on a number of nine octets': tlv(0x30, concat(tlv(2, new Uint8Array(9)), tlv(0x61, new Uint8Array()))),
    'on a result without its fields': tlv(
      0x30,
      concat(tlv(2, Uint8Array.of(1)), tlv(0x61, tlv(0x0a, Uint8Array.of(0)))),
    ),
  };
  for (const [what, bytes] of Object.entries(broken)) {
    test(what, async () => {
      const { result, mechanism } = await answering(bytes);
      await assert.rejects(result, { code: 'MALFORMED' });
      assert.ok(mechanism.destroyed);
    });
  }

  test('when the server closes the connection', async () => {
    const { result, mechanism } = await bindTo((s) => s.end());
    await assert.rejects(result, { code: 'UNREACHABLE', message: /dc1:389/ });
    assert.ok(mechanism.destroyed);
  });

  test('when the server resets the connection', async () => {
    const { result } = await bindTo((s) => s.resetAndDestroy());
    await assert.rejects(result, { code: 'UNREACHABLE', message: /dc1:389/ });
  });

  test('when the server closes inside an answer', async () => {
    const { result } = await bindTo((s) => s.end(bindResponse({}).subarray(0, -1)));
    await assert.rejects(result, { code: 'UNREACHABLE' });
  });

  test('when the server wants more for ever', async () => {
    let asked = 0;
    const { result } = await bindTo((s, id) => {
      asked = id;
      s.write(bindResponse({ id, status: IN_PROGRESS }));
    });
    await assert.rejects(result, { code: 'LDAP', message: /does not come to an end/ });
    assert.ok(asked <= 10);
  });

  test('when the caller gives up on a silent server', async () => {
    const quit = new AbortController();
    const { result, mechanism, server } = await bindTo(() => setTimeout(() => quit.abort(), 5), quit.signal);
    await assert.rejects(result, { code: 'ABORTED', message: /binding to dc1:389/ });
    assert.ok(mechanism.destroyed);
    await server.emptied();
  });

  test('when the deadline passes with a silent server', async () => {
    const { result } = await bindTo(() => undefined, AbortSignal.timeout(30));
    await assert.rejects(result, { code: 'TIMEOUT' });
  });

  test('when the caller gave up before', async () => {
    const { result } = await bindTo(() => assert.fail('something was sent'), AbortSignal.abort());
    await assert.rejects(result, { code: 'ABORTED' });
  });

  test('with what the mechanism throws', async () => {
    const { result, mechanism } = await bindTo((s) => s.write(bindResponse({})));
    mechanism.finish = () => {
      throw new AdError('NOT_SEALED', 'too early');
    };
    await assert.rejects(result, { code: 'NOT_SEALED' });
    assert.ok(mechanism.destroyed);
  });
});

test('altered answers are understood or refused, and never anything else', async () => {
  const seeds = [
    bindResponse({ status: 49, text: 'data 52e', long: true }),
    bindResponse({ credentials: Uint8Array.of(1, 2, 3), referral: true }),
  ];
  const altered: Uint8Array[] = [];
  fuzz(seeds, (input) => altered.push(input.slice()), { iterations: 250, seed: 4511 });
  const server = await TcpServer.start((s, n) => s.on('data', () => s.end(altered[n - 1]!)));
  ended.push(() => server.stop());
  let refused = 0;
  for (const _ of altered) {
    const socket = connect(server.port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    await saslBind(socket, new Mechanism(), 'dc1:389').then(
      (got) => assert.equal(got, layer),
      (e) => {
        assert.ok(e instanceof AdError, String(e));
        refused++;
      },
    );
    socket.destroy();
  }
  assert.ok(refused > 100, `${refused}`);
});
