/**
 * The core of the library as its users have it, on whatever runtime runs this file: vectors, a logon, a service ticket, a
 * sealed search, a gMSA's keys and ticket, files, GSS-API. It uses nothing of node:test, which the runtimes have in part.
 * Prints one line a check; the exit code says whether all held.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deriveKeys, loginManagedAccount, parseManagedPassword, readManagedAccounts } from 'credentials-fetcher/gmsa';
import {
  DnsResolver,
  formatPrincipal,
  Key,
  KrbClient,
  Locator,
  NetworkTransport,
  PasswordSecret,
  principal,
  readCCache,
  readKeytab,
  servicePrincipal,
  stringToKey,
  writeCCache,
  writeKeytab,
} from 'credentials-fetcher/krb5';
import { connectSealed } from 'credentials-fetcher/ldap';
import { startTestDomain } from 'credentials-fetcher/testdomain';

const PASSWORD = 'Test-Only-Grüße-1';
const vectors = (name) => JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8'));
const hex = (bytes) => Buffer.from(bytes).toString('hex');
const bytes = (text) => new Uint8Array(Buffer.from(text, 'hex'));
const be32 = (n) => new Uint8Array([n >>> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255]);
const utf8 = (text) => new TextEncoder().encode(text);

const work = mkdtempSync(join(tmpdir(), 'cf-core-'));
const domain = await startTestDomain({
  users: [{ name: 'reader', password: PASSWORD, groups: ['Readers'] }],
  gmsas: [{ name: 'WebApp01', readers: ['Readers'] }],
  services: [{ spn: 'HTTP/web.example.test' }],
});
const { realm } = domain;
const resolver = { srv: async () => [], addresses: async () => ['127.0.0.1'] };
const transport = new NetworkTransport({
  resolver,
  locator: new Locator({ resolver, clock: Date.now }),
  kdcs: () => [{ host: domain.host, port: domain.kdcPort }],
});
const newClient = (password) => {
  const secret = new PasswordSecret(utf8(password), `${realm}reader`, [18, 17]);
  return new KrbClient({ transport, client: principal(realm, 'reader'), secret });
};
const client = newClient(PASSWORD);
const connected = () =>
  connectSealed({ endpoint: { host: domain.controllerName, port: domain.ldapPort }, client, resolver });

const checks = {
  'string-to-key of RFC 8009': async () => {
    for (const v of vectors('rfc8009').stringToKey) {
      assert.equal(hex((await stringToKey(v.etype, utf8(v.password), bytes(v.salt), be32(v.iterations))).value), v.key);
    }
    // So few make a password cheap to guess: whoever asks for them is refused.
    await assert.rejects(stringToKey(18, utf8('password'), 'salt', be32(1)), { name: 'AdError' });
  },
  'a managed password of the field': async () => {
    const known = vectors('gmsa').public;
    const { current } = parseManagedPassword(bytes(known.value));
    const keys = await deriveKeys(current, known.salt, [18, 17, 23]);
    assert.deepEqual(
      [18, 17, 23].map((etype) => hex(keys.get(etype))),
      [known[18], known[17], known[23]],
    );
  },
  'what is sealed opens, and not when it was touched': () => {
    for (const etype of [17, 18, 19, 20, 23]) {
      const key = Key.generate(etype);
      const sealed = key.encrypt(7, utf8('message'));
      assert.deepEqual(key.decrypt(7, sealed), utf8('message'));
      sealed[3] ^= 1;
      assert.throws(() => key.decrypt(7, sealed), { code: 'INTEGRITY' });
    }
  },
  'a logon': async () => {
    const tgt = await client.login();
    assert.equal(formatPrincipal(tgt.server), `krbtgt/${realm}@${realm}`);
  },
  'a wrong password': async () => {
    const wrong = newClient('wrong');
    await assert.rejects(wrong.login(), { code: 'WRONG_PASSWORD' });
    wrong.close();
  },
  'a service ticket': async () => {
    const ticket = await client.ticket(servicePrincipal('HTTP', 'web.example.test', realm));
    assert.equal(ticket.key.etype, 18);
  },
  "a sealed search, a gMSA's keys and its own logon": async () => {
    const connection = await connected();
    const [account] = await readManagedAccounts(connection, domain.domain, ['WebApp01']);
    connection.close();
    assert.equal(account.samAccountName, 'WebApp01$');
    const credentials = await loginManagedAccount(client.context, account, realm);
    const cache = writeCCache({ version: 4, principal: credentials.client, credentials: [credentials] });
    assert.equal(formatPrincipal(readCCache(cache).principal), `WebApp01$@${realm}`);
    const file = join(work, 'krb5cc');
    writeFileSync(file, cache);
    if (existsSync('/usr/bin/klist')) {
      const listed = execFileSync('/usr/bin/klist', ['-c', file], { encoding: 'utf8' });
      assert.match(listed, /Default principal: WebApp01\$@/);
    }
  },
  'a keytab': async () => {
    const file = await domain.keytab('HTTP/web.example.test');
    assert.deepEqual(writeKeytab(readKeytab(file)), file);
  },
  'a request given up': async () => {
    const silent = newClient(PASSWORD);
    domain.setFaults({ kdcDelayMs: 2000 });
    await assert.rejects(silent.login(AbortSignal.timeout(50)), { code: 'TIMEOUT' });
    domain.setFaults({});
    silent.close();
  },
  'a name that DNS does not know': async () => {
    const dns = new DnsResolver();
    await assert.rejects(dns.addresses('does-not-exist.invalid'));
  },
};

let failed = 0;
for (const [what, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok - ${what}`);
  } catch (e) {
    failed++;
    console.log(`not ok - ${what}`);
    console.error(e);
  }
}
client.close();
transport.close();
await domain.close();
rmSync(work, { recursive: true, force: true });
console.log(`${Object.keys(checks).length - failed} of ${Object.keys(checks).length} held`);
process.exitCode = failed === 0 ? 0 : 1;
