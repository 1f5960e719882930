/** Apache with mod_auth_gssapi on a port of 127.0.0.1, its configuration in a temporary directory. */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasProgram, programPath } from './programs.ts';

const MODULES = '/usr/lib/apache2/modules';

function missing(): string[] {
  const absent = hasProgram('apache2') ? [] : ['apache2'];
  try {
    accessSync(join(MODULES, 'mod_auth_gssapi.so'));
    return absent;
  } catch {
    return [...absent, 'libapache2-mod-auth-gssapi'];
  }
}

/** The `skip` option of tests with it. */
export const needsApache: false | string = missing().length === 0 ? false : `needs ${missing().join(', ')}`;

export interface ApacheOptions {
  readonly keytab: string;
  /** Names of mechanisms: krb5; several may be given. */
  readonly env: Readonly<Record<string, string>>;
  readonly tls?: { readonly key: string; readonly cert: string };
  /** More lines for the location that asks for a logon. */
  readonly lines?: readonly string[];
}

export interface Apache {
  readonly url: string;
  log(): Promise<string>;
  stop(): Promise<void>;
}

/** Starts it; every page tells the user's name in the header X-User. */
export async function startApache({ keytab, env, tls, lines = [] }: ApacheOptions): Promise<Apache> {
  const directory = await mkdtemp(join(tmpdir(), 'cf-apache-'));
  const at = (name: string) => join(directory, name);
  const port = await freePort();
  const modules = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'auth_gssapi', 'headers', 'dir'];
  if (tls) modules.push('socache_shmcb', 'ssl');
  const secure = tls
    ? ['SSLEngine on', `SSLCertificateFile ${at('cert.pem')}`, `SSLCertificateKeyFile ${at('key.pem')}`]
    : [];
  await Promise.all([
    writeFile(at('index.html'), 'a page\n'),
    writeFile(at('key.pem'), tls?.key ?? ''),
    writeFile(at('cert.pem'), tls?.cert ?? ''),
  ]);
  await writeFile(
    at('apache.conf'),
    [
      `ServerRoot ${directory}`,
      'ServerName localhost',
      `PidFile ${at('pid')}`,
      `Mutex file:${directory} default`,
      `ErrorLog ${at('error.log')}`,
      'LogLevel warn auth_gssapi:debug',
      ...modules.map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`),
      `Listen 127.0.0.1:${port}`,
      `DocumentRoot ${directory}`,
      'StartServers 1',
      'User www-data',
      'Group www-data',
      ...secure,
      '<Location />',
      '  AuthType GSSAPI',
      '  AuthName test',
      `  GssapiCredStore keytab:${keytab}`,
      '  Require valid-user',
      '  Header always set X-User expr=%{REMOTE_USER}',
      ...lines,
      '</Location>',
      '',
    ].join('\n'),
  );
  await Promise.all([chmod(directory, 0o755), chmod(at('index.html'), 0o644)]);
  const child: ChildProcess = spawn(programPath('apache2')!, ['-f', at('apache.conf'), '-DFOREGROUND'], {
    env: { PATH: process.env.PATH, ...env, LC_ALL: 'C' },
    stdio: 'ignore',
  });
  const log = () => readFile(at('error.log'), 'utf8').catch(() => '');
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const closed = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGTERM');
      await closed;
    }
    await rm(directory, { recursive: true, force: true });
  };
  for (const deadline = Date.now() + 10_000; !(await connects(port)); ) {
    if (Date.now() > deadline || child.exitCode !== null) {
      const words = await log();
      await stop();
      throw new Error(`apache2 does not start: ${words}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return { url: `${tls ? 'https' : 'http'}://localhost:${port}/`, log, stop };
}

function connects(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
