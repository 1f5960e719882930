/** Programs of other makers that tests ask for a second opinion, where this machine has them. */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where servers and administrators' programs live although a user's PATH often lacks them. */
const MORE_PLACES = ['/usr/sbin', '/usr/local/sbin', '/sbin'];

/** The path of an installed program; undefined when there is none. */
export function programPath(name: string): string | undefined {
  for (const directory of [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), ...MORE_PLACES]) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {}
  }
  return undefined;
}

export function hasProgram(name: string): boolean {
  return programPath(name) !== undefined;
}

/** Debian's package of a program, where it is not called like it. */
const PACKAGES: Readonly<Record<string, string>> = {
  kadmind: 'krb5-admin-server',
  'kadmin.local': 'krb5-admin-server',
  krb5kdc: 'krb5-kdc',
  kdb5_util: 'krb5-kdc',
  kinit: 'krb5-user',
  klist: 'krb5-user',
  kvno: 'krb5-user',
  kdestroy: 'krb5-user',
  ktutil: 'krb5-user',
  ldapsearch: 'ldap-utils',
  ldapwhoami: 'ldap-utils',
};

/** The `skip` option of a test that needs programs: false when all are here, else why it is skipped. */
export function needs(...names: string[]): false | string {
  const missing = names.filter((name) => !hasProgram(name));
  const packages = new Set(missing.map((name) => PACKAGES[name] ?? name));
  return missing.length === 0 ? false : `needs ${missing.join(', ')} (Debian: ${[...packages].join(' ')})`;
}

export interface ProgramResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Text for its standard input. */
  readonly input?: string;
  /** After this many milliseconds the program is killed; 30 s when absent. */
  readonly timeoutMs?: number;
}

/** Runs a program to its end in the C locale and UTC; a status other than zero is an answer, not an error. */
export function runProgram(name: string, args: readonly string[], options: RunOptions = {}): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(programPath(name) ?? name, args, {
      env: { PATH: process.env.PATH, HOME: '/nonexistent', ...options.env, LC_ALL: 'C', TZ: 'UTC' },
      cwd: options.cwd,
      timeout: options.timeoutMs ?? 30_000,
      killSignal: 'SIGKILL',
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
    child.on('error', reject);
    child.on('close', (code) =>
      resolve({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }),
    );
  });
}

/** As `runProgram`, and throws with everything the program said unless it ended with status zero. */
export async function mustRun(name: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await runProgram(name, args, options);
  if (code !== 0) throw new Error(`${name} ${args.join(' ')} ended with ${code}\n${stdout}${stderr}`);
  return stdout;
}
