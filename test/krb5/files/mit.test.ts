/** The files as MIT's programs see them, and MIT's files as we see them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { toDer } from '../../../src/asn1.ts';
import { fromHex, hex, utf8 } from '../../../src/bytes.ts';
import type { Credentials } from '../../../src/krb5/credentials.ts';
import { writeFileAtomic } from '../../../src/krb5/files/atomic.ts';
import { readCCache, writeCCache } from '../../../src/krb5/files/ccache.ts';
import { configKey, configValue, isConfigEntry, makeConfigEntry } from '../../../src/krb5/files/ccache-config.ts';
import { findKeys, type KeytabEntry, readKeytab, writeKeytab } from '../../../src/krb5/files/keytab.ts';
import { Ticket } from '../../../src/krb5/messages.ts';
import { etype, ticketFlag } from '../../../src/krb5/numbers.ts';
import { formatPrincipal, krbtgt, type Principal, parsePrincipal, principal } from '../../../src/krb5/principal.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';
import { mustRun, needs, programPath } from '../../support/programs.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mit-files-'));
});
after(() => rm(directory, { recursive: true, force: true }));

const save = async (name: string, bytes: Uint8Array) => {
  const path = join(directory, name);
  await writeFileAtomic(path, bytes);
  return path;
};

/**
 * Has ktutil carry out commands, each with the line that answers its question, and gives the keytab it wrote to `path`.
 * The next command waits for the prompt, lest the program swallow it together with an answer.
 */
