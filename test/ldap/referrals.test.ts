/** Where a domain controller sends those who look for what it does not hold. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AdError } from '../../src/errors.ts';
import { readManagedAccounts } from '../../src/gmsa/account.ts';
import { childDomains } from '../../src/ldap/referrals.ts';
import { message, resultOf, scriptedDirectory, text, tlv } from './scripted.ts';

test('child domains are those below, each once; partitions and strangers are none', () => {
  const references = [
    'ldap://child.lab.example/DC=child,DC=lab,DC=example',
    'ldap://lab.example/CN=Configuration,DC=lab,DC=example',
    'ldap://DomainDnsZones.lab.example/DC=DomainDnsZones,DC=lab,DC=example',
    'ldap://ForestDnsZones.lab.example/DC=ForestDnsZones,DC=lab,DC=example',
    'ldap://x/dc=child,dc=lab,dc=example??sub',
    'ldaps://deep.child.lab.example/DC=deep,DC=child,DC=lab,DC=example??sub?(a=b)',
    'ldap://evil.example/DC=evil,DC=example',
    'ldap://lab.example/DC=lab,DC=example',
    'ldap://notlab.example/DC=notlab,DC=example',
    'ldap://space.lab.example/DC=space%2CDC=lab,DC=example',
    'ldap://bad/DC=%zz,DC=lab,DC=example',
    'http://child2.lab.example/DC=child2,DC=lab,DC=example',
    'ldap://none',
    '',
  ];
  assert.deepEqual(childDomains(references, 'LAB.example'), [
    'child.lab.example',
    'deep.child.lab.example',
    'space.lab.example',
  ]);
});

test('an account that is not there comes with the child domains where it may be', async (t) => {
  const connection = await scriptedDirectory(t, (_request, id) => [
    message([tlv(0x73, [text('ldap://child.lab.example/DC=child,DC=lab,DC=example')])], id),
    message([resultOf(0x65)], id),
  ]);
  const [account] = await readManagedAccounts(connection, 'lab.example', ['WebApp01']);
  assert.ok(account instanceof AdError);
  assert.deepEqual([account.code, account.details.childDomains], ['NO_SUCH_ACCOUNT', 'child.lab.example']);
});
