import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hintedBases } from '../../src/gmsa/hints.ts';

const bases = (...hints: Parameters<typeof hintedBases>[2]) => hintedBases('WebApp01', 'corp.example', hints);

describe('where a gMSA is looked for first', () => {
  test('an OU stands between the account and the domain', () => {
    assert.deepEqual(bases({ ou: 'OU=Apps,OU=Servers' }), ['CN=WebApp01,OU=Apps,OU=Servers,DC=corp,DC=example']);
    assert.deepEqual(bases({ ou: 'CN=Managed Service Accounts' }), [
      'CN=WebApp01,CN=Managed Service Accounts,DC=corp,DC=example',
    ]);
  });

  test('an OU with the components of a domain is a whole name', () => {
    assert.deepEqual(bases({ ou: 'OU=Apps,dc=Corp,dc=Example' }), ['OU=Apps,dc=Corp,dc=Example']);
  });

  test('a distinguished name is the base as it stands', () => {
    const dn = 'CN=Other,OU=Apps,DC=corp,DC=example';
    assert.deepEqual(bases({ distinguishedName: dn }), [dn]);
  });

  test('hints come in their order, each once', () => {
    const dn = 'CN=WebApp01,OU=Apps,DC=corp,DC=example';
    assert.deepEqual(
      bases({ distinguishedName: 'OU=A,DC=corp,DC=example' }, { distinguishedName: dn }, { ou: 'OU=Apps' }),
      ['OU=A,DC=corp,DC=example', dn],
    );
  });

  test('what is in another domain, or the domain itself, or no name, is none', () => {
    assert.deepEqual(bases({ distinguishedName: 'CN=WebApp01,DC=other,DC=example' }), []);
    assert.deepEqual(bases({ ou: 'DC=corp,DC=example' }), []);
    assert.deepEqual(bases({ distinguishedName: 'WebApp01' }, { distinguishedName: 'CN=a\nDC=corp' }), []);
    assert.deepEqual(bases({}), []);
  });

  test('the name of an account cannot leave its place', () => {
    assert.deepEqual(hintedBases('a,OU=x', 'corp.example', [{ ou: 'OU=Apps' }]), [
      String.raw`CN=a\,OU\=x,OU=Apps,DC=corp,DC=example`,
    ]);
  });
});
