/** A clock that is wrong by 20 minutes, before MIT's KDC: learned, or refused where kdc_timesync is off. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { KrbClientOptions } from '../../../src/krb5/client.ts';
import { testClient } from '../../support/kdc-client.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';

const MINUTE = 60_000;

describe('kdc_timesync', { skip: needsMitRealm }, () => {
  let realm: MitRealm;
  before(async () => {
    realm = await startMitRealm({ principals: [{ name: 'alice', password: 'pw' }] });
  });
  after(() => realm?.stop());

  async function login(offset: number, options: Partial<KrbClientOptions>): Promise<number> {
    const clock = () => Date.now() + offset;
    const client = testClient({
      port: realm.port,
      realm: realm.realm,
      name: 'alice',
      password: 'pw',
      clock,
      ...options,
    });
    try {
      await client.login();
      return client.context.timeOffset;
    } finally {
      client.close();
      client.context.transport.close();
    }
  }

  for (const offset of [20 * MINUTE, -20 * MINUTE]) {
    test(`on: the KDC's clock is taken, ${offset / MINUTE} minutes off`, async () => {
      const learned = await login(offset, {});
      assert.ok(Math.abs(learned + offset) < MINUTE, `${learned}`);
    });
    test(`off: the difference is an error, ${offset / MINUTE} minutes off`, async () => {
      await assert.rejects(login(offset, { kdcTimesync: false }), {
        code: 'CLOCK_SKEW',
        message: /set this host's clock/,
      });
    });
  }
  test('off: a difference within the limit does no harm', async () => {
    await login(2 * MINUTE, { kdcTimesync: false });
  });
});
