/** The SDK's clients against a server that checks their signatures with botocore. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { parseReference, type S3Reference, type SsmReference } from '../../../src/accounts/aws/arn.ts';
import { openAws } from '../../../src/accounts/aws/session.ts';
import type { Aws, AwsOptions } from '../../../src/accounts/aws/types.ts';
import { AdError } from '../../../src/errors.ts';
import { type AwsServer, type AwsWorld, needsBotocore, startAws } from '../../support/aws-server.ts';

const account = '111122223333';
const secretArn = `arn:aws:secretsmanager:eu-west-1:${account}:secret:reader-AbCdEf`;
const parameterArn = `arn:aws:ssm:eu-central-1:${account}:parameter/specs/app`;
const keys = { accessKeyId: 'AKTASK', secretAccessKey: 'Task/Secret+1', sessionToken: 'task+token/=' };
const request: AwsOptions = { keys, region: 'us-east-1' };

const world = (): AwsWorld => ({
  keys: {
    AKTASK: { secret: keys.secretAccessKey, token: keys.sessionToken, account },
    AKROLE: { secret: 'Role/Secret+1', token: 'role-token', account },
  },
  objects: {
    'specs/app.json': { body: '{"a":1}', owner: account },
    'specs/folder/grüße (1)~*.json': { body: '{}', owner: account },
    'specs/full': { body: 'x'.repeat(4000), owner: account },
    'specs/large': { body: 'x'.repeat(4001), owner: account },
    'specs/empty': { body: '', owner: account },
    'foreign/app.json': { body: '{"b":2}', owner: '999999999999' },
  },
  parameters: { [parameterArn]: '{"p":1}' },
  secrets: { [secretArn]: '{"s":1}', plain: '{"n":1}' },
});

const fails = (promise: Promise<unknown>, code: string, text: RegExp): Promise<void> =>
  assert.rejects(promise, (e) => {
    assert.ok(e instanceof AdError, String(e));
    assert.equal(e.code, code, e.message);
    assert.match(e.message, text);
    for (const secret of [keys.secretAccessKey, keys.sessionToken, 'role-token'])
      assert.ok(!e.message.includes(secret));
    assert.equal(e.cause, undefined, 'the error of the SDK may quote the request');
    return true;
  });

describe('AWS', { skip: needsBotocore }, () => {
  let server: AwsServer;
  const sessions: Aws[] = [];
  const kept = { ...process.env };
  const never = new AbortController().signal;
  const open = (options: AwsOptions = request): Aws => {
    const aws = openAws(options);
    sessions.push(aws);
    return aws;
  };
  const object = (name: string, options?: AwsOptions) =>
    open(options).object(parseReference(`arn:aws:s3:::${name}`) as S3Reference, 4000, never);
  const text = async (bytes: Promise<Uint8Array>) => Buffer.from(await bytes).toString();

  before(async () => {
    server = await startAws(world());
  });
  beforeEach(async () => {
    for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
    Object.assign(process.env, server.env);
    await server.set(world());
    await server.clear();
  });
  afterEach(() => {
    for (const aws of sessions.splice(0)) aws.close();
  });
  after(() => {
    process.env = kept;
    server?.close();
  });

  test('reads an object of a bucket that is its own', async () => {
    assert.equal(await text(object('specs/app.json')), '{"a":1}');
    const seen = (await server.requests()).map(({ service, operation, owner }) => [service, operation, owner]);
    assert.deepEqual(seen.sort(), [
      ['s3', 'GET', account],
      ['s3', 'HEAD', null],
      ['sts', 'GetCallerIdentity', undefined],
    ]);
  });

  test('reads a key of any characters', async () => {
    assert.equal(await text(object('specs/folder/grüße (1)~*.json')), '{}');
  });

  test('asks once whose keys they are', async () => {
    const aws = open();
    for (const key of ['app.json', 'full']) {
      await aws.object(parseReference(`arn:aws:s3:::specs/${key}`) as S3Reference, 4000, never);
    }
    assert.equal((await server.requests()).filter((r) => r.service === 'sts').length, 1);
  });

  test('reads 4000 bytes, but neither 4001 nor none', async () => {
    assert.equal((await object('specs/full')).length, 4000);
    await fails(object('specs/large'), 'INVALID_ARGUMENT', /has 4001 bytes/);
    await fails(object('specs/empty'), 'INVALID_ARGUMENT', /has 0 bytes/);
    assert.ok(!(await server.requests()).some((r) => r.operation === 'GET' && r.resource !== 'specs/full'));
  });

  test("leaves another's bucket alone", async () => {
    await fails(object('foreign/app.json'), 'NOT_ALLOWED', /s3:\/\/foreign\/app\.json/);
  });

  test('says what is not there', async () => {
    await fails(object('specs/none'), 'NOT_FOUND', /s3:\/\/specs\/none/);
    await fails(open().secret('none', never), 'NOT_FOUND', /the secret none.*can't find/);
    const other = parseReference(`${parameterArn}x`) as SsmReference;
    await fails(open().parameter(other, never), 'NOT_FOUND', /ParameterNotFound/);
  });

  test("reads a parameter in its ARN's region", async () => {
    assert.equal(await text(open().parameter(parseReference(parameterArn) as SsmReference, never)), '{"p":1}');
    assert.deepEqual(
      (await server.requests()).map((r) => [r.service, r.region, r.resource]),
      [['ssm', 'eu-central-1', parameterArn]],
    );
  });

  test("reads a secret in its ARN's region, or the request's", async () => {
    const aws = open();
    assert.equal(await text(aws.secret(secretArn, never)), '{"s":1}');
    assert.equal(await text(aws.secret('plain', never)), '{"n":1}');
    assert.deepEqual(
      (await server.requests()).map((r) => [r.service, r.region]),
      [
        ['secretsmanager', 'eu-west-1'],
        ['secretsmanager', 'us-east-1'],
      ],
    );
  });

  test("uses the request's keys although the environment has some", async () => {
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'AKROLE', AWS_SECRET_ACCESS_KEY: 'Role/Secret+1' });
    Object.assign(process.env, { AWS_SESSION_TOKEN: 'role-token' });
    await object('specs/app.json');
    await open().secret(secretArn, never);
    assert.deepEqual([...new Set((await server.requests()).map((r) => r.key))], ['AKTASK']);
  });

  test('does not fall back to other keys when those of the request are refused', async () => {
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'AKROLE', AWS_SECRET_ACCESS_KEY: 'Role/Secret+1' });
    const wrong = { ...request, keys: { ...keys, secretAccessKey: 'wrong' } };
    await fails(open(wrong).secret(secretArn, never), 'NOT_ALLOWED', /InvalidSignatureException/);
    await fails(object('specs/app.json', wrong), 'NOT_ALLOWED', /403|denied/);
    const unknown = { ...request, keys: { ...keys, accessKeyId: 'AKNOBODY' } };
    await fails(open(unknown).secret(secretArn, never), 'NOT_ALLOWED', /UnrecognizedClientException/);
    assert.ok(!(await server.requests()).some((r) => r.key === 'AKROLE'));
  });

  test('says who may not read what', async () => {
    const w = world();
    w.keys.AKTASK!.allow = [];
    await server.set(w);
    await fails(open().secret(secretArn, never), 'NOT_ALLOWED', /AccessDeniedException: .*not authorized/);
  });

  test('has the keys of the instance and its region from the metadata service', async () => {
    await server.set({ ...world(), instance: { region: 'ap-southeast-2', key: 'AKROLE' } });
    assert.equal(await text(open({}).secret('plain', never)), '{"n":1}');
    assert.deepEqual(
      (await server.requests()).map((r) => [r.key, r.region]),
      [['AKROLE', 'ap-southeast-2']],
    );
  });

  test("takes the environment's region before the instance's", async () => {
    process.env.AWS_REGION = 'eu-north-1';
    await server.set({ ...world(), instance: { region: 'ap-southeast-2', key: 'AKROLE' } });
    await open({}).secret('plain', never);
    assert.equal((await server.requests())[0]!.region, 'eu-north-1');
  });

  test('says what to set where there is neither region nor key', async () => {
    process.env.AWS_EC2_METADATA_DISABLED = 'true';
    await fails(open({}).secret('plain', never), 'NOT_FOUND', /set AWS_REGION/);
    await fails(open({}).secret(secretArn, never), 'NOT_ALLOWED', /CredentialsProviderError/);
  });

  test('tries a second time, and then says that AWS is in trouble', async () => {
    await server.set({ ...world(), faults: { secretsmanager: { status: 503, code: 'ServiceUnavailable' } } });
    await fails(open().secret(secretArn, never), 'UNREACHABLE', /ServiceUnavailable/);
    assert.equal((await server.requests()).length, 2);
  });

  test('says that nobody listens', async () => {
    process.env.AWS_ENDPOINT_URL = 'http://127.0.0.1:9';
    await fails(open().secret(secretArn, never), 'UNREACHABLE', /ECONNREFUSED/);
  });

  test('honours the endpoint of one service', async () => {
    process.env.AWS_ENDPOINT_URL = 'http://127.0.0.1:9';
    process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER = server.url;
    assert.equal(await text(open().secret(secretArn, never)), '{"s":1}');
  });

  test('gives up with the signal', async () => {
    await server.set({ ...world(), faults: { secretsmanager: { delay: 2 } } });
    const given = new AbortController();
    const reading = open().secret(secretArn, given.signal);
    setTimeout(() => given.abort(), 100);
    await assert.rejects(reading, { code: 'ABORTED' });
  });
});