async function ktutil(path: string, ...commands: string[]): Promise<Uint8Array> {
  const child = spawn(programPath('ktutil')!, [], { env: { TERM: 'dumb', LC_ALL: 'C' }, timeout: 20_000 });
  const pending = [...commands, `write_kt ${path}`, 'quit'];
  let heard = '';
  child.stdout.on('data', (chunk: Buffer) => {
    heard += chunk;
    if (heard.endsWith('ktutil:  ') && pending.length > 0) {
      heard = '';
      child.stdin.write(`${pending.shift()}\n`);
    }
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(code, 0);
  return readFile(path);
}

describe('keytab', { skip: needs('ktutil', 'klist') }, () => {
  const aes256 = hex(new Uint8Array(32).map((_, i) => i));
  const entries: KeytabEntry[] = [
    { name: 'WEB1$@LAB.EXAMPLE.COM', kvno: 2, type: etype.AES256_CTS_HMAC_SHA1_96, key: aes256 },
    { name: 'WEB1$@LAB.EXAMPLE.COM', kvno: 2, type: etype.AES128_CTS_HMAC_SHA1_96, key: aes256.slice(32) },
    { name: 'http/web1.lab.example.com@LAB.EXAMPLE.COM', kvno: 70_000, type: etype.RC4_HMAC, key: aes256.slice(32) },
    { name: 'J\u00f6rg\\/x@LAB.EXAMPLE.COM', kvno: 0, type: etype.AES256_CTS_HMAC_SHA1_96, key: aes256 },
  ].map((e) => ({
    principal: parsePrincipal(e.name),
    timestamp: new Date('2040-02-03T04:05:06Z'),
    kvno: e.kvno,
    key: { etype: e.type, value: fromHex(e.key) },
  }));

  test('klist reads what we write: principals, kvnos, times, types and keys', async () => {
    const path = await save('ours.keytab', writeKeytab(entries));
    const listed = (await mustRun('klist', ['-k', '-e', '-t', '-K', path])).split('\n').slice(3, -1);
    assert.deepEqual(
      listed.map((line) => line.trim().replace(/\s+/g, ' ')),
      [
        `2 02/03/40 04:05:06 WEB1$@LAB.EXAMPLE.COM (aes256-cts-hmac-sha1-96) (0x${aes256})`,
        `2 02/03/40 04:05:06 WEB1$@LAB.EXAMPLE.COM (aes128-cts-hmac-sha1-96) (0x${aes256.slice(32)})`,
        '70000 02/03/40 04:05:06 http/web1.lab.example.com@LAB.EXAMPLE.COM (DEPRECATED:arcfour-hmac) ' +
          `(0x${aes256.slice(32)})`,
        `0 02/03/40 04:05:06 J\u00f6rg\\/x@LAB.EXAMPLE.COM (aes256-cts-hmac-sha1-96) (0x${aes256})`,
      ],
    );
  });

  test('ktutil that reads and writes our file writes the same bytes but for the time', async () => {
    const path = await save('to-copy.keytab', writeKeytab(entries));
    const copy = await ktutil(join(directory, 'copy.keytab'), `read_kt ${path}`);
    const now = readKeytab(copy)[0]!.timestamp;
    assert.equal(hex(copy), hex(writeKeytab(entries.map((e) => ({ ...e, timestamp: now })))));
  });

  test('a keytab that ktutil made of keys and passwords is read, and written the same', async () => {
    const bytes = await ktutil(
      join(directory, 'ktutil.keytab'),
      `addent -key -p HOST/a.example.com@EXAMPLE.COM -k 3 -e aes256-cts-hmac-sha1-96\n${aes256}`,
      `addent -key -p WEB1$@EXAMPLE.COM -k 300 -e arcfour-hmac\n${aes256.slice(32)}`,
      'addent -password -p alice@EXAMPLE.COM -k 0 -e aes128-cts-hmac-sha1-96\na password',
    );
    const read = readKeytab(bytes);
    assert.deepEqual(
      read.map((e) => [formatPrincipal(e.principal), e.kvno, e.key.etype]),
      [
        ['HOST/a.example.com@EXAMPLE.COM', 3, 18],
        ['WEB1$@EXAMPLE.COM', 300, 23],
        ['alice@EXAMPLE.COM', 0, 17],
      ],
    );
    assert.equal(hex(read[0]!.key.value), aes256);
    assert.equal(hex(writeKeytab(read)), hex(bytes));
  });
});

describe('ccache', { skip: needs('klist') }, () => {
  test('klist reads what we write: names, times, flags, types, addresses and settings', async () => {
    const realm = 'LAB.EXAMPLE.COM';
    const client = principal(realm, 'WebApp01$');
    const tgs = krbtgt(realm);
    const ticket = (server: Principal, type: number) =>
      toDer(Ticket, {
        tktVno: 5,
        realm: server.realm,
        sname: { nameType: server.nameType, nameString: [...server.components] },
        encPart: { etype: type, kvno: 2, cipher: utf8('sealed') },
      });
    const of = (server: Principal, type: number, more: Partial<Credentials>): Credentials => ({
      client,
      server,
      key: { etype: etype.AES256_CTS_HMAC_SHA1_96, value: new Uint8Array(32).fill(7) },
      authtime: new Date('2031-01-01T00:00:00Z'),
      endtime: new Date('2045-06-07T08:09:10Z'),
      flags: 0,
      isSkey: false,
      addresses: [],
      authorizationData: [],
      ticket: ticket(server, type),
      secondTicket: new Uint8Array(0),
      ...more,
    });
    const service = parsePrincipal('ldap/dc1.lab.example.com@LAB.EXAMPLE.COM');
    const bytes = writeCCache({
      principal: client,
      kdcOffset: { seconds: -3, microseconds: 250_000 },
      credentials: [
        makeConfigEntry(client, configKey.PA_TYPE, '2', tgs),
        of(tgs, etype.AES256_CTS_HMAC_SHA1_96, {
          starttime: new Date('2031-01-02T03:04:05Z'),
          renewTill: new Date('2046-01-01T00:00:00Z'),
          flags: ticketFlag.FORWARDABLE | ticketFlag.RENEWABLE | ticketFlag.INITIAL | ticketFlag.PRE_AUTHENT,
        }),
        of(service, etype.RC4_HMAC, {
          flags: ticketFlag.OK_AS_DELEGATE | ticketFlag.ENC_PA_REP,
          addresses: [{ addrType: 2, address: Uint8Array.of(192, 0, 2, 7) }],
        }),
      ],
    });
    const path = await save('ours.ccache', bytes);
    const listed = await mustRun('klist', ['-e', '-f', '-a', '-n', '-C', '-c', `FILE:${path}`]);
    assert.deepEqual(
      listed
        .split('\n')
        .map((line) => line.trim())
        .filter(Boolean),
      [
        `Ticket cache: FILE:${path}`,
        'Default principal: WebApp01$@LAB.EXAMPLE.COM',
        'Valid starting     Expires            Service principal',
        'config: pa_type(krbtgt/LAB.EXAMPLE.COM@LAB.EXAMPLE.COM) = 2',
        'Addresses: (none)',
        '01/02/31 03:04:05  06/07/45 08:09:10  krbtgt/LAB.EXAMPLE.COM@LAB.EXAMPLE.COM',
        'renew until 01/01/46 00:00:00, Flags: FRIA',
        'Etype (skey, tkt): aes256-cts-hmac-sha1-96, aes256-cts-hmac-sha1-96',
        'Addresses: (none)',
        '01/01/31 00:00:00  06/07/45 08:09:10  ldap/dc1.lab.example.com@LAB.EXAMPLE.COM',
        'Flags: O, Etype (skey, tkt): aes256-cts-hmac-sha1-96, DEPRECATED:arcfour-hmac',
        'Addresses: 192.0.2.7',
      ],
    );
  });
});

describe("with MIT's KDC", { skip: needsMitRealm }, () => {
  let mit: MitRealm;
  before(async () => {
    mit = await startMitRealm({
      principals: [{ name: 'alice', password: 'a secret' }, { name: 'host/a.mit.test' }, { name: 'WEB1$' }],
    });
  });
  after(() => mit?.stop());

  const ran = async (program: string, args: string[], input?: string, env?: Record<string, string>) => {
    const { code, stdout, stderr } = await mit.run(program, args, input, env);
    assert.equal(code, 0, `${program} ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  const at = (name: string) => join(mit.directory, name);

  test('a ccache of kinit and kvno is read, and written the same', async () => {
    const path = at('kinit.ccache');
    await ran('kinit', ['-f', '-r', '2d', '-c', path, 'alice'], 'a secret\n');
    await ran('kvno', ['-c', path, 'host/a.mit.test']);
    const bytes = await readFile(path);
    const cache = readCCache(bytes);
    assert.equal(hex(writeCCache(cache)), hex(bytes));
    assert.equal(formatPrincipal(cache.principal), 'alice@MIT.TEST');
    assert.equal(configValue(cache.credentials, configKey.PA_TYPE, krbtgt('MIT.TEST')), '2');
    const [tgt, service] = cache.credentials.filter((c) => !isConfigEntry(c));
    assert.equal(formatPrincipal(tgt!.server), 'krbtgt/MIT.TEST@MIT.TEST');
    assert.ok(tgt!.flags & ticketFlag.FORWARDABLE && tgt!.flags & ticketFlag.INITIAL);
    assert.ok(tgt!.renewTill!.getTime() > tgt!.endtime.getTime());
    assert.equal(formatPrincipal(service!.server), 'host/a.mit.test@MIT.TEST');
    assert.equal(service!.key.etype, etype.AES256_CTS_HMAC_SHA1_96);
  });

  test('settings made here have the bytes of those kinit made', async () => {
    const path = at('config.ccache');
    await ran('kinit', ['-c', path, 'alice'], 'a secret\n');
    const cache = readCCache(await readFile(path));
    const tgs = krbtgt('MIT.TEST');
    const made = [configKey.FAST_AVAIL, configKey.PA_TYPE].map((key, i) =>
      makeConfigEntry(cache.principal, key, ['yes', '2'][i]!, tgs),
    );
    const credentials = [...made, ...cache.credentials.filter((c) => !isConfigEntry(c))];
    assert.equal(hex(writeCCache({ ...cache, credentials })), hex(await readFile(path)));
  });

  test('a TGT in a ccache we wrote gets MIT a service ticket and a renewal', async () => {
    const path = at('source.ccache');
    await ran('kinit', ['-r', '2d', '-c', path, 'alice'], 'a secret\n');
    const { principal: client, credentials } = readCCache(await readFile(path));
    const tgt = credentials.filter((c) => !isConfigEntry(c));
    const ours = await save('tgt.ccache', writeCCache({ principal: client, credentials: tgt }));
    assert.match(await ran('kvno', ['-c', ours, 'host/a.mit.test']), /host\/a\.mit\.test@MIT\.TEST: kvno = 1/);
    await ran('kinit', ['-R', '-c', ours]);
    await ran('klist', ['-s', '-c', ours]);
  });

  test('a keytab of kadmin is read, written the same, and gets a ticket when we wrote it', async () => {
    const bytes = await readFile(await mit.keytab('WEB1$', 'host/a.mit.test'));
    const entries = readKeytab(bytes);
    assert.equal(hex(writeKeytab(entries)), hex(bytes));
    const [aes256] = findKeys(entries, parsePrincipal('WEB1$@MIT.TEST'));
    assert.equal(aes256!.key.etype, etype.AES256_CTS_HMAC_SHA1_96);
    const ours = await save('web1.keytab', writeKeytab([aes256!]));
    await ran('kinit', ['-k', '-t', ours, '-c', at('web1.ccache'), 'WEB1$']);
  });

  test('a keytab with the hole of a removed entry is read', async () => {
    const path = await mit.keytab('alice', 'host/a.mit.test', 'WEB1$');
    await mit.kadmin(`ktremove -k ${path} host/a.mit.test`);
    const bytes = await readFile(path);
    const names = readKeytab(bytes).map((e) => formatPrincipal(e.principal));
    assert.deepEqual([...new Set(names)], ['alice@MIT.TEST', 'WEB1$@MIT.TEST']);
    // The next key takes the hole's place, with bytes to spare after it.
    await mit.kadmin(`ktadd -norandkey -k ${path} alice`);
    const refilled = await readFile(path);
    assert.equal(refilled.length, bytes.length);
    const alice = readKeytab(refilled).filter((e) => formatPrincipal(e.principal) === 'alice@MIT.TEST');
    assert.deepEqual(
      alice.map((e) => [e.kvno, e.key.etype, hex(e.key.value)]),
      [alice[0]!, alice[1]!, alice[0]!, alice[1]!].map((e) => [e.kvno, e.key.etype, hex(e.key.value)]),
    );
  });
});
