import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type MitRealm, needsMitRealm, startMitRealm } from './mit-realm.ts';

describe('startMitRealm', { skip: needsMitRealm }, () => {
  let mit: MitRealm;
  before(async () => {
    mit = await startMitRealm({
      realm: 'ONE.TEST',
      principals: [
        { name: 'alice', password: 'quote " and blank' },
        { name: 'open', password: 'p', withoutPreauth: true },
        { name: 'short', password: 'p', attributes: ['-maxlife', '5min'], keysalts: 'aes128-cts-hmac-sha1-96:normal' },
      ],
    });
  });
  after(() => mit?.stop());

  const kinit = (name: string, password: string, env?: Record<string, string>) =>
    mit.run('kinit', [name], `${password}\n`, env);

  for (const [transport, limit] of [
    ['UDP', 1465],
    ['TCP', 1],
  ] as const) {
    test(`answers by ${transport}`, async () => {
      const other = await startMitRealm({
        principals: [{ name: 'bob', password: 'b' }],
        libdefaults: [`udp_preference_limit = ${limit}`],
      });
      try {
        const trace = join(other.directory, 'trace');
        const { code, stderr } = await other.run('kinit', ['bob'], 'b\n', { KRB5_TRACE: trace });
        assert.equal(code, 0, stderr);
        const used = transport === 'UDP' ? /Received answer .* from dgram 127/ : /Received answer .* from stream 127/;
        assert.match(await readFile(trace, 'utf8'), used);
      } finally {
        await other.stop();
      }
    });
  }

  test('requires pre-authentication unless told otherwise', async () => {
    assert.equal((await kinit('alice', 'quote " and blank')).code, 0);
    assert.equal((await kinit('open', 'p')).code, 0);
    const log = await mit.log();
    assert.match(log, /NEEDED_PREAUTH: alice@ONE\.TEST/);
    assert.doesNotMatch(log, /NEEDED_PREAUTH: open@ONE\.TEST/);
  });

  test('gives principals their own keys and attributes', async () => {
    const shown = await mit.kadmin('get_principal short');
    assert.match(shown, /Maximum ticket life: 0 days 00:05:00/);
    assert.match(shown, /Number of keys: 1\n/);
  });

  test('says why a query failed', async () => {
    await assert.rejects(mit.kadmin('get_principal alice', 'get_principal nobody'), /Principal does not exist/);
  });

  test('leaves nothing when it is stopped', async () => {
    const other = await startMitRealm();
    await other.stop();
    await other.stop();
    assert.equal(existsSync(other.directory), false);
    assert.equal((await other.run('kinit', ['x'], 'x\n')).code, 1);
  });
});
