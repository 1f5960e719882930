import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { credentials, Metadata, makeGenericClientConstructor, type ServiceError } from '@grpc/grpc-js';
import { type ClientError, createClient } from '../../../src/client/index.ts';
import { AdError } from '../../../src/errors.ts';
import { CredentialsFetcherServiceClient } from '../../../src/proto/generated/credentialsfetcher.ts';
import { credspec, keptLog, never, run, ticketFor, tree, until, user } from '../fake.ts';

const failsWith =
  (code: string, ...words: string[]) =>
  (e: unknown): boolean => {
    const { code: actual, message } = e as ClientError;
    assert.equal(actual, code, message);
    for (const word of words) assert.ok(message.includes(word), `${message} should name ${word}`);
    return true;
  };

/** The preface of HTTP/2, empty SETTINGS, and the headers of a HealthCheck without an end (RFC 9113 3.4, 6.2). */
const OPEN_REQUEST = (() => {
  const path = '/credentialsfetcher.CredentialsFetcherService/HealthCheck';
  // HPACK (RFC 7541): POST and http by index, then path and content-type as literals with an indexed name.
  const type = 'application/grpc';
  const text = (s: string): string => String.fromCharCode(s.length) + s;
  const block = `\x83\x86\x04${text(path)}\x0f\x10${text(type)}`;
  const frame = (kind: number, flags: number, stream: number, body: string): string =>
    String.fromCharCode(0, 0, body.length, kind, flags, 0, 0, 0, stream) + body;
  return `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${frame(4, 0, 0, '')}${frame(1, 4, 1, block)}`;
})();

