/** Realms of hosts and ways between realms, each case asked of MIT's library as well. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { capath, realmOfHost, realmOfHostByDns, realmPath } from '../../../src/krb5/config/realms.ts';
import { parseDuration } from '../../../src/krb5/config/values.ts';
import { configValues, parseKrb5Conf } from '../../../src/krb5/config.ts';
import { libkrb5, needsLibkrb5 } from '../../support/krb5lib.ts';

const CONF = `[libdefaults]
 default_realm = A.EXAMPLE
[domain_realm]
 special.example.com = SPECIAL
 .example.com = EXAMPLE
 org = ORG
 .b.org = B
[capaths]
 A.EXAMPLE = {
  B.EXAMPLE = .
  C.EXAMPLE = B.EXAMPLE
  D.EXAMPLE = B.EXAMPLE
  D.EXAMPLE = C.EXAMPLE
  E.EXAMPLE = B.EXAMPLE  C.EXAMPLE
 }
 C.EXAMPLE = {
  A.EXAMPLE = B.EXAMPLE
  D.EXAMPLE = .
  D.EXAMPLE = B.EXAMPLE
 }
[strange]
 x = {
  y = 1
  y = 2
 }
`;
const config = parseKrb5Conf(CONF);

async function withConf<T>(work: (path: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'realms-'));
  try {
    await writeFile(join(directory, 'krb5.conf'), CONF);
    return await work(join(directory, 'krb5.conf'));
  } finally {
    await rm(directory, { recursive: true });
  }
}

describe('the way between realms', () => {
  const cases: Record<string, string[]> = {
    'A.EXAMPLE B.EXAMPLE': ['A.EXAMPLE', 'B.EXAMPLE'],
    'A.EXAMPLE C.EXAMPLE': ['A.EXAMPLE', 'B.EXAMPLE', 'C.EXAMPLE'],
    'A.EXAMPLE D.EXAMPLE': ['A.EXAMPLE', 'B.EXAMPLE', 'C.EXAMPLE', 'D.EXAMPLE'],
    'A.EXAMPLE E.EXAMPLE': ['A.EXAMPLE', 'B.EXAMPLE', 'E.EXAMPLE'],
    'C.EXAMPLE A.EXAMPLE': ['C.EXAMPLE', 'B.EXAMPLE', 'A.EXAMPLE'],
    'C.EXAMPLE D.EXAMPLE': ['C.EXAMPLE', 'D.EXAMPLE'],
    'B.EXAMPLE A.EXAMPLE': ['B.EXAMPLE', 'EXAMPLE', 'A.EXAMPLE'],
    'X.Y.EXAMPLE Z.EXAMPLE': ['X.Y.EXAMPLE', 'Y.EXAMPLE', 'EXAMPLE', 'Z.EXAMPLE'],
    'Z.EXAMPLE X.Y.EXAMPLE': ['Z.EXAMPLE', 'EXAMPLE', 'Y.EXAMPLE', 'X.Y.EXAMPLE'],
    'EXAMPLE X.Y.EXAMPLE': ['EXAMPLE', 'Y.EXAMPLE', 'X.Y.EXAMPLE'],
    'X.Y.EXAMPLE EXAMPLE': ['X.Y.EXAMPLE', 'Y.EXAMPLE', 'EXAMPLE'],
    'ONE.TEST TWO.ORG': ['ONE.TEST', 'TEST', 'ORG', 'TWO.ORG'],
    'FIRE NOTFIRE': ['FIRE', 'NOTFIRE'],
  };
  for (const [names, path] of Object.entries(cases)) {
    const [client, server] = names.split(' ') as [string, string];
    test(names, { skip: needsLibkrb5 }, async () => {
      assert.deepEqual(realmPath(config, client, server), path);
      assert.deepEqual(await withConf((conf) => libkrb5(conf, [['path', client, server]])), [path]);
    });
  }

  test('within one realm is that realm', () => {
    assert.deepEqual(realmPath(config, 'R', 'R'), ['R']);
  });
  test('is not told by [capaths] where it has no entry', () => {
    assert.equal(capath(config, 'B.EXAMPLE', 'A.EXAMPLE'), undefined);
    assert.deepEqual(capath(config, 'A.EXAMPLE', 'B.EXAMPLE'), []);
  });
});

describe('the realm of a host', () => {
  const hosts = ['special.example.com', 'x.special.example.com', 'WWW.Example.COM.', 'a.b.org', 'b.org', 'a.org'];
  const others = ['example.com', 'notexample.com', 'localhost', '192.0.2.1'];
  test('is what MIT says', { skip: needsLibkrb5 }, async () => {
    const asked = [...hosts, ...others];
    const theirs = await withConf((conf) =>
      libkrb5(
        conf,
        asked.map((host) => ['host_realm', host]),
      ),
    );
    assert.deepEqual(
      asked.map((host) => realmOfHost(config, host) ?? ''), // MIT's "referral realm" is empty
      theirs,
    );
  });

  const on = { ...config, dnsLookupRealm: true };
  const zone = (records: Readonly<Record<string, string>>, asked: string[] = []) => ({
    asked,
    txt: async (name: string) => {
      asked.push(name);
      return records[name] === undefined ? [] : [records[name]];
    },
  });
  test('may come from DNS, the nearest domain first', async () => {
    const dns = zone({ '_kerberos.b.test.': 'B.TEST.', '_kerberos.test.': 'TEST' });
    assert.equal(await realmOfHostByDns(on, 'a.B.test', dns.txt), 'B.TEST');
    assert.deepEqual(dns.asked, ['_kerberos.a.b.test.', '_kerberos.b.test.']);
  });
  test('is not asked of DNS where it is configured, switched off, or the host an address', async () => {
    const dns = zone({});
    assert.equal(await realmOfHostByDns(on, 'a.org', dns.txt), 'ORG');
    assert.equal(await realmOfHostByDns(on, '192.0.2.1', dns.txt), undefined);
    assert.equal(await realmOfHostByDns(config, 'a.test', dns.txt), undefined);
    assert.deepEqual(dns.asked, []);
  });
});

describe("against MIT's library", { skip: needsLibkrb5 }, () => {
  const durations =
    `36000 90s 5m 10h 7d 1d12h 1d2h3m4s 1h30 10:00 10:00:00 0:70 10:0:61 1-00:00:05 1-10:00 1:2:3:4 3m1h 1d3s
    d 2147483647 2147483648 24855d 24856d 99999999999 1d-3 :5 5: 1h:5`.split(/\s+/);
  const spaced = ['1d 12h30m', '1d 2h 3m 4s', '1d 10:00', '5 m', '1h 5'];
  test('durations are the same', async () => {
    const asked = [...durations, ...spaced];
    const theirs = await withConf((conf) =>
      libkrb5(
        conf,
        asked.map((t) => ['duration', t]),
      ),
    );
    assert.deepEqual(
      asked.map((t) => [t, parseDuration(t) ?? null]),
      asked.map((t, i) => [t, theirs[i]]),
    );
  });

  test('sections nobody knows are kept', async () => {
    const theirs = await withConf((conf) => libkrb5(conf, [['values', 'strange', 'x', 'y']]));
    assert.deepEqual([configValues(config, 'strange', 'x', 'y')], theirs);
  });
});
