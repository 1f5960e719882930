/** Readers kept between requests, over the embedded domain and directories that hang. */
import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import { passwordIdentity } from '../../../src/accounts/password.ts';
import { utf8 } from '../../../src/bytes.ts';
import { type Reader, Readers, type ReadersOptions } from '../../../src/daemon/tickets/readers.ts';
import { isAdError } from '../../../src/errors.ts';
import { DEFAULT_ETYPES } from '../../../src/krb5/crypto/index.ts';
import { Locator } from '../../../src/krb5/network/locate.ts';
import { DnsResolver } from '../../../src/krb5/network/resolver.ts';
import { startTestDomain, type TestDomain } from '../../../src/testdomain/index.ts';
import { Relay } from '../../support/faulty-server.ts';
import { localTransport } from '../../support/kdc-client.ts';

describe('readers', () => {
  let domain: TestDomain;
  before(async () => {
    domain = await startTestDomain({ users: [{ name: 'svc', password: 'Readers-1' }] });
  });
  after(() => domain?.close());

  function readersOf(t: TestContext, ports: readonly number[], limits: Partial<ReadersOptions> = {}): Readers {
    const resolver = new DnsResolver();
    const transport = localTransport(domain.kdcPort);
    const readers = new Readers({
      kerberos: { transport },
      resolver,
      locator: new Locator({ resolver, clock: Date.now }),
      clock: Date.now,
      domainControllers: ports.map((port) => ({ host: 'localhost', port })),
      ...limits,
    });
    t.after(() => {
      readers.close();
      transport.close();
    });
    return readers;
  }
  const identity = (password = 'Readers-1') => passwordIdentity('svc', domain.realm, utf8(password), DEFAULT_ETYPES);
  const forever = new AbortController().signal;
  const connect = (reader: Reader, signal: AbortSignal = forever) => reader.connection(domain.domain, signal);
  const relay = async (t: TestContext, mode = {}) => {
    const made = await Relay.start(domain.ldapPort, mode);
    t.after(() => made.close());
    return made;
  };

  test('the same credential is the same reader with the same connection', async (t) => {
    const readers = readersOf(t, [domain.ldapPort]);
    const [one, two] = [readers.acquire(identity()), readers.acquire(identity())];
    assert.equal(one.reader, two.reader);
    const [first, second] = await Promise.all([connect(one.reader), connect(two.reader)]);
    assert.equal(first, second);
  });

  test('another password is another reader, and has to prove itself', async (t) => {
    const readers = readersOf(t, [domain.ldapPort]);
    await connect(readers.acquire(identity()).reader);
    const { reader } = readers.acquire(identity('wrong'));
    await assert.rejects(connect(reader), (e) => isAdError(e, 'WRONG_PASSWORD'));
  });

  test('a directory that hangs is given up by itself, and the next request asks anew', async (t) => {
    const line = await relay(t, { silent: true });
    const { reader } = readersOf(t, [line.port], { connectTimeout: 150 }).acquire(identity());
    await assert.rejects(connect(reader), (e) => {
      assert.ok(isAdError(e, 'UNREACHABLE'), String(e));
      assert.match(e.message, new RegExp(`no domain controller of ${domain.domain} answered.*localhost:${line.port}`));
      return true;
    });
    line.heal();
    assert.equal((await connect(reader)).closed, false);
  });

  test('one caller that gives up does not end the attempt of another', async (t) => {
    const line = await relay(t, { silent: true });
    const { reader } = readersOf(t, [line.port]).acquire(identity());
    const impatient = new AbortController();
    const [gone, patient] = [connect(reader, impatient.signal), connect(reader)];
    impatient.abort();
    await assert.rejects(gone, (e) => isAdError(e, 'ABORTED'));
    line.heal();
    assert.equal((await patient).closed, false);
  });

  test('a directory that was silent is not asked first by the reader that comes next', async (t) => {
    const line = await relay(t, { silent: true });
    const readers = readersOf(t, [line.port, domain.ldapPort], { stagger: 20 });
    assert.equal((await connect(readers.acquire(identity()).reader)).endpoint.port, domain.ldapPort);
    const next = readers.acquire({ ...identity(), fingerprint: utf8('another reader') });
    assert.equal((await connect(next.reader)).endpoint.port, domain.ldapPort);
    assert.equal(line.accepted, 1);
  });
});
