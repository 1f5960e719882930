/** The daemon as it is shipped: the one built file, a process of its own, spoken to over its socket. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, createClient } from '../src/client/index.ts';
import type { Endpoint } from '../src/krb5/network/locate.ts';
import { krb5Conf, type Scene } from './scene.ts';

const root = join(import.meta.dirname, '..');

/** Builds the programs from the sources as they are now. */
export function build(scratch: string): string {
  const directory = join(scratch, 'dist');
  const file = join(directory, 'credentials-fetcherd.mjs');
  if (!existsSync(file)) {
    execFileSync(process.execPath, [join(root, 'scripts/build.mjs'), '--programs'], {
      env: { ...process.env, BUILD_DIR: directory },
      stdio: 'ignore',
    });
  }
  return file;
}

export interface Spawned {
  readonly child: ChildProcess;
  readonly socket: string;
  /** `performance.now()` at the spawn. */
  readonly began: number;
  stop(): Promise<void>;
}

/** @param servers where the KDC and the LDAP server are, when not where the scene has them */
export function spawnDaemon(scene: Scene, servers: { kdc?: Endpoint; ldap?: Endpoint } = {}): Spawned {
  const file = build(scene.scratch);
  const directory = mkdtempSync(join(scene.scratch, 'daemon-'));
  const conf = join(directory, 'krb5.conf');
  writeFileSync(conf, krb5Conf(scene.realm, scene.domain, servers.kdc ?? scene.kdc));
  const ldap = servers.ldap ?? scene.ldap;
  const began = performance.now();
  const nodeOptions = process.env.BENCH_DAEMON_OPTIONS?.split(' ') ?? [];
  const child = spawn(process.execPath, [...nodeOptions, file, '--log-level', 'warn'], {
    env: {
      PATH: process.env.PATH,
      CF_KRB_DIR: join(directory, 'krbdir'),
      CF_UNIX_DOMAIN_SOCKET_DIR: join(directory, 'socket'),
      CF_LOGGING_DIR: join(directory, 'logging'),
      KRB5_CONFIG: conf,
      KRB5_KTNAME: scene.machine.keytab,
      DOMAIN_CONTROLLER_GMSA: `${ldap.host}:${ldap.port}`,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const exited = once(child, 'exit');
  return {
    child,
    socket: join(directory, 'socket/credentials_fetcher.sock'),
    began,
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** Waits until somebody accepts connections; looks again every half millisecond. */
export async function accepting(socket: string, child: ChildProcess): Promise<void> {
  while (!(await connects(socket))) {
    if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode}`);
    await delay(0.5);
  }
}

function connects(socket: string): Promise<boolean> {
  if (!existsSync(socket)) return Promise.resolve(false);
  return new Promise((resolve) => {
    const probe = connect(socket);
    probe.once('error', () => resolve(false)).once('connect', () => resolve(true));
    probe.once('connect', () => probe.destroy());
  });
}

export interface RunningDaemon {
  readonly client: Client;
  readonly socket: string;
  /** Adds a lease and gives the milliseconds it took; the lease is removed after that. */
  lease(reader: Scene['reader'], gmsa: string): Promise<number>;
  stop(): Promise<void>;
}

/** A daemon that has answered and loaded all of its code. */
export async function startDaemon(
  scene: Scene,
  servers: { kdc?: Endpoint; ldap?: Endpoint } = {},
): Promise<RunningDaemon> {
  const spawned = spawnDaemon(scene, servers);
  await accepting(spawned.socket, spawned.child);
  const client = createClient({ address: spawned.socket });
  await client.health();
  await delay(500);
  return {
    client,
    socket: spawned.socket,
    async lease(reader, gmsa) {
      const began = performance.now();
      const { leaseId } = await client.addWithUser(leaseRequest(scene, reader, gmsa));
      const ms = performance.now() - began;
      await client.delete(leaseId);
      return ms;
    },
    async stop() {
      client.close();
      await spawned.stop();
    },
  };
}

export function leaseRequest(scene: Scene, reader: Scene['reader'], gmsa: string) {
  const netbios = scene.domain.split('.')[0]!.toUpperCase();
  const credspec = JSON.stringify({
    CmsPlugins: ['ActiveDirectory'],
    DomainJoinConfig: { MachineAccountName: gmsa, DnsName: scene.domain, NetBiosName: netbios },
    ActiveDirectoryConfig: { GroupManagedServiceAccounts: [{ Name: gmsa, Scope: scene.domain }] },
  });
  return { credspecs: [credspec], ...reader, domain: scene.domain };
}
