/**
 * Services of other makers with a gMSA at both ends: one gMSA's lease is the client, the keytab of another's lease is
 * the server's. PostgreSQL and Apache judge both.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { chmod, chown, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import {
  type DaemonProcess,
  type ForeignClient,
  foreignClient,
  startDaemonProcess,
} from '../support/daemon-process.ts';
import { programPath } from '../support/programs.ts';
import { lab, labStatus, must, run } from './lab.ts';

const status = labStatus();
const POSTGRES = '/usr/lib/postgresql';
const APACHE_MODULES = '/usr/lib/apache2/modules';
const noPostgres = existsSync(POSTGRES) ? false : 'needs PostgreSQL (Debian: postgresql)';
const noApache =
  existsSync(join(APACHE_MODULES, 'mod_auth_gssapi.so')) && programPath('curl')
    ? false
    : 'needs Apache and curl (Debian: apache2 libapache2-mod-auth-gssapi curl)';

describe('a service of a gMSA', { skip: status.available ? false : status.reason }, () => {
  const host = lab.webApp.dnsHostName;
  let daemon: DaemonProcess;
  let client: ForeignClient;
  let work = '';
  /** The cache of App01$. */
  let cache = '';
  /** The keys of WebApp01$, whose service principal is HTTP/webapp01.lab.example. */
  let keytab = '';

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'cf-services-'));
    await chmod(work, 0o755);
    daemon = await startDaemonProcess({ KRB5_CONFIG: lab.paths.krb5Conf, CF_LEASE_FILES: 'true' });
    client = foreignClient(daemon.socket);
    const lease = async (name: string, more: object): Promise<string> => {
      const spec = {
        CmsPlugins: ['ActiveDirectory'],
        DomainJoinConfig: { DnsName: lab.domain, MachineAccountName: name },
        ActiveDirectoryConfig: { GroupManagedServiceAccounts: [{ Name: name, Scope: lab.domain }] },
        ...more,
      };
      const { name: username, password } = lab.reader;
      const request = { credspec_contents: [JSON.stringify(spec)], username, password, domain: lab.domain };
      const answer = await client.call('AddNonDomainJoinedKerberosLease', request);
      assert.ok('ok' in answer, JSON.stringify(answer));
      return (answer.ok.created_kerberos_file_paths as string[])[0]!;
    };
    cache = join(await lease('App01', {}), 'krb5cc');
    keytab = join(await lease('WebApp01', { CredentialsFetcher: { Keytab: true } }), 'krb5.keytab');
  });
  after(async () => {
    client?.close();
    await daemon?.stop();
    await rm(work, { recursive: true, force: true });
  });

  const freePort = async (): Promise<number> => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    server.close();
    return port;
  };
  /** Starts a server that is ready when `ready` succeeds, and ends it after the test. */
  async function serve(t: TestContext, command: string, args: readonly string[], ready: () => Promise<boolean>) {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    const ended = once(child, 'exit');
    t.after(async () => {
      if (child.exitCode === null) process.kill(-child.pid!, 'SIGTERM');
      await ended;
    });
    for (let i = 0; !(await ready()); i++) {
      assert.ok(i < 100 && child.exitCode === null, `${command} is not ready: ${output}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  test('has the keys that its tickets are sealed with', async () => {
    const env = { KRB5CCNAME: cache };
    assert.match(await must('kvno', ['-k', keytab, `HTTP/${host}`], { env }), /keytab entry valid/);
  });

  test('PostgreSQL lets the gMSA in by its ticket, over an encrypted connection', { skip: noPostgres }, async (t) => {
    const bin = join(POSTGRES, readdirSync(POSTGRES).sort().at(-1)!, 'bin');
    const directory = join(work, 'postgres');
    const [uid, gid] = await Promise.all(
      ['-u', '-g'].map(async (which) => Number(await must('id', [which, 'postgres']))),
    );
    await mkdir(directory);
    await copyFile(keytab, join(work, 'postgres.keytab'));
    for (const path of [directory, join(work, 'postgres.keytab')]) await chown(path, uid!, gid!);
    const asPostgres = ['--reuid=postgres', '--regid=postgres', '--clear-groups'];
    const data = join(directory, 'data');
    await must('setpriv', [...asPostgres, join(bin, 'initdb'), '-D', data, '--auth=trust', '--no-sync']);
    const rules = ['local all all trust', `hostgssenc all all 127.0.0.1/32 gss include_realm=0 krb_realm=${lab.realm}`];
    await writeFile(join(data, 'pg_hba.conf'), `${rules.join('\n')}\n`);
    const port = await freePort();
    const settings = {
      listen_addresses: '127.0.0.1',
      port,
      krb_server_keyfile: join(work, 'postgres.keytab'),
      unix_socket_directories: directory,
      fsync: 'off',
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const admin = ['-h', directory, '-p', String(port), '-U', 'postgres', '-d', 'postgres', '-At', '-c'];
    await serve(t, 'setpriv', [...asPostgres, join(bin, 'postgres'), '-D', data, ...flags], async () => {
      return (await run('psql', [...admin, 'select 1'])).code === 0;
    });
    await must('psql', [...admin, 'create role "App01$" login']);

    const conninfo = `host=${host} hostaddr=127.0.0.1 port=${port} krbsrvname=HTTP gssencmode=require dbname=postgres`;
    const who = 'select current_user, principal, encrypted from pg_stat_gssapi where pid = pg_backend_pid()';
    const as = (user: string) =>
      run('psql', [`${conninfo} user=${user}`, '-At', '-c', who], { env: { KRB5CCNAME: cache } });
    assert.equal((await as('App01$')).stdout, `App01$|App01$@${lab.realm}|t\n`);
    assert.match((await as('postgres')).stderr, /GSSAPI authentication failed/);
  });

  test('Apache knows the gMSA by its ticket', { skip: noApache }, async (t) => {
    const port = await freePort();
    const config = join(work, 'apache.conf');
    await copyFile(keytab, join(work, 'apache.keytab'));
    await chmod(join(work, 'apache.keytab'), 0o644); // for Apache's own user
    await mkdir(join(work, 'www'));
    await writeFile(join(work, 'www/index.html'), 'inside\n');
    const modules = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'auth_gssapi', 'dir', 'headers'];
    await writeFile(
      config,
      [
        ...modules.map((name) => `LoadModule ${name}_module ${APACHE_MODULES}/mod_${name}.so`),
        `ServerRoot ${work}`,
        `ServerName ${host}`,
        `Listen 127.0.0.1:${port}`,
        `PidFile ${work}/apache.pid`,
        `Mutex file:${work} default`,
        `ErrorLog ${work}/apache.log`,
        'User www-data',
        'Group www-data',
        `DocumentRoot ${work}/www`,
        'DirectoryIndex index.html',
        '<Location />',
        'AuthType GSSAPI',
        'AuthName gss',
        `GssapiCredStore keytab:${work}/apache.keytab`,
        'Require valid-user',
        'Header set X-User "expr=%{REMOTE_USER}"',
        '</Location>',
        '',
      ].join('\n'),
    );
    const url = `http://${host}:${port}/`;
    const curl = (args: readonly string[], env = {}) =>
      run('curl', ['-s', '-i', '--resolve', `${host}:${port}:127.0.0.1`, ...args, url], { env });
    await serve(t, 'apache2', ['-f', config, '-DFOREGROUND'], async () => (await curl([])).code === 0);

    assert.match((await curl([])).stdout, /^HTTP\/1\.1 401 /);
    const { stdout } = await curl(['--negotiate', '-u', ':'], { KRB5CCNAME: cache });
    assert.match(stdout, /^HTTP\/1\.1 200 OK$/m);
    assert.match(stdout, new RegExp(`^X-User: App01\\$@${lab.realm}\\r?$`, 'm'));
    assert.match(stdout, /inside/);
  });
});
