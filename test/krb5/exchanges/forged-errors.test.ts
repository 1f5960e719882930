/** The AS exchange with KRB-ERRORs that nobody signed: what they may and may not make us do. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { toDer } from '../../../src/asn1.ts';
import { utf8 } from '../../../src/bytes.ts';
import { AdError, isAdError } from '../../../src/errors.ts';
import { Key, stringToKey } from '../../../src/krb5/crypto/index.ts';
import { asExchange } from '../../../src/krb5/exchanges/as.ts';
import { type ContextOptions, exchangeContext } from '../../../src/krb5/exchanges/context.ts';
import { KerbErrorData } from '../../../src/krb5/messages.ts';
import { etype } from '../../../src/krb5/numbers.ts';
import { type Principal, principal } from '../../../src/krb5/principal.ts';
import { KeySecret, PasswordSecret, type Secret } from '../../../src/krb5/secret.ts';
import { asReply, errorReply, FakeKdc, hints, timestampOf } from '../../support/fake-kdc.ts';

const REALM = 'EXAMPLE.TEST';
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const [MINUTE, HOUR] = [60_000, 3_600_000];
const client = principal(REALM, 'alice');
const key = Key.generate(18);
const keyed = () => new KeySecret([{ etype: 18, value: key.value }]);

function login(kdc: FakeKdc, options: { secret?: Secret; client?: Principal; context?: Partial<ContextOptions> } = {}) {
  const context = exchangeContext({ transport: kdc, clock: () => NOW, ...options.context });
  const { secret = keyed() } = options;
  return { context, result: asExchange(context, { client, ...options, secret }) };
}

/** A user's password and the KDC's idea of it. */
const SALT = 'EXAMPLE.TESTalice';
const withPassword = (text = 'correct horse') => new PasswordSecret(utf8(text), SALT, [18, 17]);
const passwordKey = await stringToKey(18, utf8('correct horse'), SALT);
const preauthRequired =
  (...entries: Parameters<typeof hints>) =>
  () =>
    errorReply('KDC_ERR_PREAUTH_REQUIRED', NOW, { eData: hints(...entries) });
const hint = { etype: etype.AES256_CTS_HMAC_SHA1_96, salt: SALT };

