/** MIT's own library is asked about the same keys, texts and usages, in both directions. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fromHex, hex, utf8 } from '../../../src/bytes.ts';
import { cf2, checksumByType, Key, profileOf, stringToKey } from '../../../src/krb5/crypto/index.ts';
import { cksumType } from '../../../src/krb5/numbers.ts';
import { Random } from '../../support/fuzz.ts';
import { hasProgram, runProgram } from '../../support/programs.ts';

const script = fileURLToPath(new URL('../../support/k5crypto.py', import.meta.url));

async function ask(questions: readonly object[]): Promise<(string | null)[]> {
  const { code, stdout, stderr } = await runProgram('python3', [script], { input: JSON.stringify(questions) });
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

const available = hasProgram('python3') && (await runProgram('python3', [script], { input: '[]' })).code === 0;
const skip = available ? false : 'needs python3 and libk5crypto.so.3 (Debian: python3, krb5-user)';

const ETYPES = [17, 18, 19, 20, 23];
const USAGES = Array.from({ length: 30 }, (_, i) => i);
const random = new Random(1510);
/** A case for each etype and usage, the lengths going through all positions in a block. */
const cases = ETYPES.flatMap((etype) =>
  USAGES.map((usage) => {
    const key = Key.generate(etype, (n) => random.bytes(n));
    return { key, usage, clear: random.bytes(usage * 3), question: { etype, usage, key: hex(key.value) } };
  }),
);

describe("MIT's libk5crypto", { skip }, () => {
  test('opens what we seal, for every usage to 29', async () => {
    const opened = await ask(
      cases.map((c) => ({ ...c.question, ask: 'decrypt', data: hex(c.key.encrypt(c.usage, c.clear)) })),
    );
    for (const [i, c] of cases.entries()) assert.equal(opened[i], hex(c.clear), `${c.key.etype} usage ${c.usage}`);
  });

  test('seals what we open', async () => {
    const sealed = await ask(cases.map((c) => ({ ...c.question, ask: 'encrypt', data: hex(c.clear) })));
    for (const [i, c] of cases.entries()) assert.deepEqual(c.key.decrypt(c.usage, fromHex(sealed[i]!)), c.clear);
  });

  test('makes the same checksums', async () => {
    const made = await ask(
      cases.map((c) => {
        const cksumtype = profileOf(c.key.etype).cksumType;
        return { ...c.question, ask: 'checksum', cksumtype, data: hex(c.clear) };
      }),
    );
    assert.deepEqual(
      cases.map((c) => hex(c.key.checksum(c.usage, c.clear))),
      made,
    );
  });

  test('makes the same HMAC-MD5 checksums with keys of every type', async () => {
    const made = await ask(
      cases.map((c) => ({ ...c.question, ask: 'checksum', cksumtype: cksumType.HMAC_MD5, data: hex(c.clear) })),
    );
    assert.deepEqual(
      cases.map((c) => hex(checksumByType(cksumType.HMAC_MD5, c.key, c.usage, c.clear))),
      made,
    );
  });

  test('has the same pseudo-random function', async () => {
    assert.deepEqual(
      cases.map((c) => hex(c.key.prf(c.clear))),
      await ask(cases.map((c) => ({ ...c.question, ask: 'prf', data: hex(c.clear) }))),
    );
  });

  test('combines two keys to the same, of one type or two', async () => {
    const keys = ETYPES.map((etype) => Key.generate(etype, (n) => random.bytes(n)));
    const pairs = keys.flatMap((one) => keys.map((other) => [one, other] as const));
    const shown = (key: Key) => ({ etype: key.etype, key: hex(key.value) });
    const peppers = { pepper1: 'subkeyarmor', pepper2: 'ticketarmor' };
    assert.deepEqual(
      pairs
        .map(([one, other]) => cf2(one, other, peppers.pepper1, peppers.pepper2))
        .map((k) => `${k.etype}:${hex(k.value)}`),
      await ask(pairs.map(([one, other]) => ({ ask: 'cf2', key1: shown(one), key2: shown(other), ...peppers }))),
    );
  });

  test('makes the same keys of passwords', async () => {
    const passwords = ['', 'password', '\u00e4\u00f6\u00fc \u20ac', '\u{1f600}', 'x'.repeat(65)].map(utf8);
    const questions = ETYPES.flatMap((etype) =>
      passwords.map((password) => ({ etype, password: hex(password), salt: hex(utf8('EXAMPLE.COMuser')) })),
    );
    const keys = questions.map((q) => stringToKey(q.etype, fromHex(q.password), fromHex(q.salt)));
    assert.deepEqual(
      (await Promise.all(keys)).map((key) => hex(key.value)),
      await ask(questions.map((q) => ({ ...q, ask: 'stringToKey' }))),
    );
  });
});
