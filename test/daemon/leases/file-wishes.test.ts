import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseCredspec } from '../../../src/daemon/calls/credspec.ts';
import { parseAccounts } from '../../../src/daemon/calls/requests.ts';
import { fetchWanted } from '../../../src/daemon/calls/wanted.ts';
import {
  DEFAULT_FILE_POLICY,
  type FileWishes,
  leaseDirectory,
  withWishes,
} from '../../../src/daemon/leases/file-policy.ts';
import { formatWishes, parseWishes } from '../../../src/daemon/leases/file-wishes.ts';
import { formatMetadata, parseMetadata } from '../../../src/daemon/leases/metadata.ts';
import { containerKrb5Conf } from '../../../src/daemon/tickets/container-krb5-conf.ts';
import { MalformedError } from '../../../src/errors.ts';
import { parseKrb5Conf } from '../../../src/krb5/config.ts';
import { hasProgram, runProgram } from '../../support/programs.ts';
import { credspec, FakeEngine, run, scratchDirectory, tree } from '../fake.ts';

const withWish = (wishes: unknown, name = 'a') =>
  JSON.stringify({ ...JSON.parse(credspec(name)), CredentialsFetcher: wishes });

const wishes: fc.Arbitrary<FileWishes> = fc.record(
  {
    mode: fc.integer({ min: 0, max: 0o777 }).map((m) => (m & 0o264) | 0o400),
    uid: fc.integer({ min: 0, max: 0xffff_fffe }),
    gid: fc.integer({ min: 0, max: 0xffff_fffe }),
    keytab: fc.boolean(),
    krb5Conf: fc.boolean(),
    secondName: fc.stringMatching(/^krb5cc_[A-Za-z0-9._-]{1,20}$/),
  },
  { requiredKeys: [], noNullPrototype: true },
);

describe('what a credspec wishes for its files', () => {
  test('is read', () => {
    const all = {
      CcacheMode: '0640',
      CcacheUid: 1,
      CcacheGid: 2,
      CcacheName: 'krb5cc_1',
      Keytab: true,
      Krb5Conf: false,
    };
    assert.deepEqual(parseCredspec(withWish(all)).files, {
      ...{ mode: 0o640, uid: 1, gid: 2, secondName: 'krb5cc_1', keytab: true, krb5Conf: false },
    });
    assert.equal(parseCredspec(credspec('a')).files, undefined);
  });

  for (const [value, message] of [
    [[], /CredentialsFetcher must be an object/],
    [null, /CredentialsFetcher must be an object/],
    [{ Mode: '0600' }, /unknown field "Mode"; there are .*CcacheMode/],
    [{ toString: true }, /unknown field "toString"/],
    [{ CcacheMode: 0o640 }, /CcacheMode must be a string of octal digits/],
    [{ CcacheMode: '0o640' }, /CcacheMode must be a string of octal digits/],
    [{ CcacheMode: '4600' }, /CcacheMode may only/],
    [{ CcacheMode: '0700' }, /CcacheMode may only/],
    [{ CcacheMode: '0602' }, /CcacheMode must not let everybody write/],
    [{ CcacheMode: '0040' }, /CcacheMode must let its owner read/],
    [{ CcacheUid: '1000' }, /CcacheUid must be a number/],
    [{ CcacheUid: 1.5 }, /CcacheUid must be a number/],
    [{ CcacheGid: 0xffff_ffff }, /CcacheGid must be a number/],
    [{ CcacheName: 'a/b' }, /CcacheName must be a file name/],
    [{ CcacheName: '..' }, /CcacheName must be a file name/],
    [{ CcacheName: 'krb5.keytab' }, /CcacheName is the name of another file/],
    [{ Keytab: 'true' }, /Keytab must be true or false/],
  ] as const) {
    test(`is refused: ${JSON.stringify(value)}`, () => {
      assert.throws(
        () => parseCredspec(withWish(value)),
        (e) => e instanceof MalformedError && message.test(e.message),
      );
    });
  }

  test('survives the metadata', () => {
    const record = { credspecInfo: '', distinguishedName: '', domainName: 'd', domainlessUser: '', credentialArn: '' };
    const place = { krbFilePath: '/k/l/a/krb5cc', serviceAccountName: 'a' };
    fc.assert(
      fc.property(wishes, (files) => {
        const [read] = parseMetadata(formatMetadata([{ ...record, ...place, files }]));
        assert.deepEqual(read!.files ?? {}, files);
        assert.deepEqual(parseWishes(formatWishes(files) ?? {}, 'x', 'x'), files);
      }),
    );
  });

  test('is read from metadata of a later version as far as it is known', () => {
    const text = JSON.stringify([
      { krb_file_path: '/k/l/a/krb5cc', service_account_name: 'a', credentials_fetcher: { Keytab: true, New: 1 } },
    ]);
    assert.deepEqual(parseMetadata(text)[0]!.files, { keytab: true });
  });

  test('must be the same in two credspecs of one account', () => {
    assert.throws(() => parseAccounts([withWish({ CcacheUid: 1 }), withWish({ CcacheUid: 2 })]), {
      code: 'INVALID_ARGUMENT',
      message: /credspec_contents\[1\]: CredentialsFetcher of a differs/,
    });
    assert.equal(parseAccounts([withWish({ CcacheUid: 1 }), withWish({ CcacheUid: 1 })]).length, 1);
  });

  test('changes the policy of the ticket, and not that of directories', () => {
    const policy = { ...DEFAULT_FILE_POLICY, ccache: { mode: 0o640, gid: 5 }, keytab: true, wishes: true };
    assert.deepEqual(withWishes(policy, { uid: 7, keytab: false, secondName: 'x' }), {
      ...{ ccache: { mode: 0o640, uid: 7, gid: 5 }, directory: { mode: 0o755 } },
      ...{ keytab: false, krb5Conf: false, secondName: 'x', wishes: true },
    });
    assert.deepEqual(withWishes({ ...policy, wishes: false }, { uid: 7 }), { ...policy, wishes: false });
  });
});

