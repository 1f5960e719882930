/** The library's whole chain against the embedded domain: reader's ticket, sealed search, gMSA's ticket. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readManagedAccounts } from '../../src/gmsa/account.ts';
import { loginManagedAccount } from '../../src/gmsa/login.ts';
import type { KrbClient } from '../../src/krb5/client.ts';
import type { Resolver } from '../../src/krb5/network/resolver.ts';
import { formatPrincipal } from '../../src/krb5/principal.ts';
import { connectSealed, type SealedConnection } from '../../src/ldap/client.ts';
import { startTestDomain, type TestDomain, type TestDomainOptions } from '../../src/testdomain/index.ts';
import { localTransport, testClient } from '../support/kdc-client.ts';
import { members, PASSWORD } from './domain.ts';

/** Every name is this machine. */
const resolver: Resolver = { srv: async () => [], addresses: async () => ['127.0.0.1'] };

interface Chain {
  readonly domain: TestDomain;
  readonly client: KrbClient;
  connect(): Promise<SealedConnection>;
}

async function withChain(
  options: TestDomainOptions & { name?: string; password?: string },
  use: (chain: Chain) => Promise<void>,
): Promise<void> {
  const domain = await startTestDomain({ ...members, ...options });
  const { kdcPort: port, realm, ldapPort } = domain;
  const transport = localTransport(port);
  const { name = 'svc-fetch', password = PASSWORD } = options;
  const client = testClient({
    port,
    realm,
    name,
    password,
    transport,
    ...(options.clock ? { clock: options.clock } : {}),
  });
  const open: SealedConnection[] = [];
  try {
    const connect = async (): Promise<SealedConnection> => {
      const connection = await connectSealed({
        endpoint: { host: domain.controllerName, port: ldapPort },
        client,
        resolver,
      });
      open.push(connection);
      return connection;
    };
    await use({ domain, client, connect });
  } finally {
    for (const connection of open) connection.close();
    client.close();
    transport.close();
    await domain.close();
  }
}

describe('the chain from a reader to a gMSA', () => {
  test('a reader gets the password and the gMSA its ticket', () =>
    withChain({}, async ({ domain, client, connect }) => {
      const [account] = await readManagedAccounts(await connect(), domain.domain, ['WebApp01']);
      assert.ok(account && !(account instanceof Error), String(account));
      assert.deepEqual(new Uint8Array(account.password.current), domain.managedPassword('WebApp01'));
      const tgt = await loginManagedAccount(client.context, account, domain.realm);
      assert.equal(formatPrincipal(tgt.client), 'WebApp01$@EXAMPLE.TEST');
    }));

  test('a new reader takes nine round trips at most, a known one two', () =>
    withChain({}, async ({ domain, client, connect }) => {
      const trips = (): number => {
        const { as, tgs, ldapBinds, ldapSearches } = domain.stats;
        return as + tgs + ldapBinds + ldapSearches;
      };
      const connection = await connect();
      const lease = async (): Promise<void> => {
        const [account] = await readManagedAccounts(connection, domain.domain, ['WebApp01']);
        assert.ok(account && !(account instanceof Error));
        await loginManagedAccount(client.context, account, domain.realm);
      };
      await lease();
      assert.ok(trips() <= 9, `${trips()} round trips`);
      const before = trips();
      await lease();
      assert.equal(trips() - before, 2);
    }));

  test('who is not allowed and what does not exist are told apart', () =>
    withChain({}, async ({ domain, connect }) => {
      const [denied, missing] = await readManagedAccounts(await connect(), domain.domain, ['Other02', 'None']);
      assert.equal((denied as { code?: string }).code, 'NOT_ALLOWED');
      assert.equal((missing as { code?: string }).code, 'NO_SUCH_ACCOUNT');
    }));

  test('refused logins carry their code', async () => {
    const code = (options: { name: string; password?: string }, expected: string): Promise<void> =>
      withChain(options, async ({ client }) => assert.rejects(client.login(), { code: expected }));
    await code({ name: 'svc-fetch', password: 'wrong' }, 'WRONG_PASSWORD');
    await code({ name: 'off' }, 'ACCOUNT_DISABLED');
    await code({ name: 'old' }, 'PASSWORD_EXPIRED');
    await code({ name: 'nobody' }, 'UNKNOWN_PRINCIPAL');
  });

  test('around the roll of the password the gMSA gets a ticket at every moment', async () => {
    let now = Date.UTC(2026, 5, 1);
    await withChain({ clock: () => now }, async ({ domain, client, connect }) => {
      const roll = now + Number(Buffer.from(domain.managedPasswordBlob('WebApp01')).readBigUInt64LE(274) / 10_000n);
      for (const minutes of [-10, -4, -1, 1, 4, 6, 120]) {
        now = roll + minutes * 60_000;
        client.forget();
        const [account] = await readManagedAccounts(await connect(), domain.domain, ['WebApp01']);
        assert.ok(account && !(account instanceof Error), `${minutes}: ${account}`);
        await loginManagedAccount(client.context, account, domain.realm);
      }
    });
  });

  test('a KDC whose clock is off is followed', () =>
    withChain({ faults: { clockOffsetMs: 3_600_000 } }, async ({ domain, connect }) => {
      const [account] = await readManagedAccounts(await connect(), domain.domain, ['WebApp01']);
      assert.ok(account && !(account instanceof Error), String(account));
    }));
});
