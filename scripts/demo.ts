/**
 * `npm run demo`: the whole way of a lease in a few seconds, without root, domain controller or anything installed. The
 * embedded test domain runs in this process, the daemon in one of its own; both talk real Kerberos, LDAP and gRPC.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { formatCache, timeStyle } from '../src/cli/kerberos/klist-format.ts';
import { type Client, createClient } from '../src/client/index.ts';
import { readCCache } from '../src/krb5/files/ccache.ts';
import { startTestDomain, type TestDomain } from '../src/testdomain/index.ts';

const root = join(import.meta.dirname, '..');
const reader = { username: 'svc-fetch', password: 'Only-For-This-Demo-1' };
let step = 0;
const say = (text: string) => console.log(`\n${++step}. ${text}`);

async function startDomain(): Promise<TestDomain> {
  const domain = await startTestDomain({
    domain: 'corp.example',
    users: [{ name: reader.username, password: reader.password, groups: ['Readers'] }],
    computers: [{ name: 'HOST1', groups: ['Readers'] }],
    gmsas: [{ name: 'WebApp01', readers: ['Readers'] }],
  });
  console.log(`   ${domain.realm}: KDC on 127.0.0.1:${domain.kdcPort}, LDAP on 127.0.0.1:${domain.ldapPort}`);
  return domain;
}

/** Builds the program into the temporary directory and starts it with everything it writes in there too. */
async function startDaemon(scratch: string, domain: TestDomain): Promise<ChildProcess> {
  execFileSync(process.execPath, [join(root, 'scripts/build.mjs'), '--programs'], {
    env: { ...process.env, BUILD_DIR: join(scratch, 'dist') },
    stdio: 'ignore',
  });
  writeFileSync(join(scratch, 'krb5.conf'), domain.krb5Conf);
  writeFileSync(join(scratch, 'host1.keytab'), await domain.keytab('HOST1$'), { mode: 0o600 });
  mkdirSync(join(scratch, 'socket'));
  return spawn(process.execPath, [join(scratch, 'dist/credentials-fetcherd.mjs'), '--log-level', 'warn'], {
    env: {
      PATH: process.env.PATH,
      CF_KRB_DIR: join(scratch, 'krbdir'),
      CF_UNIX_DOMAIN_SOCKET_DIR: join(scratch, 'socket'),
      CF_LOGGING_DIR: join(scratch, 'logging'),
      KRB5_CONFIG: join(scratch, 'krb5.conf'),
      KRB5_KTNAME: join(scratch, 'host1.keytab'),
      DOMAIN_CONTROLLER_GMSA: `localhost:${domain.ldapPort}`,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

async function waitUntilHealthy(client: Client): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      const { status } = await client.health({}, { timeoutMs: 1000 });
      console.log(`   HealthCheck: ${status}`);
      return;
    } catch (e) {
      if (tries === 50) throw e;
      await delay(50);
    }
  }
}

function showTicket(directory: string): void {
  const path = join(directory, 'krb5cc');
  const details = { flags: true, etypes: true };
  const text = formatCache(readCCache(readFileSync(path)), `FILE:${path}`, timeStyle(process.env), details);
  console.log(text.trimEnd().replace(/^/gm, '   | '));
}

function credspec(domain: TestDomain): string {
  return JSON.stringify({
    CmsPlugins: ['ActiveDirectory'],
    DomainJoinConfig: { MachineAccountName: 'WebApp01', DnsName: domain.domain, NetBiosName: domain.netbiosName },
    ActiveDirectoryConfig: { GroupManagedServiceAccounts: [{ Name: 'WebApp01', Scope: domain.domain }] },
  });
}

async function tour(domain: TestDomain, client: Client): Promise<void> {
  const credspecs = [credspec(domain)];
  const user = { ...reader, domain: domain.domain };

  say(`A lease read by a user (AddNonDomainJoinedKerberosLease as ${reader.username})`);
  const byUser = await client.addWithUser({ credspecs, ...user });
  console.log(`   lease ${byUser.leaseId}`);
  showTicket(byUser.paths[0]!);

  say("A lease read by this machine's keytab (AddKerberosLease as HOST1$)");
  const byMachine = await client.add({ credspecs });
  console.log(`   lease ${byMachine.leaseId}`);
  showTicket(byMachine.paths[0]!);

  say("Renew the user's leases (RenewNonDomainJoinedKerberosLease)");
  for (const path of (await client.renew(user)).paths) console.log(`   new ticket in ${path}`);

  say('Delete both (DeleteKerberosLease)');
  for (const { leaseId } of [byUser, byMachine]) {
    for (const path of (await client.delete(leaseId)).paths) console.log(`   removed ${path}`);
  }
}

async function main(): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'cf-demo-'));
  let domain: TestDomain | undefined;
  let daemon: ChildProcess | undefined;
  const client = createClient({ address: `unix:${join(scratch, 'socket/credentials_fetcher.sock')}` });
  try {
    say('An Active Directory domain for tests, in this process');
    domain = await startDomain();
    say('The daemon, a process of its own on a unix socket');
    daemon = await startDaemon(scratch, domain);
    await waitUntilHealthy(client);
    await tour(domain, client);
    say('Stop');
    const ended = once(daemon, 'exit');
    daemon.kill('SIGTERM');
    const [code] = await ended;
    if (code !== 0) throw new Error(`the daemon ended with ${code}`);
    console.log('   the daemon ended in order; nothing is left behind');
  } finally {
    client.close();
    daemon?.kill('SIGKILL');
    await domain?.close();
    rmSync(scratch, { recursive: true, force: true });
  }
}

const began = Date.now();
await main();
console.log(`\nDone in ${((Date.now() - began) / 1000).toFixed(1)} s. Next: npm test`);
