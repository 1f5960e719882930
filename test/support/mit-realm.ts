/**
 * A small realm of MIT's own KDC for tests: its database, configuration and log live in a temporary directory, it
 * listens on one random port of 127.0.0.1 (UDP and TCP), needs no root, and ends with `stop()`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mustRun, needs, type ProgramResult, programPath, runProgram } from './programs.ts';

/** The `skip` option of tests that need such a realm and MIT's client programs. */
export const needsMitRealm: false | string = needs('krb5kdc', 'kdb5_util', 'kadmin.local', 'kinit', 'klist', 'kvno');

export interface MitPrincipal {
  /** Without the realm. */
  readonly name: string;
  /** Random keys when absent. */
  readonly password?: string;
  /** As `add_principal` takes them: '+ok_as_delegate', '-allow_renewable', '-maxlife', '1h' … */
  readonly attributes?: readonly string[];
  /** Key and salt types, such as `aes256-cts-hmac-sha1-96:normal`; those of the realm when absent. */
  readonly keysalts?: string;
  /** Keys to be had by a ticket without pre-authentication; all others require it. */
  readonly withoutPreauth?: boolean;
}

export interface MitRealmOptions {
  readonly realm?: string;
  readonly principals?: readonly MitPrincipal[];
  /** Key and salt types of new principals; both AES-SHA1 types when absent. */
  readonly keysalts?: string;
  /** Lines for the realm's section of kdc.conf. */
  readonly kdcConf?: readonly string[];
  /** Lines for [kdcdefaults] of kdc.conf. */
  readonly kdcDefaults?: readonly string[];
  /** Lines for [libdefaults] of krb5.conf. */
  readonly libdefaults?: readonly string[];
  /** True: kadmind runs too, and changes passwords (needs `kadmind`). */
  readonly kpasswd?: boolean;
  /** Lines of kadmind's access list: `admin@MIT.TEST c` may set passwords. */
  readonly acl?: readonly string[];
  /** Lines for the end of krb5.conf, which KDC and clients share: [capaths], [domain_realm] of other realms … */
  readonly krb5Conf?: readonly string[];
}

export interface MitRealm {
  readonly realm: string;
  readonly port: number;
  /** Where passwords are changed; 0 without `kpasswd`. */
  readonly kpasswdPort: number;
  /** Holds everything; removed by `stop()`. */
  readonly directory: string;
  /** Path of the krb5.conf clients use. */
  readonly krb5Conf: string;
  /** Environment under which MIT's programs use this realm, with a ccache of its own. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs kadmin.local queries, one an argument, in one process; throws when one fails. */
  kadmin(...queries: string[]): Promise<string>;
  /** Writes the principals' keys to a new keytab without changing them, and gives its path. */
  keytab(...principals: string[]): Promise<string>;
  /** Runs a program in this realm's environment. */
  run(program: string, args: readonly string[], input?: string, env?: NodeJS.ProcessEnv): Promise<ProgramResult>;
  /** What the KDC wrote so far. */
  log(): Promise<string>;
  stop(): Promise<void>;
}

const AES_SHA1 = 'aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal';
/** Times another port is tried when somebody took it between finding it free and the KDC's use of it. */
const ATTEMPTS = 5;

