/**
 * The keys made from managed passwords are those the domain controller itself keeps: `samba-tool domain exportkeytab`
 * reads them straight from its database, so nothing of ours is on that side of the comparison.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { hex, utf8 } from '../../src/bytes.ts';
import { AdError } from '../../src/errors.ts';
import { type ManagedAccount, readManagedAccounts } from '../../src/gmsa/account.ts';
import { deriveKeys, validPasswords } from '../../src/gmsa/keys.ts';
import { KrbClient } from '../../src/krb5/client.ts';
import { etypeName } from '../../src/krb5/crypto/index.ts';
import { asExchange } from '../../src/krb5/exchanges/as.ts';
import { exchangeContext } from '../../src/krb5/exchanges/context.ts';
import { type KeytabEntry, readKeytab } from '../../src/krb5/files/keytab.ts';
import { Locator } from '../../src/krb5/network/locate.ts';
import { NetworkTransport } from '../../src/krb5/network/network.ts';
import { DnsResolver } from '../../src/krb5/network/resolver.ts';
import { activeDirectorySalt, formatPrincipal, principal } from '../../src/krb5/principal.ts';
import { type KeyHint, PasswordSecret } from '../../src/krb5/secret.ts';
import { connectSealed } from '../../src/ldap/client.ts';
import { LDAP_PORT } from '../../src/ldap/locate.ts';
import { type LabGmsa, lab, labStatus, must } from './lab.ts';

const status = labStatus();
const ETYPES = [18, 17, 23];
const gmsas: readonly LabGmsa[] = [lab.webApp, lab.rolledApp, ...lab.numberedApps];

describe('keys of managed passwords', { skip: status.available ? false : status.reason }, () => {
  const resolver = new DnsResolver();
  const transport = new NetworkTransport({ resolver, locator: new Locator({ resolver, clock: Date.now }) });
  let work = '';
  let exported: KeytabEntry[] = [];
  let accounts: ManagedAccount[] = [];

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'cf-lab-test-'));
    const file = join(work, 'all.keytab');
    await must(lab.paths.script, ['dump-keys', file]);
    exported = readKeytab(await readFile(file));
    accounts = await readAll();
  });
  after(async () => {
    transport.close();
    await rm(work, { recursive: true, force: true });
  });

  async function readAll(): Promise<ManagedAccount[]> {
    const secret = new PasswordSecret(utf8(lab.reader.password), `${lab.realm}${lab.reader.name}`, [18]);
    const client = new KrbClient({ transport, client: principal(lab.realm, lab.reader.name), secret });
    const connection = await connectSealed({ endpoint: { host: lab.dc, port: LDAP_PORT }, client, resolver });
    try {
      const names = gmsas.map((gmsa) => gmsa.name);
      return (await readManagedAccounts(connection, lab.domain, names)).map((account) => {
        if (account instanceof AdError) throw account;
        return account;
      });
    } finally {
      connection.close();
      client.close();
    }
  }

  /** The domain controller's keys of an account by kvno, the newest first: etype to key in hex. */
  function keysOf(gmsa: LabGmsa): Map<number, string>[] {
    const mine = exported.filter((entry) => formatPrincipal(entry.principal) === gmsa.principal);
    const kvnos = [...new Set(mine.map((entry) => entry.kvno))].sort((a, b) => b - a);
    return kvnos.map(
      (kvno) => new Map(mine.filter((e) => e.kvno === kvno).map((e) => [e.key.etype, hex(e.key.value)] as const)),
    );
  }

  const derived = async (password: Uint8Array, gmsa: LabGmsa): Promise<Map<number, string>> =>
    new Map([...(await deriveKeys(password, gmsa.salt, ETYPES))].map(([etype, key]) => [etype, hex(key)]));

  test('at least 40 gMSAs have the keys that exportkeytab says, AES-256, AES-128 and RC4', async () => {
    assert.ok(accounts.length >= 40 && lab.numberedApps.length >= 45, `only ${accounts.length}`);
    for (const [i, gmsa] of gmsas.entries()) {
      const [current] = keysOf(gmsa);
      assert.ok(current, `no key of ${gmsa.name} was exported`);
      assert.deepEqual([...current.keys()].sort(), [...ETYPES].sort(), gmsa.name);
      // The one that is valid now: for five minutes before a roll that is not the current one yet.
      const ours = await derived(validPasswords(accounts[i]!.password)[0]!, gmsa);
      for (const etype of ETYPES) assert.equal(ours.get(etype), current.get(etype), `${gmsa.name} ${etypeName(etype)}`);
    }
  });

  test('the previous password of a rolled one has the keys of the kvno before', async () => {
    const { password } = accounts[gmsas.indexOf(lab.rolledApp)]!;
    assert.ok(password.previous, 'no previous password');
    const [current, previous] = keysOf(lab.rolledApp);
    assert.deepEqual(
      await derived(password.previous, lab.rolledApp),
      new Map(ETYPES.map((e) => [e, previous!.get(e)])),
    );
    assert.notDeepEqual(current, previous);
  });

  test("the KDC's salts are those of the rule for computers", async () => {
    for (const gmsa of gmsas) {
      assert.equal(activeDirectorySalt('computer', gmsa.name, lab.realm), gmsa.salt);
      for (const etype of [18, 17]) assert.equal(await kdcSalt(gmsa, etype), gmsa.salt, `${gmsa.name} ${etype}`);
    }
  });

  test("MIT's kinit is told the same salt", async () => {
    const trace = join(work, 'trace');
    const env = { KRB5_TRACE: trace, KRB5CCNAME: `FILE:${join(work, 'cc')}` };
    const file = join(work, 'all.keytab');
    await must('kinit', ['-kt', file, lab.webApp.principal], { env });
    assert.match(await readFile(trace, 'utf8'), new RegExp(`etype aes256-cts, salt "${lab.webApp.salt}"`));
  });

  /** The salt of the KDC's ETYPE-INFO2 for an account; no key is shown to it. */
  async function kdcSalt(gmsa: LabGmsa, etype: number): Promise<string | undefined> {
    const hints: KeyHint[] = [];
    const secret = {
      etypes: [etype],
      remembered: undefined,
      key: async (hint: KeyHint) => void hints.push(hint),
      destroy: () => undefined,
    };
    const context = exchangeContext({ transport, permittedEtypes: [etype] });
    await assert.rejects(asExchange(context, { client: principal(lab.realm, gmsa.name), secret: secret as never }));
    return hints[0]?.salt;
  }
});
