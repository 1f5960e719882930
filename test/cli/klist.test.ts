import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { toDer } from '../../src/asn1.ts';
import { fromHex } from '../../src/bytes.ts';
import { namesOf } from '../../src/cli/kerberos/address-text.ts';
import { describeCache, formatCache, formatKeytab, timeStyle } from '../../src/cli/kerberos/klist-format.ts';
import type { Credentials } from '../../src/krb5/credentials.ts';
import { type CCache, writeCCache } from '../../src/krb5/files/ccache.ts';
import { type KeytabEntry, writeKeytab } from '../../src/krb5/files/keytab.ts';
import { Ticket } from '../../src/krb5/messages.ts';
import { ticketFlag } from '../../src/krb5/numbers.ts';
import { krbtgt, principal, servicePrincipal } from '../../src/krb5/principal.ts';
import { scratchDirectory } from '../daemon/fake.ts';
import { mustRun, needs, runProgram } from '../support/programs.ts';
import { cli } from './run.ts';

const realm = 'CONTOSO.COM';
const client = principal(realm, 'WebApp01$');

function ticket(server: Credentials['server'], etype: number): Uint8Array {
  const sname = { nameType: server.nameType, nameString: [...server.components] };
  return toDer(Ticket, { tktVno: 5, realm, sname, encPart: { etype, kvno: 2, cipher: new Uint8Array(40) } });
}

function credential(server: Credentials['server'], more: Partial<Credentials> = {}): Credentials {
  return {
    client,
    server,
    key: { etype: 18, value: new Uint8Array(32) },
    authtime: new Date('2026-11-22T08:00:00Z'),
    endtime: new Date('2026-11-22T18:00:01Z'),
    flags: ticketFlag.FORWARDABLE | ticketFlag.PRE_AUTHENT,
    isSkey: false,
    addresses: [],
    authorizationData: [],
    ticket: ticket(server, 18),
    secondTicket: new Uint8Array(),
    ...more,
  };
}

const setting: Credentials = {
  ...credential({ nameType: 0, realm: 'X-CACHECONF:', components: ['krb5_ccache_conf_data', 'fast_avail'] }),
  ticket: Buffer.from('yes'),
};

const keytab: KeytabEntry[] = [
  { principal: client, kvno: 3, type: 18 },
  { principal: servicePrincipal('HTTP', 'web.contoso.com', realm), kvno: 70_000, type: 23 },
].map(({ principal, kvno, type }) => ({
  principal,
  kvno,
  timestamp: new Date('2026-11-22T08:00:00Z'),
  key: { etype: type, value: new Uint8Array(type === 23 ? 16 : 32).fill(7) },
}));

const cache: CCache = {
  principal: client,
  credentials: [
    setting,
    credential(krbtgt(realm), {
      renewTill: new Date('2026-11-29T08:00:00Z'),
      flags: ticketFlag.FORWARDABLE | ticketFlag.RENEWABLE | ticketFlag.INITIAL | ticketFlag.PRE_AUTHENT,
    }),
    credential(servicePrincipal('ldap', 'dc1.contoso.com', realm), {
      starttime: new Date('2026-11-22T09:30:00Z'),
      ticket: ticket(servicePrincipal('ldap', 'dc1.contoso.com', realm), 23),
    }),
    credential(servicePrincipal('http', 'web.contoso.com', realm), {
      flags: 0,
      key: { etype: 17, value: new Uint8Array(16) },
      client: principal(realm, 'somebody'),
    }),
  ],
};

/** With addresses of each kind, and authorization data. */
const odd = credential(krbtgt(realm), {
  addresses: [
    [2, 'c0000207'],
    [24, '20010db8000000000000000000000007'],
    [24, '00000000000000000000ffffc0000208'],
    [2, 'c00002'],
    [24, '20010db8'],
    [20, '41424344'],
  ].map(([addrType, text]) => ({ addrType: Number(addrType), address: fromHex(String(text)) })),
  authorizationData: [1, 141].map((adType) => ({ adType, adData: Uint8Array.of(0x30, 0) })),
});

const C = timeStyle({});

