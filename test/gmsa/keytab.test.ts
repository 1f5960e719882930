/** Keytabs of gMSAs against the embedded domain, whose KDC says which keys and versions are right at each moment. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hex } from '../../src/bytes.ts';
import { readKeyVersion, readManagedAccounts } from '../../src/gmsa/account.ts';
import { KeyMemory } from '../../src/gmsa/key-memory.ts';
import { type ManagedKeytab, managedKeytab } from '../../src/gmsa/keytab.ts';
import { loginManagedAccount } from '../../src/gmsa/login.ts';
import { readKeytab } from '../../src/krb5/files/keytab.ts';
import type { KdcTransport } from '../../src/krb5/network/transport.ts';
import { msgType } from '../../src/krb5/numbers.ts';
import { formatPrincipal } from '../../src/krb5/principal.ts';
import { connectSealed } from '../../src/ldap/client.ts';
import { startTestDomain, type TestDomain } from '../../src/testdomain/index.ts';
import { localTransport, testClient } from '../support/kdc-client.ts';

const PASSWORD = 'Only-For-Tests-1';
const TGS_REQ = 0x60 | msgType.TGS_REQ;

interface Scene {
  readonly domain: TestDomain;
  readonly time: { now: number };
  /** Milliseconds since 1970 of the next roll. */
  readonly roll: number;
  fetch(wrap?: (transport: KdcTransport) => KdcTransport): Promise<ManagedKeytab & { wanted: string[] }>;
}

async function scene(use: (scene: Scene) => Promise<void>): Promise<void> {
  const time = { now: Date.UTC(2026, 5, 1) };
  const clock = () => time.now;
  const domain = await startTestDomain({
    clock,
    users: [{ name: 'svc-fetch', password: PASSWORD }],
    gmsas: [
      {
        name: 'Web',
        readers: ['svc-fetch'],
        managedPasswordIntervalDays: 1,
        servicePrincipalNames: ['HTTP/web.example.test', 'MSSQLSvc/web.example.test:1433'],
      },
    ],
  });
  const { kdcPort: port, realm, ldapPort } = domain;
  const transport = localTransport(port);
  const client = testClient({ port, realm, name: 'svc-fetch', password: PASSWORD, transport, clock });
  const keys = new KeyMemory();
  try {
    const roll = time.now + Number(Buffer.from(domain.managedPasswordBlob('Web')).readBigUInt64LE(274) / 10_000n);
    const fetch: Scene['fetch'] = async (wrap) => {
      client.forget();
      const resolver = { srv: async () => [], addresses: async () => ['127.0.0.1'] };
      const endpoint = { host: domain.controllerName, port: ldapPort };
      const connection = await connectSealed({ endpoint, client, resolver });
      try {
        const more = { services: true };
        const [account] = await readManagedAccounts(connection, domain.domain, ['Web'], undefined, more);
        assert.ok(account && !(account instanceof Error), String(account));
        const tgt = await loginManagedAccount(client.context, account, realm, undefined, keys);
        const context = wrap ? { ...client.context, transport: wrap(client.context.transport) } : client.context;
        const directoryKvno = () => readKeyVersion(connection, account.distinguishedName);
        const made = await managedKeytab(context, { account, tgt, keys, directoryKvno });
        const wanted = readKeytab(await domain.keytab('Web$')).filter((e) => [17, 18].includes(e.key.etype));
        return { ...made, wanted: wanted.map((e) => `${e.kvno} ${e.key.etype} ${hex(e.key.value)}`) };
      } finally {
        connection.close();
      }
    };
    await use({ domain, time, roll, fetch });
  } finally {
    keys.destroy();
    client.close();
    transport.close();
    await domain.close();
  }
}

const entriesOf = ({ bytes }: ManagedKeytab, name = 'Web$@EXAMPLE.TEST') =>
  readKeytab(bytes).flatMap((e) =>
    formatPrincipal(e.principal) === name ? [`${e.kvno} ${e.key.etype} ${hex(e.key.value)}`] : [],
  );
const versions = (made: ManagedKeytab) => [...new Set(entriesOf(made).map((e) => Number(e.split(' ')[0])))];

describe('managedKeytab', () => {
  test('has the keys of the KDC, for the account and each of its services', () =>
    scene(async ({ fetch }) => {
      const made = await fetch();
      assert.deepEqual(new Set(entriesOf(made)), new Set(made.wanted));
      for (const name of ['HTTP/web.example.test', 'MSSQLSvc/web.example.test:1433']) {
        assert.deepEqual(entriesOf(made, `${name}@EXAMPLE.TEST`), entriesOf(made));
      }
      assert.equal(made.missing, undefined);
    }));

  test('has the right versions at every moment around a roll', () =>
    scene(async ({ time, roll, fetch }) => {
      const seen: [number, number[]][] = [];
      for (const minutes of [-10, -4, -1, 1, 4, 6, 25 * 60]) {
        time.now = roll + minutes * 60_000;
        const made = await fetch();
        const entries = entriesOf(made);
        for (const entry of made.wanted) assert.ok(entries.includes(entry), `${minutes} minutes: ${entries}`);
        seen.push([minutes, versions(made)]);
      }
      // In the five minutes before, the next password is there under its number to be.
      assert.deepEqual(seen.slice(0, 3), [
        [-10, [1]],
        [-4, [2, 1]],
        [-1, [2, 1]],
      ]);
    }));

  test('costs one exchange', () =>
    scene(async ({ domain, fetch }) => {
      await fetch();
      const before = domain.stats.tgs;
      await fetch();
      // The other ticket is the reader's for the directory.
      assert.equal(domain.stats.tgs - before, 2);
    }));

  test('takes the number from the directory when the KDC gives no ticket for the account', () =>
    scene(async ({ time, roll, fetch }) => {
      const refusing = (transport: KdcTransport): KdcTransport => ({
        ...transport,
        exchange: (realm, message, signal) => {
          if (message[0] !== TGS_REQ) return transport.exchange(realm, message, signal);
          // The account's own request without its ticket: the KDC refuses.
          return transport.exchange(realm, noSuchService(message), signal);
        },
        close: () => transport.close(),
      });
      for (const minutes of [-10, -4, 6]) {
        time.now = roll + minutes * 60_000;
        const made = await fetch(refusing);
        for (const entry of made.wanted) assert.ok(entriesOf(made).includes(entry), `${minutes} minutes`);
      }
    }));
});

/** The same request for a service whose name nobody has; its checksum no longer fits, which the KDC refuses as well. */
function noSuchService(message: Uint8Array): Uint8Array {
  const changed = Buffer.from(message);
  const at = changed.lastIndexOf('Web$');
  assert.ok(at > 0);
  changed.write('Wob$', at);
  return changed;
}