describe('adding a lease', () => {
  test('writes a ticket where the answer says', async (t) => {
    const { client, krbDir } = await run(t);
    const { leaseId, paths } = await client.addWithUser({ credspecs: [credspec('WebApp01')], ...user });
    assert.deepEqual(paths, [join(krbDir, leaseId, 'WebApp01')]);
    assert.equal(await readFile(join(paths[0]!, 'krb5cc'), 'utf8'), 'ticket of WebApp01@example.com');
  });

  test('records who reads and where the account is', async (t) => {
    const { client, krbDir } = await run(t);
    const arn = { HostAccountConfig: { PluginInput: { CredentialArn: 'arn:aws:secret' } } };
    const { leaseId } = await client.addWithUser({ credspecs: [credspec('WebApp01', 'example.com', arn)], ...user });
    const metadata = JSON.parse(await readFile(join(krbDir, leaseId, `${leaseId}_metadata.json`), 'utf8'));
    assert.deepEqual(metadata, {
      krb_ticket_info: [
        {
          credential_arn: 'arn:aws:secret',
          credspec_info: '',
          distinguished_name: 'CN=WebApp01,DC=example,DC=com',
          domain_name: 'example.com',
          domainless_user: 'reader',
          krb_file_path: join(krbDir, leaseId, 'WebApp01/krb5cc'),
          service_account_name: 'WebApp01',
        },
      ],
    });
  });

  test('hands the user and its password to the engine, whose bytes are wiped afterwards', async (t) => {
    const { client, engine } = await run(t);
    await client.addWithUser({ credspecs: [credspec('WebApp01')], ...user });
    const { request, password } = engine.seen[0]!;
    assert.equal(password, user.password);
    assert.ok(request.identity.kind === 'password' && request.identity.password.every((b) => b === 0));
    assert.deepEqual(request.accounts, [{ name: 'WebApp01', domain: 'example.com' }]);
  });

  test("takes the request's domain, for a user, and the credspec's for the machine", async (t) => {
    const { client, engine } = await run(t);
    await client.addWithUser({ credspecs: [credspec('a', 'other.org')], ...user });
    await client.add({ credspecs: [credspec('a', 'other.org')] });
    assert.deepEqual(
      engine.seen.map(({ request }) => [request.identity.kind, request.accounts[0]!.domain]),
      [
        ['password', 'example.com'],
        ['machine', 'other.org'],
      ],
    );
  });

  test("drops a trailing '$' and merges accounts that differ in case only", async (t) => {
    const { client, krbDir } = await run(t);
    const names = ['WebApp01$', 'webapp01', 'WEBAPP01', 'Other'];
    const { leaseId, paths } = await client.add({ credspecs: names.map((n) => credspec(n)) });
    assert.deepEqual(paths, [join(krbDir, leaseId, 'WebApp01'), join(krbDir, leaseId, 'Other')]);
  });

  test('refuses one account name in two domains', async (t) => {
    const { client, krbDir } = await run(t);
    const credspecs = [credspec('a', 'one.com'), credspec('A', 'two.com')];
    await assert.rejects(client.add({ credspecs }), failsWith('INVALID_ARGUMENT', 'credspec_contents[1]'));
    assert.deepEqual(await tree(krbDir), []);
  });

  test('keeps leases apart', async (t) => {
    const { client } = await run(t);
    const request = { credspecs: [credspec('WebApp01')], ...user };
    const [a, b] = await Promise.all([client.addWithUser(request), client.addWithUser(request)]);
    assert.notEqual(a.leaseId, b.leaseId);
    await client.delete(a.leaseId);
    assert.ok(await readFile(join(b.paths[0]!, 'krb5cc')));
  });

  const long = 'x'.repeat(105);
  const bad: [name: string, request: Partial<typeof user & { credspecs: string[] }>, words: string[]][] = [
    ['no credspecs', { credspecs: [] }, ['credspec_contents', 'at least one']],
    ['too many credspecs', { credspecs: Array(257).fill('') }, ['credspec_contents']],
    ['an empty credspec', { credspecs: [credspec('a'), ''] }, ['credspec_contents[1]', 'empty']],
    ['malformed JSON', { credspecs: ['{'] }, ['invalid credentialspec fields', 'credspec_contents[0]', 'JSON']],
    ['a missing field', { credspecs: ['{}'] }, ['DomainJoinConfig']],
    ['a traversing name', { credspecs: [credspec('../../x')] }, ['GroupManagedServiceAccounts[0].Name']],
    ['an LDAP filter as name', { credspecs: [credspec('a)(cn=*')] }, ['GroupManagedServiceAccounts[0].Name']],
    ['an empty user name', { username: '' }, ['username is empty']],
    ['a user name with shell syntax', { username: 'a;id' }, ['invalid domainName/username', 'username']],
    ['a user name with a zero byte', { username: 'a\0b' }, ['username']],
    ['a user name that is too long', { username: long }, ['username', '104']],
    ['an empty domain', { domain: '' }, ['domain is empty']],
    ['a domain that is none', { domain: '-x.com' }, ['invalid domainName/username', 'domain']],
    ['an empty password', { password: '' }, ['password is empty']],
    ['a password that is too long', { password: long }, ['credentials is not valid', 'password', '104']],
  ];
  for (const [name, change, words] of bad) {
    test(`refuses ${name} and touches nothing`, async (t) => {
      const { client, krbDir, engine } = await run(t);
      const call = client.addWithUser({ credspecs: [credspec('a')], ...user, ...change });
      await assert.rejects(call, failsWith('INVALID_ARGUMENT', ...words));
      assert.deepEqual(await tree(krbDir), []);
      assert.equal(engine.seen.length, 0);
    });
  }

  test('accepts names and passwords of the greatest length', async (t) => {
    const { client } = await run(t);
    const most = 'x'.repeat(104);
    await client.addWithUser({ credspecs: [credspec('a')], username: most, password: most, domain: 'a.b' });
  });

  test('refuses a request that is too large', async (t) => {
    const { daemon, krbDir } = await run(t);
    const client = new CredentialsFetcherServiceClient(daemon.address, credentials.createInsecure());
    t.after(() => client.close());
    const error = await new Promise<ServiceError | null>((resolve) =>
      client.addKerberosLease({ credspecContents: ['x'.repeat(5 << 20)] }, (e) => resolve(e)),
    );
    assert.equal(error?.code, 8);
    assert.deepEqual(await tree(krbDir), []);
  });

  test('leaves nothing behind when the reader is refused', async (t) => {
    const answer = () => Promise.reject(new AdError('WRONG_PASSWORD', 'KDC_ERR_PREAUTH_FAILED from dc1'));
    const { client, krbDir } = await run(t, { answer });
    await assert.rejects(
      client.addWithUser({ credspecs: [credspec('a')], ...user }),
      failsWith('UNAUTHENTICATED', 'Invalid credentials for domainless user', 'KDC_ERR_PREAUTH_FAILED'),
    );
    assert.deepEqual(await tree(krbDir), []);
  });

  test('leaves nothing behind when one account of several fails', async (t) => {
    const { client, krbDir } = await run(t, {
      answer: (request) => {
        const [first, second] = ticketFor(request);
        return [first!, { account: second!.account, error: new AdError('NOT_ALLOWED', 'not a member') }];
      },
    });
    await assert.rejects(
      client.addWithUser({ credspecs: [credspec('a'), credspec('b')], ...user }),
      failsWith('PERMISSION_DENIED', 'Cannot get gMSA krb ticket', 'b: not a member'),
    );
    assert.deepEqual(await tree(krbDir), []);
  });

  test('leaves nothing behind when the client cancels', async (t) => {
    const { client, krbDir, engine } = await run(t, { answer: never });
    const given = new AbortController();
    const call = client.add({ credspecs: [credspec('a')] }, { signal: given.signal });
    await until(() => engine.seen.length === 1);
    given.abort();
    await assert.rejects(call, failsWith('CANCELLED'));
    await until(() => engine.seen[0]!.request.signal.aborted);
    assert.deepEqual(await tree(krbDir), []);
  });

  test('leaves nothing behind when the client cancels and the engine does not listen', async (t) => {
    const { lines, log } = keptLog();
    let finish = (): void => undefined;
    const { client, daemon, krbDir, engine } = await run(t, {
      log,
      answer: async (request) => {
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        return ticketFor(request);
      },
    });
    const given = new AbortController();
    const call = client.add({ credspecs: [credspec('a')] }, { signal: given.signal });
    await until(() => engine.seen.length === 1);
    given.abort();
    await assert.rejects(call, failsWith('CANCELLED'));
    await until(() => lines.some((l) => l.includes('CANCELLED')));
    finish();
    // The work that nobody waits for ends before close does.
    await daemon.close();
    assert.deepEqual(await tree(krbDir), []);
  });

  test("leaves nothing behind when the client's deadline passes", async (t) => {
    const { client, krbDir, engine } = await run(t, { answer: never });
    await assert.rejects(client.add({ credspecs: [credspec('a')] }, { timeoutMs: 50 }), failsWith('DEADLINE_EXCEEDED'));
    await until(() => engine.seen[0]!.request.signal.aborted);
    assert.deepEqual(await tree(krbDir), []);
  });

  test('leaves nothing behind when the client vanishes', async (t) => {
    const { daemon, krbDir, engine } = await run(t, { answer: never });
    const client = createClient({ address: daemon.address });
    const call = client.add({ credspecs: [credspec('a')] });
    await until(() => engine.seen.length === 1);
    client.close();
    await assert.rejects(call);
    await until(() => engine.seen[0]!.request.signal.aborted);
    assert.deepEqual(await tree(krbDir), []);
  });

  test('ends by itself when no domain controller answers', async (t) => {
    const { client, krbDir } = await run(t, { answer: never, callLimitMs: 50 });
    await assert.rejects(
      client.add({ credspecs: [credspec('a')] }),
      failsWith('UNAVAILABLE', 'no result within 0.05 s'),
    );
    assert.deepEqual(await tree(krbDir), []);
  });

  test('answers others and the health check while one waits', async (t) => {
    const { client, engine } = await run(t, {
      answer: (request) => (request.accounts[0]!.name === 'slow' ? never(request) : ticketFor(request)),
    });
    const given = new AbortController();
    const slow = client.add({ credspecs: [credspec('slow')] }, { signal: given.signal });
    slow.catch(() => undefined);
    await until(() => engine.seen.length === 1);
    assert.equal((await client.health()).status, 'OK');
    assert.equal((await client.add({ credspecs: [credspec('fast')] })).paths.length, 1);
    given.abort();
    await assert.rejects(slow);
  });

  test('turns calls away beyond a number, but not the health check', async (t) => {
    const { client, engine } = await run(t, { answer: never, maxCalls: 1 });
    const given = new AbortController();
    const first = client.add({ credspecs: [credspec('a')] }, { signal: given.signal });
    first.catch(() => undefined);
    await until(() => engine.seen.length === 1);
    await assert.rejects(client.add({ credspecs: [credspec('b')] }), failsWith('RESOURCE_EXHAUSTED'));
    assert.equal((await client.health()).status, 'OK');
    given.abort();
  });

  test('survives an engine that breaks its promises', async (t) => {
    for (const answer of [() => [], () => Promise.reject(new TypeError('x is not a function'))]) {
      const { client, krbDir } = await run(t, { answer });
      await assert.rejects(client.add({ credspecs: [credspec('a')] }), failsWith('INTERNAL', 'see the log'));
      assert.deepEqual(await tree(krbDir), []);
    }
  });
});