describe('a KRB-ERROR, which nobody signs,', () => {
  test('that offers RC4 alone gets nothing weaker from us', async () => {
    const kdc = new FakeKdc(preauthRequired({ etype: 23 }));
    await assert.rejects(login(kdc, { secret: withPassword() }).result, { code: 'ETYPE', message: /arcfour-hmac/ });
    assert.equal(kdc.guesses, 0);
    assert.equal(kdc.requests.length, 1);
  });

  test('that names RC4 first does not change our order', async () => {
    const kdc = new FakeKdc(preauthRequired({ etype: 23 }, { etype: 17, salt: SALT }, hint), (request) =>
      asReply(request, passwordKey, NOW),
    );
    await login(kdc, { secret: withPassword() }).result;
    assert.equal(timestampOf(kdc.requests[1]!)?.etype, 18);
  });

  test('that offers nothing at all says what to do', async () => {
    const kdc = new FakeKdc(() => errorReply('KDC_ERR_PREAUTH_REQUIRED', NOW));
    await assert.rejects(login(kdc, { secret: withPassword() }).result, { code: 'ETYPE', message: /RC4 keys alone/ });
  });

  for (const [what, count] of [
    ['1', '00000001'],
    ['4095', '00000fff'],
    ['2^31', '80000000'],
    ['2^32', '00000000'],
  ] as const) {
    test(`that asks for ${what} iterations is refused before a key is made`, async () => {
      const s2kparams = Uint8Array.from(Buffer.from(count, 'hex'));
      const kdc = new FakeKdc(preauthRequired({ ...hint, s2kparams }));
      await assert.rejects(login(kdc, { secret: withPassword() }).result, { code: 'ETYPE', message: /iterations/ });
      assert.equal(kdc.guesses, 0);
    });
  }

  test('that asks for parameters of another length is refused', async () => {
    const kdc = new FakeKdc(preauthRequired({ ...hint, s2kparams: new Uint8Array(5) }));
    await assert.rejects(login(kdc, { secret: withPassword() }).result, { code: 'ETYPE', message: /5 bytes/ });
  });

  test('that requires pre-authentication again and again ends', async () => {
    const kdc = new FakeKdc(preauthRequired(hint));
    await assert.rejects(login(kdc, { secret: withPassword() }).result, { code: 'KDC_ERROR' });
    assert.ok(kdc.requests.length <= 3, `${kdc.requests.length} requests`);
    assert.equal(kdc.guesses, 1);
  });

  test('that mixes all it can say in any order ends after few requests and fewer guesses', async () => {
    const says = [
      preauthRequired(hint),
      preauthRequired({ ...hint, salt: 'another' }),
      () => errorReply('KDC_ERR_PREAUTH_FAILED', NOW),
      () => errorReply('KDC_ERR_PREAUTH_FAILED', NOW, { eData: hints({ ...hint, salt: 'third' }) }),
      () => errorReply('KRB_AP_ERR_SKEW', NOW + HOUR),
      () => errorReply('KDC_ERR_ETYPE_NOSUPP', NOW),
    ];
    for (let order = 0; order < says.length ** 4; order += 7) {
      const digits = [0, 1, 2, 3].map((i) => Math.floor(order / says.length ** i) % says.length);
      const kdc = new FakeKdc(...digits.map((d) => says[d]!));
      const secret = withPassword();
      secret.remembered = order % 2 ? { ...hint, params: undefined } : undefined;
      await assert.rejects(login(kdc, { secret }).result, (e) => isAdError(e));
      assert.ok(kdc.requests.length <= 5, `${kdc.requests.length} requests`);
      assert.ok(kdc.guesses <= 3, `${kdc.guesses} guesses for ${digits}`);
    }
  });

  for (const [what, eData] of [
    ['noise', utf8('noise')],
    ['an empty list', hints()],
    ['a hint that is no message', Uint8Array.of(0x30, 0x0b, 0x30, 9, 0xa1, 3, 2, 1, 19, 0xa2, 2, 4, 0)],
  ] as const) {
    test(`with ${what} as its data is refused`, async () => {
      const kdc = new FakeKdc(() => errorReply('KDC_ERR_PREAUTH_REQUIRED', NOW, { eData }));
      await assert.rejects(login(kdc, { secret: withPassword() }).result, (e) => isAdError(e, 'ETYPE', 'MALFORMED'));
      assert.equal(kdc.requests.length, 1);
    });
  }

  test('with text for a terminal is quoted harmlessly', async () => {
    const kdc = new FakeKdc(() => errorReply('KDC_ERR_POLICY', NOW, { eText: '\u001b[2Jno\n' }));
    await assert.rejects(login(kdc).result, (e) => e instanceof AdError && /"\?\[2Jno\?"/.test(e.message));
  });

  for (const [ntstatus, code] of [
    [0xc0000234, 'ACCOUNT_DISABLED'],
    [0xc0000072, 'ACCOUNT_DISABLED'],
    [0xc0000193, 'ACCOUNT_DISABLED'],
    [0xc0000071, 'PASSWORD_EXPIRED'],
    [0xc0000224, 'PASSWORD_EXPIRED'],
  ] as const) {
    test(`with NTSTATUS ${ntstatus.toString(16)} means ${code}`, async () => {
      const dataValue = new Uint8Array(12);
      new DataView(dataValue.buffer).setUint32(0, ntstatus, true);
      const eData = toDer(KerbErrorData, { dataType: 3, dataValue });
      const kdc = new FakeKdc(() => errorReply('KDC_ERR_CLIENT_REVOKED', NOW, { eData }));
      await assert.rejects(login(kdc).result, { code });
    });
  }

  test('of a code nobody knows is told by its number', async () => {
    const { result } = login(new FakeKdc(() => errorReply(4711, NOW)));
    await assert.rejects(result, { code: 'KDC_ERROR', message: /unknown \(4711\)/ });
  });
});

describe('a remembered salt', () => {
  const failed = (eData?: Uint8Array) => () => errorReply('KDC_ERR_PREAUTH_FAILED', NOW, eData && { eData });
  const remembering = (salt: string, text?: string) => {
    const secret = withPassword(text);
    secret.remembered = { etype: 18, salt, params: undefined };
    return secret;
  };

  test('saves a round trip', async () => {
    const kdc = new FakeKdc((request) => asReply(request, passwordKey, NOW));
    await login(kdc, { secret: remembering(SALT) }).result;
    assert.deepEqual([kdc.requests.length, kdc.guesses], [1, 1]);
  });

  test('that is out of date is replaced by the one of the refusal', async () => {
    const kdc = new FakeKdc(failed(hints(hint)), (request) => asReply(request, passwordKey, NOW));
    const secret = remembering('EXAMPLE.TESTold');
    await login(kdc, { secret }).result;
    assert.deepEqual([kdc.requests.length, kdc.guesses], [2, 2]);
    assert.equal(secret.remembered?.salt, SALT);
  });

  test('that is out of date is asked for when the refusal does not tell it', async () => {
    const kdc = new FakeKdc(failed(), preauthRequired(hint), (request) => asReply(request, passwordKey, NOW));
    await login(kdc, { secret: remembering('EXAMPLE.TESTold') }).result;
    assert.deepEqual([kdc.requests.length, kdc.guesses], [3, 2]);
    assert.equal(timestampOf(kdc.requests[1]!), undefined);
  });

  test('that was right means a wrong password, which is not sent a second time', async () => {
    for (const answers of [[failed(hints(hint))], [failed(), preauthRequired(hint)]]) {
      const kdc = new FakeKdc(...answers);
      await assert.rejects(login(kdc, { secret: remembering(SALT, 'wrong') }).result, { code: 'WRONG_PASSWORD' });
      assert.equal(kdc.guesses, 1);
    }
  });

  test('is forgotten, and a refusal of the new one is final', async () => {
    const kdc = new FakeKdc(failed(hints(hint)), failed(hints(hint)));
    const secret = remembering('EXAMPLE.TESTold', 'wrong');
    await assert.rejects(login(kdc, { secret }).result, { code: 'WRONG_PASSWORD' });
    assert.equal(kdc.guesses, 2);
    assert.equal(secret.remembered, undefined);
  });

  test('never makes a key from a keytab be sent twice', async () => {
    const kdc = new FakeKdc(failed(hints({ ...hint, salt: 'whatever' })));
    await assert.rejects(login(kdc).result, { code: 'WRONG_PASSWORD' });
    assert.equal(kdc.guesses, 1);
  });
});

