/** The ARN calls with an AWS and an engine that do as told. */
import assert from 'node:assert/strict';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { credentials, type ServiceError } from '@grpc/grpc-js';
import type { Aws, AwsOptions } from '../../../src/accounts/aws/types.ts';
import { AdError } from '../../../src/errors.ts';
import {
  type CreateKerberosArnLeaseResponse,
  CredentialsFetcherServiceClient,
  type KerberosArnLeaseRequest,
  type RenewKerberosArnLeaseResponse,
} from '../../../src/proto/generated/credentialsfetcher.ts';
import { type Answer, credspec, keptLog, run, ticketFor, tree, until } from '../fake.ts';

const secretArn = (name: string) => `arn:aws:secretsmanager:us-west-2:111122223333:secret:${name}-AbCdEf`;
const withSecret = (gmsa: string, secret: string, domain?: string) =>
  credspec(gmsa, domain, { HostAccountConfig: { PluginInput: { CredentialArn: secret } } });
const secretOf = (username: string, more: object = {}) =>
  JSON.stringify({ username, password: `password of ${username}`, domainName: 'example.com', ...more });
const access = { accessKeyId: 'AKID', secretAccessKey: 'SECRET+KEY', sessionToken: 'TOKEN+TOKEN', region: 'us-east-1' };
const s3 = (key: string) => `arn:aws:s3:::specs/${key}`;

/** What AWS has; a test changes it under way. */
const content = () => ({
  objects: new Map([
    ['a', withSecret('AppA', secretArn('alice'))],
    ['b', withSecret('AppB', secretArn('bob'))],
    ['a2', withSecret('AppA2', secretArn('alice'), 'elsewhere.example')],
  ]),
  parameters: new Map([['p', withSecret('AppP', secretArn('alice'))]]),
  secrets: new Map([
    [secretArn('alice'), secretOf('alice')],
    [secretArn('bob'), secretOf('bob', { distinguishedName: 'CN=AppB,OU=x,DC=example,DC=com' })],
  ]),
});

class FakeAws implements Aws {
  readonly asked: string[] = [];
  readonly given: Uint8Array[] = [];
  readonly has: ReturnType<typeof content>;
  closed = false;

  constructor(has: ReturnType<typeof content>) {
    this.has = has;
  }

  async #give(text: string | undefined, what: string): Promise<Uint8Array> {
    this.asked.push(what);
    if (text === undefined) throw new AdError('NOT_FOUND', `AWS: reading ${what}: NoSuchThing`);
    const bytes = new Uint8Array(Buffer.from(text));
    this.given.push(bytes);
    return bytes;
  }
  object: Aws['object'] = ({ key }) => this.#give(this.has.objects.get(key), key);
  parameter: Aws['parameter'] = ({ text }) => this.#give(this.has.parameters.get(text.split('/')[1]!), text);
  secret: Aws['secret'] = (id) => this.#give(this.has.secrets.get(id), id);
  close(): void {
    this.closed = true;
  }
}

async function start(t: TestContext, answer?: Answer) {
  const has = content();
  const opened: { options: AwsOptions; aws: FakeAws }[] = [];
  const openAws = (options: AwsOptions): Aws => {
    const aws = new FakeAws(has);
    opened.push({ options, aws });
    return aws;
  };
  const { log, lines } = keptLog();
  const running = await run(t, { openAws, log, ...(answer && { answer }) });
  const stub = new CredentialsFetcherServiceClient(running.daemon.address, credentials.createInsecure());
  t.after(() => stub.close());
  const add = (credspecArns: string[], more: Partial<KerberosArnLeaseRequest> = {}) =>
    new Promise<CreateKerberosArnLeaseResponse>((resolve, reject) => {
      stub.addKerberosArnLease({ ...access, credspecArns, ...more }, (e, r) => (e ? reject(e) : resolve(r)));
    });
  const renew = (more: Partial<typeof access> = {}) =>
    new Promise<RenewKerberosArnLeaseResponse>((resolve, reject) => {
      stub.renewKerberosArnLease({ ...access, ...more }, (e, r) => (e ? reject(e) : resolve(r)));
    });
  const metadata = async (id: string) =>
    JSON.parse(await readFile(join(running.krbDir, id, `${id}_metadata.json`), 'utf8')).krb_ticket_info;
  return { ...running, has, opened, add, renew, metadata, lines, stub };
}

