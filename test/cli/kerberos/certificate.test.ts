/** kinit by certificate and as nobody in particular, with MIT's KDC and its programs beside. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';
import { type Issued, needsPkinitPlugin, Pki } from '../../support/pki.ts';
import { mustRun } from '../../support/programs.ts';
import { cli as runCli, type Shown } from '../run.ts';

describe('kinit with certificates', { skip: needsMitRealm || needsPkinitPlugin }, () => {
  let pki: Pki;
  let mit: MitRealm;
  let authority: Issued;
  let alice: Issued;
  before(async () => {
    pki = await Pki.open();
    authority = await pki.authority();
    alice = await pki.user('MIT.TEST', 'alice', authority);
    const kdc = await pki.kdc('MIT.TEST', authority);
    const anchors = `pkinit_anchors = FILE:${authority.certFile}`;
    mit = await startMitRealm({
      principals: [
        { name: 'alice', password: 'a secret' },
        { name: 'WELLKNOWN/ANONYMOUS' },
        { name: 'host/a.mit.test' },
      ],
      kdcConf: [`pkinit_identity = FILE:${kdc.certFile},${kdc.keyFile}`, anchors],
      krb5Conf: ['[libdefaults]', anchors],
    });
  });
  after(() => Promise.all([mit?.stop(), pki?.close()]));
  beforeEach(() => rm(join(mit.directory, 'ccache'), { force: true }));

  const cli = (argv: string[], world: Parameters<typeof runCli>[1] = {}): Promise<Shown> =>
    runCli(argv, { ...world, env: { ...mit.env, ...world.env } });
  const done = async (argv: string[], world: Parameters<typeof cli>[1] = {}): Promise<Shown> => {
    const shown = await cli(argv, world);
    assert.equal(shown.code, 0, `${argv.join(' ')}: ${shown.err}`);
    return shown;
  };
  const theirs = async (program: string, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await mit.run(program, args);
    assert.equal(code, 0, `${program} ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  const identity = (keyFile = alice.keyFile): string => `X509_user_identity=FILE:${alice.certFile},${keyFile}`;

  test('-X proves it without a password, and MIT uses the ticket', async () => {
    const { questions } = await done(['kinit', '-X', identity(), 'alice']);
    assert.deepEqual(questions, []);
    assert.match(await theirs('kvno', 'host/a.mit.test'), /kvno = 1/);
    assert.match(await theirs('klist'), /Default principal: alice@MIT\.TEST/);
  });

  test('asks for the pass phrase of the key', async () => {
    const locked = join(pki.directory, 'locked.key');
    const to = ['-aes256', '-passout', 'pass:Only-For-Tests', '-out', locked];
    await mustRun('openssl', ['pkey', '-in', alice.keyFile, ...to]);
    const { questions } = await done(['kinit', '-X', identity(locked), 'alice'], { typed: 'Only-For-Tests' });
    assert.deepEqual(questions, [`Pass phrase for ${locked}: `]);
    assert.match(
      (await cli(['kinit', '-X', identity(locked), 'alice'], { typed: 'wrong' })).err,
      /locked\.key cannot be used/,
    );
  });

  for (const operands of [[], ['@MIT.TEST']])
    test(`-n ${operands.join()} gets a ticket of nobody's, which both list alike and -T takes`, async () => {
      await done(['kinit', '-n', ...operands]);
      const [ours, mits] = [(await done(['klist', '-f'])).out, await theirs('klist', '-f')];
      assert.match(mits, /WELLKNOWN\/ANONYMOUS@WELLKNOWN:ANONYMOUS.*krbtgt\/MIT\.TEST@MIT\.TEST.*Flags: \w*a/s);
      assert.equal(ours, mits);
      // A KDC that answered without armor would be refused.
      const KRB5CCNAME = `FILE:${join(mit.directory, `armored${operands.length}`)}`;
      await done(['kinit', '-T', mit.env.KRB5CCNAME!, 'alice'], { typed: 'a secret', env: { KRB5CCNAME } });
      assert.match(await theirs('kvno', '-c', KRB5CCNAME, 'host/a.mit.test'), /kvno = 1/);
    });

  test('-X X509_anchors names the authority, over krb5.conf', async () => {
    const other = await pki.authority('other');
    const { code, err } = await cli(['kinit', '-n', '-X', `X509_anchors=FILE:${other.certFile}`]);
    assert.equal(code, 1);
    assert.match(err, /certificate of the KDC .* refused.*pkinit_anchors/);
    await done(['kinit', '-n', '-X', `X509_anchors=FILE:${authority.certFile}`]);
  });

  test('what makes no sense is said at once', async () => {
    const wrong: [string[], RegExp][] = [
      [['-n', 'alice'], /-n goes with @REALM/],
      [['-X', 'flag_RSA_PROTOCOL=yes', 'alice'], /-X takes X509_user_identity=… or X509_anchors=…/],
      [['-X', 'X509_anchors=FILE:x', 'alice'], /goes with X509_user_identity or -n/],
      [['-k', '-n'], /-k goes neither with -n nor with -X/],
    ];
    for (const [argv, message] of wrong) {
      const { code, err } = await cli(['kinit', ...argv]);
      assert.equal(code, 2, argv.join(' '));
      assert.match(err, message);
    }
    const { code, err } = await cli(['kinit', '-X', 'X509_user_identity=FILE:/nonexistent.pem', 'alice']);
    assert.equal(code, 1);
    assert.match(err, /cannot read \/nonexistent\.pem/);
  });
});
