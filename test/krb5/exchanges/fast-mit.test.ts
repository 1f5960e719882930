/** FAST against MIT's KDC: armor of a machine's ticket, the encrypted challenge, errors in the tunnel, TGS requests. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { KrbClient, KrbClientOptions } from '../../../src/krb5/client.ts';
import { writeCCache } from '../../../src/krb5/files/ccache.ts';
import { ticketFlag } from '../../../src/krb5/numbers.ts';
import { krbtgt, principal, servicePrincipal } from '../../../src/krb5/principal.ts';
import { realmsTransport, testClient } from '../../support/kdc-client.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';

const PASSWORD = 'Only-For-Tests-1';

describe('FAST with an MIT KDC', { skip: needsMitRealm }, () => {
  let realm: MitRealm;
  before(async () => {
    realm = await startMitRealm({
      principals: [
        { name: 'alice', password: PASSWORD },
        { name: 'open', password: PASSWORD, withoutPreauth: true },
        { name: 'host/machine', password: PASSWORD },
        { name: 'host/web.mit.test' },
      ],
      // Only what comes in armor can be a challenge, and nothing else is taken for a proof.
      kdcConf: ['encrypted_challenge_indicator = armored'],
    });
    await realm.kadmin('set_string host/web.mit.test require_auth armored');
  });
  after(() => realm?.stop());

  const service = () => servicePrincipal('host', 'web.mit.test', realm.realm);

  async function armored<T>(
    name: string,
    use: (client: KrbClient, machine: KrbClient) => Promise<T>,
    more: Partial<KrbClientOptions> & { password?: string } = {},
  ): Promise<T> {
    const transport = realmsTransport(realm);
    const machine = testClient({ transport, port: 0, realm: realm.realm, name: 'host/machine', password: PASSWORD });
    const client = testClient({
      transport,
      port: 0,
      realm: realm.realm,
      name,
      password: PASSWORD,
      armor: machine,
      ...more,
    });
    try {
      return await use(client, machine);
    } finally {
      client.close();
      machine.close();
      transport.close();
    }
  }

  test('a login in armor is one by encrypted challenge: the KDC says so in the ticket', () =>
    armored('alice', async (alice) => {
      const tgt = await alice.login();
      // The KDC sealed a checksum of the armored request into its reply (RFC 6806 section 11), and it was right.
      assert.ok(tgt.flags & ticketFlag.ENC_PA_REP);
      // The service takes tickets with the indicator of the challenge alone.
      const ticket = await alice.ticket(service());
      const path = join(realm.directory, 'armored.cc');
      await writeFile(path, writeCCache({ principal: tgt.client, credentials: [tgt, ticket] }));
      const keytab = await realm.keytab('host/web.mit.test');
      const kvno = await realm.run('kvno', ['-c', path, '-k', keytab, 'host/web.mit.test']);
      assert.match(kvno.stdout, /keytab entry valid/, kvno.stderr);
    }));

  test('a login without is not', async () => {
    const transport = realmsTransport(realm);
    const alice = testClient({ transport, port: 0, realm: realm.realm, name: 'alice', password: PASSWORD });
    await assert.rejects(alice.ticket(service()), { code: 'KDC_ERROR', message: /KDC_ERR_POLICY/ });
    alice.close();
    transport.close();
  });

  test('a second login sends its challenge at once', () =>
    armored('alice', async (alice) => {
      await alice.login();
      alice.forget();
      await alice.login();
    }));

  test('a ticket-granting ticket will do for armor', () =>
    armored('host/machine', async (_, machine) => {
      const armor = await machine.login();
      await armored('alice', (alice) => alice.login(), { armor });
    }));

  test('a ticket for another realm is no armor here: its KDC could look behind it', () =>
    armored('host/machine', async (_, machine) => {
      const armor = { ...(await machine.login()), server: krbtgt('EVIL.TEST') };
      const refused = {
        code: 'INVALID_ARGUMENT',
        message: /krbtgt\/EVIL\.TEST@EVIL\.TEST, is not for the KDC of MIT\.TEST/,
      };
      await armored('alice', (alice) => assert.rejects(alice.login(), refused), { armor });
    }));

  test('an account without pre-authentication logs on in armor', () =>
    armored('open', async (open) => void (await open.login())));

  test('a wrong password is called that, by an error in the tunnel', () =>
    armored('alice', (alice) => assert.rejects(alice.login(), { code: 'WRONG_PASSWORD', message: /PREAUTH_FAILED/ }), {
      password: 'wrong',
    }));

  test('an unknown user is called that', () =>
    armored('nobody', (nobody) => assert.rejects(nobody.login(), { code: 'UNKNOWN_PRINCIPAL' })));

  test('an unknown service is called that', () =>
    armored('alice', (alice) =>
      assert.rejects(alice.ticket(servicePrincipal('host', 'nowhere', realm.realm)), { code: 'UNKNOWN_SERVICE' }),
    ));

  test('renewal, forwarding and acting for a user go in armor too', () =>
    armored('alice', async (alice) => {
      await alice.login();
      await alice.renew();
      await alice.forward();
      await alice.s4u2self(principal(realm.realm, 'open'));
    }));

  test('a clock that is off is learned', () =>
    armored(
      'alice',
      async (alice) => {
        await alice.login();
        assert.ok(Math.abs(alice.context.timeOffset - 20 * 60_000) < 10_000);
      },
      { clock: () => Date.now() - 20 * 60_000 },
    ));
});
