/** Keytabs changed by us and by MIT's programs in turn. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { hex } from '../../../src/bytes.ts';
import { type KeytabEntry, readKeytab, writeKeytab } from '../../../src/krb5/files/keytab.ts';
import {
  addEntries,
  loadKeytab,
  mergeEntries,
  removeEntries,
  saveKeytab,
} from '../../../src/krb5/files/keytab-edit.ts';
import { formatPrincipal, parsePrincipal } from '../../../src/krb5/principal.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';

const entry = (name: string, kvno: number, etype = 18, fill = kvno & 0xff): KeytabEntry => ({
  principal: parsePrincipal(`${name}@MIT.TEST`),
  timestamp: new Date('2026-11-23T00:00:00Z'),
  kvno,
  key: { etype, value: new Uint8Array(32).fill(fill) },
});
const shown = (entries: readonly KeytabEntry[]): string[] =>
  entries.map((e) => `${e.principal.components.join('/')} ${e.kvno} ${e.key.etype}`);

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'keytabs-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('entries', () => {
  test('are added behind older kvnos, and replace their like', () => {
    const before = [entry('web', 1), entry('web', 2), entry('db', 2)];
    const after = addEntries(before, [entry('web', 2, 18, 9), entry('web', 3)]);
    assert.deepEqual(shown(after), ['web 1 18', 'db 2 18', 'web 2 18', 'web 3 18']);
    assert.equal(after[2]!.key.value[0], 9);
  });

  const all = [entry('web', 1), entry('web', 70_000), entry('web', 70_000, 17), entry('db', 1)];
  const choices: [what: string, choice: Parameters<typeof removeEntries>[1], kept: string[]][] = [
    ['a principal', { principal: parsePrincipal('web@MIT.TEST') }, ['db 1 18']],
    ['a kvno', { kvno: 70_000 }, ['web 1 18', 'db 1 18']],
    ['a type', { etype: 17 }, ['web 1 18', 'web 70000 18', 'db 1 18']],
    ['all that is old', { old: true }, ['web 70000 18', 'web 70000 17', 'db 1 18']],
  ];
  for (const [what, choice, kept] of choices) {
    test(`are removed by ${what}`, () => assert.deepEqual(shown(removeEntries(all, choice).kept), kept));
  }

  test('of several lists are merged once each', () => {
    assert.deepEqual(shown(mergeEntries([all, [entry('db', 1), entry('new', 1)]])), [...shown(all), 'new 1 18']);
  });

  test('that contradict each other are not merged', () => {
    assert.throws(() => mergeEntries([all, [entry('db', 1, 18, 99)]]), { code: 'INVALID_ARGUMENT' });
  });

  test('are neither lost nor doubled by a removal', () => {
    const lists = fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.nat(3), fc.constantFrom(17, 18)));
    fc.assert(
      fc.property(
        lists,
        fc.record({ kvno: fc.nat(3), etype: fc.constantFrom(17, 18), old: fc.boolean() }, { requiredKeys: [] }),
        (list, choice) => {
          const entries = list.map(([name, kvno, etype]) => entry(name, kvno, etype));
          const { kept, removed } = removeEntries(entries, choice);
          assert.deepEqual(
            entries.filter((e) => kept.includes(e) !== removed.includes(e)),
            entries,
          );
        },
      ),
    );
  });
});

describe('a keytab file', () => {
  test('keeps its mode', async () => {
    const path = join(directory, 'kt');
    await writeFile(path, writeKeytab([]), { mode: 0o640 });
    await saveKeytab(path, [entry('web', 1)]);
    assert.equal((await stat(path)).mode & 0o777, 0o640);
    assert.deepEqual(shown(await loadKeytab(path)), ['web 1 18']);
  });

  test('that is missing is told in the words of klist', async () => {
    await assert.rejects(loadKeytab('/nonexistent/kt'), {
      code: 'NOT_FOUND',
      message: "Key table file '/nonexistent/kt' not found",
    });
  });
});

describe('version 1 of a big-endian machine', () => {
  test('is read when the caller says so', () => {
    // 0501, size 33, 2 components with the realm, "R", "a", time, kvno 3, type 17, key of 16 bytes
    const bytes = Buffer.from(`0501${'00000021'}0002000152000161${'00000001'}03${'0011'}0010${'ab'.repeat(16)}`, 'hex');
    const [read] = readKeytab(bytes, 'BE');
    assert.equal(formatPrincipal(read!.principal), 'a@R');
    assert.deepEqual([read!.kvno, read!.key.etype, hex(read!.key.value)], [3, 17, 'ab'.repeat(16)]);
  });
});

describe('with MIT', { skip: needsMitRealm }, () => {
  let mit: MitRealm;
  before(async () => {
    mit = await startMitRealm({ principals: [{ name: 'alice' }, { name: 'host/a.mit.test' }, { name: 'WEB1$' }] });
  });
  after(() => mit?.stop());
  const listed = async (path: string): Promise<string[]> =>
    (await mit.run('klist', ['-ke', path])).stdout
      .trim()
      .split('\n')
      .slice(3)
      .map((line) => line.trim());

  test('entries with holes between are edited, and the KDC takes what is left', async () => {
    const path = await mit.keytab('alice', 'host/a.mit.test', 'WEB1$');
    await mit.kadmin(`ktremove -k ${path} host/a.mit.test`);
    const { kept } = removeEntries(await loadKeytab(path), { etype: 17 });
    await saveKeytab(path, kept);
    assert.deepEqual(await listed(path), [
      '1 alice@MIT.TEST (aes256-cts-hmac-sha1-96)',
      '1 WEB1$@MIT.TEST (aes256-cts-hmac-sha1-96)',
    ]);
    const { code, stderr } = await mit.run('kinit', ['-k', '-t', path, 'WEB1$']);
    assert.equal(code, 0, stderr);
  });

  test('kadmin adds to and removes from what we wrote, and we to what it left', async () => {
    const path = await mit.keytab('alice');
    await saveKeytab(path, addEntries(await loadKeytab(path), [entry('web', 70_000)]));
    await mit.kadmin(`ktadd -norandkey -k ${path} host/a.mit.test`, `ktremove -k ${path} alice`);
    assert.deepEqual(shown(await loadKeytab(path)), ['web 70000 18', 'host/a.mit.test 1 18', 'host/a.mit.test 1 17']);
    const other = await mit.keytab('WEB1$');
    const merged = mergeEntries([await loadKeytab(path), await loadKeytab(other)]);
    await saveKeytab(path, merged);
    assert.deepEqual(
      (await listed(path)).map((line) => line.split(' ').slice(0, 2).join(' ')),
      [
        '70000 web@MIT.TEST',
        '1 host/a.mit.test@MIT.TEST',
        '1 host/a.mit.test@MIT.TEST',
        '1 WEB1$@MIT.TEST',
        '1 WEB1$@MIT.TEST',
      ],
    );
  });

  test('a merge writes the bytes of ktutil', async () => {
    const [one, two] = [await mit.keytab('alice'), await mit.keytab('WEB1$')];
    const theirs = join(directory, 'theirs');
    await mit.run('ktutil', [], `read_kt ${one}\nread_kt ${two}\nwrite_kt ${theirs}\nquit\n`);
    const bytes = await readFile(theirs);
    const { timestamp } = readKeytab(bytes)[0]!;
    const merged = mergeEntries([await loadKeytab(one), await loadKeytab(two)]);
    assert.equal(hex(writeKeytab(merged.map((e) => ({ ...e, timestamp })))), hex(bytes));
  });
});
