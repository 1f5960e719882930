/** The domain a bench runs against: the Active Directory lab, or the embedded domain in a process of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Endpoint } from '../src/krb5/network/locate.ts';
import { lab } from '../test/lab/lab.ts';

export interface Scene {
  /** For the heading: what the servers are. */
  readonly name: string;
  readonly realm: string;
  readonly domain: string;
  readonly kdc: Endpoint;
  /** By the name its service principal has. */
  readonly ldap: Endpoint;
  /** May read every gMSA. */
  readonly reader: { readonly username: string; readonly password: string };
  /** Without `$`. */
  readonly gmsas: readonly string[];
  /** A machine that is a reader. */
  readonly machine: { readonly name: string; readonly keytab: string };
  /** Everything the benches write. */
  readonly scratch: string;
  close(): Promise<void>;
}

/** This process has to run inside the lab. */
export function labScene(scratch: string): Scene {
  return {
    name: `Samba's Active Directory domain controller (lab ${process.env.CF_LAB_NAME})`,
    realm: lab.realm,
    domain: lab.domain,
    kdc: { host: '127.0.0.1', port: 88 },
    ldap: { host: lab.dc, port: 389 },
    reader: { username: lab.reader.name, password: lab.reader.password },
    gmsas: lab.numberedApps.map((app) => app.name.slice(0, -1)),
    machine: { name: lab.host1.name, keytab: lab.host1.keytab },
    scratch,
    close: async () => undefined,
  };
}

/** What `embedded.ts` prints once it listens. */
export interface Embedded extends Pick<Scene, 'realm' | 'domain' | 'reader' | 'gmsas'> {
  readonly kdcPort: number;
  readonly ldapPort: number;
  readonly machine: string;
  /** Base64. */
  readonly keytab: string;
}

export async function embeddedScene(scratch: string): Promise<Scene> {
  const child = spawn(process.execPath, [...process.execArgv, join(import.meta.dirname, 'embedded.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    exited.then(() => Promise.reject(new Error('the embedded domain did not start'))),
  ]);
  const embedded = JSON.parse(line) as Embedded;
  const keytab = join(scratch, 'machine.keytab');
  writeFileSync(keytab, Buffer.from(embedded.keytab, 'base64'), { mode: 0o600 });
  return {
    ...embedded,
    name: 'the embedded test domain',
    kdc: { host: '127.0.0.1', port: embedded.kdcPort },
    ldap: { host: 'localhost', port: embedded.ldapPort },
    machine: { name: embedded.machine, keytab },
    scratch,
    async close() {
      child.stdin.end();
      await exited;
    },
  };
}

/** krb5.conf with the KDC configured, the fastest there is: no DNS. */
export function krb5Conf(realm: string, domain: string, kdc: Endpoint, more: readonly string[] = []): string {
  const libdefaults = [
    `default_realm = ${realm}`,
    'dns_lookup_kdc = false',
    'dns_lookup_realm = false',
    'dns_canonicalize_hostname = false',
    'rdns = false',
    ...more,
  ];
  return `[libdefaults]
  ${libdefaults.join('\n  ')}
[realms]
  ${realm} = {
    kdc = ${kdc.host}:${kdc.port}
  }
[domain_realm]
  .${domain} = ${realm}
  ${domain} = ${realm}
  localhost = ${realm}
`;
}

/**
 * Readers that a daemon has not seen: the same account in other spellings. Active Directory takes names in any case; the
 * daemon, which knows a reader by the credential as given, does not.
 */
export function* newReaders(scene: Scene): Generator<Scene['reader'], never> {
  const { username, password } = scene.reader;
  for (let n = 1; ; n++) {
    let bits = n;
    const spelled = [...username.toLowerCase()].map((letter) => {
      if (letter < 'a' || letter > 'z') return letter;
      const upper = bits & 1;
      bits >>= 1;
      return upper ? letter.toUpperCase() : letter;
    });
    if (bits !== 0) throw new Error(`all spellings of ${username} are used up`);
    yield { username: spelled.join(''), password };
  }
}