const INVALID = 3;
const PRECONDITION = 9;
const UNAUTHENTICATED = 16;
const refuses = (call: Promise<unknown>, code: number, text: RegExp): Promise<void> =>
  assert.rejects(call, (e) => {
    const { code: actual, details } = e as ServiceError;
    assert.equal(actual, code, details);
    assert.match(details, text);
    for (const secret of [access.secretAccessKey, access.sessionToken, 'password of'])
      assert.ok(!details.includes(secret), details);
    return true;
  });

describe('AddKerberosArnLease', () => {
  test("puts each ticket where its mount path says, under the task's id", async (t) => {
    const { add, krbDir } = await start(t);
    assert.deepEqual(await add([`${s3('a')}#task1/WebApp`, `${s3('b')}#task1/other`]), {
      leaseId: 'task1',
      krbTicketResponseMap: [
        { credspecArns: s3('a'), createdKerberosFilePaths: join(krbDir, 'task1/WebApp') },
        { credspecArns: s3('b'), createdKerberosFilePaths: join(krbDir, 'task1/other') },
      ],
    });
    assert.equal(await readFile(join(krbDir, 'task1/other/krb5cc'), 'utf8'), 'ticket of AppB@example.com');
    assert.deepEqual(await tree(krbDir), [
      'task1',
      'task1/WebApp',
      'task1/WebApp/krb5cc',
      'task1/other',
      'task1/other/krb5cc',
      'task1/task1_metadata.json',
    ]);
  });

  test('records the reference, the reader and the account', async (t) => {
    const { add, metadata, krbDir } = await start(t);
    await add([`${s3('b')}#task1/mount`]);
    assert.deepEqual(await metadata('task1'), [
      {
        credential_arn: secretArn('bob'),
        credspec_info: s3('b'),
        distinguished_name: 'CN=AppB,DC=example,DC=com',
        domain_name: 'example.com',
        domainless_user: 'bob',
        krb_file_path: join(krbDir, 'task1/mount/krb5cc'),
        service_account_name: 'AppB',
      },
    ]);
  });

  test('keeps the readers of two secrets apart', async (t) => {
    const { add, engine } = await start(t);
    await add([`${s3('a')}#t/a`, `${s3('b')}#t/b`]);
    const seen = engine.seen.map(({ request, password }) => [
      request.identity.kind === 'password' && request.identity.username,
      password,
      request.accounts.map((a) => a.name),
    ]);
    assert.deepEqual(seen, [
      ['alice', 'password of alice', ['AppA']],
      ['bob', 'password of bob', ['AppB']],
    ]);
  });

  test("asks once for one secret's accounts, in the secret's domain", async (t) => {
    const { add, engine, opened } = await start(t);
    await add([`${s3('a')}#t/a`, `${s3('a2')}#t/b`, `${s3('a')}#t/c`]);
    assert.deepEqual(
      engine.seen.map(({ request }) => request.accounts),
      [
        [
          { name: 'AppA', domain: 'example.com' },
          { name: 'AppA2', domain: 'example.com' },
        ],
      ],
    );
    assert.deepEqual(opened[0]!.aws.asked.sort(), ['a', 'a2', secretArn('alice')]);
  });

  test('tells the engine where the secret says the account is', async (t) => {
    const { add, engine } = await start(t);
    await add([`${s3('b')}#t/b`]);
    assert.equal(engine.seen[0]!.request.accounts[0]!.distinguishedName, 'CN=AppB,OU=x,DC=example,DC=com');
  });

  test("has the request's keys and region and no others, and lets go of AWS", async (t) => {
    const { add, opened } = await start(t);
    await add([`${s3('a')}#t/a`]);
    const { region, ...keys } = access;
    assert.deepEqual(
      opened.map((o) => o.options),
      [{ keys, region }],
    );
    assert.ok(opened[0]!.aws.closed);
  });

  test('takes parameters of SSM and files, with mounts of their own', async (t) => {
    const { add, directory } = await start(t);
    const file = `file://${join(directory, 'spec.json')}`;
    await writeFile(join(directory, 'spec.json'), `\uFEFF${withSecret('AppF', secretArn('bob'))}`);
    const ssm = 'arn:aws:ssm:us-west-2:111122223333:parameter/p';
    const { krbTicketResponseMap } = await add([`${ssm}#t/p`, `${file}#t/f`]);
    assert.deepEqual(
      krbTicketResponseMap.map((m) => m.credspecArns),
      [ssm, file],
    );
    const caches = krbTicketResponseMap.map((m) => readFile(join(m.createdKerberosFilePaths, 'krb5cc'), 'utf8'));
    assert.deepEqual(await Promise.all(caches), ['ticket of AppP@example.com', 'ticket of AppF@example.com']);
  });

  test('wipes passwords and what came from the Secrets Manager', async (t) => {
    const { add, engine, opened } = await start(t);
    await add([`${s3('a')}#t/a`]);
    const { identity } = engine.seen[0]!.request;
    assert.ok(identity.kind === 'password' && identity.password.every((b) => b === 0));
    assert.ok(opened[0]!.aws.given[1]!.every((b) => b === 0));
  });

  test('may be repeated: the ticket is replaced in its place', async (t) => {
    let n = 0;
    const { add, krbDir, metadata } = await start(t, (request) =>
      ticketFor(request).map((o) => ({ ...o, ccache: Buffer.from(`ticket ${++n}`) }) as never),
    );
    const first = await add([`${s3('a')}#t/a`]);
    assert.deepEqual(await add([`${s3('a')}#t/a`]), first);
    assert.equal(await readFile(join(krbDir, 't/a/krb5cc'), 'utf8'), 'ticket 2');
    assert.equal((await metadata('t')).length, 1);
  });

  test('adds to a lease of the same task', async (t) => {
    const { add, metadata, client } = await start(t);
    await add([`${s3('a')}#t/a`]);
    await add([`${s3('b')}#t/b`]);
    assert.deepEqual(
      (await metadata('t')).map((r: { service_account_name: string }) => r.service_account_name),
      ['AppA', 'AppB'],
    );
    assert.equal((await client.delete('t')).paths.length, 2);
  });

  test('does not put one account in the place of another', async (t) => {
    const { add, krbDir } = await start(t);
    await add([`${s3('a')}#t/x`]);
    await refuses(add([`${s3('c')}#u/y`, `${s3('b')}#u/x`]), PRECONDITION, /NoSuchThing/);
    await refuses(add([`${s3('b')}#t/new`, `${s3('b')}#t/x`]), INVALID, /found duplicate mount paths: t\/x/);
    assert.equal(await readFile(join(krbDir, 't/x/krb5cc'), 'utf8'), 'ticket of AppA@example.com');
    assert.deepEqual(await tree(krbDir), ['t', 't/t_metadata.json', 't/x', 't/x/krb5cc']);
  });

  test("does not join another call's lease", async (t) => {
    const { add, client } = await start(t);
    const { leaseId } = await client.add({ credspecs: [credspec('AppZ')] });
    await refuses(add([`${s3('a')}#${leaseId}/a`]), INVALID, /is there already/);
  });

  const requests: [string, string[], Partial<KerberosArnLeaseRequest>, RegExp][] = [
    ['no ARN', [], {}, /access credentials should not be empty/],
    ['an empty ARN', [''], {}, /credentialspec arn should not be empty/],
    ['no mount path', [s3('a')], {}, /credentialspec arn is not valid/],
    ['two mount paths', [`${s3('a')}#t/a#u/b`], {}, /credentialspec arn is not valid/],
    ['an ARN of something else', ['arn:aws:iam::1:role/x#t/a'], {}, /credentialspec arn is not valid/],
    ['one place twice', [`${s3('a')}#t/a`, `${s3('b')}#t/a`], {}, /found duplicate mount paths/],
    ['two tasks', [`${s3('a')}#t/a`, `${s3('b')}#u/b`], {}, /mount path is invalid: all of one request/],
    ['no access key', [`${s3('a')}#t/a`], { accessKeyId: '' }, /access credentials should not be empty/],
    ['no secret key', [`${s3('a')}#t/a`], { secretAccessKey: '' }, /access credentials should not be empty/],
    ['no session token', [`${s3('a')}#t/a`], { sessionToken: '' }, /access credentials should not be empty/],
    ['a line break in a key', [`${s3('a')}#t/a`], { sessionToken: 'a\r\nx: y' }, /invalid credentials\/region/],
    ['no region', [`${s3('a')}#t/a`], { region: '' }, /invalid credentials\/region/],
    ['a region that is a host', [`${s3('a')}#t/a`], { region: 'evil.com/' }, /invalid credentials\/region/],
    ['more than 256 ARNs', Array.from({ length: 257 }, (_, i) => `${s3('a')}#t/a${i}`), {}, /more than 256/],
  ];
  for (const [name, arns, more, text] of requests) {
    test(`refuses ${name}`, async (t) => {
      const { add, krbDir, opened } = await start(t);
      await refuses(add(arns, more), INVALID, text);
      assert.deepEqual([await tree(krbDir), opened], [[], []]);
    });
  }

  const paths = [
    't',
    't/',
    '/t',
    '/',
    't/a/b',
    '../t',
    't/..',
    './t',
    't/.',
    '.hidden/a',
    't/.a',
    't/a b',
    't/a\0',
    't\\a/b',
  ];
  for (const path of [...paths, 't/$(x)', 't/a:b', 't/t_metadata.json', `t/${'a'.repeat(256)}`, 't/\u202ea']) {
    test(`refuses the mount path ${JSON.stringify(path.slice(0, 20))}`, async (t) => {
      const { add, krbDir } = await start(t);
      await refuses(add([`${s3('a')}#${path}`]), INVALID, /mount path is invalid/);
      assert.deepEqual(await tree(krbDir), []);
    });
  }

  const contents: [string, (has: ReturnType<typeof content>) => void, number, RegExp][] = [
    [
      'no object',
      (h) => h.objects.delete('a'),
      PRECONDITION,
      /credentialspec cannot be retrieved from s3.*NoSuchThing/,
    ],
    ['no JSON', (h) => h.objects.set('a', 'x'), PRECONDITION, /invalid credentialspec fields/],
    ['no secret named', (h) => h.objects.set('a', credspec('AppA')), PRECONDITION, /invalid secrets manager arn/],
    [
      "another service's ARN for a secret",
      (h) => h.objects.set('a', withSecret('AppA', 'arn:aws:ssm:us-east-1:111122223333:parameter/x')),
      PRECONDITION,
      /invalid secrets manager arn/,
    ],
    ['no secret', (h) => h.secrets.clear(), PRECONDITION, /cannot be retrieved from secrets manager/],
    [
      'a secret without a user',
      (h) => h.secrets.set(secretArn('alice'), '{"password":"hunter2"}'),
      PRECONDITION,
      /domainless AD user credentials is not valid: secret: username/,
    ],
    [
      'a bad domain in the secret',
      (h) => h.secrets.set(secretArn('alice'), secretOf('alice', { domainName: '-x' })),
      PRECONDITION,
      /invalid domainName\/username: domainName/,
    ],
    [
      'a bad user in the secret',
      (h) => h.secrets.set(secretArn('alice'), secretOf('al;ice')),
      PRECONDITION,
      /invalid domainName\/username: username/,
    ],
    [
      'a password of a mile',
      (h) => h.secrets.set(secretArn('alice'), secretOf('alice', { password: 'x'.repeat(400) })),
      PRECONDITION,
      /password is too long/,
    ],
  ];
  for (const [name, change, code, text] of contents) {
    test(`says what is wrong: ${name}`, async (t) => {
      const { add, krbDir, has, opened } = await start(t);
      change(has);
      await refuses(add([`${s3('b')}#t/b`, `${s3('a')}#t/a`]), code, text);
      assert.deepEqual(await tree(krbDir), []);
      assert.ok(opened[0]!.aws.closed);
    });
  }

  test('tells neither what is in a file that is no credspec, nor whether there is one', async (t) => {
    const { add, directory, lines } = await start(t);
    await writeFile(join(directory, 'shadow'), 'root:hunter2:');
    await mkdir(join(directory, 'folder'));
    await symlink(join(directory, 'shadow'), join(directory, 'link'));
    const told = new Set<string>();
    for (const name of ['shadow', 'folder', 'link', 'none']) {
      const call = add([`file://${directory}/${name}#t/a`]);
      await refuses(call, PRECONDITION, /credentialspec cannot be retrieved/);
      await call.catch((e: ServiceError) => told.add(e.details.replaceAll(name, 'NAME')));
    }
    assert.equal(told.size, 1);
    assert.ok(lines.some((l) => l.includes('ENOENT')) && !lines.some((l) => l.includes('hunter2')));
  });

  test('writes nothing when one of several readers is refused', async (t) => {
    const { add, krbDir } = await start(t, (request) => {
      if (request.identity.kind === 'password' && request.identity.username === 'bob') {
        throw new AdError('WRONG_PASSWORD', 'KDC_ERR_PREAUTH_FAILED');
      }
      return ticketFor(request);
    });
    await refuses(
      add([`${s3('a')}#t/a`, `${s3('b')}#t/b`]),
      UNAUTHENTICATED,
      /ERROR: Invalid credentials for domainless user: KDC_ERR_PREAUTH_FAILED/,
    );
    assert.deepEqual(await tree(krbDir), []);
  });

  test('leaves nothing when the client gives up', async (t) => {
    const { stub, krbDir, engine, opened } = await start(t, async (request) => {
      await new Promise((resolve) => request.signal.addEventListener('abort', resolve));
      return ticketFor(request);
    });
    const call = stub.addKerberosArnLease({ ...access, credspecArns: [`${s3('a')}#t/a`] }, () => undefined);
    await until(() => engine.seen.length === 1);
    call.cancel();
    await until(() => opened[0]!.aws.closed);
    assert.deepEqual(await tree(krbDir), []);
  });

  test("takes back only what is new when a client that adds to a task's lease gives up", async (t) => {
    let slow = false;
    const { add, stub, krbDir, metadata } = await start(t, async (request) => {
      if (slow) await new Promise((resolve) => request.signal.addEventListener('abort', resolve));
      return ticketFor(request);
    });
    await add([`${s3('a')}#t/a`]);
    slow = true;
    const call = stub.addKerberosArnLease({ ...access, credspecArns: [`${s3('b')}#t/b`] }, () => undefined);
    setTimeout(() => call.cancel(), 50);
    await new Promise((resolve) => call.on('status', resolve));
    await until(async () => (await tree(krbDir)).length === 4);
    assert.deepEqual(await tree(krbDir), ['t', 't/a', 't/a/krb5cc', 't/t_metadata.json']);
    assert.equal((await metadata('t')).length, 1);
  });

  test('serves the client of this project', async (t) => {
    const { client, krbDir } = await start(t);
    const references = [`${s3('b')}#t/b`, `${s3('a')}#t/a`];
    const added = await client.addByArn({ references, ...access });
    assert.deepEqual(added, { leaseId: 't', paths: [join(krbDir, 't/b'), join(krbDir, 't/a')] });
    assert.deepEqual(await client.renewByArn(access), { status: 'successful' });
  });

  test('has no back door for tests', async (t) => {
    const { add, krbDir } = await start(t);
    await refuses(add([`${s3('functionaltestcfspec')}#t/a`]), PRECONDITION, /cannot be retrieved/);
    assert.deepEqual(await tree(krbDir), []);
  });

  test('logs no secret', async (t) => {
    const { add, renew, lines } = await start(t);
    await add([`${s3('a')}#t/a`]);
    await renew();
    await add([`${s3('none')}#t/n`]).catch(() => undefined);
    assert.ok(lines.length >= 3);
    for (const secret of [access.secretAccessKey, access.sessionToken, 'password of'])
      assert.ok(!lines.some((l) => l.includes(secret)));
  });
});

