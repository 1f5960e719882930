/**
 * From realm to realm with three KDCs of MIT's: A shares keys with B, B with C, and nobody else with anybody. What we
 * come home with is opened by MIT's kvno with the service's own key.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { KrbClient, KrbClientOptions } from '../../../src/krb5/client.ts';
import { parseKrb5Conf } from '../../../src/krb5/config.ts';
import type { Credentials } from '../../../src/krb5/credentials.ts';
import { writeCCache } from '../../../src/krb5/files/ccache.ts';
import { ticketFlag } from '../../../src/krb5/numbers.ts';
import { formatPrincipal, principal, servicePrincipal } from '../../../src/krb5/principal.ts';
import { realmsTransport, testClient } from '../../support/kdc-client.ts';
import { type MitPrincipal, type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';

const [A, B, C] = ['A.TEST', 'B.TEST', 'C.TEST'];
const CAPATHS = [
  '[capaths]',
  `  ${A} = {`,
  `    ${C} = ${B}`,
  `    ${B} = .`,
  '  }',
  `  ${C} = {`,
  `    ${A} = ${B}`,
  '  }',
];
/** Where the KDC itself knows the host's realm and the way there. */
const REFERRING = ['[domain_realm]', `  .b.test = ${B}`, `  .c.test = ${C}`, ...CAPATHS];

describe('a walk through realms of MIT KDCs', { skip: needsMitRealm }, () => {
  let realms: MitRealm[] = [];
  before(async () => {
    const shared = (name: string): MitPrincipal => ({ name, password: `key of ${name}` });
    const [ab, bc] = [shared(`krbtgt/${B}@${A}`), shared(`krbtgt/${C}@${B}`)];
    const plan: readonly [string, readonly MitPrincipal[], readonly string[]][] = [
      [A, [{ name: 'alice', password: 'correct horse' }, ab], REFERRING],
      [B, [ab, bc, { name: 'host/web.b.test' }], CAPATHS],
      [C, [bc, { name: 'host/web.c.test' }], CAPATHS],
    ];
    realms = await Promise.all(
      plan.map(([realm, principals, krb5Conf]) =>
        startMitRealm({ realm, principals, krb5Conf, kdcConf: ['host_based_services = *'] }),
      ),
    );
  });
  after(() => Promise.all(realms.map((realm) => realm.stop())));

  async function asAlice<T>(
    use: (alice: KrbClient, asked: string[]) => Promise<T>,
    config?: KrbClientOptions['config'],
  ): Promise<T> {
    const network = realmsTransport(...realms);
    const asked: string[] = [];
    const transport: typeof network = Object.assign(Object.create(network), {
      exchange: (realm: string, ...rest: [Uint8Array, AbortSignal?]) => {
        asked.push(realm);
        return network.exchange(realm, ...rest);
      },
    });
    const alice = testClient({
      port: 0,
      realm: A,
      name: 'alice',
      password: 'correct horse',
      transport,
      ...(config && { config }),
    });
    try {
      return await use(alice, asked);
    } finally {
      alice.close();
      network.close();
    }
  }

  /** MIT's kvno opens the ticket with the service's key and finds the client in it. */
  async function proved(realm: MitRealm, ticket: Credentials): Promise<void> {
    const ccache = join(realm.directory, 'walk.cc');
    await writeFile(ccache, writeCCache({ principal: principal(A, 'alice'), credentials: [ticket] }));
    const name = formatPrincipal(ticket.server);
    const kvno = await realm.run('kvno', ['-c', ccache, '-k', await realm.keytab(name), name]);
    assert.match(kvno.stdout, /keytab entry valid/, kvno.stderr);
  }

  test('goes by [capaths] over the realm between', () =>
    asAlice(
      async (alice, asked) => {
        const ticket = await alice.ticket(servicePrincipal('host', 'web.c.test', C));
        assert.equal(formatPrincipal(ticket.server), 'host/web.c.test@C.TEST');
        assert.equal(formatPrincipal(ticket.client), 'alice@A.TEST');
        // The last KDC looked at the realms between and found them in its [capaths].
        assert.ok(ticket.flags & ticketFlag.TRANSITED_POLICY_CHECKED);
        assert.equal(asked.at(-1), C);
        await proved(realms[2]!, ticket);
      },
      parseKrb5Conf(CAPATHS.join('\n')),
    ));

  test('goes where the KDC refers to, without configuration and without a realm in the name', () =>
    asAlice(async (alice, asked) => {
      const ticket = await alice.ticket(servicePrincipal('host', 'web.c.test', ''));
      assert.equal(formatPrincipal(ticket.server), 'host/web.c.test@C.TEST');
      assert.deepEqual([...new Set(asked)], [A, B, C]);
      await proved(realms[2]!, ticket);
    }));

  test('asks no realm twice for what it holds already', () =>
    asAlice(async (alice, asked) => {
      await alice.ticket(servicePrincipal('host', 'web.b.test', B));
      const before = asked.length;
      assert.equal(formatPrincipal((await alice.tgtOf(B)).server), 'krbtgt/B.TEST@A.TEST');
      await alice.ticket(servicePrincipal('host', 'web.c.test', C));
      assert.deepEqual(asked.slice(before), [A, B, C]);
    }));

  test('ends where no realm knows the way', () =>
    asAlice(async (alice) => {
      await assert.rejects(alice.ticket(servicePrincipal('host', 'web.d.test', 'D.TEST')), {
        code: 'UNKNOWN_SERVICE',
        message: /no way from realm A\.TEST to D\.TEST/,
      });
    }));
});
