import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { nameType } from '../../src/krb5/numbers.ts';
import {
  activeDirectorySalt,
  formatPrincipal,
  isKrbtgt,
  krbtgt,
  parsePrincipal,
  principal,
  samePrincipal,
  servicePrincipal,
} from '../../src/krb5/principal.ts';

describe('principals as text', () => {
  for (const [text, components, realm] of [
    ['alice@EXAMPLE.COM', ['alice'], 'EXAMPLE.COM'],
    ['WebApp01$@EXAMPLE.COM', ['WebApp01$'], 'EXAMPLE.COM'],
    ['ldap/dc1.example.com@EXAMPLE.COM', ['ldap', 'dc1.example.com'], 'EXAMPLE.COM'],
    ['a/b/c@R', ['a', 'b', 'c'], 'R'],
    ['a\\/b@R', ['a/b'], 'R'],
    ['a\\@b@R', ['a@b'], 'R'],
    ['a\\\\b@R', ['a\\b'], 'R'],
    ['a\\n\\t\\b\\0@R', ['a\n\t\b\0'], 'R'],
    ['a\\x@R', ['ax'], 'R'],
    ['a@R/S', ['a'], 'R/S'],
    ['a@R\\@S', ['a'], 'R@S'],
  ] as const) {
    test(`${text} is read`, () => {
      const p = parsePrincipal(text);
      assert.deepEqual([p.components, p.realm], [components, realm]);
    });
  }

  test('a realm that is not named is the default one', () => {
    assert.equal(formatPrincipal(parsePrincipal('alice', 'EXAMPLE.COM')), 'alice@EXAMPLE.COM');
  });

  for (const text of ['', '@R', 'a/@R', '/a@R', 'a//b@R', 'alice', 'alice@', 'a@R@S', 'a\\', 'a@R\\']) {
    test(`${JSON.stringify(text)} is refused`, () => {
      assert.throws(() => parsePrincipal(text), { code: 'INVALID_ARGUMENT' });
    });
  }

  test('any name survives the way to text and back', () => {
    const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 3 }), text, (components, realm) => {
        const back = parsePrincipal(formatPrincipal({ nameType: 1, components, realm }));
        assert.deepEqual([back.components, back.realm], [components, realm]);
      }),
    );
  });

  test('two names never share a text, so that a cache cannot mix them up', () => {
    const text = fc.string({ unit: fc.constantFrom('a', '/', '@', '\\', 'n', '\n'), minLength: 1, maxLength: 4 });
    const name = fc.record({ components: fc.array(text, { minLength: 1, maxLength: 3 }), realm: text });
    fc.assert(
      fc.property(name, name, (a, b) => {
        const [p, q] = [principal(a.realm, ...a.components), principal(b.realm, ...b.components)];
        assert.equal(formatPrincipal(p) === formatPrincipal(q), samePrincipal(p, q));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('comparison of principals', () => {
  const alice = principal('R', 'alice');
  test('name types do not count', () => {
    assert.ok(samePrincipal(alice, { ...alice, nameType: nameType.ENTERPRISE }));
  });
  for (const [what, other] of [
    ['the realm', principal('S', 'alice')],
    ["the realm's case", principal('r', 'alice')],
    ['the case of a component', principal('R', 'Alice')],
    ['a further component', principal('R', 'alice', 'admin')],
  ] as const) {
    test(`${what} counts`, () => {
      assert.equal(samePrincipal(alice, other), false);
      assert.equal(samePrincipal(other, alice), false);
    });
  }
});

describe('kinds of principals', () => {
  test('a ticket-granting service is krbtgt with one realm', () => {
    assert.ok(isKrbtgt(krbtgt('A', 'B')));
    assert.equal(formatPrincipal(krbtgt('A', 'B')), 'krbtgt/A@B');
    for (const p of [principal('R', 'krbtgt'), principal('R', 'krbtgt', 'A', 'B'), principal('R', 'KRBTGT', 'A')]) {
      assert.equal(isKrbtgt(p), false);
    }
  });
  test('name types follow RFC 4120 6.2', () => {
    assert.equal(principal('R', 'alice').nameType, nameType.PRINCIPAL);
    assert.equal(principal('R', 'krbtgt', 'R').nameType, nameType.SRV_INST);
    assert.equal(servicePrincipal('ldap', 'dc1', 'R').nameType, nameType.SRV_HST);
  });
});

describe("Active Directory's salt (MS-KILE 3.1.1.2)", () => {
  for (const [kind, name, realm, salt] of [
    ['computer', 'DC01$', 'Contoso.com', 'CONTOSO.COMhostdc01.contoso.com'],
    ['user', 'April', 'Adatum.com', 'ADATUM.COMApril'],
    ['computer', 'WebApp01$', 'EXAMPLE.COM', 'EXAMPLE.COMhostwebapp01.example.com'],
    ['computer', 'WebApp01', 'EXAMPLE.COM', 'EXAMPLE.COMhostwebapp01.example.com'],
    ['computer', 'odd$$', 'EXAMPLE.COM', 'EXAMPLE.COMhostodd$.example.com'],
    ['user', 'name$', 'EXAMPLE.COM', 'EXAMPLE.COMname$'],
  ] as const) {
    test(`${kind} ${name}`, () => assert.equal(activeDirectorySalt(kind, name, realm), salt));
  }
});
