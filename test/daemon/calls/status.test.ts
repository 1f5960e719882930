import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { StatusError, StepError, stepWords, toStatus } from '../../../src/daemon/calls/status.ts';
import { AdError, type ErrorCode } from '../../../src/errors.ts';

describe('status', () => {
  const expected: [ErrorCode, string][] = [
    ['INVALID_ARGUMENT', 'INVALID_ARGUMENT'],
    ['NO_SUCH_ACCOUNT', 'FAILED_PRECONDITION'],
    ['NOT_ALLOWED', 'PERMISSION_DENIED'],
    ['WRONG_PASSWORD', 'UNAUTHENTICATED'],
    ['UNKNOWN_PRINCIPAL', 'UNAUTHENTICATED'],
    ['PASSWORD_EXPIRED', 'FAILED_PRECONDITION'],
    ['ACCOUNT_DISABLED', 'FAILED_PRECONDITION'],
    ['UNREACHABLE', 'UNAVAILABLE'],
    ['TIMEOUT', 'UNAVAILABLE'],
    ['ABORTED', 'CANCELLED'],
    ['REPLY_REJECTED', 'INTERNAL'],
  ];
  for (const [code, name] of expected) {
    test(`${code} becomes ${name}`, () => assert.equal(toStatus(new AdError(code, 'x')).name, name));
  }

  test('a full disk is no fault of the configuration', () => {
    assert.equal(toStatus(new AdError('FILE', 'x', { errno: 'ENOSPC' })).name, 'RESOURCE_EXHAUSTED');
    assert.equal(toStatus(new AdError('FILE', 'x', { errno: 'EACCES' })).name, 'FAILED_PRECONDITION');
  });

  test("keeps v1's words before the cause", () => {
    const cause = new AdError('NOT_ALLOWED', 'reader may not read it');
    const { text } = toStatus(new StepError(stepWords(cause, 'password', 'WebApp01'), cause));
    assert.equal(text, 'ERROR: Cannot get gMSA krb ticket: WebApp01: reader may not read it');
  });

  test('tells a refused reader from a failed one', () => {
    const wrong = new AdError('WRONG_PASSWORD', 'x');
    assert.equal(stepWords(wrong, 'password', null), 'ERROR: Invalid credentials for domainless user');
    assert.equal(stepWords(wrong, 'machine', null), 'ERROR: cannot get machine krb ticket');
    assert.equal(stepWords(new AdError('UNREACHABLE', 'x'), 'password', null), 'ERROR: Cannot get gMSA krb ticket');
  });

  test('an INVALID_ARGUMENT of the engine is not the request', () => {
    const cause = new AdError('INVALID_ARGUMENT', 'keytab without a machine account');
    assert.equal(toStatus(new StepError('x', cause)).name, 'FAILED_PRECONDITION');
  });

  test('says nothing of a fault of our own', () => {
    const status = toStatus(new TypeError('secret detail'));
    assert.equal(status.name, 'INTERNAL');
    assert.ok(!status.text.includes('secret'));
  });

  test('makes any text fit for a header', () => {
    const { text } = toStatus(new StatusError('INTERNAL', `a\r\nb\0\ud800${'x'.repeat(5000)}`));
    assert.ok(text.startsWith('a b x') && text.length <= 1000);
    encodeURI(text);
  });
});
