/** kpasswd with a server that lies, or with somebody on the wire, and what its results mean. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromDer, toDer } from '../../../src/asn1.ts';
import { fromHex, Reader, utf8, Writer } from '../../../src/bytes.ts';
import { Key } from '../../../src/krb5/crypto/index.ts';
import { type AcceptedApRequest, acceptApReq, buildApRep } from '../../../src/krb5/exchanges/ap.ts';
import { exchangeContext } from '../../../src/krb5/exchanges/context.ts';
import { changePassword } from '../../../src/krb5/exchanges/kpasswd.ts';
import { passwordPolicy, resultError } from '../../../src/krb5/exchanges/kpasswd-result.ts';
import { ChangePasswdData, EncKrbPrivPart, KrbPriv } from '../../../src/krb5/messages.ts';
import { keyUsage } from '../../../src/krb5/numbers.ts';
import { principal } from '../../../src/krb5/principal.ts';
import { errorReply } from '../../support/fake-kdc.ts';
import { fuzz } from '../../support/fuzz.ts';
import { credentials, NOW, REALM, serviceKey } from '../../support/gss.ts';

interface Seen {
  readonly version: number;
  readonly accepted: AcceptedApRequest;
  readonly userData: Uint8Array;
}

/** What the server finds in a request. */
function read(request: Uint8Array): Seen {
  const r = new Reader(request, 'request');
  assert.equal(r.u16(), request.length);
  const version = r.u16();
  const apReq = r.bytes(r.u16());
  const accepted = acceptApReq(apReq, {
    keyFor: () => new Key(18, serviceKey.value),
    clock: () => NOW,
    clockSkew: 300_000,
    usage: keyUsage.AP_REQ_AUTHENTICATOR,
  });
  const clear = accepted.subkey!.decrypt(keyUsage.KRB_PRIV, fromDer(KrbPriv, r.bytes(r.remaining)).encPart.cipher);
  return { version, accepted, userData: fromDer(EncKrbPrivPart, clear).userData };
}

interface Lies {
  readonly result?: Uint8Array;
  readonly version?: number;
  readonly key?: (seen: Seen) => Key;
  readonly apRep?: (seen: Seen) => Uint8Array;
  readonly sequence?: number;
  readonly usage?: number;
  readonly length?: number;
  readonly pvno?: number;
}
const OK = Uint8Array.of(0, 0);
const sAddress = { addrType: 3, address: fromHex('00000001') };

function reply(seen: Seen, lies: Lies): Uint8Array {
  const key = lies.key?.(seen) ?? seen.accepted.subkey!;
  const apRep = lies.apRep?.(seen) ?? buildApRep(seen.accepted, { subkey: Key.generate(18), sequence: 7 });
  const part = { userData: lies.result ?? OK, seqNumber: lies.sequence ?? 7, sAddress };
  const cipher = key.encrypt(lies.usage ?? keyUsage.KRB_PRIV, toDer(EncKrbPrivPart, part));
  const priv = toDer(KrbPriv, { pvno: lies.pvno ?? 5, msgType: 21, encPart: { etype: key.etype, cipher } });
  const length = 6 + apRep.length + priv.length + (lies.length ?? 0);
  return new Writer()
    .u16(length)
    .u16(lies.version ?? 1)
    .u16(apRep.length)
    .bytes(apRep)
    .bytes(priv)
    .finish();
}

/** The change before a server that answers so. */
function change(answer: (seen: Seen) => Uint8Array, target?: ReturnType<typeof principal>) {
  const seen: Seen[] = [];
  const transport = {
    async exchange(realm: string, request: Uint8Array, _signal?: AbortSignal, service?: string) {
      assert.deepEqual([realm, service], [REALM, 'kpasswd']);
      seen.push(read(request));
      return { message: answer(seen.at(-1)!), server: 'kdc.test:464' };
    },
    close() {},
  };
  const context = exchangeContext({ transport, clock: () => NOW });
  const newPassword = utf8('Only-For-Tests-2');
  return { seen, done: changePassword(context, { ticket: credentials, newPassword, ...(target && { target }) }) };
}