describe('RenewKerberosArnLease', () => {
  /** Tickets that tell how many there were before. */
  const counting = (): Answer => {
    let n = 0;
    return (request) => ticketFor(request).map((o) => ({ ...o, ccache: Buffer.from(`ticket ${++n}`) }) as never);
  };

  test('replaces every ticket that came by a reference, and no other', async (t) => {
    const { add, renew, client, krbDir, engine } = await start(t, counting());
    const { paths } = await client.add({ credspecs: [credspec('AppZ')] });
    await add([`${s3('a')}#t/a`]);
    await add([`${s3('b')}#u/b`]);
    assert.deepEqual(await renew(), { status: 'successful' });
    assert.equal(await readFile(join(paths[0]!, 'krb5cc'), 'utf8'), 'ticket 1');
    const renewed = ['t/a', 'u/b'].map((p) => readFile(join(krbDir, p, 'krb5cc'), 'utf8'));
    assert.deepEqual((await Promise.all(renewed)).sort(), ['ticket 4', 'ticket 5']);
    assert.equal(engine.seen.length, 5);
  });

  test('reads credspecs and secrets anew, each once', async (t) => {
    const { add, renew, has, engine, opened } = await start(t);
    await add([`${s3('a')}#t/a`, `${s3('a')}#t/a2`]);
    await add([`${s3('a')}#u/a`]);
    has.secrets.set(secretArn('alice'), secretOf('alice2'));
    await renew();
    const { request } = engine.seen.at(-1)!;
    assert.equal(request.identity.kind === 'password' && request.identity.username, 'alice2');
    assert.equal(request.accounts.length, 1);
    assert.deepEqual(opened.at(-1)!.aws.asked, ['a', secretArn('alice')]);
  });

  test('is successful with nothing to do', async (t) => {
    const { renew, opened } = await start(t);
    assert.deepEqual(await renew(), { status: 'successful' });
    assert.deepEqual(opened, []);
  });

  test('renews what it can', async (t) => {
    const { add, renew, has, krbDir, lines } = await start(t, counting());
    await add([`${s3('a')}#t/a`, `${s3('b')}#t/b`]);
    has.objects.delete('a');
    assert.deepEqual(await renew(), { status: 'successful' });
    assert.equal(await readFile(join(krbDir, 't/a/krb5cc'), 'utf8'), 'ticket 1');
    assert.equal(await readFile(join(krbDir, 't/b/krb5cc'), 'utf8'), 'ticket 3');
    assert.ok(lines.some((l) => l.includes('was not renewed') && l.includes('AppA')));
  });

  test('fails when nothing can be renewed, and keeps the tickets', async (t) => {
    const { add, renew, has, krbDir } = await start(t, counting());
    await add([`${s3('a')}#t/a`]);
    has.secrets.clear();
    await refuses(renew(), PRECONDITION, /cannot be retrieved from secrets manager/);
    assert.equal(await readFile(join(krbDir, 't/a/krb5cc'), 'utf8'), 'ticket 1');
  });

  test("does not put another account's ticket into a directory that a container has", async (t) => {
    const { add, renew, has, krbDir } = await start(t, counting());
    await add([`${s3('a')}#t/a`]);
    has.objects.set('a', withSecret('Other', secretArn('alice')));
    await refuses(renew(), PRECONDITION, /is the credentialspec of Other now/);
    assert.equal(await readFile(join(krbDir, 't/a/krb5cc'), 'utf8'), 'ticket 1');
  });

  test('renews leases of an earlier daemon, whose record may have the mount path too', async (t) => {
    const { renew, krbDir } = await start(t, counting());
    await mkdir(join(krbDir, 'old/WebApp01'), { recursive: true });
    await writeFile(join(krbDir, 'old/WebApp01/krb5cc'), 'old');
    const record = {
      credspec_info: `${s3('a')}#old/WebApp01`,
      domain_name: 'example.com',
      domainless_user: 'alice',
      krb_file_path: '/var/credentials-fetcher/krbdir/old/WebApp01/krb5cc',
      service_account_name: 'AppA',
    };
    await writeFile(join(krbDir, 'old/old_metadata.json'), JSON.stringify({ krb_ticket_info: [record] }));
    await renew();
    assert.equal(await readFile(join(krbDir, 'old/WebApp01/krb5cc'), 'utf8'), 'ticket 1');
  });

  for (const field of ['accessKeyId', 'secretAccessKey', 'sessionToken', 'region'] as const) {
    test(`refuses an empty ${field}`, async (t) => {
      const { renew } = await start(t);
      await refuses(renew({ [field]: '' }), INVALID, /should not be empty|invalid credentials\/region/);
    });
  }
});

