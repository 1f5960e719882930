/** The Kerberos commands against MIT's KDC, and beside MIT's programs on the same files. */
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { readCCache, writeCCache } from '../../../src/krb5/files/ccache.ts';
import { readKeytab } from '../../../src/krb5/files/keytab.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';
import { cli as runCli, type Shown } from '../run.ts';

describe('with MIT', { skip: needsMitRealm }, () => {
  let mit: MitRealm;
  before(async () => {
    mit = await startMitRealm({
      principals: [
        { name: 'alice', password: 'a secret' },
        { name: 'bob', password: 'b secret' },
        { name: 'host/a.mit.test' },
        { name: 'WEB1$' },
        { name: 'once', password: 'old one', attributes: ['+needchange'] },
      ],
    });
    await writeFile(join(mit.directory, 'alice.pw'), 'a secret\n');
  });
  after(() => mit?.stop());
  beforeEach(() => rm(join(mit.directory, 'ccache'), { force: true }));

  const at = (name: string): string => join(mit.directory, name);
  const cli = (argv: string[], world: Parameters<typeof runCli>[1] = {}): Promise<Shown> =>
    runCli(argv, { ...world, env: { ...mit.env, ...world.env } });
  const done = async (argv: string[], world: Parameters<typeof cli>[1] = {}): Promise<Shown> => {
    const shown = await cli(argv, world);
    assert.equal(shown.code, 0, `${argv.join(' ')}: ${shown.err}`);
    return shown;
  };
  const theirs = async (
    program: string,
    args: string[],
    env: Record<string, string> = {},
    input = '',
  ): Promise<string> => {
    const { code, stdout, stderr } = await mit.run(program, args, input, env);
    assert.equal(code, 0, `${program} ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  const kinitAlice = (...flags: string[]): Promise<Shown> =>
    done(['kinit', ...flags, '--password-file', at('alice.pw'), 'alice']);

  describe('kinit', () => {
    test('asks for the password, and MIT uses the ticket', async () => {
      const { questions, out, err } = await done(['kinit', 'alice'], { typed: 'a secret' });
      assert.deepEqual([questions, out, err], [['Password for alice@MIT.TEST: '], '', '']);
      assert.match(await theirs('kvno', ['host/a.mit.test']), /host\/a\.mit\.test@MIT\.TEST: kvno = 1/);
    });

    test('reads the password from standard input where nobody can be asked', async () => {
      await done(['kinit', 'alice'], { input: 'a secret\n' });
      await theirs('klist', ['-s']);
    });

    test('takes flags and times as MIT does', async () => {
      await kinitAlice('-f', '-p', '-l', '1h', '-r', '2h');
      const ours = await theirs('klist', ['-f']);
      await theirs('kinit', ['-f', '-p', '-l', '1h', '-r', '2h', 'alice'], {}, 'a secret\n');
      const shape = (text: string): string => text.replace(/\d\d:\d\d:\d\d|\d\d\/\d\d\/\d\d/g, 'T');
      assert.equal(shape(ours), shape(await theirs('klist', ['-f'])));
      assert.match(ours, /Flags: FPRIA/);
    });

    test('hides the logon under the ticket of another cache, which the KDC has to know', async () => {
      const machine = at('machine.cc');
      await theirs('kinit', ['-c', machine, '-kt', await mit.keytab('WEB1$'), 'WEB1$']);
      await kinitAlice('-T', machine);
      await theirs('klist', ['-s']);
      const cache = readCCache(await readFile(machine));
      for (const { key } of cache.credentials) key.value.fill(1);
      await writeFile(machine, writeCCache(cache));
      await rm(at('ccache'));
      const wrong = await cli(['kinit', '-T', machine, '--password-file', at('alice.pw'), 'alice']);
      assert.equal(wrong.code, 1);
      assert.match(wrong.err, /not in armor/);
      const none = await cli(['kinit', '-T', at('nowhere'), '--password-file', at('alice.pw'), 'alice']);
      assert.match(none.err, /No credentials cache found/);
    });

    test('without flags asks for what krb5.conf says', async () => {
      await kinitAlice();
      assert.match(await theirs('klist', ['-f']), /\n\tFlags: IA\n|\n\trenew until .*, Flags: RIA\n/);
    });

    test('lives on a keytab, with the words of MIT', async () => {
      const keytab = await mit.keytab('WEB1$');
      const { err } = await done(['kinit', '-V', '-k', '-t', keytab, 'WEB1$']);
      assert.equal(err, (await mit.run('kinit', ['-V', '-k', '-t', keytab, 'WEB1$'])).stderr || err);
      assert.match(err, /Using principal: WEB1\$@MIT\.TEST\nUsing keytab: .*\nAuthenticated to Kerberos v5\n/);
    });

    test("without a name takes the keytab's machine account", async () => {
      await done(['kinit', '-kt', await mit.keytab('host/a.mit.test', 'WEB1$')]);
      assert.match(await theirs('klist', []), /Default principal: WEB1\$@MIT\.TEST/);
    });

    test("without a name takes the cache's principal", async () => {
      await kinitAlice();
      await done(['kinit'], { typed: 'a secret' });
      assert.equal((await cli(['kinit'], { typed: 'a secret' })).questions[0], 'Password for alice@MIT.TEST: ');
    });

    test('renews a ticket that MIT got, and MIT renews ours', async () => {
      await theirs('kinit', ['-l', '1h', '-r', '2h', 'alice'], {}, 'a secret\n');
      await done(['kinit', '-R']);
      await theirs('kinit', ['-R']);
      await done(['kinit', '-R']);
      await theirs('klist', ['-s']);
    });

    test('gets a first ticket for another service', async () => {
      await kinitAlice('-S', 'host/a.mit.test');
      assert.match(await theirs('klist', []), /host\/a\.mit\.test@MIT\.TEST/);
    });

    const refused: [why: string, argv: string[], message: RegExp][] = [
      ['a wrong password', ['kinit', 'alice'], /WRONG_PASSWORD/],
      ['a stranger', ['kinit', 'nobody'], /UNKNOWN_PRINCIPAL/],
      ['a password that must be changed', ['kinit', 'once'], /PASSWORD_EXPIRED/],
    ];
    for (const [why, argv, message] of refused) {
      test(`says no to ${why}, and leaves the cache alone`, async () => {
        await kinitAlice();
        const { code, err } = await cli(argv, { input: argv[1] === 'once' ? 'old one' : 'wrong' });
        assert.equal(code, 1);
        assert.match(err, message);
        assert.match(await theirs('klist', []), /alice@MIT\.TEST/);
      });
    }

    test('in a directory gives each principal a cache, as MIT does', async () => {
      const env = { KRB5CCNAME: `DIR:${at('ours')}` };
      await done(['kinit', 'alice'], { typed: 'a secret', env });
      const { err } = await done(['kinit', '-V', 'bob'], { typed: 'b secret', env });
      assert.match(err, /^Using new cache: :.*\/tkt[A-Za-z0-9]{6}\n/);
      assert.match(await theirs('klist', ['-l'], env), /bob@MIT\.TEST .*\n.*alice@MIT\.TEST .*\/ours\/tkt\n$/);
      await done(['kinit', 'alice'], { typed: 'a secret', env });
      assert.match(await theirs('klist', ['-l'], env), /alice@MIT\.TEST .*\n.*bob@MIT\.TEST/);
      for (const flags of ['-l', '-A', '-Afe', '-f'])
        assert.equal((await done(['klist', flags], { env })).out, await theirs('klist', [flags], env), flags);
      await theirs('kswitch', ['-p', 'bob'], env);
      await done(['kswitch', '-p', 'alice'], { env });
      assert.match(await theirs('klist', [], env), /Default principal: alice/);
      assert.match((await done(['kdestroy'], { env })).err, /Other credential caches present/);
      assert.doesNotMatch(await theirs('klist', ['-l'], env), /alice/);
      await done(['kdestroy', '-A'], { env });
      assert.equal((await cli(['klist', '-A'], { env })).code, (await mit.run('klist', ['-A'], '', env)).code);
    });

    test('refuses a cache in the keyring and says what to do', async () => {
      const { code, err } = await cli(['kinit', 'alice'], { typed: 'x', env: { KRB5CCNAME: 'KEYRING:persistent:0' } });
      assert.equal(code, 1);
      assert.match(err, /keyring.*set KRB5CCNAME/);
    });
  });

  describe('klist', () => {
    for (const version of [1, 2, 3, 4]) {
      test(`prints a cache of version ${version} that kinit wrote as MIT's does`, async () => {
        const conf = (await readFile(mit.krb5Conf, 'utf8')).replace(
          '[libdefaults]',
          `[libdefaults]\n  ccache_type = ${version}`,
        );
        const env = { KRB5_CONFIG: at(`version${version}.conf`), KRB5CCNAME: at(`version${version}`) };
        await writeFile(env.KRB5_CONFIG, conf);
        await theirs('kinit', ['-f', '-r', '2d', 'alice'], env, 'a secret\n');
        await theirs('kvno', ['host/a.mit.test'], env);
        assert.equal((await readFile(env.KRB5CCNAME))[1], version);
        for (const flags of ['-ef', '-C'])
          assert.equal((await done(['klist', flags], { env })).out, await theirs('klist', [flags], env));
        // What we write is version 4, which MIT's programs read whatever they are told to write.
        await done(['kvno', 'WEB1$'], { env });
        assert.equal((await readFile(env.KRB5CCNAME))[1], 4);
        assert.equal((await theirs('klist', [], env)).match(/@MIT\.TEST$/gm)?.length, 4);
      });
    }
  });

  describe('kvno', () => {
    test('prints what MIT prints, and leaves the ticket and the settings for klist', async () => {
      await theirs('kinit', ['alice'], {}, 'a secret\n');
      const { out } = await done(['kvno', 'host/a.mit.test', 'WEB1$']);
      assert.equal(out, await theirs('kvno', ['host/a.mit.test', 'WEB1$']));
      const listed = await theirs('klist', ['-C']);
      assert.match(listed, /config: pa_type/);
      assert.equal(listed.match(/host\/a\.mit\.test@MIT\.TEST$/gm)?.length, 1);
      const one = await done(['klist', '-C']);
      assert.equal(one.out, listed);
    });

    test('opens a ticket with a keytab, or says which key would', async () => {
      await kinitAlice();
      const keytab = await mit.keytab('host/a.mit.test');
      const { out } = await done(['kvno', '-k', keytab, 'host/a.mit.test']);
      assert.equal(out, await theirs('kvno', ['-k', keytab, 'host/a.mit.test']));
      const { code, out: bad } = await cli(['kvno', '-k', await mit.keytab('WEB1$'), 'host/a.mit.test']);
      assert.equal(code, 1);
      assert.match(bad, /invalid: there is no key for aes256-cts-hmac-sha1-96, kvno 1/);
    });

    test('goes on after a service nobody knows', async () => {
      await kinitAlice();
      const { code, out, err } = await cli(['kvno', 'host/none.mit.test', '-S', 'host', 'a.mit.test']);
      assert.equal(code, 1);
      assert.match(err, /^kvno: .*none/m);
      assert.equal(out, 'host/a.mit.test@MIT.TEST: kvno = 1\n');
    });

    test('asks for a session key of a type', async () => {
      await kinitAlice();
      await done(['kvno', '-q', '-e', 'aes128-cts-hmac-sha1-96', 'host/a.mit.test']);
      assert.match(await theirs('klist', ['-e']), /Etype \(skey, tkt\): aes128-cts-hmac-sha1-96, aes256/);
    });

    test('does not ask a KDC with --cached-only', async () => {
      await kinitAlice();
      assert.equal((await cli(['kvno', '--cached-only', 'host/a.mit.test'])).code, 1);
    });

    test('says that there is no ticket to ask with', async () => {
      const { code, err } = await cli(['kvno', 'host/a.mit.test']);
      assert.equal(code, 1);
      assert.match(err, /No credentials cache found/);
    });
  });

  describe('kdestroy', () => {
    test('removes a cache of kinit; a second time is no error', async () => {
      await theirs('kinit', ['alice'], {}, 'a secret\n');
      await done(['kdestroy']);
      assert.equal((await mit.run('klist', ['-s'])).code, 1);
      const again = await done(['kdestroy']);
      assert.equal(again.err, (await mit.run('kdestroy', [])).stderr);
    });
  });

  describe('kdestroy of a collection', () => {
    const collection = () => `DIR:${at('several')}`;
    const listed = async (): Promise<string[]> =>
      ((await mit.run('klist', ['-l'], '', { KRB5CCNAME: collection() })).stdout.match(/^\w+(?=@MIT)/gm) ?? []).sort();
    beforeEach(async () => {
      const env = { KRB5CCNAME: collection() };
      await theirs('kinit', ['alice'], env, 'a secret\n');
      await theirs('kinit', ['bob'], env, 'b secret\n');
    });

    test("takes a principal's cache out of the one that -c names", async () => {
      await done(['kdestroy', '-q', '-c', collection(), '-p', 'alice']);
      assert.deepEqual(await listed(), ['bob']);
      const again = await cli(['kdestroy', '-c', collection(), '-p', 'alice']);
      assert.equal(again.code, 1);
      assert.match(again.err, /no ticket cache of alice/);
      assert.deepEqual(await listed(), ['bob']);
    });

    test('takes all of them with -A', async () => {
      await done(['kdestroy', '-A', '-c', collection()]);
      assert.deepEqual(await listed(), []);
      assert.equal((await cli(['kdestroy', '-A', '-p', 'alice'])).code, 2);
    });
  });

  describe('keytab', () => {
    test("adds keys with the KDC's salt and version: the bytes kadmin exports", async () => {
      await mit.kadmin('add_principal -pw "kt secret" svc', 'change_password -pw "second secret" svc');
      const path = at('svc.keytab');
      const { out } = await done(['keytab', 'add', '-k', path, '-p', 'svc'], { input: 'second secret\n' });
      assert.match(out, /^added svc@MIT\.TEST kvno 2 aes256-cts-hmac-sha1-96$/m);
      const keys = (bytes: Uint8Array): string[] =>
        readKeytab(bytes)
          .map((e) => `${e.kvno} ${e.key.etype} ${Buffer.from(e.key.value).toString('hex')}`)
          .sort();
      assert.deepEqual(keys(await readFile(path)), keys(await readFile(await mit.keytab('svc'))));
      await theirs('kinit', ['-k', '-t', path, 'svc']);
      for (const flags of ['-k', '-kte', '-kteK'])
        assert.equal((await done(['klist', flags, path])).out, await theirs('klist', [flags, path]));
    });

    test('follows a salt that is not the usual one', async () => {
      await mit.kadmin('add_principal -pw "salty" -e aes256-cts-hmac-sha1-96:special oddly');
      const path = at('oddly.keytab');
      await done(['keytab', 'add', '-k', path, '-p', 'oddly'], { input: 'salty\n' });
      await theirs('kinit', ['-k', '-t', path, 'oddly']);
    });

    test('adds nothing for a wrong password', async () => {
      const path = at('wrong.keytab');
      assert.equal((await cli(['keytab', 'add', '-k', path, '-p', 'alice'], { input: 'wrong\n' })).code, 1);
      await assert.rejects(readFile(path), { code: 'ENOENT' });
    });

    test('adds without a KDC what it is told, as ktutil does', async () => {
      const path = at('offline.keytab');
      const told = ['-p', 'x@OTHER.TEST', '--kvno', '300', '--salt', 'OTHER.TESTx', '-e', 'aes128-cts-hmac-sha1-96'];
      await done(['keytab', 'add', '-k', path, ...told], { input: 'pw\n' });
      const theirPath = at('ktutil.keytab');
      const input = `add_entry -password -p x@OTHER.TEST -k 300 -e aes128-cts-hmac-sha1-96\npw\nwrite_kt ${theirPath}\nquit\n`;
      await mit.run('ktutil', [], input);
      const [ours] = readKeytab(await readFile(path));
      const [other] = readKeytab(await readFile(theirPath));
      assert.deepEqual({ ...ours, timestamp: 0 }, { ...other, timestamp: 0 });
    });

    test('removes and merges, and MIT reads the result', async () => {
      const path = await mit.keytab('WEB1$');
      await done(['keytab', 'merge', '-k', path, await mit.keytab('host/a.mit.test')]);
      await done(['keytab', 'remove', '-k', path, '-p', 'WEB1$', '-e', 'aes128-cts-hmac-sha1-96']);
      const listed = (await theirs('klist', ['-ke', path]))
        .trim()
        .split('\n')
        .slice(3)
        .map((l) => l.trim());
      assert.deepEqual(listed, [
        '1 WEB1$@MIT.TEST (aes256-cts-hmac-sha1-96)',
        '1 host/a.mit.test@MIT.TEST (aes256-cts-hmac-sha1-96)',
        '1 host/a.mit.test@MIT.TEST (aes128-cts-hmac-sha1-96)',
      ]);
    });
  });
});
