/** The first guess at a gMSA's key is at one that Active Directory has, whatever is preferred. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wipe } from '../../src/bytes.ts';
import { isAdError } from '../../src/errors.ts';
import { readManagedAccounts } from '../../src/gmsa/account.ts';
import { loginManagedAccount } from '../../src/gmsa/login.ts';
import { exchangeContext } from '../../src/krb5/exchanges/context.ts';
import { DnsResolver } from '../../src/krb5/network/resolver.ts';
import { connectSealed } from '../../src/ldap/client.ts';
import { startTestDomain } from '../../src/testdomain/index.ts';
import { localTransport, testClient } from '../support/kdc-client.ts';

for (const permittedEtypes of [
  [18, 17],
  [20, 19, 18, 17],
  [18, 17, 20, 19],
]) {
  test(`${permittedEtypes.join(' ')}: one request logs a gMSA on`, async (t) => {
    const domain = await startTestDomain({
      users: [{ name: 'svc', password: 'Fresh-1' }],
      gmsas: [{ name: 'App', readers: ['svc'] }],
    });
    const transport = localTransport(domain.kdcPort);
    const client = testClient({
      transport,
      port: domain.kdcPort,
      realm: domain.realm,
      name: 'svc',
      password: 'Fresh-1',
    });
    const endpoint = { host: 'localhost', port: domain.ldapPort };
    const connection = await connectSealed({ endpoint, client, resolver: new DnsResolver() });
    t.after(async () => {
      connection.close();
      client.close();
      await domain.close();
    });
    const [account] = await readManagedAccounts(connection, domain.domain, ['App']);
    assert.ok(account && !isAdError(account));
    const before = domain.stats.as;
    const tgt = await loginManagedAccount(exchangeContext({ transport, permittedEtypes }), account, domain.realm);
    assert.equal(domain.stats.as - before, 1);
    wipe(tgt.key.value);
  });
}
