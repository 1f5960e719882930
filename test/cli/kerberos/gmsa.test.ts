/** The gmsa command and krun --gmsa's source in a domain inside this process. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { hex } from '../../../src/bytes.ts';
import { etypeName } from '../../../src/krb5/crypto/index.ts';
import { readKeytab } from '../../../src/krb5/files/keytab.ts';
import { type Harness, PASSWORD, startHarness } from '../../testdomain/domain.ts';
import { cli, type Shown } from '../run.ts';

describe('gmsa', () => {
  let world: Harness;
  let place: string[];
  before(async () => {
    world = await startHarness();
    await writeFile(join(world.directory, 'pw'), PASSWORD);
    place = ['-d', world.domain.domain, '--server', `localhost:${world.domain.ldapPort}`];
  });
  after(() => world?.stop());

  const gmsa = (...argv: string[]): Promise<Shown> =>
    cli(['gmsa', ...place, ...argv], { env: { ...world.env }, typed: PASSWORD });

  test('asks for the password of the reader and shows dates, version and salt, but no key', async () => {
    const { code, out, err, questions } = await gmsa('-p', 'svc-fetch', 'WebApp01');
    assert.equal(code, 0, err);
    assert.deepEqual(questions, [`Password for svc-fetch@${world.domain.realm}: `]);
    assert.match(out, /^Account: +WebApp01\$$/m);
    assert.match(out, /^Password changes: +\d{4}-.*Z/m);
    assert.match(out, /^Salt: +\S+hostwebapp01\.\S+$/m);
    assert.match(out, /^Logon: +ok$/m);
    assert.doesNotMatch(out, /[0-9a-f]{32}/);
  });

  test('prints keys when asked: those of the domain', async () => {
    const { out } = await gmsa('-p', 'svc-fetch', '--keys', '--json', 'WebApp01');
    const entries = readKeytab(await world.domain.keytab('WebApp01$'));
    const theirs = new Map(entries.map((e) => [etypeName(e.key.etype), hex(e.key.value)]));
    const { keys } = JSON.parse(out) as { keys: { etype: string; key: string; password: string }[] };
    assert.equal(keys.length, 2);
    for (const { etype, key } of keys) assert.equal(key, theirs.get(etype));
  });

  test('reads by a keytab', async () => {
    const { code, err } = await gmsa('-t', await world.keytab('HOST1$'), 'WebApp01');
    assert.equal(code, 0, err);
  });

  test('reads by a ticket cache', async () => {
    const env = { ...world.env, KRB5CCNAME: join(world.directory, 'cc') };
    await cli(['kinit', '--password-file', join(world.directory, 'pw'), 'svc-fetch'], { env });
    const { code, err } = await cli(['gmsa', ...place, 'WebApp01'], { env });
    assert.equal(code, 0, err);
  });

  const refused: [string, string[], RegExp][] = [
    ['without a reader', ['-c', '/dev/null/none', 'WebApp01'], /name the reader with -p or -t/],
    ['to a reader without the right', ['-p', 'svc-fetch', 'Other02'], /NOT_ALLOWED/],
    ['for a name that is not there', ['-p', 'svc-fetch', 'None'], /NO_SUCH_ACCOUNT/],
  ];
  for (const [what, argv, message] of refused) {
    test(`says no ${what}`, async () => {
      const { code, err } = await gmsa(...argv);
      assert.equal(code, 1);
      assert.match(err, message);
    });
  }
});
