/** What kinit can ask for beside plain tickets: postdated, for this host only, without a PAC. KDC and klist are MIT's. */
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { fromDer } from '../../../src/asn1.ts';
import { Key } from '../../../src/krb5/crypto/index.ts';
import { readCCache } from '../../../src/krb5/files/ccache.ts';
import { readKeytab } from '../../../src/krb5/files/keytab.ts';
import { EncTicketPart, Ticket } from '../../../src/krb5/messages.ts';
import { keyUsage } from '../../../src/krb5/numbers.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';
import { cli as runCli, type Shown } from '../run.ts';

describe('kinit with MIT', { skip: needsMitRealm }, () => {
  let mit: MitRealm;
  before(async () => {
    mit = await startMitRealm({
      principals: [{ name: 'alice', password: 'a secret' }, { name: 'WEB1$' }, { name: 'host/a.mit.test' }],
    });
  });
  after(() => mit?.stop());
  beforeEach(() => rm(join(mit.directory, 'ccache'), { force: true }));

  const cli = (argv: string[], env: Record<string, string> = {}): Promise<Shown> =>
    runCli(argv, { typed: 'a secret', env: { ...mit.env, LC_ALL: 'C', ...env } });
  const done = async (argv: string[], env: Record<string, string> = {}): Promise<Shown> => {
    const shown = await cli(argv, env);
    assert.equal(shown.code, 0, `${argv.join(' ')}: ${shown.err}`);
    return shown;
  };
  const theirs = async (program: string, args: string[], input = ''): Promise<string> => {
    const { code, stdout, stderr } = await mit.run(program, args, input);
    assert.equal(code, 0, `${program} ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  /** Without the times, which differ by when the tests run. */
  const shape = (text: string): string => text.replace(/\d\d:\d\d:\d\d|\d\d\/\d\d\/\d\d/g, 'T');
  const starts = (listed: string): number =>
    Date.parse(/^(\d\d\/\d\d\/\d\d \d\d:\d\d:\d\d)/m.exec(listed)![1]!.replace(/(..)\/(..)\/(..)/, '20$3-$1-$2'));

  test('gets a ticket for later, as MIT does', async () => {
    await done(['kinit', '-s', '1h', 'alice']);
    const ours = await theirs('klist', ['-f']);
    assert.match(ours, /Flags: DdiRIA$|Flags: DdiIA$/m);
    assert.ok(Math.abs(starts(ours) - Date.now() - 3600_000) < 60_000, ours);
    await theirs('kinit', ['-s', '1h', 'alice'], 'a secret\n');
    assert.equal(shape(ours), shape(await theirs('klist', ['-f'])));
  });

  test('takes a date, in local time', async () => {
    const noon = new Date(Date.now() + 86_400_000);
    noon.setHours(12, 0, 0, 0);
    const two = (n: number): string => String(n).padStart(2, '0');
    const text = `${noon.getFullYear()}${two(noon.getMonth() + 1)}${two(noon.getDate())}120000`;
    await done(['kinit', '-s', text, 'alice']);
    assert.equal(starts(await theirs('klist', [])), noon.getTime());
  });

  test('has a ticket declared valid once its time has come, not before', async () => {
    await done(['kinit', '-s', '2s', 'alice']);
    const early = await cli(['kinit', '-v']);
    assert.equal(early.code, 1);
    assert.match(early.err, /TKT_NYV|not yet valid/);
    const start = starts(await theirs('klist', []));
    while (Date.now() <= start + 100) await new Promise((resolve) => setTimeout(resolve, 50));
    await done(['kinit', '-v']);
    assert.doesNotMatch(await theirs('klist', ['-f']), /Flags: .*i/);
    assert.match(await theirs('kvno', ['host/a.mit.test']), /kvno = 1/);
    const again = await cli(['kinit', '-v']);
    assert.equal(again.code, 1);
    assert.match(again.err, /valid already/);
  });

  test("has MIT's postdated ticket declared valid, and MIT has ours", async () => {
    for (const [get, validate] of [
      [() => theirs('kinit', ['-s', '1s', 'alice'], 'a secret\n'), () => done(['kinit', '-v'])],
      [() => done(['kinit', '-s', '1s', 'alice']), () => theirs('kinit', ['-v'])],
    ] as const) {
      await get();
      const start = starts(await theirs('klist', []));
      while (Date.now() <= start + 1100) await new Promise((resolve) => setTimeout(resolve, 50));
      await validate();
      await theirs('kvno', ['host/a.mit.test']);
    }
  });

  test("restricts a ticket to this host's addresses, as MIT does", async () => {
    await done(['kinit', '-a', 'alice']);
    const ours = await theirs('klist', ['-an']);
    assert.equal((await done(['klist', '-an'])).out, ours);
    await theirs('kinit', ['-a', 'alice'], 'a secret\n');
    assert.deepEqual(addresses(ours), addresses(await theirs('klist', ['-an'])));
  });

  test("follows krb5.conf's noaddresses unless told otherwise", async () => {
    const KRB5_CONFIG = join(mit.directory, 'addresses.conf');
    const conf = await readFile(mit.krb5Conf, 'utf8');
    await writeFile(KRB5_CONFIG, conf.replace('[libdefaults]', '[libdefaults]\n  noaddresses = false'));
    const anywhere = 'Addresses: (none)';
    await done(['kinit', 'alice'], { KRB5_CONFIG });
    assert.ok(!(await theirs('klist', ['-an'])).includes(anywhere));
    await done(['kinit', '-A', 'alice'], { KRB5_CONFIG });
    assert.ok((await theirs('klist', ['-an'])).includes(anywhere));
    await done(['kinit', 'alice']);
    assert.ok((await theirs('klist', ['-an'])).includes(anywhere));
  });

  test('gets a ticket with a PAC, or without', async () => {
    for (const [flag, expected] of [
      ['--request-pac', true],
      ['--no-request-pac', false],
    ] as const) {
      await done(['kinit', flag, '-S', 'host/a.mit.test', 'alice']);
      assert.equal(await hasAuthorizationData(mit), expected, flag);
    }
  });

  test("lives on the clients' keytab", async () => {
    const KRB5_CLIENT_KTNAME = `FILE:${await mit.keytab('WEB1$')}`;
    await done(['kinit', '-k', '-i', 'WEB1$'], { KRB5_CLIENT_KTNAME });
    assert.match(await theirs('klist', []), /Default principal: WEB1\$@MIT\.TEST/);
  });

  for (const [argv, message] of [
    [['-i', 'alice'], /goes with -k/],
    [['-k', '-i', '-t', 'x', 'alice'], /exclude each other/],
    [['-s', 'soon', 'alice'], /must be a time/],
    [['-s', '20200101000000', 'alice'], /not in the future/],
    [['-R', '-v'], /exclude each other/],
    [['-v', '-s', '1h'], /--start-time/],
    [['-a', '-A', 'alice'], /exclude each other/],
    [['--request-pac', '--no-request-pac', 'alice'], /exclude each other/],
  ] as const) {
    test(`refuses ${argv.join(' ')}`, async () => {
      const { code, err, questions } = await cli(['kinit', ...argv]);
      assert.equal(code, 2);
      assert.match(err, message);
      assert.deepEqual(questions, []);
    });
  }
});

const addresses = (listed: string): string[] => /Addresses: (.*)$/m.exec(listed)![1]!.split(', ').sort();

/** Whether the one ticket in the cache has any, by the service's own key. */
async function hasAuthorizationData(mit: MitRealm): Promise<boolean> {
  const [credentials] = readCCache(await readFile(join(mit.directory, 'ccache'))).credentials;
  const { etype, cipher } = fromDer(Ticket, credentials!.ticket).encPart;
  const keytab = readKeytab(await readFile(await mit.keytab('host/a.mit.test')));
  const key = new Key(etype, keytab.find((e) => e.key.etype === etype)!.key.value);
  return (fromDer(EncTicketPart, key.decrypt(keyUsage.KDC_REP_TICKET, cipher)).authorizationData ?? []).length > 0;
}
