/** The library's whole chain against the embedded domain: reader's ticket, sealed search, gMSA's ticket. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readManagedAccounts } from '../../src/gmsa/account.ts';
import { loginManagedAccount } from '../../src/gmsa/login.ts';
import type { KrbClient } from '../../src/krb5/client.ts';
import { readKeytab } from '../../src/krb5/files/keytab.ts';
import type { Resolver } from '../../src/krb5/network/resolver.ts';
import { krbError, msgType } from '../../src/krb5/numbers.ts';
import { formatPrincipal } from '../../src/krb5/principal.ts';
import { connectSealed, type SealedConnection } from '../../src/ldap/client.ts';
import { startTestDomain, type TestDomain, type TestDomainOptions } from '../../src/testdomain/index.ts';
import { localTransport, testClient } from '../support/kdc-client.ts';
import { members, PASSWORD } from './domain.ts';

/** First byte of an AS-REP. */
const AS_REP = 0x60 | msgType.AS_REP;

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

  test('a changed password is the only one accepted', () =>
    withChain({}, async ({ domain, client }) => {
      await client.login();
      domain.update('svc-fetch', { password: 'Another-Passw0rd' });
      client.forget();
      await assert.rejects(client.login(), { code: 'WRONG_PASSWORD' });
    }));

  test('a computer made from a keytab logs in with its keys', async () => {
    const first = await startTestDomain({ computers: [{ name: 'HOST7', password: 'Keytab-Passw0rd' }] });
    const keytab = await first.keytab('HOST7$').finally(() => first.close());
    const keys = readKeytab(keytab).map((e) => e.key);
    const second = await startTestDomain({ computers: [{ name: 'HOST7', keytab }] });
    const transport = localTransport(second.kdcPort);
    const client = testClient({ port: second.kdcPort, realm: second.realm, name: 'HOST7$', keys, transport });
    try {
      assert.equal(formatPrincipal((await client.login()).client), 'HOST7$@EXAMPLE.TEST');
    } finally {
      client.close();
      transport.close();
      await second.close();
    }
  });
});

describe('faults of the embedded domain', () => {
  test('a KDC error of choice', () =>
    withChain({ faults: { kdcError: krbError.KDC_ERR_SVC_UNAVAILABLE } }, async ({ client }) => {
      await assert.rejects(client.login());
    }));

  test('a silent KDC', () =>
    withChain({ faults: { kdcSilent: true } }, async ({ client }) => {
      await assert.rejects(client.login(AbortSignal.timeout(100)), { code: 'TIMEOUT' });
    }));

  test('a forged answer', () =>
    withChain({}, async ({ domain, client }) => {
      const rewriteKdcReply = (reply: Uint8Array): Uint8Array => {
        if (reply[0] === AS_REP) reply[reply.length - 1]! ^= 1;
        return reply;
      };
      domain.setFaults({ rewriteKdcReply });
      await assert.rejects(client.login());
      domain.setFaults({});
      await client.login();
    }));

  test('a KDC that closes after each answer, as MIT does', () =>
    withChain({ faults: { kdcCloseAfterReply: true } }, async ({ domain, client }) => {
      await client.login();
      assert.ok(domain.stats.as >= 2);
    }));

  test('a directory that drops the connection in a search, and one that goes down', () =>
    withChain({}, async ({ domain, connect }) => {
      domain.setFaults({ ldapDropOnSearch: true });
      await assert.rejects(readManagedAccounts(await connect(), domain.domain, ['WebApp01']), { code: 'UNREACHABLE' });
      domain.setFaults({});
      const connection = await connect();
      domain.dropLdapConnections();
      await assert.rejects(readManagedAccounts(connection, domain.domain, ['WebApp01']), { code: 'UNREACHABLE' });
    }));

  test('a directory that refuses every bind', () =>
    withChain({ faults: { ldapBindResult: 51 } }, async ({ connect }) => {
      await assert.rejects(connect(), /busy \(51\)/);
    }));
});