describe("a secret in the machine's place", () => {
  test('reads for AddKerberosLease when the daemon has one', async (t) => {
    const { client, engine, krbDir } = await run(t, { secretId: 'team/reader' });
    const { leaseId } = await client.add({ credspecs: [withSecret('AppA', secretArn('alice'))] });
    assert.deepEqual(engine.seen[0]!.request.identity, { kind: 'secret', secretId: 'team/reader' });
    const metadata = await readFile(join(krbDir, leaseId, `${leaseId}_metadata.json`), 'utf8');
    assert.equal(JSON.parse(metadata).krb_ticket_info[0].domainless_user, 'awsdomainlessusersecret:team/reader');
  });

  test('reads for the credspecs that name one; the machine for the others', async (t) => {
    const { client, engine } = await run(t);
    const credspecs = [
      withSecret('AppA', secretArn('alice')),
      credspec('AppB'),
      withSecret('AppC', secretArn('alice')),
    ];
    await client.add({ credspecs });
    assert.deepEqual(
      engine.seen.map(({ request }) => [request.identity, request.accounts.map((a) => a.name)]),
      [
        [{ kind: 'secret', secretId: secretArn('alice') }, ['AppA', 'AppC']],
        [{ kind: 'machine' }, ['AppB']],
      ],
    );
  });

  test('must be a secret', async (t) => {
    const { client } = await run(t);
    await assert.rejects(client.add({ credspecs: [withSecret('AppA', 'arn:aws:x')] }), {
      code: 'INVALID_ARGUMENT',
      message: /invalid secrets manager arn/,
    });
  });

  test('is not asked for what a user reads', async (t) => {
    const { client, engine } = await run(t, { secretId: 'team/reader' });
    const user = { username: 'reader', password: 'pw', domain: 'example.com' };
    await client.addWithUser({ credspecs: [withSecret('AppA', 'arn:aws:x')], ...user });
    assert.equal(engine.seen[0]!.request.identity.kind, 'password');
  });
});
