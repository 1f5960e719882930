import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { isRegion, isSecretId, parseReference, secretRegion } from '../../../src/accounts/aws/arn.ts';
import { AdError } from '../../../src/errors.ts';

describe('reference of a credspec', () => {
  test('is an object of S3 in any partition', () => {
    for (const partition of ['aws', 'aws-cn', 'aws-us-gov']) {
      const text = `arn:${partition}:s3:::my.bucket-1/folder/spec 1.json`;
      assert.deepEqual(parseReference(text), { kind: 's3', text, bucket: 'my.bucket-1', key: 'folder/spec 1.json' });
    }
  });

  test('is a parameter of SSM', () => {
    const text = 'arn:aws:ssm:us-gov-west-1:111122223333:parameter/a/b_c.d-1';
    assert.deepEqual(parseReference(text), { kind: 'ssm', text, region: 'us-gov-west-1' });
  });

  test('is a file', () => {
    const text = 'file:///var/credspec.json';
    assert.deepEqual(parseReference(text), { kind: 'file', text, path: '/var/credspec.json' });
  });

  const refused = [
    '',
    'x'.repeat(2000),
    'bucket/key',
    's3://bucket/key',
    'arn:aws:s3:::bucket',
    'arn:aws:s3:::bucket/',
    'arn:aws:s3:::/key',
    'arn:aws:s3:::a..b/key',
    'arn:aws:s3:::-bucket/key',
    'arn:aws:s3:::evil.com#/key'.replace('#', '%23'),
    'arn:aws:s3:us-east-1:1:bucket/key',
    'arn:azure:s3:::bucket/key',
    'arn:aws:s3:::bucket/ke\ny',
    'arn:aws:s3:::bucket/\ud800',
    'arn:aws:ssm:us-east-1.evil.com/:111122223333:parameter/a',
    'arn:aws:ssm:us-east-1:1:parameter/a',
    'arn:aws:ssm:us-east-1:111122223333:parameter/',
    'arn:aws:ssm:us-east-1:111122223333:document/a',
    'file://host/path',
    'file:relative',
  ];
  for (const text of refused) {
    test(`is not ${JSON.stringify(text.slice(0, 60))}`, () => {
      assert.throws(
        () => parseReference(text),
        (e) => e instanceof AdError && e.code === 'INVALID_ARGUMENT',
      );
    });
  }

  test('is refused with one class of error, whatever it is', () => {
    fc.assert(
      fc.property(fc.tuple(fc.constantFrom('', 'arn:aws:s3:::', 'arn:aws:ssm:', 'file://'), fc.string()), (parts) => {
        try {
          parseReference(parts.join(''));
        } catch (e) {
          assert.ok(e instanceof AdError && e.code === 'INVALID_ARGUMENT');
        }
      }),
    );
  });
});

describe('region', () => {
  test('is what AWS has', () => {
    for (const name of [
      'us-east-1',
      'ap-southeast-12',
      'us-gov-west-1',
      'us-iso-east-1',
      'eusc-de-east-1',
      'cn-north-1',
    ])
      assert.ok(isRegion(name), name);
  });
  test('is nothing that makes another host of a name', () => {
    for (const name of [
      '',
      'us-east-1.evil.com',
      'us-east-1/',
      'us-east-1@evil.com',
      'US-EAST-1',
      'localhost',
      'a-b-1\n',
    ])
      assert.ok(!isRegion(name), name);
  });
});

describe('secret', () => {
  const arn = 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/reader-AbCdEf';
  test('has its region in its ARN', () => assert.equal(secretRegion(arn), 'eu-west-1'));
  test('may be named', () => {
    assert.ok(isSecretId(arn) && isSecretId('aws/directoryservices/d-1/gmsa'));
    assert.equal(secretRegion('reader'), undefined);
  });
  test('is nothing else', () => {
    for (const id of [
      '',
      'two words',
      "x';rm",
      'arn:aws:secretsmanager:x.evil.com:111122223333:secret:a',
      `${arn}\n`,
    ]) {
      assert.equal(secretRegion(id), undefined);
      assert.ok(!isSecretId(id), id);
    }
  });
});