export async function startMitRealm(options: MitRealmOptions = {}): Promise<MitRealm> {
  const realm = options.realm ?? 'MIT.TEST';
  const directory = await mkdtemp(join(tmpdir(), 'mit-realm-'));
  const at = (name: string) => join(directory, name);
  const env = {
    KRB5_CONFIG: at('krb5.conf'),
    KRB5_KDC_PROFILE: at('kdc.conf'),
    KRB5CCNAME: `FILE:${at('ccache')}`,
    KRB5RCACHEDIR: directory,
  };
  let keytabs = 0;

  const configure = async (port: number, kpasswdPort = 0, kadminPort = 0) => {
    const libdefaults = [
      `default_realm = ${realm}`,
      'dns_lookup_kdc = false',
      'dns_lookup_realm = false',
      'dns_canonicalize_hostname = false',
      'rdns = false',
      ...(options.libdefaults ?? []),
    ];
    const domain = realm.toLowerCase();
    await writeFile(
      env.KRB5_CONFIG,
      `[libdefaults]\n  ${libdefaults.join('\n  ')}\n[realms]\n  ${realm} = {\n    kdc = 127.0.0.1:${port}\n` +
        `${kpasswdPort > 0 ? `    kpasswd_server = 127.0.0.1:${kpasswdPort}\n` : ''}    primary_kdc = 127.0.0.1:${port}\n  }\n` +
        `[domain_realm]\n  .${domain} = ${realm}\n  ${domain} = ${realm}\n${lines(options.krb5Conf ?? [])}`,
    );
    const settings = [
      `database_name = ${at('principal')}`,
      `key_stash_file = ${at('stash')}`,
      `acl_file = ${at('acl')}`,
      `kdc_listen = 127.0.0.1:${port}`,
      `kdc_tcp_listen = 127.0.0.1:${port}`,
      `kpasswd_listen = 127.0.0.1:${kpasswdPort}`,
      `kadmind_listen = 127.0.0.1:${kadminPort}`,
      'master_key_type = aes256-cts-hmac-sha1-96',
      `supported_enctypes = ${options.keysalts ?? AES_SHA1}`,
      'default_principal_flags = +preauth',
      'max_life = 10h',
      'max_renewable_life = 7d',
      ...(options.kdcConf ?? []),
    ];
    await writeFile(
      env.KRB5_KDC_PROFILE,
      `[kdcdefaults]\n  ${(options.kdcDefaults ?? []).join('\n  ')}\n` +
        `[realms]\n  ${realm} = {\n    ${settings.join('\n    ')}\n  }\n[logging]\n  kdc = FILE:${at('kdc.log')}\n`,
    );
  };

  const kadmin = async (...queries: string[]) => {
    const { code, stdout, stderr } = await runProgram('kadmin.local', ['-r', realm], { env, input: lines(queries) });
    // kadmin.local ends with zero whatever happened to a query; failures begin with the name of the query.
    const failed = stderr.split('\n').filter((line) => /^(\w+): /.test(line) && !/^WARNING|^No policy/i.test(line));
    if (failed.length > 0 || code !== 0) throw new Error(`kadmin.local (${code}): ${failed.join('; ') || stderr}`);
    return stdout;
  };

  let kdc: ChildProcess | undefined;
  let kadmind: ChildProcess | undefined;
  // A test run that is cut short leaves no KDC behind.
  const killed = () => {
    kdc?.kill('SIGKILL');
    kadmind?.kill('SIGKILL');
  };
  process.once('exit', killed);
  const stop = async () => {
    process.off('exit', killed);
    if (kdc) await end(kdc);
    if (kadmind) await end(kadmind);
    await rm(directory, { recursive: true, force: true });
  };

  try {
    await configure(0);
    await mustRun('kdb5_util', ['-r', realm, 'create', '-s', '-P', 'master-of-a-test'], { env });
    const queries = [
      // The TGS and the administrators' service exist already, made before the realm's defaults: renewable tickets need
      // a renewable TGS.
      `modify_principal -maxrenewlife 7d krbtgt/${realm}`,
      ...(options.principals ?? []).map(addPrincipal),
    ];
    await kadmin(...queries);
    let port = 0;
    for (let attempt = 1; !kdc; attempt++) {
      port = await freePort();
      await configure(port);
      const child = spawn(programPath('krb5kdc')!, ['-n', '-r', realm, '-P', at('pid')], {
        env: { PATH: process.env.PATH, ...env, LC_ALL: 'C' },
        stdio: 'ignore',
      });
      if (await listens(child, port)) kdc = child;
      else {
        await end(child);
        if (attempt === ATTEMPTS) throw new Error(`krb5kdc does not start: ${await log()}`);
      }
    }
    let kpasswdPort = 0;
    for (let attempt = 1; options.kpasswd && !kadmind; attempt++) {
      await writeFile(at('acl'), lines(options.acl ?? []));
      kpasswdPort = await freePort();
      await configure(port, kpasswdPort, await freePort());
      const child = spawn(programPath('kadmind')!, ['-nofork', '-r', realm, '-P', at('kadmind.pid')], {
        env: { PATH: process.env.PATH, ...env, LC_ALL: 'C' },
        stdio: 'ignore',
      });
      if (await listens(child, kpasswdPort)) kadmind = child;
      else {
        await end(child);
        if (attempt === ATTEMPTS) throw new Error('kadmind does not start');
      }
    }
    return {
      realm,
      port,
      kpasswdPort,
      directory,
      krb5Conf: env.KRB5_CONFIG,
      env,
      kadmin,
      keytab: async (...principals) => {
        const path = at(`keytab-${++keytabs}`);
        await kadmin(`ktadd -norandkey -k ${path} ${principals.join(' ')}`);
        return path;
      },
      run: (program, args, input = '', more = {}) => runProgram(program, args, { env: { ...env, ...more }, input }),
      log,
      stop,
    };
  } catch (e) {
    await stop();
    throw e;
  }

  function log(): Promise<string> {
    return readFile(at('kdc.log'), 'utf8').catch(() => '');
  }
}

function addPrincipal(p: MitPrincipal): string {
  const words = ['add_principal', ...(p.attributes ?? [])];
  if (p.withoutPreauth) words.push('-requires_preauth');
  if (p.keysalts) words.push('-e', `"${p.keysalts}"`);
  words.push(...(p.password === undefined ? ['-randkey'] : ['-pw', quote(p.password)]), quote(p.name));
  return words.join(' ');
}

/** kadmin's quotes: a doubled quote within stands for one. */
function quote(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

function lines(queries: readonly string[]): string {
  return queries.map((query) => `${query}\n`).join('');
}

/** A port free for TCP and UDP on 127.0.0.1 a moment ago. */
async function freePort(): Promise<number> {
  for (;;) {
    const tcp = createServer();
    await new Promise<void>((resolve, reject) => tcp.once('error', reject).listen(0, '127.0.0.1', resolve));
    const { port } = tcp.address() as { port: number };
    const udp = createSocket('udp4');
    const free = await new Promise<boolean>((resolve) =>
      udp.once('error', () => resolve(false)).bind(port, '127.0.0.1', () => resolve(true)),
    );
    if (free) await new Promise<void>((resolve) => udp.close(resolve));
    await new Promise((resolve) => tcp.close(resolve));
    if (free) return port;
  }
}

/** Waits until the KDC accepts a connection; false when it ends first or takes longer than ten seconds. */
async function listens(child: ChildProcess, port: number): Promise<boolean> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; ) {
    if (child.exitCode !== null || child.signalCode !== null) return false;
    const connected = await new Promise<boolean>((resolve) => {
      const socket = createConnection({ host: '127.0.0.1', port });
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    // Whoever else may listen there, this KDC does only while it lives.
    if (connected) return child.exitCode === null && child.signalCode === null;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGTERM');
  const kill = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await closed;
  clearTimeout(kill);
}
