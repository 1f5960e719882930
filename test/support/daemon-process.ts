/** The daemon as users have it: the built file, a process of its own, a socket; and a foreign client to talk to it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const daemonFile = join(root, 'dist/credentials-fetcherd.mjs');
export const clientFile = join(root, 'dist/credentials-fetcher.mjs');
const proto = join(root, 'proto/credentialsfetcher.proto');

export interface DaemonProcess {
  /** Holds krbdir, socket and logging. */
  readonly directory: string;
  readonly krbDir: string;
  readonly socket: string;
  readonly child: ChildProcess;
  /** All it wrote to standard error and its log file. */
  output(): Promise<string>;
  /** TERM, then the exit code. */
  stop(): Promise<number | null>;
}

/**
 * Starts the built daemon with directories of its own and waits until its socket answers.
 * @param files written into its directory first, mode 600; a krb5.conf among them is the one it uses
 */
export async function startDaemonProcess(
  env: NodeJS.ProcessEnv = {},
  args: readonly string[] = [],
  files: Readonly<Record<string, string | Uint8Array>> = {},
): Promise<DaemonProcess> {
  if (!existsSync(daemonFile)) throw new Error('dist/ is missing: run npm run build');
  const directory = await mkdtemp(join(tmpdir(), 'cf-daemon-'));
  const socket = join(directory, 'socket/credentials_fetcher.sock');
  for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content, { mode: 0o600 });
  const child = spawn(process.execPath, [daemonFile, ...args], {
    env: {
      PATH: process.env.PATH,
      // A lab whose clock is shifted shifts its clients too.
      ...(process.env.LD_PRELOAD && { LD_PRELOAD: process.env.LD_PRELOAD, FAKETIME: process.env.FAKETIME }),
      ...(process.env.FAKETIME_DONT_FAKE_MONOTONIC && { FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1' }),
      CF_KRB_DIR: join(directory, 'krbdir'),
      CF_UNIX_DOMAIN_SOCKET_DIR: join(directory, 'socket'),
      CF_LOGGING_DIR: join(directory, 'logging'),
      ...('krb5.conf' in files && { KRB5_CONFIG: join(directory, 'krb5.conf') }),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let written = '';
  child.stdout!.on('data', (chunk) => (written += chunk));
  child.stderr!.on('data', (chunk) => (written += chunk));
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  await Promise.race([
    answering(socket),
    exited.then((code) => Promise.reject(new Error(`the daemon ended with ${code}: ${written}`))),
  ]);
  return {
    directory,
    krbDir: join(directory, 'krbdir'),
    socket,
    child,
    output: async () =>
      written + (await readFile(join(directory, 'logging/credentials-fetcher.log'), 'utf8').catch(() => '')),
    stop: async () => {
      child.kill('SIGTERM');
      const code = await exited;
      await rm(directory, { recursive: true, force: true });
      return code;
    },
  };
}

async function answering(path: string): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    const up = await new Promise<boolean>((resolve) => {
      const probe = connect(path);
      probe.once('connect', () => resolve(true)).once('error', () => resolve(false));
      probe.once('connect', () => probe.destroy());
    });
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`nobody listens on ${path}`);
}

export type RpcAnswer = { ok: Record<string, unknown> } | { code: string; details: string };

export interface ForeignClient {
  /** Calls are answered in their order. @param deadline seconds */
  call(method: string, request: object, deadline?: number): Promise<RpcAnswer>;
  close(): void;
  /** Ends it in the middle of whatever it does. */
  kill(): void;
}

/** Debian's Python gRPC client, with stubs generated from the project's proto. */
export function foreignClient(socket: string): ForeignClient {
  const child = spawn('/usr/bin/python3', [join(root, 'test/support/grpc_client.py'), proto, socket], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const waiting: ((line: string) => void)[] = [];
  createInterface({ input: child.stdout! }).on('line', (line) => waiting.shift()?.(line));
  child.once('exit', () => {
    for (const answer of waiting.splice(0)) answer('{"code":"CLIENT_ENDED","details":"the Python client ended"}');
  });
  return {
    call: (method, request, deadline = 20) =>
      new Promise((resolve) => {
        waiting.push((line) => resolve(JSON.parse(line) as RpcAnswer));
        child.stdin!.write(`${JSON.stringify([method, request, deadline])}\n`);
      }),
    close: () => child.stdin!.end(),
    kill: () => void child.kill('SIGKILL'),
  };
}

/** A credspec as an operator would have it from `Get-GMSACredentialSpec`. */
export function credspec(gmsa: string, domain: string): string {
  const netbios = domain.split('.')[0]!.toUpperCase();
  return JSON.stringify({
    CmsPlugins: ['ActiveDirectory'],
    DomainJoinConfig: {
      Sid: 'S-1-5-21-2421564706-1737585382-3854682907',
      MachineAccountName: gmsa,
      Guid: '6a91814c-e151-4fb0-96f0-f517566fc883',
      DnsTreeName: domain,
      DnsName: domain,
      NetBiosName: netbios,
    },
    ActiveDirectoryConfig: {
      GroupManagedServiceAccounts: [
        { Name: gmsa, Scope: domain },
        { Name: gmsa, Scope: netbios },
      ],
    },
  });
}
