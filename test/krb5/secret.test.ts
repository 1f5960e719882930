import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { hex, utf8 } from '../../src/bytes.ts';
import { Key } from '../../src/krb5/crypto/index.ts';
import { DerivingSecret, type KeyHint, KeySecret, PasswordSecret } from '../../src/krb5/secret.ts';

const hint = (salt: string | undefined, etype = 18): KeyHint => ({ etype, salt, params: undefined });
const wiped = (key: Key) => key.value.every((byte) => byte === 0);

describe('a password', () => {
  test('makes a key once for all who ask', async () => {
    const secret = new PasswordSecret(utf8('pw'), 'Ralice', [18, 17]);
    const [a, b] = await Promise.all([secret.key(hint('Ralice')), secret.key(hint(undefined))]);
    assert.equal(a, b);
    assert.notEqual(a, await secret.key(hint('Rbob')));
    assert.notEqual(a, await secret.key(hint('Ralice', 17)));
    assert.notEqual(a, await secret.key({ ...hint('Ralice'), params: Uint8Array.of(0, 0, 0x20, 0) }));
  });

  test('makes none of an etype that was not asked for', async () => {
    assert.equal(await new PasswordSecret(utf8('pw'), 'R', [18]).key(hint('R', 23)), undefined);
  });

  test("is the caller's to wipe", async () => {
    const password = utf8('pw');
    const secret = new PasswordSecret(password, 'R', [18]);
    password.fill(0);
    const same = await new PasswordSecret(utf8('pw'), 'R', [18]).key(hint('R'));
    assert.equal(hex((await secret.key(hint('R')))!.value), hex(same!.value));
  });

  test('takes its keys with it, also one that is still being made', async () => {
    const secret = new PasswordSecret(utf8('pw'), 'R', [18]);
    const made = await secret.key(hint('made'));
    const making = secret.key(hint('making'));
    secret.destroy();
    assert.ok(wiped((await making)!));
    assert.ok(wiped(made!));
  });

  test('whose key could not be made may be tried again', async () => {
    let tries = 0;
    const secret = new DerivingSecret({
      etypes: [18],
      defaultSalt: 'R',
      guess: false,
      wipe: () => undefined,
      derive: async () => {
        if (++tries === 1) throw new Error('no');
        return Key.generate(18);
      },
    });
    await assert.rejects(secret.key(hint('R')), /no/);
    assert.ok(await secret.key(hint('R')));
  });

  test('is not shown', () => {
    const secret = new PasswordSecret(utf8('hunter2'), 'R', [18]);
    assert.doesNotMatch(inspect(secret, { depth: 9, showHidden: true }), /hunter2|104, 117|Uint8Array/);
  });
});

describe('keys of a keytab', () => {
  test('need no salt, the first is tried at once', async () => {
    const secret = new KeySecret([
      { etype: 17, value: new Uint8Array(16).fill(1) },
      { etype: 18, value: new Uint8Array(32).fill(2) },
    ]);
    assert.deepEqual(secret.remembered, hint(undefined, 17));
    assert.equal((await secret.key(hint('whatever')))!.value[0], 2);
    assert.equal(await secret.key(hint('whatever', 23)), undefined);
  });

  test('are copies, and wiped', async () => {
    const value = new Uint8Array(32).fill(2);
    const secret = new KeySecret([{ etype: 18, value }]);
    value.fill(0);
    const key = (await secret.key(hint(undefined)))!;
    assert.equal(key.value[0], 2);
    secret.destroy();
    assert.ok(wiped(key));
    assert.equal(await secret.key(hint(undefined)), undefined);
  });

  test('may be none', () => assert.equal(new KeySecret([]).remembered, undefined));
});

describe('a derived secret', () => {
  const of = (guess: boolean) =>
    new DerivingSecret({
      etypes: [18, 17],
      defaultSalt: 'Rhostx',
      guess,
      wipe: () => undefined,
      derive: async (h) => new Key(18, new Uint8Array(32).fill(h.salt.length)),
    });
  test('guesses its salt only where it may', () => {
    assert.deepEqual(of(true).remembered, hint('Rhostx'));
    assert.equal(of(false).remembered, undefined);
  });
  test('fills in the salt that is not named', async () => {
    assert.equal((await of(true).key(hint(undefined)))!.value[0], 'Rhostx'.length);
  });
});
