/** A domain for these tests, with MIT's programs set up to use it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTestDomain, type TestDomain, type TestDomainOptions } from '../../src/testdomain/index.ts';
import { type ProgramResult, runProgram } from '../support/programs.ts';

export const PASSWORD = 'Passw0rd-é!';

export const members: TestDomainOptions = {
  users: [
    { name: 'svc-fetch', password: PASSWORD, groups: ['Readers'] },
    { name: 'Mixed.Case', password: 'Other-Passw0rd' },
    { name: 'bob', password: 'Bob-Passw0rd' },
    { name: 'off', password: PASSWORD, disabled: true },
    { name: 'old', password: PASSWORD, passwordExpired: true },
  ],
  computers: [{ name: 'HOST1', password: 'Machine-Passw0rd', groups: ['Hosts'] }],
  gmsas: [
    { name: 'WebApp01', readers: ['Readers', 'HOST1'], managedPasswordIntervalDays: 1 },
    { name: 'Other02', readers: ['bob'], servicePrincipalNames: ['HTTP/other.example.test'] },
  ],
  services: [{ spn: 'HTTP/web.example.test' }],
};

export interface Harness {
  readonly domain: TestDomain;
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  /** Runs a program in the domain's environment. */
  run(program: string, args: readonly string[], input?: string): Promise<ProgramResult>;
  /** Writes a keytab of the domain and gives its path. */
  keytab(principal: string): Promise<string>;
  stop(): Promise<void>;
}

export async function startHarness(options: TestDomainOptions = {}): Promise<Harness> {
  const domain = await startTestDomain({ ...members, ...options });
  const directory = await mkdtemp(join(tmpdir(), 'test-domain-'));
  const env = {
    KRB5_CONFIG: join(directory, 'krb5.conf'),
    KRB5CCNAME: `FILE:${join(directory, 'ccache')}`,
    LDAPNOINIT: '1',
  };
  await writeFile(env.KRB5_CONFIG, domain.krb5Conf);
  let keytabs = 0;
  return {
    domain,
    directory,
    env,
    run: (program, args, input) => runProgram(program, args, input === undefined ? { env } : { env, input }),
    async keytab(principal) {
      const path = join(directory, `keytab${keytabs++}`);
      await writeFile(path, await domain.keytab(principal));
      return path;
    },
    async stop() {
      await domain.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
