/** AS and TGS exchanges against gokrb5 on the same KDCs: one warm process each, TCP, a keytab, the timestamp at once. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { tgsExchange } from '../src/krb5/exchanges/tgs.ts';
import { findKeys, readKeytab } from '../src/krb5/files/keytab.ts';
import { asExchange, exchangeContext, parsePrincipal, principal } from '../src/krb5/index.ts';
import type { Endpoint } from '../src/krb5/network/locate.ts';
import { KeySecret } from '../src/krb5/secret.ts';
import { localTransport } from '../test/support/kdc-client.ts';
import { needsMitRealm, startMitRealm } from '../test/support/mit-realm.ts';
import { hasProgram } from '../test/support/programs.ts';
import { inTurns } from './measure.ts';
import type { Row } from './report.ts';
import { krb5Conf, type Scene } from './scene.ts';

export const title =
  'AS (keytab) and TGS against gokrb5 8.4 on the same KDC, both warm, TCP, preauthentication at once';

/** Where Debian's golang packages put their sources. */
const GOPATH = '/usr/share/gocode';

export const lacking = () =>
  hasProgram('go') && existsSync(join(GOPATH, 'src/github.com/jcmturner/gokrb5/v8'))
    ? undefined
    : 'needs gokrb5 (Debian: golang-go golang-github-jcmturner-gokrb5.v8-dev)';

const ROUNDS = 15;
const EXCHANGES = 20;
/** Untimed exchanges of both sides: V8 compiles what has run some hundred times, Go has compiled everything before. */
const WARM_UP = 1000;
const LIMIT = { at: '<=', value: 1.25 } as const;

interface Target {
  readonly name: string;
  readonly realm: string;
  readonly kdc: Endpoint;
  readonly client: string;
  readonly keytab: string;
  readonly service: string;
}

export async function run(scene: Scene): Promise<Row[]> {
  const rows = await compare(scene.scratch, {
    name: scene.name.startsWith('Samba') ? 'Samba' : 'embedded',
    realm: scene.realm,
    kdc: scene.kdc,
    client: scene.machine.name,
    keytab: scene.machine.keytab,
    service: `ldap/${scene.ldap.host}`,
  });
  if (needsMitRealm) return rows;
  const service = 'host/server.mit.test';
  const mit = await startMitRealm({ principals: [{ name: 'HOST1$' }, { name: service }] });
  try {
    const { realm, port } = mit;
    const keytab = await mit.keytab('HOST1$');
    const target = { name: 'MIT', realm, kdc: { host: '127.0.0.1', port }, client: 'HOST1$', keytab, service };
    return [...rows, ...(await compare(scene.scratch, target))];
  } finally {
    await mit.stop();
  }
}

async function compare(scratch: string, target: Target): Promise<Row[]> {
  const theirs = startGo(scratch, target);
  const ours = await startOurs(target);
  try {
    const rows: Row[] = [];
    for (const what of ['as', 'tgs'] as const) {
      for (let i = 0; i < WARM_UP; i++) await ours[what]();
      await theirs.take(what, WARM_UP);
      const rounds = await inTurns(ROUNDS, {
        ours: async () => {
          const began = performance.now();
          for (let i = 0; i < EXCHANGES; i++) await ours[what]();
          return (performance.now() - began) / EXCHANGES;
        },
        gokrb5: async () => (await theirs.take(what, EXCHANGES)) / EXCHANGES,
      });
      rows.push({
        what: `${what.toUpperCase()}, ${target.name}: ours / gokrb5`,
        value: rounds.ratio('ours', 'gokrb5'),
        unit: 'x',
        limit: LIMIT,
        note: `${rounds.describe('ours')}, ${rounds.describe('gokrb5')}`,
      });
    }
    return rows;
  } finally {
    ours.close();
    await theirs.close();
  }
}

async function startOurs({ realm, kdc, client: name, keytab, service }: Target) {
  const client = principal(realm, name);
  const server = parsePrincipal(service, realm);
  const transport = localTransport(kdc.port);
  const context = exchangeContext({ transport, permittedEtypes: [18] });
  const keys = findKeys(readKeytab(readFileSync(keytab)), client);
  const secret = new KeySecret(keys.filter((entry) => entry.key.etype === 18).map((entry) => entry.key));
  const as = () => asExchange(context, { client, secret });
  const tgt = await as();
  return {
    as,
    tgs: () => tgsExchange(context, { tgt, server }),
    close() {
      secret.destroy();
      transport.close();
    },
  };
}

function startGo(scratch: string, { realm, kdc, client, keytab, service }: Target) {
  const program = join(scratch, 'gokrb5');
  if (!existsSync(program)) {
    const env = { ...process.env, GO111MODULE: 'off', GOPATH, GOFLAGS: '', GOCACHE: join(scratch, 'go-cache') };
    execFileSync('go', ['build', '-o', program, join(import.meta.dirname, 'gokrb5/main.go')], { env });
  }
  const conf = join(scratch, `gokrb5-${realm}.conf`);
  const aes256 = 'aes256-cts-hmac-sha1-96';
  const libdefaults = [
    'udp_preference_limit = 1',
    'preferred_preauth_types = 18',
    ...['default_tkt_enctypes', 'default_tgs_enctypes', 'permitted_enctypes'].map((name) => `${name} = ${aes256}`),
  ];
  writeFileSync(conf, krb5Conf(realm, realm.toLowerCase(), kdc, libdefaults));
  const child = spawn(program, [conf, keytab, client, realm, service], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    /** Milliseconds all of them took. */
    async take(what: 'as' | 'tgs', times: number): Promise<number> {
      child.stdin.write(`${what} ${times}\n`);
      const { value, done } = await answers.next();
      if (done) throw new Error('the gokrb5 program ended');
      return Number(value) / 1e6;
    },
    async close() {
      child.stdin.end();
      await exited;
    },
  };
}
