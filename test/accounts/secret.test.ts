import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseUserSecret } from '../../src/accounts/secret.ts';
import { fromUtf8, utf8 } from '../../src/bytes.ts';
import { MalformedError } from '../../src/errors.ts';
import { fuzz } from '../support/fuzz.ts';

const json = (value: unknown): Uint8Array => utf8(JSON.stringify(value));
const plain = { username: 'reader', password: 'pa ß', domainName: 'example.com' };

describe("a user's secret", () => {
  test('has a name, a password and a domain', () => {
    const { password, ...rest } = parseUserSecret(json(plain));
    assert.deepEqual(rest, { username: 'reader', domain: 'example.com' });
    assert.equal(fromUtf8(password), 'pa ß');
  });

  test('may spell its fields in the other way, and name a place in the directory', () => {
    const other = {
      usernameOfStandardUserAccount: 'reader',
      passwordOfStandardUserAccount: 'pw',
      domainName: 'example.com',
      distinguishedNameOfgMSA: 'CN=App,DC=example,DC=com',
    };
    const { password, ...rest } = parseUserSecret(json(other));
    assert.deepEqual(rest, {
      username: 'reader',
      domain: 'example.com',
      distinguishedName: 'CN=App,DC=example,DC=com',
    });
    assert.equal(fromUtf8(password), 'pw');
    assert.equal(parseUserSecret(json({ ...plain, distinguishedName: 'CN=a' })).distinguishedName, 'CN=a');
  });

  test('may have empty fields beside those that count', () => {
    const both = { ...plain, username: '', usernameOfStandardUserAccount: 'other', distinguishedName: '', more: [1] };
    assert.deepEqual(Object.keys(parseUserSecret(json(both))).sort(), ['domain', 'password', 'username']);
    assert.equal(parseUserSecret(json(both)).username, 'other');
  });

  test('may begin with a byte order mark', () => {
    assert.equal(parseUserSecret(utf8(`\uFEFF${JSON.stringify(plain)}`)).username, 'reader');
  });

  const refused: [string, Uint8Array, RegExp][] = [
    ['no JSON', utf8('hunter2 is no JSON'), /is not JSON$/],
    ['no UTF-8', new Uint8Array([0xff, 0xfe]), /is not JSON$/],
    ['a string', json('hunter2'), /not a JSON object/],
    ['a list', json(['hunter2']), /not a JSON object/],
    ['null', json(null), /not a JSON object/],
    ['no user', json({ ...plain, username: undefined }), /username or usernameOfStandardUserAccount is missing/],
    ['no domain', json({ ...plain, domainName: '' }), /domainName is missing/],
    ['no password', json({ ...plain, password: null }), /password or passwordOfStandardUserAccount is missing/],
    ['a number for a password', json({ ...plain, password: 12345 }), /password is not a string/],
    ['too much', utf8('x'.repeat(70_000)), /more than 65536 bytes/],
    ['fields of the prototype only', json({ __proto__: plain }), /username or/],
  ];
  for (const [name, bytes, message] of refused) {
    test(`is refused: ${name}`, () => {
      assert.throws(
        () => parseUserSecret(bytes),
        (e) =>
          e instanceof MalformedError && message.test(e.message) && !/hunter2|12345/.test(`${e.message}${e.stack}`),
      );
    });
  }

  test('gives back any password', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), (password) => {
        assert.equal(fromUtf8(parseUserSecret(json({ ...plain, password })).password), password);
      }),
    );
  });

  test('is refused with one class of error, whatever its bytes', () => {
    const { accepted, refused } = fuzz([json(plain)], parseUserSecret, { iterations: 3000 });
    assert.ok(accepted > 50 && refused > 50);
  });
});