describe('the clock of the KDC', () => {
  const skew = (ms: number) => () => errorReply('KRB_AP_ERR_SKEW', NOW + ms);

  test('within a day is tried, and kept once a sealed reply bears it out', async () => {
    const kdc = new FakeKdc(skew(20 * MINUTE), (request) => asReply(request, key, NOW + 20 * MINUTE));
    const { result, context } = login(kdc);
    await result;
    assert.equal(context.timeOffset, 20 * MINUTE);
  });

  test('is dropped when the sealed reply says otherwise', async () => {
    const kdc = new FakeKdc(skew(12 * HOUR), (request) => asReply(request, key, NOW));
    const { result, context } = login(kdc);
    await result;
    assert.equal(context.timeOffset, 0);
  });

  test('is dropped when the exchange fails', async () => {
    const kdc = new FakeKdc(skew(12 * HOUR), () => errorReply('KDC_ERR_CLIENT_REVOKED', NOW));
    const { result, context } = login(kdc);
    await assert.rejects(result, { code: 'ACCOUNT_DISABLED' });
    assert.equal(context.timeOffset, 0);
  });

  for (const hours of [25, -25, 24 * 365 * 100]) {
    test(`${hours} hours off is not believed, and nothing more is sent`, async () => {
      const kdc = new FakeKdc(skew(hours * HOUR));
      const { result, context } = login(kdc);
      await assert.rejects(result, { code: 'CLOCK_SKEW' });
      assert.deepEqual([kdc.requests.length, context.timeOffset], [1, 0]);
    });
  }

  test('that changes with every answer is tried once', async () => {
    const kdc = new FakeKdc(skew(HOUR), skew(2 * HOUR));
    await assert.rejects(login(kdc).result, { code: 'CLOCK_SKEW' });
    assert.equal(kdc.requests.length, 2);
  });

  test('is taken from the request for pre-authentication too, so that no round trip is lost', async () => {
    const later = NOW + HOUR;
    const kdc = new FakeKdc(
      () => errorReply('KDC_ERR_PREAUTH_REQUIRED', later, { eData: hints(hint) }),
      (request) => asReply(request, passwordKey, later),
    );
    const { result, context } = login(kdc, { secret: withPassword() });
    await result;
    assert.deepEqual([kdc.requests.length, context.timeOffset], [2, HOUR]);
  });
});

describe('memory', () => {
  test('forged salts do not pile up keys', async () => {
    const made: Key[] = [];
    const secret = withPassword();
    const derive = secret.key.bind(secret);
    secret.key = async (h) => {
      const k = await derive(h);
      if (k && !made.includes(k)) made.push(k);
      return k;
    };
    for (let i = 0; i < 40; i++) {
      const kdc = new FakeKdc(preauthRequired({ ...hint, salt: `forged ${i}` }), () => errorReply(24, NOW));
      await assert.rejects(login(kdc, { secret }).result, { code: 'WRONG_PASSWORD' });
    }
    const alive = made.filter((k) => k.value.some((byte) => byte !== 0));
    assert.equal(made.length, 40);
    assert.ok(alive.length <= 16, `${alive.length} keys are kept`);
    secret.destroy();
    await new Promise(setImmediate);
    assert.ok(made.every((k) => k.value.every((byte) => byte === 0)));
  });

  test('a wiped password makes no key any more', async () => {
    const secret = withPassword();
    secret.destroy();
    await assert.rejects(secret.key({ etype: 18, salt: SALT, params: undefined }), { code: 'ABORTED' });
  });
});