describe('renewing', () => {
  const add = (client: { addWithUser: ReturnType<typeof createClient>['addWithUser'] }, name: string, who = {}) =>
    client.addWithUser({ credspecs: [credspec(name)], ...user, ...who });

  test("replaces the tickets of that user's leases and no others", async (t) => {
    const { client, engine } = await run(t);
    const mine = await add(client, 'a');
    const other = await add(client, 'a', { username: 'somebody' });
    const elsewhere = await add(client, 'a', { domain: 'elsewhere.org' });
    const machine = await client.add({ credspecs: [credspec('a')] });
    engine.answer = (request) => ticketFor(request).map((o) => ({ ...o, ccache: Buffer.from('renewed') }));
    const { paths } = await client.renew({ ...user, username: 'READER', domain: 'Example.COM' });
    assert.deepEqual(paths, [join(mine.paths[0]!, 'krb5cc')]);
    assert.equal(await readFile(paths[0]!, 'utf8'), 'renewed');
    for (const lease of [other, elsewhere, machine]) {
      assert.match(await readFile(join(lease.paths[0]!, 'krb5cc'), 'utf8'), /^ticket of a/);
    }
  });

  test('asks once for an account that several leases share', async (t) => {
    const { client, engine } = await run(t);
    await Promise.all([add(client, 'a'), add(client, 'A'), add(client, 'b')]);
    engine.seen.length = 0;
    assert.equal((await client.renew(user)).paths.length, 3);
    assert.deepEqual(engine.seen[0]!.request.accounts.map((a) => a.name.toLowerCase()).sort(), ['a', 'b']);
  });

  test('keeps the old tickets when the reader is refused', async (t) => {
    const { client, engine } = await run(t);
    const { paths } = await add(client, 'a');
    engine.answer = () => Promise.reject(new AdError('WRONG_PASSWORD', 'no'));
    await assert.rejects(client.renew(user), failsWith('UNAUTHENTICATED'));
    assert.equal(await readFile(join(paths[0]!, 'krb5cc'), 'utf8'), 'ticket of a@example.com');
  });

  test('renews the others when one account fails', async (t) => {
    const { client, engine } = await run(t);
    const [a, b] = await Promise.all([add(client, 'a'), add(client, 'b')]);
    engine.answer = (request) =>
      ticketFor(request).map((o) =>
        o.account.name === 'a' ? { account: o.account, error: new AdError('NO_SUCH_ACCOUNT', 'gone') } : o,
      );
    assert.deepEqual((await client.renew(user)).paths, [join(b.paths[0]!, 'krb5cc')]);
    assert.equal(await readFile(join(a.paths[0]!, 'krb5cc'), 'utf8'), 'ticket of a@example.com');
  });

  test('fails when nothing could be renewed', async (t) => {
    const { client, engine } = await run(t);
    await add(client, 'a');
    engine.answer = (request) =>
      request.accounts.map((account) => ({ account, error: new AdError('NOT_ALLOWED', 'x') }));
    await assert.rejects(client.renew(user), failsWith('PERMISSION_DENIED', 'Cannot get gMSA krb ticket'));
  });

  test('of a user without leases is no error', async (t) => {
    const { client, engine } = await run(t);
    assert.deepEqual((await client.renew(user)).paths, []);
    assert.equal(engine.seen.length, 0);
  });

  test('renews leases of a daemon that ran before', async (t) => {
    const { client, krbDir, engine } = await run(t);
    const { leaseId, paths } = await add(client, 'a');
    const old = [
      {
        KrbFilePath: join(paths[0]!, 'krb5cc'),
        ServiceAccountName: 'a',
        DomainName: 'example.com',
        DomainlessUser: 'reader',
      },
    ];
    await writeFile(join(krbDir, leaseId, `${leaseId}_metadata.json`), JSON.stringify(old));
    engine.seen.length = 0;
    assert.equal((await client.renew(user)).paths.length, 1);
  });

  for (const [change, word] of [
    [{ username: 'a b' }, 'username'],
    [{ domain: 'a/b' }, 'domain'],
    [{ password: '' }, 'password'],
  ] as const) {
    test(`refuses a bad ${word}`, async (t) => {
      const { client } = await run(t);
      await assert.rejects(client.renew({ ...user, ...change }), failsWith('INVALID_ARGUMENT', word));
    });
  }
});

