import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { escapeDnValue, isWithin, parseDn } from '../../src/ldap/dn.ts';
import { fuzz } from '../support/fuzz.ts';

const plain = (text: string): string[][] =>
  parseDn(text).map((rdn) => rdn.map(({ type, value }) => `${type}=${value}`));

describe('distinguished names', () => {
  // RFC 4514 section 4.
  for (const [text, expected] of [
    ['UID=jsmith,DC=example,DC=net', [['UID=jsmith'], ['DC=example'], ['DC=net']]],
    ['OU=Sales+CN=J.  Smith,DC=example,DC=net', [['OU=Sales', 'CN=J.  Smith'], ['DC=example'], ['DC=net']]],
    [String.raw`CN=James \"Jim\" Smith\, III,DC=net`, [['CN=James "Jim" Smith, III'], ['DC=net']]],
    [String.raw`CN=Before\0dAfter,DC=net`, [['CN=Before\rAfter'], ['DC=net']]],
    ['1.3.6.1.4.1.1466.0=#04024869', [['1.3.6.1.4.1.1466.0=#04024869']]],
    [String.raw`CN=Lu\C4\8Di\C4\87`, [['CN=Lučić']]],
  ] as const) {
    test(text, () => assert.deepEqual(plain(text), expected));
  }

  test('blanks beside separators are passed over, escaped ones kept', () => {
    assert.deepEqual(plain(String.raw`CN = a\  , DC=x `), [['CN=a '], ['DC=x']]);
  });

  for (const text of [
    '',
    'CN',
    'CN=',
    '=x',
    'CN=a,',
    ',CN=a',
    'CN=a;DC=b',
    'CN="a"',
    'CN=<a>',
    'CN=a\\',
    'CN=#zz',
    'CN=a\nDC=b',
    String.raw`CN=\ff`,
    'C N=a',
  ]) {
    test(`${JSON.stringify(text)} is none`, () => assert.throws(() => parseDn(text), { name: 'MalformedError' }));
  }

  test('a blank that is no SPACE belongs to the value', () => {
    for (const blank of ['\u00a0', '\u2003', '\u3000', '\ufeff'])
      assert.equal(parseDn(`CN=${blank}a${blank},DC=x`)[0]![0]!.value, `${blank}a${blank}`);
  });

  test('a value that was escaped is read as it was', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 50, unit: 'grapheme' }), (value) => {
        const dn = parseDn(`CN=${escapeDnValue(value)},DC=x`);
        assert.deepEqual(dn, [[{ type: 'CN', value }], [{ type: 'DC', value: 'x' }]]);
      }),
    );
  });

  test('within goes by whole names, whatever their case', () => {
    const within = (a: string, b: string) => isWithin(parseDn(a), parseDn(b));
    assert.ok(within('CN=a,dc=Corp,DC=example', 'DC=corp,DC=example'));
    assert.ok(!within('CN=a,DC=xcorp,DC=example', 'DC=corp,DC=example'));
    assert.ok(!within('DC=example', 'DC=corp,DC=example'));
    assert.ok(!within(String.raw`CN=a\,DC=corp,DC=example`, 'DC=corp,DC=example'));
  });

  test('anything else is refused as malformed', () => {
    const seeds = ['CN=a,OU=b\\,c,DC=x', 'CN=Lu\\C4\\8Di+OU=#0401,DC=y'].map((t) => new TextEncoder().encode(t));
    const { accepted, refused } = fuzz(seeds, (bytes) => parseDn(Buffer.from(bytes).toString('utf8')));
    assert.ok(accepted > 100 && refused > 100);
  });
});
