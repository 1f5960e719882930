/** RC4 end to end against Samba, where it is permitted by name: logon, ticket, and a sealed connection with RFC 4757's tokens. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { utf8 } from '../../src/bytes.ts';
import { isAdError } from '../../src/errors.ts';
import { readManagedAccounts } from '../../src/gmsa/account.ts';
import { KrbClient } from '../../src/krb5/client.ts';
import { Locator } from '../../src/krb5/network/locate.ts';
import { NetworkTransport } from '../../src/krb5/network/network.ts';
import { DnsResolver } from '../../src/krb5/network/resolver.ts';
import { etype } from '../../src/krb5/numbers.ts';
import { principal, servicePrincipal } from '../../src/krb5/principal.ts';
import { PasswordSecret } from '../../src/krb5/secret.ts';
import { connectSealed } from '../../src/ldap/client.ts';
import { lab, labStatus } from './lab.ts';

const status = labStatus();
const RC4 = [etype.RC4_HMAC];

describe('RC4 with the domain controller', { skip: status.available ? false : status.reason }, () => {
  const resolver = new DnsResolver();
  const transport = new NetworkTransport({ resolver, locator: new Locator({ resolver, clock: Date.now }) });
  let client: KrbClient;

  before(() => {
    const secret = new PasswordSecret(utf8(lab.reader.password), '', RC4);
    client = new KrbClient({
      transport,
      client: principal(lab.realm, lab.reader.name),
      secret,
      permittedEtypes: RC4,
    });
  });
  after(() => {
    client.close();
    transport.close();
  });

  test('a ticket for LDAP has an RC4 session key', async () => {
    const credentials = await client.ticket(servicePrincipal('ldap', lab.dc, lab.realm));
    assert.equal(credentials.key.etype, etype.RC4_HMAC);
  });

  for (const mechanism of ['GSSAPI', 'GSS-SPNEGO'] as const) {
    test(`a connection sealed with RC4 by ${mechanism} reads a managed password`, async () => {
      const connection = await connectSealed({ endpoint: { host: lab.dc, port: 389 }, client, resolver, mechanism });
      try {
        for (let i = 0; i < 3; i++) {
          const [account] = await readManagedAccounts(connection, lab.domain, [lab.webApp.name]);
          assert.ok(account && !isAdError(account), String(account));
          assert.equal(account.password.current.length, 256);
        }
      } finally {
        connection.close();
      }
    });
  }
});
