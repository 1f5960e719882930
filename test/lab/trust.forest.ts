/** A gMSA of another forest: its password is read across the trust, its ticket comes from its own realm. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { cacheContent } from '../../src/krb5/environment/cached.ts';
import { loadEnvironment } from '../../src/krb5/environment/environment.ts';
import { openClient } from '../../src/krb5/environment/open.ts';
import { writeCCache } from '../../src/krb5/files/ccache.ts';
import { enterprisePrincipal, formatPrincipal } from '../../src/krb5/principal.ts';
import {
  credspec,
  type DaemonProcess,
  type ForeignClient,
  foreignClient,
  startDaemonProcess,
} from '../support/daemon-process.ts';
import { forest, forestMissing } from './forest.ts';

const run = promisify(execFile);
const { reader, domain, other } = forest;

describe('a lease across the trust', { skip: forestMissing }, () => {
  let daemon: DaemonProcess;
  let client: ForeignClient;

  before(async () => {
    daemon = await startDaemonProcess({ KRB5_CONFIG: process.env.KRB5_CONFIG });
    client = foreignClient(daemon.socket);
  });
  after(async () => {
    client?.close();
    await daemon?.stop();
  });

  const add = async (...accounts: [name: string, domain: string][]): Promise<string[]> => {
    const answer = await client.call('AddNonDomainJoinedKerberosLease', {
      credspec_contents: accounts.map(([name, of]) => credspec(name, of)),
      username: reader.name,
      password: reader.password,
      domain,
    });
    assert.ok('ok' in answer, JSON.stringify(answer));
    return answer.ok.created_kerberos_file_paths as string[];
  };

  test('holds a ticket that the other realm knows', async () => {
    const [directory] = await add([other.gmsa, other.domain]);
    const env = { ...process.env, KRB5CCNAME: join(directory!, 'krb5cc') };
    const { stdout: listed } = await run('klist', [], { env });
    assert.match(listed, new RegExp(`Default principal: ${other.gmsa}\\$@${other.realm}`));
    const whoami = await run('ldapwhoami', ['-Q', '-Y', 'GSSAPI', '-N', '-H', `ldap://${other.dc}`], { env });
    assert.equal(whoami.stdout, `u:OTHER\\${other.gmsa}$\n`);
  });

  test('may hold tickets of both forests', async () => {
    const directories = await add([other.gmsa, other.domain], [forest.gmsa, domain]);
    const names = await Promise.all(
      directories.map(async (directory) => {
        const { stdout } = await run('klist', ['-c', join(directory, 'krb5cc')]);
        return /Default principal: (.*)/.exec(stdout)?.[1];
      }),
    );
    assert.deepEqual(names, [`${other.gmsa}$@${other.realm}`, `${forest.gmsa}$@${forest.realm}`]);
  });

  test('of a gMSA that is not there says in which domain it was looked for', async () => {
    const answer = await client.call('AddNonDomainJoinedKerberosLease', {
      credspec_contents: [credspec('Nobody', other.domain)],
      username: reader.name,
      password: reader.password,
      domain,
    });
    assert.ok('code' in answer, JSON.stringify(answer));
    assert.match(answer.details, /no gMSA Nobody\$ in lab\.example.*no gMSA Nobody\$ in other\.example/);
  });
});

describe('a user of the other forest', { skip: forestMissing }, () => {
  test('logs on by a name whose realm only the domain knows (client referral)', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'cf-forest-test-'));
    const environment = await loadEnvironment();
    const name = `${forest.administrator.name.toLowerCase()}@${other.domain}`;
    const client = await openClient({
      environment,
      principal: enterprisePrincipal(name, forest.realm),
      password: forest.administrator.password,
    });
    try {
      await client.login();
      assert.equal(formatPrincipal(client.client), `${forest.administrator.name}@${other.realm}`);
      const path = join(directory, 'krb5cc');
      await writeFile(path, writeCCache(cacheContent(client)), { mode: 0o600 });
      const env = { ...process.env, KRB5CCNAME: path };
      const whoami = await run('ldapwhoami', ['-Q', '-Y', 'GSSAPI', '-N', '-H', `ldap://${other.dc}`], { env });
      assert.equal(whoami.stdout, 'u:OTHER\\Administrator\n');
    } finally {
      client.close();
      environment.close();
      await rm(directory, { recursive: true, force: true });
    }
  });
});
