/** kvno in a user's name and from user to user, beside MIT's kvno on the same KDC. */
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { readCCache } from '../../../src/krb5/files/ccache.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';
import { cli as runCli, type Shown } from '../run.ts';

const SERVICE = 'HTTP/web.mit.test';

describe('kvno on behalf of others', { skip: needsMitRealm }, () => {
  let mit: MitRealm;
  before(async () => {
    mit = await startMitRealm({
      principals: [
        { name: 'alice', password: 'a secret' },
        { name: 'bob', password: 'b secret' },
        { name: SERVICE, attributes: ['+ok_to_auth_as_delegate', '+requires_preauth'] },
        { name: 'host/a.mit.test' },
      ],
    });
    await writeFile(join(mit.directory, 'bob.pw'), 'b secret\n');
  });
  after(() => mit?.stop());
  beforeEach(async () => {
    for (const name of ['ccache', 'out.cc', 'bob.cc']) await rm(join(mit.directory, name), { force: true });
    await theirs('kinit', ['-f', '-k', '-t', await mit.keytab(SERVICE), SERVICE]);
  });

  const at = (name: string): string => join(mit.directory, name);
  const cli = (argv: string[]): Promise<Shown> => runCli(argv, { env: { ...mit.env } });
  const done = async (...argv: string[]): Promise<string> => {
    const shown = await cli(argv);
    assert.equal(shown.code, 0, `${argv.join(' ')}: ${shown.err}`);
    return shown.out;
  };
  async function theirs(program: string, args: string[]): Promise<string> {
    const { code, stdout, stderr } = await mit.run(program, args);
    assert.equal(code, 0, `${program} ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  }

  test("-I gets a ticket in the user's name, as MIT's does", async () => {
    const out = await done('kvno', '-I', 'alice', SERVICE);
    assert.equal(out, `${SERVICE}@MIT.TEST: kvno = 1\n`);
    assert.match(await theirs('klist', []), /HTTP\/web\.mit\.test@MIT\.TEST\n\tfor client alice@MIT\.TEST/);
    assert.equal(await done('klist'), await theirs('klist', []));
    assert.equal(await theirs('kvno', ['--cached-only', '-I', 'alice', SERVICE]), out);
  });

  test('-U asks for an enterprise name, of which this KDC knows none', async () => {
    const { code, err } = await cli(['kvno', '-U', 'alice@MIT.TEST', SERVICE]);
    assert.equal(code, 1);
    assert.match(err, /KDC_ERR_C_PRINCIPAL_UNKNOWN.*while getting credentials/);
  });

  test('it does not stand in for a ticket of the account itself', async () => {
    await done('kvno', '-I', 'alice', SERVICE);
    await done('kvno', SERVICE);
    const { credentials } = readCCache(new Uint8Array(await readFile(at('ccache'))));
    const names = credentials
      .filter((c) => c.server.components[0] === 'HTTP')
      .map((c) => c.client.components.join('/'));
    assert.deepEqual(names, ['alice', SERVICE]);
    // And each is found again.
    await done('kvno', '--cached-only', SERVICE);
    await done('kvno', '--cached-only', '-I', 'alice', SERVICE);
    assert.equal((await cli(['kvno', '--cached-only', '-I', 'bob', SERVICE])).code, 1);
  });

  test('--out-cache has the ticket alone, and is of the user', async () => {
    await done('kvno', '-I', 'alice', '--out-cache', at('out.cc'), SERVICE);
    const listed = await theirs('klist', ['-c', at('out.cc')]);
    assert.match(listed, /Default principal: alice@MIT\.TEST\n/);
    assert.equal(listed.match(/@MIT\.TEST/g)?.length, 2);
    const keytab = await mit.keytab(SERVICE);
    const opened = await theirs('kvno', ['-c', at('out.cc'), '--cached-only', '-k', keytab, SERVICE]);
    assert.match(opened, /keytab entry valid/);
    assert.doesNotMatch(await theirs('klist', []), /for client/);
  });

  test('for another service it takes -P, which the KDC may refuse', async () => {
    assert.match((await cli(['kvno', '-I', 'alice', 'host/a.mit.test'])).err, /it takes -P/);
    const { code, err } = await cli(['kvno', '-I', 'alice', '-P', 'host/a.mit.test']);
    assert.equal(code, 1);
    assert.match(err, /^kvno: KDC .* while getting credentials for host\/a\.mit\.test@MIT\.TEST$/m);
  });

  test('--u2u gets a ticket that the user opens with his own', async () => {
    const KRB5CCNAME = at('bob.cc');
    await runCli(['kinit', '--password-file', at('bob.pw'), 'bob'], { env: { ...mit.env, KRB5CCNAME } });
    assert.equal(await done('kvno', '--u2u', at('bob.cc'), 'bob'), 'bob@MIT.TEST: kvno = 0\n');
    const [ours] = readCCache(new Uint8Array(await readFile(at('ccache')))).credentials.slice(-1);
    await theirs('kvno', ['--u2u', at('bob.cc'), 'bob']);
    const all = readCCache(new Uint8Array(await readFile(at('ccache')))).credentials;
    const theirsToo = all.filter((c) => c.isSkey).at(-1)!;
    assert.deepEqual([ours!.isSkey, ours!.secondTicket], [true, theirsToo.secondTicket]);
    assert.equal(await done('klist'), await theirs('klist', []));
  });

  test('--u2u finds the ticket again, and for that session alone', async () => {
    const KRB5CCNAME = at('bob.cc');
    const login = () => runCli(['kinit', '--password-file', at('bob.pw'), 'bob'], { env: { ...mit.env, KRB5CCNAME } });
    const stored = async () => readCCache(new Uint8Array(await readFile(at('ccache')))).credentials.length;
    await login();
    await theirs('kvno', ['--u2u', at('bob.cc'), 'bob']);
    const before = await stored();
    await done('kvno', '--u2u', at('bob.cc'), 'bob');
    await done('kvno', '--cached-only', '--u2u', at('bob.cc'), 'bob');
    assert.equal(await stored(), before);
    assert.equal((await cli(['kvno', '--cached-only', 'bob'])).code, 1);
    await login();
    assert.equal((await cli(['kvno', '--cached-only', '--u2u', at('bob.cc'), 'bob'])).code, 1);
  });

  test('--u2u is for the owner of the cache only, and needs one', async () => {
    const KRB5CCNAME = at('bob.cc');
    assert.match((await cli(['kvno', '--u2u', KRB5CCNAME, 'bob'])).err, /No credentials cache found/);
    await runCli(['kinit', '--password-file', at('bob.pw'), 'bob'], { env: { ...mit.env, KRB5CCNAME } });
    assert.equal((await cli(['kvno', '--u2u', KRB5CCNAME, 'alice'])).code, 1);
  });

  test("a new cache is not made when a ticket is missing, as with MIT's", async () => {
    for (const run of [cli, (argv: string[]) => mit.run(argv[0]!, argv.slice(1))]) {
      assert.equal((await run(['kvno', '--out-cache', at('out.cc'), 'host/a.mit.test', 'host/none'])).code, 1);
      await assert.rejects(readFile(at('out.cc')), { code: 'ENOENT' });
    }
  });

  test('-u asks by a name of unknown type', async () => {
    assert.equal(await done('kvno', '-u', 'host/a.mit.test'), await theirs('kvno', ['-u', 'host/a.mit.test']));
  });

  test('what does not go together is said', async () => {
    const wrong: [string[], RegExp][] = [
      [['-I', 'a', '-U', 'b', SERVICE], /-I and -U exclude each other/],
      [['-P', SERVICE], /in whose name/],
      [['--u2u', 'x', '-I', 'a', SERVICE], /--u2u goes neither/],
      [['-u', '-S', 'host', 'a.mit.test'], /-u and -S exclude each other/],
      [['--u2u', 'x', '-k', 'y', 'bob'], /does not go with -k/],
    ];
    for (const [argv, message] of wrong) {
      const { code, err } = await cli(['kvno', ...argv]);
      assert.equal(code, 2, argv.join(' '));
      assert.match(err, message);
    }
  });
});
