/** Leases on disk as the two earlier daemons and this one lay them out: picked up, listed and renewed in place. */
import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { utf8 } from '../../src/bytes.ts';
import { readCCache } from '../../src/krb5/files/ccache.ts';
import { formatPrincipal } from '../../src/krb5/principal.ts';
import { startTestDomain } from '../../src/testdomain/index.ts';
import { startDaemonProcess } from '../support/daemon-process.ts';
import { hasProgram, runProgram } from '../support/programs.ts';
import { scratchDirectory, until } from './fake.ts';
import { HOUR, machine, world } from './world.ts';

interface Inherited {
  readonly user: string;
  readonly arn?: string;
  /** The text of the metadata file for a cache at this path. */
  readonly metadata: (entry: Entry) => string;
}
interface Entry {
  readonly path: string;
  readonly user: string;
  readonly arn: string;
}

/** jsoncpp: keys sorted, tabs, a space before each colon, slashes escaped. */
const v1 = ({ path, user }: Entry): string =>
  `{\n\t"krb_ticket_info" : \n\t[\n\t\t{\n\t\t\t"credspec_info" : "",\n\t\t\t"distinguished_name" : "CN=WebApp01,CN=Managed Service Accounts,DC=example,DC=test",\n\t\t\t"domain_name" : "example.test",\n\t\t\t"domainless_user" : "${user}",\n\t\t\t"krb_file_path" : "${path.replaceAll('/', '\\/')}",\n\t\t\t"service_account_name" : "WebApp01"\n\t\t}\n\t]\n}\n`;

/** Go's encoder with two spaces; a credential ARN where there is one. */
const v2 = ({ path, user, arn }: Entry): string =>
  JSON.stringify(
    {
      krb_ticket_info: [
        {
          ...(arn && { credential_arn: arn }),
          credspec_info: '',
          distinguished_name: 'CN=WebApp01,CN=Managed Service Accounts,DC=example,DC=test',
          domain_name: 'example.test',
          domainless_user: user,
          krb_file_path: path,
          service_account_name: 'WebApp01',
        },
      ],
    },
    null,
    '  ',
  );

/** The list that v2 leaves of a lease of several, one of whose tickets was deleted: Go's names, no object around it. */
const v2Rewritten = ({ path, user, arn }: Entry): string =>
  JSON.stringify([
    {
      CredspecInfo: '',
      KrbFilePath: path,
      ServiceAccountName: 'WebApp01',
      DomainName: 'example.test',
      DomainlessUser: user,
      DistinguishedName: '',
      CredentialArn: arn,
    },
  ]);

const bareList = (entry: Entry): string => JSON.stringify(JSON.parse(v2(entry)).krb_ticket_info);

const forms = { 'version 1': v1, 'version 2': v2, "version 2's list": bareList, "version 2's list of Go": v2Rewritten };
const readers: Record<string, Omit<Inherited, 'metadata'>> = {
  'the machine': { user: '' },
  'a secret': { user: 'awsdomainlessusersecret:Reader' },
  'a user': { user: 'svc', arn: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:x' },
};

async function inherit(t: TestContext, { user, arn = '', metadata }: Inherited) {
  const secret = { username: 'svc', password: 'Fresh-1', domainName: 'example.test' };
  const made = await world(t, {}, () => ({ readSecret: async () => utf8(JSON.stringify(secret)) }));
  const [ours] = await made.add(machine, 'WebApp01');
  const home = dirname(dirname(ours!));
  const lease = '34e2b89e3fd8a9bcb297';
  const place = join(made.store.directory, lease, 'WebApp01');
  await mkdir(place, { recursive: true, mode: 0o755 });
  await rename(ours!, join(place, 'krb5cc'));
  await rm(home, { recursive: true });
  // The path is the one of the daemon that wrote it, whose directory may have been another.
  const text = metadata({ path: `/var/credentials-fetcher/krbdir/${lease}/WebApp01/krb5cc`, user, arn });
  const file = join(made.store.directory, lease, `${lease}_metadata.json`);
  await writeFile(file, text);
  await chmod(file, 0o600);
  return { ...made, path: join(place, 'krb5cc'), place, file, text };
}

for (const [form, metadata] of Object.entries(forms)) {
  describe(`a lease of ${form}`, () => {
    for (const [name, reader] of Object.entries(readers)) {
      test(`read by ${name} is renewed, and its record stays as it was`, async (t) => {
        const lease = await inherit(t, { ...reader, metadata });
        const { time, domain, renewer, actions, left, path } = lease;
        const inode = (await stat(lease.place)).ino;
        const before = { ...domain.stats };
        renewer.start(actions);
        await time.pass(6 * HOUR + 1000);
        assert.ok((await left(path)) > 8 * HOUR);
        assert.equal(domain.stats.ldapSearches - before.ldapSearches, name === 'a user' ? 0 : 1);
        assert.equal((await stat(lease.place)).ino, inode);
        assert.equal((await stat(path)).mode & 0o777, 0o600);
        assert.equal(await readFile(lease.file, 'utf8'), lease.text, 'the daemon before could take over again');
      });
    }

    test("is renewed by its user's Renew, also under a new name, and deleted", async (t) => {
      const lease = await inherit(t, { user: 'old', arn: '', metadata });
      const { actions, user, path, store } = lease;
      const before = await readFile(path);
      assert.deepEqual(await actions.renew(user, AbortSignal.timeout(5000), 'old'), [path]);
      assert.notDeepEqual(await readFile(path), before);
      assert.deepEqual(await actions.renew(user, AbortSignal.timeout(5000)), [path], 'it is the new one now');
      assert.deepEqual(await actions.remove('34e2b89e3fd8a9bcb297'), [path]);
      assert.deepEqual(await store.list(), []);
    });
  });
}

test('the built daemon finds leases of every form at its start, and gives them the tickets that they lack', async (t) => {
  const domain = await startTestDomain({
    computers: [{ name: 'HOST1', groups: ['Readers'] }],
    gmsas: [{ name: 'WebApp01', readers: ['Readers'] }],
  });
  const krbDir = await scratchDirectory(t);
  const caches: string[] = [];
  for (const [i, metadata] of Object.values(forms).entries()) {
    const lease = `${i}`.repeat(20);
    const path = join(krbDir, lease, 'WebApp01/krb5cc');
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, ''); // as version 1 leaves it when it is killed before it had a ticket
    await writeFile(join(krbDir, lease, `${lease}_metadata.json`), metadata({ path, user: '', arn: '' }));
    caches.push(path);
  }
  const before = { ...domain.stats };
  const env = { DOMAIN_CONTROLLER_GMSA: `localhost:${domain.ldapPort}`, CF_KRB_DIR: krbDir };
  const keytab = join(await scratchDirectory(t), 'keytab');
  await writeFile(keytab, await domain.keytab('HOST1$'), { mode: 0o600 });
  const files = { 'krb5.conf': domain.krb5Conf };
  const daemon = await startDaemonProcess({ ...env, KRB5_KTNAME: keytab }, [], files);
  t.after(async () => {
    await daemon.stop();
    await domain.close();
  });
  await until(async () => (await Promise.all(caches.map(async (path) => (await stat(path)).size))).every((n) => n > 0));
  assert.equal(domain.stats.ldapSearches - before.ldapSearches, 1);
  for (const path of caches) {
    const { credentials } = readCCache(await readFile(path));
    assert.equal(formatPrincipal(credentials[0]!.client), 'WebApp01$@EXAMPLE.TEST');
    if (hasProgram('klist')) assert.equal((await runProgram('klist', ['-s', '-c', path])).code, 0);
  }
});
