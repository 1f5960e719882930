/**
 * The real Active Directory domain of `test/lab/lab`, as the suites inside it see it: names, accounts with their
 * test-only passwords, paths. A suite is a `*.lab.ts` file, run by
 * `test/lab/lab exec node --import tsx --test test/lab/*.lab.ts`, where the domain's names resolve.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import plan from './accounts.json' with { type: 'json' };

export interface LabAccount {
  /** sAMAccountName: machines and gMSAs end in `$`. */
  readonly name: string;
  /** `name@REALM`. */
  readonly principal: string;
}

export interface LabUser extends LabAccount {
  /** A test-only constant. */
  readonly password: string;
  /** What is wrong with the account; `undefined` when it is in order. */
  readonly state: string | undefined;
}

export interface LabGmsa extends LabAccount {
  readonly dnsHostName: string;
  /** The salt of its AES keys: realm, `host`, its DNS name in lower case (MS-KILE 3.1.1.2). */
  readonly salt: string;
  /** Whether `lab.reader` may read its password. */
  readonly readable: boolean;
  readonly enabled: boolean;
  /** True when the password has rolled, so that the blob holds a previous one too. */
  readonly rolled: boolean;
}

const directory = process.env.CF_LAB_DIR ?? join(tmpdir(), `cf-lab-${process.env.CF_LAB_NAME ?? 'default'}`);

function userNamed(name: string): LabUser {
  const user = plan.users.find((one) => one.name === name);
  if (user === undefined) throw new Error(`accounts.json has no user ${name}`);
  const state = 'born' in user ? 'password-expired' : 'state' in user ? user.state : undefined;
  return { name, principal: `${name}@${plan.realm}`, password: user.password, state };
}

interface PlannedGmsa {
  readonly name: string;
  readonly readers: readonly string[];
  readonly state?: string;
  readonly born?: string;
}

function gmsaOf(planned: PlannedGmsa): LabGmsa {
  const dnsHostName = `${planned.name.toLowerCase()}.${plan.domain}`;
  return {
    name: `${planned.name}$`,
    principal: `${planned.name}$@${plan.realm}`,
    dnsHostName,
    salt: `${plan.realm}host${dnsHostName}`,
    readable: planned.readers.includes('Readers'),
    enabled: planned.state !== 'disabled',
    rolled: planned.born !== undefined,
  };
}

const numbered = Array.from({ length: plan.numberedGmsas.count }, (_, index) =>
  gmsaOf({
    name: `${plan.numberedGmsas.prefix}${String(index + 1).padStart(2, '0')}`,
    readers: plan.numberedGmsas.readers,
  }),
);
const special = plan.gmsas.map((planned) => gmsaOf(planned));

function gmsaNamed(name: string): LabGmsa {
  const found = [...special, ...numbered].find((one) => one.name === name);
  if (found === undefined) throw new Error(`accounts.json has no gMSA ${name}`);
  return found;
}

export const lab = {
  realm: plan.realm,
  domain: plan.domain,
  netbios: plan.netbios,
  /** The domain controller's DNS name; all its services listen on 127.0.0.1 inside the lab. */
  dc: plan.dc,
  /** A domain controller that the KDC and DNS know, at an address where packets are lost; and a domain it is all of. */
  silent: plan.silent,
  baseDn: plan.domain
    .split('.')
    .map((label) => `DC=${label}`)
    .join(','),
  administrator: {
    name: plan.administrator.name,
    principal: `${plan.administrator.name}@${plan.realm}`,
    password: plan.administrator.password,
    state: undefined,
  } satisfies LabUser,
  /** May read every gMSA whose `readable` is true. */
  reader: userNamed('svc-fetch'),
  /** The same with a password of more than ASCII. */
  umlautReader: userNamed('svc-umlaut'),
  /** The same with an RC4 key only. */
  rc4Reader: userNamed('svc-rc4'),
  /** May read `otherApp` and nothing else. */
  otherReader: userNamed('svc-other'),
  /** A sound account that may read none. */
  deniedReader: userNamed('svc-denied'),
  /** Readers that cannot log on: disabled, account-expired, must-change, password-expired, locked. */
  brokenReaders: ['svc-disabled', 'svc-expired', 'svc-mustchange', 'svc-oldpassword', 'svc-locked'].map(userNamed),
  /** A machine that is a reader, and one that is not; each with a keytab. */
  host1: { name: 'HOST1$', principal: `HOST1$@${plan.realm}`, keytab: join(directory, 'keytabs', 'host1.keytab') },
  host2: { name: 'HOST2$', principal: `HOST2$@${plan.realm}`, keytab: join(directory, 'keytabs', 'host2.keytab') },
  /** A user whose UPN has another suffix than the domain: `alice.jones@mail.example`. */
  alice: { ...userNamed('alice'), upn: 'alice.jones@mail.example' },
  /** Nobody may act in its name. */
  sensitive: userNamed('sensitive'),
  /** Its password is for suites to change; they set it first. */
  changes: userNamed('changes'),
  /** A middle tier: any protocol, to `back2` by its own list, to `back1` by that one's. */
  middleApp: gmsaNamed('MiddleApp$'),
  /** Machines behind it; nobody is delegated to `back3`. */
  backs: ['BACK1', 'BACK2', 'BACK3'].map((name) => ({
    name: `${name}$`,
    host: `${name.toLowerCase()}.${plan.domain}`,
  })),
  webApp: gmsaNamed('WebApp01$'),
  /** The reader is not among its readers. */
  otherApp: gmsaNamed('OtherApp$'),
  disabledApp: gmsaNamed('DisabledApp$'),
  /** msDS-SupportedEncryptionTypes is not set: its service tickets come with RC4. */
  legacyApp: gmsaNamed('LegacyApp$'),
  /** A one-day interval, made when the lab was: rolls when the lab is restarted with `--faketime +36h`. */
  dailyApp: gmsaNamed('DailyApp$'),
  /** A one-day interval, made 36 hours before the lab: its blob holds a previous password. */
  rolledApp: gmsaNamed('RolledApp$'),
  /** App01$ and following, all alike, all readable. */
  numberedApps: numbered as readonly LabGmsa[],
  paths: {
    directory,
    krb5Conf: join(directory, 'krb5.conf'),
    /** The CA of the domain controller's certificate, PEM. */
    ca: join(directory, 'ca.pem'),
    /** The programme that runs the lab. */
    script: fileURLToPath(new URL('./lab', import.meta.url)),
  },
} as const;