/** Runs `work` in a time zone. */
async function inZone<T>(t: TestContext, zone: string, work: () => Promise<T>): Promise<T> {
  const before = process.env.TZ;
  process.env.TZ = zone;
  t.after(() => {
    if (before === undefined) delete process.env.TZ;
    else process.env.TZ = before;
  });
  return work();
}

describe('klist', () => {
  for (const flags of ['', 'c', 'f', 'e', 'ef', 'efan', 'anC', 'A', 'Afe', 'd', 'de', 'def', 'dfan', 'dCane', 'il']) {
    const name = flags === '' ? 'klist' : `klist -${flags}`;
    test(`prints what MIT's ${name} prints`, { skip: needs('klist') }, async (t) => {
      const path = join(await scratchDirectory(t), 'krb5cc');
      await writeFile(path, writeCCache(cache), { mode: 0o600 });
      const args = flags === '' ? [] : [`-${flags}`];
      const env = { KRB5CCNAME: path };
      const theirs = await mustRun('klist', args, { env });
      const ours = await inZone(t, 'UTC', () => cli(['klist', ...args], { env }));
      assert.deepEqual([ours.code, ours.err], [0, '']);
      assert.equal(ours.out, theirs);
    });
  }

  test("prints what MIT's klist prints of addresses, and of authorization data", {
    skip: needs('klist'),
  }, async (t) => {
    const path = join(await scratchDirectory(t), 'krb5cc');
    await writeFile(path, writeCCache({ principal: client, credentials: [odd] }), { mode: 0o600 });
    for (const flags of ['-an', '-dan']) {
      const theirs = await mustRun('klist', [flags, path]);
      assert.equal((await inZone(t, 'UTC', () => cli(['klist', flags, path]))).out, theirs);
    }
  });

  test('refuses together what MIT refuses together', { skip: needs('klist') }, async (t) => {
    const directory = await scratchDirectory(t);
    const [KRB5CCNAME, KRB5_KTNAME] = [join(directory, 'krb5cc'), join(directory, 'keytab')];
    await writeFile(KRB5CCNAME, writeCCache(cache), { mode: 0o600 });
    await writeFile(KRB5_KTNAME, writeKeytab(keytab));
    const env = { KRB5CCNAME, KRB5_KTNAME, KRB5_CLIENT_KTNAME: KRB5_KTNAME };
    const letters = [...'celAfsnCkitKd'];
    const pairs = letters.flatMap((a, i) => letters.slice(i).map((b) => (a === b ? `-${a}` : `-${a}${b}`)));
    for (const flags of [...pairs, '-an', '-kKt', '-kan', '-lAs']) {
      const theirs = await runProgram('klist', [flags], { env });
      const ours = await cli(['klist', flags], { env });
      assert.equal(ours.code === 2, theirs.stderr.startsWith('Usage'), flags);
    }
  });

  test('shows addresses by the names that hosts have', async () => {
    const nameOf = async (address: string): Promise<string> => {
      if (address === '192.0.2.7') return 'web.contoso.com';
      throw new Error('ENOTFOUND');
    };
    const names = await namesOf(odd.addresses, nameOf);
    assert.match(
      formatCache({ principal: client, credentials: [odd] }, 'x', C, { addresses: true, names }),
      /Addresses: web\.contoso\.com, 2001:db8::7, /,
    );
  });

  test("-ki lists the clients' keytab", async (t) => {
    const directory = await scratchDirectory(t);
    const [path, conf] = [join(directory, 'client.keytab'), join(directory, 'krb5.conf')];
    await writeFile(path, writeKeytab(keytab));
    await writeFile(conf, `[libdefaults]\n default_client_keytab_name = FILE:${directory}/%{null}client.keytab\n`);
    const listed = (await cli(['klist', '-k', path])).out;
    assert.equal((await cli(['klist', '-ki'], { env: { KRB5_CONFIG: conf } })).out, listed);
    const variable = { KRB5_CONFIG: conf, KRB5_CLIENT_KTNAME: '/dev/null/none' };
    assert.match((await cli(['klist', '-ki'], { env: variable })).err, /\/dev\/null\/none/);
  });

  for (const flags of ['k', 'ke', 'kt', 'kte', 'kteK', 'kK']) {
    test(`prints what MIT's klist -${flags} prints`, { skip: needs('klist') }, async (t) => {
      const path = join(await scratchDirectory(t), 'keytab');
      await writeFile(path, writeKeytab(keytab));
      const theirs = await mustRun('klist', [`-${flags}`, path]);
      const ours = await inZone(t, 'UTC', () => cli(['klist', `-${flags}`, path]));
      assert.equal(ours.out, theirs);
    });
  }

  test('writes four digits of the year in other locales than C, as klist does', () => {
    const shown = formatCache(cache, 'FILE:/x', timeStyle({ LANG: 'en_US.UTF-8' }), {});
    assert.match(shown, /^Valid starting {7}Expires {14}Service principal$/m);
    assert.match(shown, /^\d\d\/\d\d\/2026 \d\d:\d\d:\d\d {2}\d/m);
    const keys = formatKeytab(keytab, 'FILE:/x', timeStyle({ LC_TIME: 'en_US.UTF-8', LANG: 'C' }), { times: true });
    assert.match(keys, /^KVNO Timestamp {11}Principal\n---- -{19} -{54}\n/m);
  });

  test('describes a cache for machines, without keys and settings', () => {
    const described = describeCache(cache, 'FILE:/x') as { principal: string; tickets: object[] };
    assert.equal(described.principal, 'WebApp01$@CONTOSO.COM');
    assert.deepEqual(described.tickets[0], {
      client: 'WebApp01$@CONTOSO.COM',
      server: 'krbtgt/CONTOSO.COM@CONTOSO.COM',
      starts: '2026-11-22T08:00:00.000Z',
      expires: '2026-11-22T18:00:01.000Z',
      renewUntil: '2026-11-29T08:00:00.000Z',
      flags: 'FRIA',
      sessionKeyEtype: 'aes256-cts-hmac-sha1-96',
      ticketEtype: 'aes256-cts-hmac-sha1-96',
    });
    assert.equal(described.tickets.length, 3);
  });

  test("reads the cache in a lease's directory, or the one KRB5CCNAME names", async (t) => {
    const directory = join(await scratchDirectory(t), 'WebApp01');
    await mkdir(directory);
    await writeFile(join(directory, 'krb5cc'), writeCCache(cache));
    const expected = formatCache(cache, `FILE:${directory}/krb5cc`, C, {});
    assert.equal((await cli(['klist', directory])).out, expected);
    assert.equal((await cli(['klist'], { env: { KRB5CCNAME: `FILE:${directory}/krb5cc` } })).out, expected);
  });

  test('shows keys in JSON only when asked', async (t) => {
    const path = join(await scratchDirectory(t), 'keytab');
    await writeFile(path, writeKeytab(keytab));
    const [plain, keys] = [await cli(['klist', '-k', '--json', path]), await cli(['klist', '-kK', '--json', path])];
    assert.equal(JSON.parse(plain.out).entries[0].key, undefined);
    assert.equal(JSON.parse(keys.out).entries[0].key, '07'.repeat(32));
  });

  test('says which cache is not there', async () => {
    const { code, err } = await cli(['klist', '/dev/null/none']);
    assert.equal(code, 1);
    assert.match(err, /No credentials cache found \(filename: \/dev\/null\/none\)/);
  });

  test('-s says by its exit code alone whether there is a valid ticket', async (t) => {
    const path = join(await scratchDirectory(t), 'krb5cc');
    const at = async (endtime: Date) => {
      const credentials = [credential(krbtgt(realm), { endtime })];
      await writeFile(path, writeCCache({ principal: client, credentials }));
      const { code, out, err } = await cli(['klist', '-s', path]);
      assert.equal(out + err, '');
      return code;
    };
    assert.equal(await at(new Date(Date.now() + 60_000)), 0);
    assert.equal(await at(new Date(Date.now() - 60_000)), 1);
    assert.equal((await cli(['klist', '-s', '/dev/null/none'])).code, 1);
  });
});
