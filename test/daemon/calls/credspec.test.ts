import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { utf8 } from '../../../src/bytes.ts';
import { MAX_CREDSPEC_LENGTH, parseCredspec } from '../../../src/daemon/calls/credspec.ts';
import { MalformedError } from '../../../src/errors.ts';
import { fuzz } from '../../support/fuzz.ts';
import { credspec } from '../fake.ts';

const spec = (join: unknown, accounts: unknown, host?: unknown): string =>
  JSON.stringify({
    DomainJoinConfig: join,
    ActiveDirectoryConfig: { GroupManagedServiceAccounts: accounts, HostAccountConfig: host },
  });
const named = (name: unknown): string => spec({ DnsName: 'example.com' }, [{ Name: name }]);
const accounts = 'ActiveDirectoryConfig.GroupManagedServiceAccounts';

describe('credspec', () => {
  test('gives account and domain as written', () => {
    assert.deepEqual(parseCredspec(credspec('WebApp01', 'Contoso.COM')), {
      accountName: 'WebApp01',
      domain: 'Contoso.COM',
    });
  });

  test('may begin with a byte order mark', () => {
    assert.equal(parseCredspec(`\uFEFF${credspec('WebApp01')}`).accountName, 'WebApp01');
  });

  test("takes the first account that has a name, without its '$'", () => {
    const text = spec({ DnsName: 'a.com' }, [{ Scope: 'a' }, { Name: '' }, { Name: 'Web$' }, { Name: 'Other' }]);
    assert.equal(parseCredspec(text).accountName, 'Web');
  });

  test('gives the ARN of the secret', () => {
    const host = { PortableCcgVersion: '1', PluginGUID: '{0}', PluginInput: { CredentialArn: 'arn:aws:x' } };
    const text = credspec('Web', 'a.com', { HostAccountConfig: host });
    assert.equal(parseCredspec(text).credentialArn, 'arn:aws:x');
  });

  test('lets the input of a Windows plug-in and a null through', () => {
    for (const PluginInput of ['ObjectId=1;SecretUri=x', null]) {
      assert.equal(
        parseCredspec(credspec('Web', 'a.com', { HostAccountConfig: { PluginInput } })).credentialArn,
        undefined,
      );
    }
    assert.equal(parseCredspec(credspec('Web', 'a.com', { HostAccountConfig: null })).accountName, 'Web');
  });

  const refused: [name: string, text: string, message: string][] = [
    ['nothing', '', "credentialspec content shouldn't be empty"],
    ['a lone byte order mark', '\uFEFF', "credentialspec content shouldn't be empty"],
    ['text that is not JSON', '{"a": secret}', 'is not valid JSON'],
    ['null', 'null', 'the content must be an object'],
    ['a number', '5', 'the content must be an object'],
    ['an array', '[]', 'DomainJoinConfig is missing'],
    ['no DomainJoinConfig', '{}', 'DomainJoinConfig is missing'],
    ['DomainJoinConfig of another type', spec('x', []), 'DomainJoinConfig must be an object'],
    ['no DnsName', spec({}, []), 'DomainJoinConfig.DnsName is missing'],
    ['a DnsName of another type', spec({ DnsName: 5 }, []), 'DomainJoinConfig.DnsName must be a string'],
    ['no accounts', spec({ DnsName: 'a.com' }, undefined), `${accounts} is missing`],
    ['accounts of another type', spec({ DnsName: 'a.com' }, {}), `${accounts} must be an array`],
    ['an empty list of accounts', spec({ DnsName: 'a.com' }, []), `${accounts}[].Name is missing or empty`],
    ['an account of another type', spec({ DnsName: 'a.com' }, ['x']), `${accounts}[0] must be an object`],
    ['a name of another type', named(7), `${accounts}[0].Name must be a string`],
    ['a name that is null', named(null), `${accounts}[0].Name must be a string`],
    ['a lone $ as name', named('$'), `${accounts}[0].Name is empty`],
    ['a name that is too long', named('x'.repeat(65)), `${accounts}[0].Name is longer than 64 characters`],
    [
      'an ARN of another type',
      spec({ DnsName: 'a.com' }, [{ Name: 'a' }], { PluginInput: { CredentialArn: 5 } }),
      'ActiveDirectoryConfig.HostAccountConfig.PluginInput',
    ],
    ['too many characters', ' '.repeat(MAX_CREDSPEC_LENGTH + 1), 'is longer than'],
    ['too many accounts', spec({ DnsName: 'a.com' }, Array(300).fill({ Name: 'a' })), 'more than 256 entries'],
    ['deep nesting', '['.repeat(60_000), 'is nested deeper than 32'],
  ];
  for (const [name, text, message] of refused) {
    test(`refuses ${name}`, () => {
      assert.throws(
        () => parseCredspec(text),
        (e) => e instanceof MalformedError && e.message.includes(message) && !e.message.includes('secret'),
      );
    });
  }

  for (const domain of ['p/', '-testdomain.org', '.org', '', 'a..b', 'a b', 'x'.repeat(64), `${'a.'.repeat(127)}aa`]) {
    test(`refuses the domain ${JSON.stringify(domain.slice(0, 20))}`, () => {
      assert.throws(() => parseCredspec(spec({ DnsName: domain }, [{ Name: 'a' }])), /DomainJoinConfig.DnsName/);
    });
  }

  for (const domain of ['a.com', 'ab.toto-abc.com', 'test4.gmsa-pentest.com', 'contoso.com', 'LAB']) {
    test(`accepts the domain ${domain}`, () => {
      assert.equal(parseCredspec(spec({ DnsName: domain }, [{ Name: 'a' }])).domain, domain);
    });
  }

  const unsafe = ['.', '..', '../x', 'a/b', 'a\\b', 'a\0b', 'a\nb', 'a b', '\u00a0', 'a\u202eb', '\ud800', 'a\u007fb'];
  for (const name of [...unsafe, ...[...'&:][+|;$*?<>!\'`~"=,(){}'].map((c) => `a${c}b`)]) {
    test(`refuses the account ${JSON.stringify(name)}`, () => {
      assert.throws(() => parseCredspec(named(name)), /Name (is|contains)/);
    });
  }

  for (const name of ['WebApp01', 'web-app_01', 'svc.web', 'Büro', '#1', 'a@b']) {
    test(`accepts the account ${name}`, () => {
      assert.equal(parseCredspec(named(name)).accountName, name);
    });
  }

  test('property: any JSON value is read or refused with MalformedError', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        for (const text of [JSON.stringify(a), spec(a, b), spec({ DnsName: 'a.b' }, a, b)]) {
          try {
            parseCredspec(text);
          } catch (e) {
            assert.ok(e instanceof MalformedError, String(e));
          }
        }
      }),
    );
  });

  test('property: an accepted name is one harmless path component', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 70 }), (name) => {
        let accepted: string;
        try {
          accepted = parseCredspec(named(name)).accountName;
        } catch {
          return;
        }
        assert.ok(!/[/\\\0\s]/.test(accepted) && accepted !== '.' && accepted !== '..' && accepted !== '');
      }),
      { numRuns: 500 },
    );
  });

  test('fuzz: mutated credspecs are read or refused with MalformedError', () => {
    const seeds = [
      credspec('WebApp01'),
      spec({ DnsName: 'a.b' }, [{ Name: 'x$' }], { PluginInput: { CredentialArn: 'y' } }),
    ];
    const decoder = new TextDecoder();
    const result = fuzz(seeds.map(utf8), (bytes) => parseCredspec(decoder.decode(bytes)), {
      iterations: 4000,
      seed: 11,
    });
    assert.ok(result.accepted > 100 && result.refused > 100);
  });
});