test('a daemon that was not told to let credspecs choose refuses, before it asks anybody', async (t) => {
  const { client, engine, krbDir } = await run(t);
  await assert.rejects(client.add({ credspecs: [withWish({ CcacheUid: 1000 })] }), {
    code: 'INVALID_ARGUMENT',
    message: /CredentialsFetcher of a: .*CF_LEASE_FILES=true/,
  });
  assert.deepEqual([engine.seen.length, await tree(krbDir)], [0, []]);
});

test('the directory of a lease is writable to the daemon alone, whatever the policy', () => {
  const of = (mode: number, uid?: number) =>
    leaseDirectory({ ...DEFAULT_FILE_POLICY, directory: { mode, ...(uid !== undefined && { uid }) } });
  assert.deepEqual(of(0o777), { mode: 0o755 });
  assert.deepEqual(of(0o700), { mode: 0o700 });
  assert.deepEqual(of(0o700, 1000), { mode: 0o711 });
});

test('an account that two leases want is fetched once, with what either wants beside it', async () => {
  const engine = new FakeEngine();
  const reader = { kind: 'machine' } as const;
  const account = { name: 'a', domain: 'example.com', credentialArn: '' };
  const wanted = [account, { ...account, keytab: true }, { ...account, krb5Conf: true }];
  const signal = new AbortController().signal;
  await fetchWanted(
    engine,
    wanted.map((a) => ({ reader, account: a })),
    signal,
  );
  assert.deepEqual(engine.seen[0]!.request.accounts, [
    { name: 'a', domain: 'example.com', keytab: true, krb5Conf: true },
  ]);
});

describe("a container's krb5.conf", () => {
  const facts = { realm: 'CORP.EXAMPLE', domain: 'Corp.Example', kdcs: ['dc1.corp.example:88'], hosts: ['sql.other'] };
  const text = Buffer.from(containerKrb5Conf({ ...facts, keytab: true })).toString();

  test('says where the domain, the ticket and the keytab are', () => {
    const conf = parseKrb5Conf(text);
    assert.equal(conf.defaultRealm, 'CORP.EXAMPLE');
    assert.deepEqual(conf.realms.get('CORP.EXAMPLE')?.kdc, ['dc1.corp.example:88']);
    assert.deepEqual([...conf.domainRealm.keys()].sort(), ['.corp.example', 'corp.example', 'sql.other']);
    assert.deepEqual([conf.rdns, conf.dnsLookupKdc], [false, false]);
    assert.equal(conf.defaultCcacheName, 'FILE:/var/credentials-fetcher/krbdir/krb5cc');
    assert.equal(conf.defaultKeytabName, 'FILE:/var/credentials-fetcher/krbdir/krb5.keytab');
  });

  test('asks DNS for the KDCs where none is known, and names no keytab that is not there', () => {
    const conf = parseKrb5Conf(Buffer.from(containerKrb5Conf({ ...facts, kdcs: [], keytab: false })).toString());
    assert.deepEqual([conf.dnsLookupKdc, conf.defaultKeytabName], [true, undefined]);
  });

  test("is read by MIT's klist", {
    skip: hasProgram('klist') ? false : 'needs klist (Debian: krb5-user)',
  }, async (t) => {
    const file = join(await scratchDirectory(t), 'krb5.conf');
    await writeFile(file, text);
    const { stderr } = await runProgram('klist', [], { env: { KRB5_CONFIG: file } });
    assert.match(stderr, /\/var\/credentials-fetcher\/krbdir\/krb5cc/);
  });
});
