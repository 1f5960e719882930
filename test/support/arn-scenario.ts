/**
 * The ARN calls and secrets from end to end: the built daemon, Python's gRPC, an AWS that checks signatures, and a
 * domain, which is the embedded one or a real one.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { type AwsServer, type AwsWorld, startAws } from './aws-server.ts';
import {
  credspec,
  type DaemonProcess,
  type ForeignClient,
  foreignClient,
  type RpcAnswer,
  startDaemonProcess,
} from './daemon-process.ts';

/** A user and the one gMSA, of these two, that it may read. */
export interface ScenarioReader {
  readonly username: string;
  readonly password: string;
  /** Without `$`. */
  readonly gmsa: string;
}

export interface ScenarioDomain {
  readonly realm: string;
  readonly domain: string;
  readonly first: ScenarioReader;
  readonly second: ScenarioReader;
  /** How the daemon finds the domain. */
  readonly env: Readonly<Record<string, string>>;
  /** Has other makers' programs use a ticket cache; gives what klist says of it. */
  prove(cache: string): Promise<string>;
}

const account = '111122223333';
const region = 'eu-west-1';
const secretArn = (name: string) => `arn:aws:secretsmanager:${region}:${account}:secret:${name}-AbCdEf`;
const parameterArn = `arn:aws:ssm:${region}:${account}:parameter/specs/first`;
const s3 = (key: string) => `arn:aws:s3:::specs/${key}`;
const task = { access_key_id: 'AKTASK', secret_access_key: 'Task/Secret+1', session_token: 'task-token', region };

function withSecret(gmsa: string, domain: string, name: string): string {
  const spec = JSON.parse(credspec(gmsa, domain));
  const PluginInput = { CredentialArn: secretArn(name) };
  spec.ActiveDirectoryConfig.HostAccountConfig = {
    PortableCcgVersion: '1',
    PluginGUID: '{859E1386-BDB4-49E8-85C7-3070B13920E1}',
    PluginInput,
  };
  return JSON.stringify(spec);
}

function worldOf({ domain, first, second }: ScenarioDomain): AwsWorld {
  const object = (body: string, owner = account) => ({ body, owner });
  const text = withSecret(first.gmsa, domain, 'first');
  return {
    keys: {
      AKTASK: { secret: task.secret_access_key, token: task.session_token, account },
      AKROLE: { secret: 'Role/Secret+1', token: 'role-token', account, allow: [secretArn('first'), 'named'] },
    },
    objects: {
      'specs/first.json': object(text),
      'specs/second.json': object(withSecret(second.gmsa, domain, 'second')),
      'specs/crossed.json': object(withSecret(second.gmsa, domain, 'first')),
      'specs/large.json': object(text + ' '.repeat(4001 - text.length)),
      'specs/foreign.json': object(text, '999999999999'),
    },
    parameters: { [parameterArn]: text },
    secrets: {
      [secretArn('first')]: JSON.stringify({
        username: first.username,
        password: first.password,
        domainName: domain,
      }),
      [secretArn('second')]: JSON.stringify({
        usernameOfStandardUserAccount: second.username,
        passwordOfStandardUserAccount: second.password,
        domainName: domain,
        distinguishedNameOfgMSA: `CN=${second.gmsa},CN=Managed Service Accounts`,
      }),
      named: JSON.stringify({ username: first.username, password: first.password, domainName: domain }),
    },
    instance: { region, key: 'AKROLE' },
  };
}

const ok = (answer: RpcAnswer): Record<string, unknown> => {
  assert.ok('ok' in answer, JSON.stringify(answer));
  return answer.ok;
};

const refused = (answer: RpcAnswer, code: string, text: RegExp): void => {
  assert.ok('code' in answer, JSON.stringify(answer));
  assert.equal(answer.code, code, answer.details);
  assert.match(answer.details, text);
};

