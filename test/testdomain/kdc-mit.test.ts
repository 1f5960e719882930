/** MIT's own client programs against the embedded KDC. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { etype } from '../../src/krb5/numbers.ts';
import { needs } from '../support/programs.ts';
import { type Harness, members, PASSWORD, startHarness } from './domain.ts';

describe('embedded KDC with MIT programs', { skip: needs('kinit', 'klist', 'kvno', 'kdestroy') }, () => {
  let h: Harness;
  before(async () => {
    h = await startHarness();
  });
  after(() => h.stop());

  const login = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await h.run('kinit', args, `${PASSWORD}\n`);
    assert.equal(code, 0, stderr);
  };
  const refused = async (expected: RegExp, args: string[], password = PASSWORD): Promise<void> => {
    const { code, stderr } = await h.run('kinit', args, `${password}\n`);
    assert.notEqual(code, 0);
    assert.match(stderr, expected);
  };
  const listed = async (): Promise<string> => (await h.run('klist', ['-ef'])).stdout;

  test('kinit logs in by password with AES-256 for ticket and session', async () => {
    await login('-l', '8h', 'svc-fetch');
    const out = await listed();
    assert.match(out, /Default principal: svc-fetch@EXAMPLE\.TEST/);
    assert.match(out, /krbtgt\/EXAMPLE\.TEST@EXAMPLE\.TEST/);
    assert.match(out, /Flags: IA, .*skey, tkt\): aes256-cts-hmac-sha1-96, aes256-cts-hmac-sha1-96/s);
  });

  test('kinit takes requested flags and lifetimes', async () => {
    await login('-f', '-r', '2d', '-l', '1h', 'svc-fetch');
    assert.match(await listed(), /renew until .*Flags: FRIA/);
  });

  test('kinit -R renews and keeps the end of the renewable life', async () => {
    await login('-r', '2d', 'svc-fetch');
    const until = /renew until (\S+ \S+?),/.exec(await listed())?.[1];
    const { code, stderr } = await h.run('kinit', ['-R']);
    assert.equal(code, 0, stderr);
    const again = await listed();
    assert.equal(/renew until (\S+ \S+?),/.exec(again)?.[1], until);
    assert.match(again, /Flags: RA/);
  });

  test('kinit -R refuses a ticket that is not renewable', async () => {
    await login('-l', '8h', 'svc-fetch');
    await refused(/can't fulfill requested option|not renewable/i, ['-R']);
  });

  test('kinit -C gives the name as the directory spells it', async () => {
    const { code, stderr } = await h.run('kinit', ['-C', 'mixed.case'], 'Other-Passw0rd\n');
    assert.equal(code, 0, stderr);
    assert.match(await listed(), /Default principal: Mixed\.Case@EXAMPLE\.TEST/);
  });

  test('kinit -E -C logs in by user principal name', async () => {
    await login('-E', '-C', 'svc-fetch@example.test');
    assert.match(await listed(), /Default principal: svc-fetch@EXAMPLE\.TEST/);
  });

  test('kinit -k logs in with a computer account by keytab', async () => {
    const keytab = await h.keytab('HOST1$');
    const { code, stderr } = await h.run('kinit', ['-kt', keytab, 'HOST1$']);
    assert.equal(code, 0, stderr);
    assert.match(await listed(), /HOST1\$@EXAMPLE\.TEST/);
  });

  test('kinit derives the key of a computer from its password by the salt the KDC names', async () => {
    const { code, stderr } = await h.run('kinit', ['HOST1$'], 'Machine-Passw0rd\n');
    assert.equal(code, 0, stderr);
  });

  test('kinit -k logs in with a gMSA by keytab', async () => {
    const { code, stderr } = await h.run('kinit', ['-kt', await h.keytab('WebApp01$'), 'WebApp01$']);
    assert.equal(code, 0, stderr);
    assert.match(await listed(), /WebApp01\$@EXAMPLE\.TEST/);
  });

  test('kvno gets a service ticket that the exported keytab opens', async () => {
    await login('svc-fetch');
    const keytab = await h.keytab('HTTP/web.example.test');
    const { code, stdout, stderr } = await h.run('kvno', ['-k', keytab, 'HTTP/web.example.test']);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /kvno = 1, keytab entry valid/);
  });

  test("kvno gets a ticket for the controller's LDAP service and for a gMSA's", async () => {
    await login('svc-fetch');
    for (const service of [
      'ldap/dc1.example.test',
      'ldap/localhost',
      'HTTP/other.example.test',
      'host/host1.example.test',
    ]) {
      const { code, stderr } = await h.run('kvno', [service]);
      assert.equal(code, 0, stderr);
    }
  });

  test('kvno --u2u gets a ticket sealed with a session key', async () => {
    await login('svc-fetch');
    const { code, stdout, stderr } = await h.run('kvno', ['--u2u', h.env.KRB5CCNAME!, 'svc-fetch']);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /kvno = 0/);
  });

  test('an unknown service is refused', async () => {
    await login('svc-fetch');
    const { stderr } = await h.run('kvno', ['HTTP/nowhere.example.test']);
    assert.match(stderr, /not found in Kerberos database/);
  });

  test('refusals are told apart', async () => {
    await refused(/Password incorrect|Preauthentication failed/, ['svc-fetch'], 'wrong');
    await refused(/not found in Kerberos database/, ['nobody']);
    await refused(/credentials have been revoked/, ['off']);
    await refused(/Cannot read password|[Pp]assword.*expired/s, ['old']);
  });

  test('a UDP answer that is too big sends the client to TCP', async () => {
    const before = { ...h.domain.stats };
    h.domain.setFaults({ udpTooBig: true });
    await login('svc-fetch').finally(() => h.domain.setFaults({}));
    assert.ok(h.domain.stats.kdcDatagrams > before.kdcDatagrams);
    assert.ok(h.domain.stats.kdcConnections > before.kdcConnections);
  });

  test('a KDC whose clock is far off is followed, as MIT does', async () => {
    h.domain.setFaults({ clockOffsetMs: 20 * 60_000 });
    await login('svc-fetch').finally(() => h.domain.setFaults({}));
  });

  test('an account with RC4 keys alone gets nothing from a client that permits AES alone', async () => {
    const weak = await startHarness({
      ...members,
      users: [...members.users!, { name: 'weak', password: PASSWORD, etypes: [etype.RC4_HMAC] }],
    });
    try {
      await writeFile(
        weak.env.KRB5_CONFIG!,
        weak.domain.krb5Conf.replace('rdns', 'permitted_enctypes = aes256-cts\n  rdns'),
      );
      const { stderr } = await weak.run('kinit', ['weak'], `${PASSWORD}\n`);
      assert.match(stderr, /no support for encryption type/);
    } finally {
      await weak.stop();
    }
  });

  test('an account with RC4 keys alone logs in where the client permits it', async () => {
    const weak = await startHarness({
      ...members,
      users: [...members.users!, { name: 'weak', password: PASSWORD, etypes: [etype.RC4_HMAC] }],
    });
    try {
      await writeFile(
        weak.env.KRB5_CONFIG!,
        weak.domain.krb5Conf.replace(
          'rdns',
          'allow_weak_crypto = true\n  permitted_enctypes = rc4-hmac aes256-cts\n  rdns',
        ),
      );
      const { stderr } = await weak.run('kinit', ['weak'], `${PASSWORD}\n`);
      assert.equal(stderr, '');
    } finally {
      await weak.stop();
    }
  });
});

describe('embedded KDC and the roll of a gMSA, with MIT programs', { skip: needs('kinit', 'kvno') }, () => {
  test('the old key is good for five minutes after the roll, the new one from the roll on', async () => {
    const cycle = 10 * 3_600_000;
    const epoch = 11_644_473_600_000;
    // MIT's clock is the real one, so the domain's runs at its side: the roll is placed before and after it.
    let offset = 0;
    const h = await startHarness({ clock: () => Date.now() + offset });
    try {
      const old = await h.keytab('WebApp01$');
      const roll = (Math.floor((Date.now() + epoch) / cycle) + 2) * cycle - epoch;
      const kinit = async (keytab: string): Promise<string> =>
        (await h.run('kinit', ['-kt', keytab, 'WebApp01$'])).stderr;
      offset = roll + 60_000 - Date.now();
      assert.equal(await kinit(old), '');
      assert.equal(await kinit(await h.keytab('WebApp01$')), '');
      offset = roll + 10 * 60_000 - Date.now();
      assert.match(await kinit(old), /Password incorrect|Preauthentication failed/);
      assert.equal(await kinit(await h.keytab('WebApp01$')), '');
    } finally {
      await h.stop();
    }
  });
});
