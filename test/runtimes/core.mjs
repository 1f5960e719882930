/**
 * The core of the library as its users have it, on whatever runtime runs this file: vectors, a logon, a service ticket, a
 * sealed search, a gMSA's keys and ticket, files, GSS-API of both sides, HTTP, passwords. It uses nothing of node:test, which the runtimes have in part.
 * Prints one line a check; the exit code says whether all held.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, createPrivateKey, getDiffieHellman, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { deriveKeys, loginManagedAccount, parseManagedPassword, readManagedAccounts } from 'credentials-fetcher/gmsa';
import { acceptNegotiate, negotiate } from 'credentials-fetcher/http';
import {
  addEntries,
  cacheContent,
  cachesOf,
  cf2,
  DnsResolver,
  exchangeContext,
  formatPrincipal,
  GssAcceptor,
  GssInitiator,
  groupSids,
  Key,
  KeytabKeys,
  loadEnvironment,
  loadKeytab,
  NegotiateAcceptor,
  openClient,
  PasswordSecret,
  PkinitSecret,
  parseKrb5Conf,
  prfPlus,
  ReplayCache,
  readCCache,
  readKeytab,
  SpnegoInitiator,
  saveKeytab,
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
  services: [{ spn: 'HTTP/web.example.test' }, { spn: 'HTTP/localhost' }],
});
const { realm } = domain;
const resolver = { srv: async () => [], addresses: async () => ['127.0.0.1'] };
const config = parseKrb5Conf(domain.krb5Conf);
const environment = await loadEnvironment({ config, resolver, env: { KRB5CCNAME: `DIR:${join(work, 'caches')}` } });
const newClient = (password) => openClient({ environment, principal: 'reader', password });
const client = await newClient(PASSWORD);
const connected = () =>
  connectSealed({ endpoint: { host: domain.controllerName, port: domain.ldapPort }, client, resolver });
const keys = new KeytabKeys(readKeytab(await domain.keytab('HTTP/web.example.test')));

/** Tokens to and fro until both sides have their context. */
async function established(initiatorOf, acceptor) {
  const credentials = await client.ticket(servicePrincipal('HTTP', 'web.example.test'));
  const initiator = initiatorOf({ context: client.context, credentials });
  let token = initiator.step();
  while (token) {
    const answer = acceptor.step(token);
    token = answer && initiator.step(answer);
  }
  return [initiator.context, acceptor.context];
}

