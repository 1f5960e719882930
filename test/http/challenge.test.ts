/** Negotiate among the schemes of a header. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { isAdError } from '../../src/errors.ts';
import { negotiateHeader, parseAuthorization, parseChallenge } from '../../src/http/challenge.ts';

describe('a challenge', () => {
  const token = Uint8Array.of(1, 2, 3, 4);
  const cases: readonly [header: string | null, offered: boolean, token?: Uint8Array][] = [
    [null, false],
    ['', false],
    ['Negotiate', true],
    ['negotiate', true],
    ['Negotiate AQIDBA==', true, token],
    ['Negotiate, NTLM, Basic realm="x"', true],
    ['NTLM, Negotiate AQIDBA==', true, token],
    ['Basic realm="a, Negotiate AQIDBA==, b", Digest nonce=1', false],
    ['Basic realm="a \\", Negotiate", Negotiate', true],
    ['Negotiate, Negotiate AQIDBA==', true, token],
    ['Negotiatex', false],
    ['Basic realm=Negotiate', false],
  ];
  for (const [header, offered, expected] of cases) {
    test(`of ${JSON.stringify(header)}`, () => assert.deepEqual(parseChallenge(header), { offered, token: expected }));
  }

  for (const header of ['Negotiate ====', 'Negotiate AQID=', 'Negotiate AQ-_', `Negotiate ${'AAAA'.repeat(40_000)}`]) {
    test(`that is no Base64 is malformed: ${header.slice(0, 20)}`, () =>
      assert.throws(() => parseChallenge(header), { code: 'MALFORMED' }));
  }

  test('is read as it is written', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), (bytes) => {
        assert.deepEqual(parseChallenge(`Basic realm="x", ${negotiateHeader(bytes)}`).token, bytes);
        assert.deepEqual(parseAuthorization(negotiateHeader(bytes)), bytes);
      }),
    );
  });

  test('of noise is nothing or malformed', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'Negotiate ,="\\Aa1/+\t') }), (header) => {
        try {
          parseChallenge(header);
          parseAuthorization(header);
        } catch (e) {
          assert.ok(isAdError(e, 'MALFORMED'));
        }
      }),
    );
  });
});

test('an Authorization of another scheme has no token', () => {
  for (const header of [undefined, '', 'Basic AQIDBA==', 'Negotiate', 'NegotiateAQIDBA=='])
    assert.equal(parseAuthorization(header), undefined);
});
