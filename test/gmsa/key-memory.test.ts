/** Keys of managed passwords that are kept: the right one, a copy, no more than allowed, none after the end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8 } from '../../src/bytes.ts';
import { KeyMemory } from '../../src/gmsa/key-memory.ts';
import { Key } from '../../src/krb5/crypto/index.ts';

const hint = { etype: 18, salt: 'EXAMPLE.COMhostweb.example.com', params: undefined };
const password = utf8('not really managed');

/** Counts its derivations; each gives another key. */
function deriving() {
  const derive = async () => new Key(18, new Uint8Array(32).fill(++derive.count));
  derive.count = 0;
  return derive;
}

test('a password is derived once', async () => {
  const [memory, derive] = [new KeyMemory(), deriving()];
  const first = await memory.get(password, hint, derive);
  const second = await memory.get(Uint8Array.from(password), { ...hint }, derive);
  assert.equal(derive.count, 1);
  assert.deepEqual(second.value, first.value);
});

test('another password, salt, etype or parameters give another key', async () => {
  const [memory, derive] = [new KeyMemory(), deriving()];
  await memory.get(password, hint, derive);
  await memory.get(utf8('not really manageD'), hint, derive);
  await memory.get(password, { ...hint, salt: 'EXAMPLE.COMhostother.example.com' }, derive);
  await memory.get(password, { ...hint, etype: 17 }, derive);
  await memory.get(password, { ...hint, params: Uint8Array.of(0, 0, 0x20, 0) }, derive);
  assert.equal(derive.count, 5);
});

test('a key destroyed by one caller is whole for the next', async () => {
  const [memory, derive] = [new KeyMemory(), deriving()];
  (await memory.get(password, hint, derive)).destroy();
  (await memory.get(password, hint, derive)).destroy();
  assert.deepEqual((await memory.get(password, hint, derive)).value, new Uint8Array(32).fill(1));
});

test('the least recently used key goes first', async () => {
  const [memory, derive] = [new KeyMemory(2), deriving()];
  const ask = (name: string) => memory.get(utf8(name), hint, derive);
  for (const name of ['a', 'b', 'a', 'c']) await ask(name);
  assert.equal(derive.count, 3);
  await ask('a');
  assert.equal(derive.count, 3);
  await ask('b');
  assert.equal(derive.count, 4);
});

test('a derivation that fails is tried again', async () => {
  const [memory, derive] = [new KeyMemory(), deriving()];
  await assert.rejects(
    memory.get(password, hint, () => Promise.reject(new Error('no'))),
    /no/,
  );
  await memory.get(password, hint, derive);
  assert.equal(derive.count, 1);
});

test('nothing is kept after the end', async () => {
  const [memory, derive] = [new KeyMemory(), deriving()];
  const late = memory.get(password, hint, derive);
  memory.destroy();
  await late;
  await memory.get(password, hint, derive);
  assert.equal(derive.count, 2);
});