const checks = {
  'string-to-key of RFC 8009': async () => {
    for (const v of vectors('rfc8009').stringToKey) {
      assert.equal(hex((await stringToKey(v.etype, utf8(v.password), bytes(v.salt), be32(v.iterations))).value), v.key);
    }
    // So few make a password cheap to guess: whoever asks for them is refused.
    await assert.rejects(stringToKey(18, utf8('password'), 'salt', be32(1)), { name: 'AdError' });
  },
  'pseudo-random bytes and combined keys': async () => {
    for (const etype of [17, 18, 19, 20]) {
      const [one, other] = [Key.generate(etype), Key.generate(etype)];
      assert.equal(prfPlus(one, utf8('pepper'), 100).length, 100);
      assert.equal(cf2(one, other, 'a', 'b').etype, etype);
    }
  },
  'secrets do not show': () => {
    const key = Key.generate(18);
    assert.equal(inspect(key), 'Key(aes256-cts-hmac-sha1-96)');
    const secret = new PasswordSecret(utf8('shown?'), 'salt', [18]);
    assert.doesNotMatch(inspect(secret, { showHidden: true, depth: 9 }), /shown|115, *104, *111|73, *68, *6f/);
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
  'a certificate in the place of a password, and its key agreement': () => {
    if (!existsSync('/usr/bin/openssl')) return 'needs openssl';
    const at = (name) => join(work, name);
    const openssl = (...args) => execFileSync('/usr/bin/openssl', args, { stdio: 'ignore' });
    const subject = ['-subj', '/CN=kdc', '-days', '1', '-nodes', '-newkey', 'rsa:2048'];
    const names = [
      '-addext',
      `subjectAltName=DNS:${realm.toLowerCase()}`,
      '-addext',
      'extendedKeyUsage=1.3.6.1.5.2.3.5',
    ];
    openssl('req', '-x509', ...subject, ...names, '-keyout', at('kdc.key'), '-out', at('kdc.pem'));
    const kdc = new X509Certificate(readFileSync(at('kdc.pem')));
    const signer = { certificates: [kdc], key: createPrivateKey(readFileSync(at('kdc.key'))) };
    const secret = new PkinitSecret({ anchors: [kdc], signer });
    const body = { kdcOptions: 0, realm, till: new Date(), nonce: 42, etypes: [18] };
    const proof = secret.publicKey.prove(exchangeContext({ transport: environment.transport }), body, new Uint8Array());
    // The KDC's part: its public value in a KDCDHKeyInfo that openssl signs, the client's out of the request.
    // Everything here is of 256 bytes or more, and so has its length in two.
    const der = (tag, ...parts) => {
      const content = Buffer.concat(parts);
      return Buffer.concat([Buffer.from([tag, 0x82, content.length >> 8, content.length & 255]), content]);
    };
    const dh = getDiffieHellman('modp14');
    dh.generateKeys();
    const own = dh.getPublicKey();
    const publicKey = own[0] & 0x80 ? der(2, Buffer.from([0]), own) : der(2, own);
    const info = der(0x30, der(0xa0, der(3, Buffer.from([0]), publicKey)), Buffer.from([0xa1, 3, 2, 1, 42]));
    writeFileSync(at('info'), info);
    const type = ['-econtent_type', '1.3.6.1.5.2.3.2', '-nodetach', '-binary', '-outform', 'DER', '-out', at('signed')];
    openssl('cms', '-sign', '-in', at('info'), '-signer', at('kdc.pem'), '-inkey', at('kdc.key'), ...type);
    const signed = der(0x80, readFileSync(at('signed')));
    const padata = [{ padataType: 17, padataValue: new Uint8Array(der(0xa0, der(0x30, signed))) }];
    const { key } = proof.replyKey({ padata, etype: 18, asReq: new Uint8Array(), server: 'openssl' });
    // The client's public value is the one BIT STRING of an INTEGER of this length in its request.
    const [, theirs] = /0382010[56]0002820(?:100|10100)([0-9a-f]{512})/.exec(hex(proof.padata.padataValue)) ?? [];
    const shared = Buffer.alloc(256);
    const computed = dh.computeSecret(Buffer.from(theirs, 'hex'));
    computed.copy(shared, 256 - computed.length);
    const block = (i) =>
      createHash('sha1')
        .update(Buffer.from([i]))
        .update(shared)
        .digest();
    assert.equal(hex(key.value), hex(Buffer.concat([block(0), block(1)])).slice(0, 64));
    // Another's certificate with the same names is not taken.
    openssl('req', '-x509', ...subject, ...names, '-keyout', at('other.key'), '-out', at('other.pem'));
    const strict = new PkinitSecret({ anchors: [new X509Certificate(readFileSync(at('other.pem')))], signer });
    const asked = strict.publicKey.prove(exchangeContext({ transport: environment.transport }), body, new Uint8Array());
    const reply = { padata, etype: 18, asReq: new Uint8Array(), server: 'openssl' };
    assert.throws(() => asked.replyKey(reply), { code: 'REPLY_REJECTED' });
  },
  'a wrong password': async () => {
    const wrong = await newClient('wrong');
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
  'GSS-API: both sides, messages, who the client is': async () => {
    const acceptor = new GssAcceptor({ keys, replays: new ReplayCache(), pac: 'require' });
    const [ours, theirs] = await established((options) => new GssInitiator(options), acceptor);
    assert.equal(formatPrincipal(theirs.initiator), `reader@${realm}`);
    assert.ok(theirs.pac.logon.userSid.startsWith('S-1-5-21-'));
    assert.ok(groupSids(theirs.pac.logon).length > 0);
    const token = ours.wrap(utf8('message'), { confidential: true });
    assert.deepEqual(theirs.unwrap(token), { plain: utf8('message'), confidential: true });
    assert.throws(() => theirs.unwrap(token), { code: 'INTEGRITY' });
    ours.verifyMic(utf8('answer'), theirs.getMic(utf8('answer')));
  },
  'SPNEGO: both sides': async () => {
    const acceptor = new NegotiateAcceptor({ keys, replays: new ReplayCache(), requireMic: true });
    const [ours, theirs] = await established((options) => new SpnegoInitiator(options), acceptor);
    assert.deepEqual(theirs.unwrap(ours.wrap(utf8('x'), { confidential: true })).plain, utf8('x'));
  },
  'Negotiate over HTTP: client and server': async () => {
    const keytab = new KeytabKeys(readKeytab(await domain.keytab('HTTP/localhost')));
    const authenticate = acceptNegotiate({ keytab });
    const server = createServer({ maxHeaderSize: 65_536 }, async (request, response) => {
      const user = await authenticate(request, response);
      if (user) response.end(user.principal);
    });
    server.listen(0, 'localhost');
    await once(server, 'listening');
    const url = `http://localhost:${server.address().port}/`;
    const fetch = negotiate({ client, insecureOrigins: [new URL(url).origin] });
    const response = await fetch(url);
    assert.deepEqual([response.status, await response.text()], [200, `reader@${realm}`]);
    fetch.close();
    server.close();
  },
  'HTTPS: the logon is bound to the certificate': async () => {
    if (!existsSync('/usr/bin/openssl')) return 'needs openssl';
    const [keyFile, certFile] = [join(work, 'key.pem'), join(work, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-days', '2', '-nodes'];
    const openssl = ['req', '-x509', ...subject, ...kind, '-keyout', keyFile, '-out', certFile];
    execFileSync('/usr/bin/openssl', openssl, { stdio: 'ignore' });
    const [key, cert] = [keyFile, certFile].map((file) => readFileSync(file, 'utf8'));
    const keytab = new KeytabKeys(readKeytab(await domain.keytab('HTTP/localhost')));
    // Bun does not tell a handler which connection it serves: docs/krb5.md.
    const certificate = process.versions.bun ? new Uint8Array(new X509Certificate(cert).raw) : undefined;
    const authenticate = acceptNegotiate({ keytab, channelBinding: 'require', ...(certificate && { certificate }) });
    const server = createSecureServer({ key, cert, maxHeaderSize: 65_536 }, async (request, response) => {
      const user = await authenticate(request, response);
      if (user) response.end(String(user.channelBound));
    });
    server.listen(0, 'localhost');
    await once(server, 'listening');
    const fetch = negotiate({ client, tls: { ca: cert } });
    const response = await fetch(`https://localhost:${server.address().port}/`);
    assert.deepEqual([response.status, await response.text()], [200, 'true']);
    fetch.close();
    server.close();
  },
  'a cache of a directory, by name, and a client from it': async () => {
    const collection = cachesOf(environment);
    const cache = await collection.primary();
    await cache.write(cacheContent(client));
    assert.equal(cache.name, `DIR::${join(work, 'caches')}/tkt`);
    assert.equal(statSync(join(work, 'caches/tkt')).mode & 0o777, 0o600);
    const again = await openClient({ environment });
    const asked = domain.stats.as;
    await again.ticket(servicePrincipal('HTTP', 'web.example.test'));
    assert.equal(domain.stats.as, asked);
    again.close();
    await cache.destroy();
    await assert.rejects(openClient({ environment }), { code: 'NOT_FOUND' });
  },
  'a password changed': async () => {
    await client.changePassword(utf8('Test-Only-Other-2'));
    const changed = await newClient('Test-Only-Other-2');
    await changed.login();
    await changed.changePassword(utf8(PASSWORD));
    changed.close();
  },
  'a ticket handed on': async () => {
    const forwarded = await client.forward();
    const acceptor = new GssAcceptor({ keys, replays: new ReplayCache(), delegation: true });
    const [, theirs] = await established((options) => new GssInitiator({ ...options, delegate: forwarded }), acceptor);
    const deputy = await openClient({ environment, tickets: theirs.delegated });
    assert.equal(formatPrincipal((await deputy.login()).client), `reader@${realm}`);
    deputy.close();
  },
  renewal: async () => {
    assert.ok((await client.renew()).endtime.getTime() > Date.now());
  },
  'UDP, and TCP for what is too big': async () => {
    const before = domain.stats.kdcDatagrams;
    const own = await loadEnvironment({ config: { ...config, udpPreferenceLimit: 1465 }, resolver });
    domain.setFaults({ udpTooBig: true });
    const datagrams = await openClient({ environment: own, principal: 'reader', password: PASSWORD });
    await datagrams.login();
    domain.setFaults({});
    assert.ok(domain.stats.kdcDatagrams > before);
    datagrams.close();
    own.close();
  },
  'a keytab': async () => {
    const file = await domain.keytab('HTTP/web.example.test');
    assert.deepEqual(writeKeytab(readKeytab(file)), file);
    const path = join(work, 'keytab');
    await saveKeytab(path, addEntries([], readKeytab(file)));
    assert.equal((await loadKeytab(path)).length, 3);
    assert.equal(statSync(path).mode & 0o777, 0o600);
  },
  'a request given up': async () => {
    const silent = await newClient(PASSWORD);
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
    const leftOut = await check();
    console.log(`ok - ${what}${leftOut ? ` # SKIP ${leftOut}` : ''}`);
  } catch (e) {
    failed++;
    console.log(`not ok - ${what}`);
    console.error(e);
  }
}
client.close();
environment.close();
await domain.close();
rmSync(work, { recursive: true, force: true });
console.log(`${Object.keys(checks).length - failed} of ${Object.keys(checks).length} held`);
process.exitCode = failed === 0 ? 0 : 1;
