/** Every way of binding that a domain controller with strict settings lets in, and the ways it does not. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { PresenceFilter } from 'ldapts';
import { utf8 } from '../../src/bytes.ts';
import { isAdError } from '../../src/errors.ts';
import { readManagedAccounts } from '../../src/gmsa/account.ts';
import { KrbClient } from '../../src/krb5/client.ts';
import { Locator } from '../../src/krb5/network/locate.ts';
import { NetworkTransport } from '../../src/krb5/network/network.ts';
import { DnsResolver } from '../../src/krb5/network/resolver.ts';
import { principal, servicePrincipal } from '../../src/krb5/principal.ts';
import { PasswordSecret } from '../../src/krb5/secret.ts';
import { saslBind } from '../../src/ldap/bind.ts';
import { connectSealed, type SealedConnection, type SealedConnectionOptions } from '../../src/ldap/client.ts';
import { domainBase } from '../../src/ldap/locate.ts';
import { GssapiMechanism } from '../../src/ldap/sasl-gssapi.ts';
import { secure } from '../../src/ldap/tls.ts';
import { credspec, foreignClient, startDaemonProcess } from '../support/daemon-process.ts';
import { lab, labStatus } from './lab.ts';

const status = labStatus();
const LDAP = 389;
const LDAPS = 636;

describe('a bind to the domain controller', { skip: status.available ? false : status.reason }, () => {
  const resolver = new DnsResolver();
  const transport = new NetworkTransport({ resolver, locator: new Locator({ resolver, clock: Date.now }) });
  let client: KrbClient;
  let ca = '';

  before(() => {
    ca = readFileSync(process.env.LDAPTLS_CACERT!, 'utf8');
    const secret = new PasswordSecret(utf8(lab.reader.password), `${lab.realm}${lab.reader.name}`, [18]);
    client = new KrbClient({ transport, client: principal(lab.realm, lab.reader.name), secret });
  });
  after(() => {
    client.close();
    transport.close();
  });

  async function using<T>(
    options: Omit<SealedConnectionOptions, 'endpoint' | 'client' | 'resolver'> & { port?: number; host?: string },
    work: (connection: SealedConnection) => Promise<T>,
  ): Promise<T> {
    const endpoint = { host: options.host ?? lab.dc, port: options.port ?? LDAP };
    const connection = await connectSealed({ ...options, endpoint, client, resolver });
    try {
      return await work(connection);
    } finally {
      connection.close();
    }
  }

  for (const mechanism of ['GSSAPI', 'GSS-SPNEGO'] as const) {
    for (const [how, port, mode] of [
      ['its own sealing', LDAP, undefined],
      ['LDAPS and channel binding', LDAPS, 'ldaps'],
      ['StartTLS and channel binding', LDAP, 'starttls'],
    ] as const) {
      test(`with ${mechanism} and ${how} reads a managed password`, async () => {
        const tls = mode && { mode, ca };
        await using({ mechanism, port, tls }, async (connection) => {
          for (let i = 0; i < 2; i++) {
            const [account] = await readManagedAccounts(connection, lab.domain, [lab.webApp.name]);
            assert.ok(account && !isAdError(account), String(account));
            assert.equal(account.samAccountName, lab.webApp.name);
            assert.equal(account.password.current.length, 256);
          }
        });
      });
    }
  }

  test('over TLS without channel binding is refused by the domain controller', async () => {
    const raw = connect({ host: '127.0.0.1', port: LDAPS });
    await once(raw, 'connect');
    const { socket } = await secure(raw, lab.dc, { mode: 'ldaps', ca }, lab.dc);
    const credentials = await client.ticket(servicePrincipal('ldap', lab.dc, lab.realm));
    const mechanism = new GssapiMechanism({ context: client.context, credentials, protection: 'tls' });
    // Else it would not matter whether ours are right.
    await assert.rejects(saslBind(socket, mechanism, lab.dc), { code: 'WRONG_PASSWORD', message: /80090346/ });
    socket.destroy();
  });

  test('over TLS with a certificate that nobody vouches for is refused by us', async () => {
    for (const [mode, port] of [
      ['ldaps', LDAPS],
      ['starttls', LDAP],
    ] as const) {
      const bind = using({ port, tls: { mode } }, async () => undefined);
      await assert.rejects(bind, { code: 'UNREACHABLE', message: /no TLS connection to .*certificate/ });
    }
  });

  test('goes through a directory of many entries page by page', async () => {
    await using({}, async (connection) => {
      const filter = new PresenceFilter({ attribute: 'sAMAccountName' });
      const base = domainBase(lab.domain);
      const request = { base, scope: 'sub', filter, attributes: { sAMAccountName: 'text' } } as const;
      const all = await connection.search(request);
      const { entries, references } = await connection.searchReferring({ ...request, pageSize: 10 });
      const names = (list: typeof all) => list.map((entry) => entry.text.get('samaccountname')![0]).sort();
      assert.ok(all.length > 60, `${all.length}`);
      assert.deepEqual(names(entries), names(all));
      assert.ok(
        references.some((url) => url.includes('DomainDnsZones')),
        references.join(),
      );
    });
  });

  for (const how of ['starttls', 'ldaps']) {
    test(`is what a lease comes of with CF_LDAP_TLS=${how}`, async (t) => {
      const env = { KRB5_CONFIG: lab.paths.krb5Conf, CF_LDAP_TLS: how };
      const request = {
        credspec_contents: [credspec('WebApp01', lab.domain)],
        username: lab.reader.name,
        password: lab.reader.password,
        domain: lab.domain,
      };
      for (const [more, refused] of [
        [{ CF_LDAP_CA: lab.paths.ca }, false],
        [{}, true],
      ] as const) {
        const daemon = await startDaemonProcess({ ...env, ...more });
        const client = foreignClient(daemon.socket);
        t.after(() => {
          client.close();
          return daemon.stop();
        });
        const answer = await client.call('AddNonDomainJoinedKerberosLease', request);
        if (refused) assert.match('details' in answer ? answer.details : '', /no TLS connection to .*certificate/);
        else assert.ok('ok' in answer, JSON.stringify(answer));
      }
    });
  }
});
