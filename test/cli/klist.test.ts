import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { toDer } from '../../src/asn1.ts';
import { describeCache, formatCache, klist } from '../../src/cli/klist.ts';
import type { Credentials } from '../../src/krb5/credentials.ts';
import { type CCache, writeCCache } from '../../src/krb5/files/ccache.ts';
import { Ticket } from '../../src/krb5/messages.ts';
import { ticketFlag } from '../../src/krb5/numbers.ts';
import { krbtgt, principal, servicePrincipal } from '../../src/krb5/principal.ts';
import { scratchDirectory } from '../daemon/fake.ts';
import { mustRun, needs } from '../support/programs.ts';

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

describe('klist', () => {
  test("prints what MIT's klist -ef prints", { skip: needs('klist') }, async (t) => {
    const path = join(await scratchDirectory(t), 'krb5cc');
    await writeFile(path, writeCCache(cache), { mode: 0o600 });
    const theirs = await mustRun('klist', ['-ef', path]);
    const zone = process.env.TZ;
    process.env.TZ = 'UTC';
    t.after(() => {
      if (zone === undefined) delete process.env.TZ;
      else process.env.TZ = zone;
    });
    // In the C locale klist writes years with two digits, and its columns are narrower for it.
    const narrow = (text: string): string =>
      text
        .replace(/(\d\d\/\d\d\/)20(\d\d)/g, '$1$2')
        .replace('Valid starting       Expires              S', 'Valid starting     Expires            S');
    assert.equal(narrow(formatCache(cache, path)), theirs);
  });

  test('describes a cache for machines, without keys and settings', () => {
    const described = describeCache(cache, '/x') as { principal: string; tickets: object[] };
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
    const listed = async (argv: string[], env: Record<string, string>): Promise<string> => {
      let text = '';
      const out = (s: string): void => {
        text += s;
      };
      await klist.run(argv, { env, out, err: out, readInput: async () => '', askSecret: async () => undefined });
      return text;
    };
    const expected = formatCache(cache, join(directory, 'krb5cc'));
    assert.equal(await listed([directory], {}), expected);
    assert.equal(await listed([], { KRB5CCNAME: `FILE:${directory}/krb5cc` }), expected);
  });

  test('says which cache is not there', async () => {
    const nobody = {
      env: {},
      out: () => undefined,
      err: () => undefined,
      readInput: async () => '',
      askSecret: async () => undefined,
    };
    await assert.rejects(klist.run(['/nonexistent'], nobody), /cannot read \/nonexistent/);
  });
});
