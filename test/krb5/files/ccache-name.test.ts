import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { AdError } from '../../../src/errors.ts';
import {
  defaultCacheName,
  expandTokens,
  formatCacheName,
  parseCacheName,
} from '../../../src/krb5/files/ccache-name.ts';

describe('parseCacheName', () => {
  const read: [text: string, formatted: string][] = [
    ['/tmp/krb5cc_0', 'FILE:/tmp/krb5cc_0'],
    ['krb5cc', 'FILE:krb5cc'],
    ['/tmp/a:b', 'FILE:/tmp/a:b'],
    ['FILE:/tmp/x', 'FILE:/tmp/x'],
    ['DIR:/run/user/0/krb5cc/', 'DIR:/run/user/0/krb5cc'],
    ['DIR::/run/krb5cc/tktABC', 'DIR::/run/krb5cc/tktABC'],
    ['MEMORY:me', 'MEMORY:me'],
  ];
  for (const [text, formatted] of read) {
    test(`reads ${text}`, () => assert.equal(formatCacheName(parseCacheName(text)), formatted));
  }

  for (const text of ['KEYRING:persistent:0', 'KCM:', 'API:x', 'FOO:bar']) {
    test(`refuses ${text} and says what to do`, () => {
      assert.throws(
        () => parseCacheName(text),
        (e) => e instanceof AdError && e.code === 'INVALID_ARGUMENT' && /KRB5CCNAME/.test(e.message),
      );
    });
  }

  for (const text of ['', 'FILE:', 'DIR:', 'DIR::/x/other', 'DIR::tkt', 'FILE:/a\0b']) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseCacheName(text), { code: 'INVALID_ARGUMENT' });
    });
  }

  test('any text is a name or refused', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.constantFrom('DIR::', 'DIR:', 'FILE:').chain((p) => fc.string().map((s) => p + s)),
        ),
        (text) => {
          try {
            const name = formatCacheName(parseCacheName(text));
            assert.equal(formatCacheName(parseCacheName(name)), name);
          } catch (e) {
            assert.ok(e instanceof AdError, String(e));
          }
        },
      ),
    );
  });
});

describe('defaultCacheName', () => {
  const name = (env: Record<string, string>, configured?: string): string =>
    formatCacheName(defaultCacheName({ env, configured, uid: 7, username: 'web' }));

  test('takes KRB5CCNAME, krb5.conf, /tmp, in this order', () => {
    assert.equal(name({ KRB5CCNAME: '/a' }, 'FILE:/b'), 'FILE:/a');
    assert.equal(name({ KRB5CCNAME: '' }, 'FILE:/b'), 'FILE:/b');
    assert.equal(name({}), 'FILE:/tmp/krb5cc_7');
  });

  test('expands what krb5.conf may hold', () => {
    assert.equal(name({}, 'DIR:/run/user/%{uid}/cc'), 'DIR:/run/user/7/cc');
    assert.equal(name({ TMPDIR: '/t' }, 'FILE:%{TEMP}/%{username}%{null}'), 'FILE:/t/web');
  });

  test('refuses an expansion that means nothing', () => {
    assert.throws(() => expandTokens('%{constructor}', { env: {}, uid: 0 }), { code: 'INVALID_ARGUMENT' });
  });
});