describe('a change of password', () => {
  test('has the bare password sealed with a subkey', async () => {
    const { seen, done } = change((s) => reply(s, {}));
    await done;
    assert.equal(seen[0]!.version, 1);
    assert.deepEqual(seen[0]!.userData, utf8('Only-For-Tests-2'));
  });

  test('of another account names it', async () => {
    const { seen, done } = change((s) => reply(s, {}), principal(REALM, 'bob'));
    await done;
    assert.equal(seen[0]!.version, 0xff80);
    assert.deepEqual(fromDer(ChangePasswdData, seen[0]!.userData), {
      newPasswd: utf8('Only-For-Tests-2'),
      targName: { nameType: 1, nameString: ['bob'] },
      targRealm: REALM,
    });
  });

  const refusals: readonly [what: string, lies: Lies, code: string, why: RegExp][] = [
    ['sealed with the session key', { key: (s) => s.accepted.sessionKey }, 'INTEGRITY', /another key/],
    ['sealed with a key of its own', { key: () => Key.generate(18) }, 'INTEGRITY', /another key/],
    ['sealed with a key of another type', { key: () => Key.generate(17) }, 'INTEGRITY', /another key/],
    ['sealed under another usage', { usage: keyUsage.KRB_CRED }, 'INTEGRITY', /usage 13/],
    ['with the number of another message', { sequence: 8 }, 'REPLY_REJECTED', /another request/],
    ['of another Kerberos version', { pvno: 4 }, 'REPLY_REJECTED', /another version/],
    ['of an unknown version', { version: 2 }, 'MALFORMED', /version 2/],
    ['longer than it is', { length: 1 }, 'MALFORMED', /it says/],
    ['without a result', { result: Uint8Array.of(0) }, 'MALFORMED', /no result code/],
    [
      'to another request',
      { apRep: (s) => buildApRep({ ...s.accepted, cusec: s.accepted.cusec + 1 }, { sequence: 7 }) },
      'REPLY_REJECTED',
      /another AP-REQ/,
    ],
    [
      'that does not know the session key',
      { apRep: (s) => buildApRep({ ...s.accepted, sessionKey: Key.generate(18) }, {}) },
      'INTEGRITY',
      /./,
    ],
    ['with a result nobody knows', { result: Uint8Array.of(0, 99) }, 'KDC_ERROR', /unknown \(99\)/],
    ['that denies', { result: Uint8Array.of(0, 5) }, 'NOT_ALLOWED', /ACCESSDENIED/],
  ];
  for (const [what, lies, code, message] of refusals) {
    test(`answered ${what} is refused`, () => assert.rejects(change((s) => reply(s, lies)).done, { code, message }));
  }

  test('answered by an unsigned error is not taken for done', async () => {
    for (const eData of [undefined, OK, Uint8Array.of(0, 3, 0x6e, 0x6f)]) {
      const error = errorReply('KRB_AP_ERR_MODIFIED', NOW, eData && { eData });
      await assert.rejects(change(() => error).done, { code: 'KDC_ERROR' });
      const framed = new Writer()
        .u16(6 + error.length)
        .u16(1)
        .u16(0)
        .bytes(error)
        .finish();
      await assert.rejects(change(() => framed).done, { code: 'KDC_ERROR' });
    }
  });

  test('answered by anything is refused by name', async () => {
    const inputs: Uint8Array[] = [];
    fuzz([reply(read(await requestOf()), {})], (input) => inputs.push(Uint8Array.from(input)), {
      iterations: 200,
      seed: 3244,
    });
    for (const input of inputs) {
      await assert.rejects(change(() => input).done, (e: Error & { code?: string }) =>
        ['MALFORMED', 'INTEGRITY', 'REPLY_REJECTED', 'KDC_ERROR', 'ETYPE'].includes(e.code ?? ''),
      );
    }
  });
});

/** Some request, whose answer no other request takes. */
async function requestOf(): Promise<Uint8Array> {
  let found = new Uint8Array();
  const transport = {
    exchange: async (_: string, request: Uint8Array) => {
      found = Uint8Array.from(request);
      throw new Error('enough');
    },
    close() {},
  };
  const context = exchangeContext({ transport, clock: () => NOW });
  await changePassword(context, { ticket: credentials, newPassword: utf8('x') }).catch(() => undefined);
  return found;
}

describe("Active Directory's policy", () => {
  /** Values of MIT's src/tests/misc/test_chpw_message.c, with what its text says of them. */
  const samples: readonly [hex: string, words: RegExp][] = [
    ['0000 00000000 00000000 00000001 0000000000000000 0000000000000000', /three kinds of characters/],
    ['0000 0000000d 00000000 00000000 0000000000000000 0000000000000000', /at least 13 characters/],
    ['0000 00000000 00000009 00000000 0000000000000000 0000000000000000', /none of the last 9 passwords/],
    ['0000 00000000 00000000 00000000 0000000000000000 0000019254d38000', /2 days after the last change/],
    [
      '0000 00000005 0000000d 00000001 0000000000000000 000000c92a69c000',
      /at least 5 characters; three kinds.*; none of the last 13 passwords; 1 days/,
    ],
  ];
  for (const [hex, words] of samples) {
    test(`${words.source} is said`, () => assert.match(resultError(4, fromHex(hex), 'alice', 'dc1').message, words));
  }

  test('is not seen in text of the same length', () => {
    assert.equal(passwordPolicy(utf8('thirty letters of simple text.')), undefined);
  });

  test('of a password that never expires says so', () => {
    const never = fromHex('0000 00000007 00000018 00000001 8000000000000000 000000c92a69c000');
    assert.deepEqual(passwordPolicy(never), {
      minLength: 7,
      history: 24,
      complexity: true,
      minAgeDays: 1,
      maxAgeDays: Number.POSITIVE_INFINITY,
    });
  });

  test('text of others is shown without what would spoil a log', () => {
    const message = resultError(4, utf8('too\nshort\x1b[31m'), 'alice', 'dc1').message;
    assert.match(message, /\(too short\?\[31m\)/);
  });

  test('text that is not UTF-8 is left out', () => {
    assert.doesNotMatch(resultError(4, Uint8Array.of(0xff, 0xfe, 0x41), 'alice', 'dc1').message, /\(\S*A\)$/);
  });
});