/** Registers the tests; `domain` is called when they begin. */
export function arnScenario(startDomain: () => Promise<ScenarioDomain>): void {
  let domain: ScenarioDomain;
  let aws: AwsServer;
  let daemon: DaemonProcess;
  let client: ForeignClient;

  before(async () => {
    domain = await startDomain();
    aws = await startAws(worldOf(domain));
    daemon = await startDaemonProcess({ ...domain.env, ...aws.env });
    client = foreignClient(daemon.socket);
  });
  afterEach(async () => {
    for (const lease of await readdir(daemon.krbDir)) await client.call('DeleteKerberosLease', { lease_id: lease });
    await aws.set(worldOf(domain));
    await aws.clear();
  });
  after(async () => {
    client?.close();
    await daemon?.stop();
    aws?.close();
  });

  const add = (arns: string[], more: object = {}) =>
    client.call('AddKerberosArnLease', { credspec_arns: arns, ...task, ...more });
  const leases = () => readdir(daemon.krbDir);
  const keysUsed = async () => [...new Set((await aws.requests()).map((r) => r.key))];

  test('a lease of two secrets: each ticket in its place and good for its account', async () => {
    const added = ok(await add([`${s3('first.json')}#task-1/one`, `${s3('second.json')}#task-1/two`]));
    const paths = ['one', 'two'].map((name) => join(daemon.krbDir, 'task-1', name));
    assert.deepEqual(added, {
      lease_id: 'task-1',
      krb_ticket_response_map: [
        { credspec_arns: s3('first.json'), created_kerberos_file_paths: paths[0] },
        { credspec_arns: s3('second.json'), created_kerberos_file_paths: paths[1] },
      ],
    });
    for (const [i, { gmsa }] of [domain.first, domain.second].entries()) {
      const cache = join(paths[i]!, 'krb5cc');
      assert.equal((await stat(cache)).mode & 0o7777, 0o600);
      const listed = await domain.prove(cache);
      assert.ok(listed.includes(`Default principal: ${gmsa}$@${domain.realm}`), listed);
    }
    const metadata = JSON.parse(await readFile(join(daemon.krbDir, 'task-1/task-1_metadata.json'), 'utf8'));
    const told = metadata.krb_ticket_info.map((r: Record<string, string>) => [
      r.credspec_info,
      r.domainless_user,
      r.service_account_name,
    ]);
    assert.deepEqual(told, [
      [s3('first.json'), domain.first.username, domain.first.gmsa],
      [s3('second.json'), domain.second.username, domain.second.gmsa],
    ]);
    assert.deepEqual(await keysUsed(), ['AKTASK']);
    const removed = ok(await client.call('DeleteKerberosLease', { lease_id: 'task-1' }));
    assert.deepEqual(
      (removed.deleted_kerberos_file_paths as string[]).sort(),
      paths.map((p) => join(p, 'krb5cc')),
    );
    assert.deepEqual(await leases(), []);
  });

  test("one secret's user does not read what only another's may, in the same request or after it", async () => {
    ok(await add([`${s3('second.json')}#task-1/two`]));
    const crossed = await add([`${s3('second.json')}#task-2/two`, `${s3('crossed.json')}#task-2/three`]);
    refused(crossed, 'PERMISSION_DENIED', new RegExp(`${domain.second.gmsa}.*PrincipalsAllowedToRetrieve`));
    assert.deepEqual(await leases(), ['task-1']);
  });

  test('renewal replaces the tickets in their directories', async () => {
    ok(await add([`${s3('first.json')}#task-1/one`]));
    ok(await add([`${parameterArn}#task-2/two`]));
    const caches = ['task-1/one', 'task-2/two'].map((name) => join(daemon.krbDir, name, 'krb5cc'));
    const all = () => Promise.all(caches.map((cache) => readFile(cache, 'base64')));
    const [before, inode] = [await all(), (await stat(join(caches[0]!, '..'))).ino];
    const { access_key_id, ...rest } = task;
    assert.deepEqual(ok(await client.call('RenewKerberosArnLease', { access_key_id, ...rest })), {
      status: 'successful',
    });
    const renewed = await all();
    for (const [i, text] of before.entries()) assert.notEqual(renewed[i], text);
    assert.equal((await stat(join(caches[0]!, '..'))).ino, inode);
    const wrong = await client.call('RenewKerberosArnLease', { ...rest, access_key_id, secret_access_key: 'wrong' });
    refused(wrong, 'PERMISSION_DENIED', /cannot be retrieved/);
    assert.deepEqual(await all(), renewed);
    for (const cache of caches) await domain.prove(cache);
  });

  test('an SSM parameter and a file serve as credspecs', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'cf-specs-'));
    t.after(() => rm(directory, { recursive: true, force: true }));
    await writeFile(join(directory, 'spec.json'), withSecret(domain.second.gmsa, domain.domain, 'second'));
    const file = `file://${directory}/spec.json`;
    const added = ok(await add([`${parameterArn}#task-1/one`, `${file}#task-1/two`]));
    const map = added.krb_ticket_response_map as { credspec_arns: string; created_kerberos_file_paths: string }[];
    assert.deepEqual(
      map.map((m) => m.credspec_arns),
      [parameterArn, file],
    );
    for (const m of map) await domain.prove(join(m.created_kerberos_file_paths, 'krb5cc'));
  });

  const bad: [string, string[], object, string, RegExp][] = [
    ['wrong keys', [s3('first.json')], { secret_access_key: 'wrong' }, 'PERMISSION_DENIED', /AWS/],
    ['a token of another', [s3('first.json')], { session_token: 'role-token' }, 'PERMISSION_DENIED', /AWS/],
    [
      'an object of 4001 bytes',
      [s3('large.json')],
      {},
      'FAILED_PRECONDITION',
      /invalid object for credentialspec in s3/,
    ],
    ["another account's bucket", [s3('foreign.json')], {}, 'PERMISSION_DENIED', /cannot be retrieved from s3/],
    ['an object that is not there', [s3('none.json')], {}, 'FAILED_PRECONDITION', /cannot be retrieved from s3/],
    ['a test hook', [s3('functionaltestcfspec')], {}, 'FAILED_PRECONDITION', /cannot be retrieved from s3/],
  ];
  for (const [name, arns, more, code, text] of bad) {
    test(`refused: ${name}`, async () => {
      const answer = await add(
        arns.map((arn) => `${arn}#task-1/one`),
        more,
      );
      refused(answer, code, text);
      assert.deepEqual(await leases(), []);
      assert.ok(!(await keysUsed()).includes('AKROLE'), "the machine's own keys were used");
    });
  }

  for (const mount of ['../../escape/one', '../one', 'task-1/../../x', 'task-1/..', 'task-1', '/etc/cron.d', 'a/b/c']) {
    test(`refused: the mount path ${mount}`, async () => {
      refused(await add([`${s3('first.json')}#${mount}`]), 'INVALID_ARGUMENT', /mount path is invalid/);
      assert.deepEqual([await leases(), await aws.requests()], [[], []]);
    });
  }

  test("the instance's role reads the secret that a credspec names for AddKerberosLease", async () => {
    const spec = withSecret(domain.first.gmsa, domain.domain, 'first');
    const added = ok(await client.call('AddKerberosLease', { credspec_contents: [spec] }));
    await domain.prove(join((added.created_kerberos_file_paths as string[])[0]!, 'krb5cc'));
    assert.deepEqual(await keysUsed(), ['AKROLE']);
    const id = String(added.lease_id);
    const metadata = JSON.parse(await readFile(join(daemon.krbDir, id, `${id}_metadata.json`), 'utf8'));
    const [record] = metadata.krb_ticket_info;
    assert.equal(record.domainless_user, `awsdomainlessusersecret:${secretArn('first')}`);
    assert.equal(record.credential_arn, secretArn('first'));
  });

  test('a secret that the role may not read is no lease', async () => {
    const spec = withSecret(domain.second.gmsa, domain.domain, 'second');
    const answer = await client.call('AddKerberosLease', { credspec_contents: [spec] });
    refused(answer, 'PERMISSION_DENIED', /AccessDeniedException/);
    assert.deepEqual(await leases(), []);
  });

  for (const args of [['--aws_sm_secret_name', 'named'], []]) {
    test(`a daemon with a secret of its own, by ${args[0] ?? 'the environment'}`, async () => {
      const env = args.length > 0 ? {} : { CREDENTIALS_FETCHER_SECRET_NAME_FOR_DOMAINLESS_GMSA: 'named' };
      const other = await startDaemonProcess({ ...domain.env, ...aws.env, ...env }, args);
      const python = foreignClient(other.socket);
      try {
        const contents = [credspec(domain.first.gmsa, domain.domain)];
        const added = ok(await python.call('AddKerberosLease', { credspec_contents: contents }));
        const [path] = added.created_kerberos_file_paths as string[];
        assert.ok((await domain.prove(join(path!, 'krb5cc'))).includes(`${domain.first.gmsa}$@${domain.realm}`));
        assert.deepEqual(
          (await aws.requests()).map((r) => [r.key, r.region, r.resource]),
          [['AKROLE', region, 'named']],
        );
      } finally {
        python.close();
        await other.stop();
      }
    });
  }

  test('what the daemon wrote holds no secret', async () => {
    const written = await daemon.output();
    assert.match(written, /AddKerberosArnLease/);
    const { secrets, keys } = worldOf(domain);
    const all = [
      domain.first.password,
      domain.second.password,
      ...Object.values(keys).flatMap((k) => [k.secret, k.token]),
    ];
    for (const secret of [...all, ...Object.values(secrets)]) assert.ok(!written.includes(secret));
  });
}