describe('deleting', () => {
  test('removes a lease and names the caches', async (t) => {
    const { client, krbDir } = await run(t);
    const { leaseId, paths } = await client.add({ credspecs: [credspec('a')] });
    const deleted = await client.delete(leaseId);
    assert.deepEqual(deleted, { leaseId, paths: [join(paths[0]!, 'krb5cc')] });
    assert.deepEqual(await tree(krbDir), []);
  });

  test('an unknown lease echoes the id and an empty list', async (t) => {
    const { client } = await run(t);
    assert.deepEqual(await client.delete('123'), { leaseId: '123', paths: [] });
  });

  for (const id of ['', '../../../tmp/x', '..', 'a/b']) {
    test(`refuses ${JSON.stringify(id)}`, async (t) => {
      const { client } = await run(t);
      await assert.rejects(client.delete(id), failsWith('INVALID_ARGUMENT', 'lease_id'));
    });
  }
});

describe('the service', () => {
  test('answers at the paths of the contract', async (t) => {
    const { daemon } = await run(t);
    const identity = (b: Buffer): Buffer => b;
    const path = '/credentialsfetcher.CredentialsFetcherService/HealthCheck';
    const method = { path, requestStream: false, responseStream: false } as const;
    const codec = {
      requestSerialize: identity,
      requestDeserialize: identity,
      responseSerialize: identity,
      responseDeserialize: identity,
    };
    const Raw = makeGenericClientConstructor({ healthCheck: { ...method, ...codec } }, 'Raw');
    const client = new Raw(daemon.address, credentials.createInsecure());
    t.after(() => client.close());
    const answer = await new Promise((resolve, reject) =>
      client.makeUnaryRequest(path, identity, identity, Buffer.from('0a0474657374', 'hex'), new Metadata(), (e, r) =>
        e ? reject(e) : resolve(r),
      ),
    );
    // Field 1, two bytes: OK.
    assert.deepEqual(answer, Buffer.from('0a024f4b', 'hex'));
  });

  test('survives a client that speaks something else', async (t) => {
    const { daemon, client } = await run(t);
    for (const noise of [
      'GET / HTTP/1.1\r\n\r\n',
      '\0'.repeat(100),
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff',
    ]) {
      const socket = net.connect(daemon.address.replace('unix:', ''));
      socket.on('error', () => undefined);
      await new Promise((resolve) => socket.write(noise, 'latin1', resolve));
      socket.destroy();
    }
    assert.equal((await client.health()).status, 'OK');
  });

  test('logs calls without passwords', async (t) => {
    const { lines, log } = keptLog();
    const { client, engine } = await run(t, { log });
    await client.addWithUser({ credspecs: [credspec('a')], ...user, password: 'hunter-2' });
    engine.answer = () => Promise.reject(new AdError('WRONG_PASSWORD', 'refused'));
    await assert.rejects(client.renew({ ...user, password: 'hunter-2' }));
    await until(() => lines.length >= 2);
    const added = lines.map((l) => JSON.parse(l)).find((l) => l.method === 'AddNonDomainJoinedKerberosLease');
    assert.equal(added.user, 'reader');
    assert.equal(added.status, 'OK');
    assert.ok(!lines.join('').includes('hunter'));
  });

  test('lets a call under way finish when it stops, and closes the engine last', async (t) => {
    let finish = (): void => undefined;
    const { client, daemon, engine } = await run(t, {
      graceMs: 5000,
      answer: async (request) => {
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        return ticketFor(request);
      },
    });
    const call = client.add({ credspecs: [credspec('a')] });
    await until(() => engine.seen.length === 1);
    const closed = daemon.close();
    assert.equal(engine.closed, 0);
    finish();
    assert.equal((await call).paths.length, 1);
    await closed;
    assert.equal(engine.closed, 1);
  });

  test('aborts and rolls back a call that does not end when it stops', async (t) => {
    const { client, daemon, engine, krbDir } = await run(t, { graceMs: 20, answer: never });
    const call = client.add({ credspecs: [credspec('a')] });
    call.catch(() => undefined);
    await until(() => engine.seen.length === 1);
    await daemon.close();
    await assert.rejects(call, failsWith('UNAVAILABLE', 'stopping'));
    assert.deepEqual(await tree(krbDir), []);
  });

  for (const [who, opening] of [
    ['says nothing', ''],
    ['stopped within a request', OPEN_REQUEST],
  ] as const) {
    test(`stops although a client that ${who} does not hang up`, async (t) => {
      const { client, daemon } = await run(t, { graceMs: 20 });
      const socket = net.connect({ path: daemon.address.replace('unix:', ''), allowHalfOpen: true });
      t.after(() => socket.destroy());
      socket.on('error', () => undefined).resume();
      await new Promise((resolve) => socket.write(opening, 'latin1', resolve));
      await client.health();
      await daemon.close();
    });
  }
});
