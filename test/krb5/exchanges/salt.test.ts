/** What MIT's KDC tells about keys to anyone who asks. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { AdError } from '../../../src/errors.ts';
import { loadKrb5Config } from '../../../src/krb5/config.ts';
import { exchangeContext } from '../../../src/krb5/exchanges/context.ts';
import { askEveryRecipe, askKeyRecipes } from '../../../src/krb5/exchanges/salt.ts';
import { Locator } from '../../../src/krb5/network/locate.ts';
import { NetworkTransport, networkSettings } from '../../../src/krb5/network/network.ts';
import { DnsResolver } from '../../../src/krb5/network/resolver.ts';
import { principal } from '../../../src/krb5/principal.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';

describe('key recipes', { skip: needsMitRealm }, () => {
  let mit: MitRealm;
  let transport: NetworkTransport;
  before(async () => {
    mit = await startMitRealm({
      principals: [
        { name: 'alice', password: 'a secret' },
        { name: 'host/a.mit.test', password: 'b secret', withoutPreauth: true },
        { name: 'only', password: 'c secret', keysalts: 'aes128-cts-hmac-sha1-96:norealm' },
      ],
    });
    const resolver = new DnsResolver();
    const locator = new Locator({ resolver, clock: Date.now });
    transport = new NetworkTransport({ resolver, locator, ...networkSettings(await loadKrb5Config(mit.krb5Conf)) });
  });
  after(async () => {
    transport?.close();
    await mit?.stop();
  });

  const context = (ahead = 0) =>
    exchangeContext({ transport, permittedEtypes: [18, 17], clock: () => Date.now() - ahead });
  const who = (...names: string[]) => principal('MIT.TEST', ...names);

  test('name the strongest type and its salt, and how far the clocks are apart', async () => {
    const { hints, offset, server } = await askKeyRecipes(context(3_600_000), who('alice'));
    assert.deepEqual([hints[0]?.etype, hints[0]?.salt ?? 'MIT.TESTalice'], [18, 'MIT.TESTalice']);
    assert.equal(server, `127.0.0.1:${mit.port}`);
    assert.ok(Math.abs(offset! - 3_600_000) < 10_000);
  });

  test('are had of every type by asking for each', async () => {
    const hints = await askEveryRecipe(context(), who('alice'));
    assert.deepEqual(hints.map((hint) => hint.etype).sort(), [17, 18]);
  });

  test('come with the ticket where no pre-authentication is needed', async () => {
    const { hints } = await askKeyRecipes(context(), who('host', 'a.mit.test'));
    assert.equal(hints[0]?.salt ?? 'MIT.TESThosta.mit.test', 'MIT.TESThosta.mit.test');
  });

  test('are those of the types that are permitted and there', async () => {
    const hints = await askEveryRecipe(context(), who('only'));
    assert.deepEqual(
      hints.map((hint) => [hint.etype, hint.salt]),
      [[17, 'only']],
    );
  });

  test('of a stranger are an error that still tells the time', async () => {
    await assert.rejects(askKeyRecipes(context(3_600_000), who('nobody')), (e) => {
      assert.ok(e instanceof AdError && e.code === 'UNKNOWN_PRINCIPAL');
      return Math.abs(Number(e.details.offset) - 3_600_000) < 10_000;
    });
  });
});