export interface LabStatus {
  readonly available: boolean;
  /** Why not, and what to do; empty when available. */
  readonly reason: string;
}

/** Whether this process runs inside a lab that is up. When it does not, the reason says what would change that. */
export function labStatus(): LabStatus {
  if (process.env.CF_LAB_INSIDE === '1' && existsSync(lab.paths.krb5Conf)) return { available: true, reason: '' };
  const check = spawnSync(lab.paths.script, ['check'], { encoding: 'utf8' });
  const reason =
    check.status === 0
      ? 'not inside the lab: run test/lab/lab up, then accounts, then exec'
      : check.stdout.trim() || (check.error?.message ?? 'test/lab/lab check failed');
  return { available: false, reason };
}

export interface RunOptions {
  /** Added to (or, where undefined, taken from) this process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What the program reads on its standard input. */
  readonly input?: string | Uint8Array;
  /** After this many milliseconds the program is killed; 60 s when absent. */
  readonly timeoutMs?: number;
}

export interface RunResult {
  /** The exit status; null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program without a shell, to its end. A status other than zero is an answer; only a failure to start throws. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, LC_ALL: 'C.UTF-8', ...options.env },
      timeout: options.timeoutMs ?? 60_000,
      killSignal: 'SIGKILL',
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin.on('error', () => undefined); // A program may end without reading what it was given.
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({ code, stdout: Buffer.concat(out).toString('utf8'), stderr: Buffer.concat(err).toString('utf8') });
    });
    child.stdin.end(options.input ?? '');
  });
}

/** Like `run`, for steps that must work: throws with the program's own words when its status is not zero. */
export async function must(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await run(command, args, options);
  if (result.code !== 0) {
    throw new Error(`${command} ${args.join(' ')}: status ${result.code}\n${result.stdout}${result.stderr}`);
  }
  return result.stdout;
}

/**
 * `msDS-ManagedPassword` of one account as OpenLDAP's ldapsearch reads it over a sealed connection.
 *
 * @param ccache the reader's credential cache, as KRB5CCNAME takes it
 * @param env added to the environment, such as the words that shift its clock
 * @returns the blob; undefined when the directory does not show it to this reader
 */
export async function ldapsearchBlob(
  gmsa: LabGmsa,
  ccache: string,
  env: RunOptions['env'] = {},
): Promise<Uint8Array | undefined> {
  const args = ['-Q', '-LLL', '-o', 'ldif-wrap=no', '-Y', 'GSSAPI', '-N', '-H', `ldap://${lab.dc}`, '-b', lab.baseDn];
  const ldif = await must('ldapsearch', [...args, `(sAMAccountName=${gmsa.name})`, 'msDS-ManagedPassword'], {
    env: { ...env, KRB5CCNAME: ccache },
  });
  if (!ldif.includes('dn: CN=')) throw new Error(`ldapsearch found no ${gmsa.name}`);
  const value = /^msDS-ManagedPassword:: (.+)$/m.exec(ldif)?.[1];
  return value === undefined ? undefined : new Uint8Array(Buffer.from(value, 'base64'));
}
