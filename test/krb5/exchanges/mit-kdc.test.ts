/** The exchanges against MIT's KDC, and MIT's programs on the tickets we got. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isAdError } from '../../../src/errors.ts';
import { writeCCache } from '../../../src/krb5/files/ccache.ts';
import { readKeytab } from '../../../src/krb5/files/keytab.ts';
import { ticketFlag } from '../../../src/krb5/numbers.ts';
import { servicePrincipal } from '../../../src/krb5/principal.ts';
import { testClient } from '../../support/kdc-client.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';

describe('exchanges with an MIT KDC', { skip: needsMitRealm }, () => {
  let realm: MitRealm;
  before(async () => {
    realm = await startMitRealm({
      principals: [
        { name: 'alice', password: 'correct horse' },
        { name: 'open', password: 'no preauth', withoutPreauth: true },
        { name: 'host/web.example.test' },
        { name: 'keyed' },
      ],
    });
  });
  after(() => realm?.stop());

  const client = (name: string, password: string, more = {}) =>
    testClient({ port: realm.port, realm: realm.realm, name, password, ...more });

  test('a password gets a ticket that klist shows and kvno uses', async () => {
    const alice = client('alice', 'correct horse');
    const tgt = await alice.login();
    const path = join(realm.directory, 'alice.cc');
    await writeFile(path, writeCCache({ principal: tgt.client, credentials: [tgt] }));
    const klist = await realm.run('klist', ['-ef', '-c', path]);
    assert.match(klist.stdout, new RegExp(`Default principal: alice@${realm.realm}`));
    assert.match(klist.stdout, /aes256-cts-hmac-sha1-96/);
    const kvno = await realm.run('kvno', ['-c', path, 'host/web.example.test']);
    assert.equal(kvno.code, 0, kvno.stderr);
    assert.match(kvno.stdout, /kvno = 1/);
    alice.close();
  });

  test('a service ticket we asked for satisfies klist', async () => {
    const alice = client('alice', 'correct horse');
    const tgt = await alice.login();
    const ticket = await alice.ticket(servicePrincipal('host', 'web.example.test', realm.realm));
    const path = join(realm.directory, 'service.cc');
    await writeFile(path, writeCCache({ principal: tgt.client, credentials: [tgt, ticket] }));
    const keytab = await realm.keytab('host/web.example.test');
    // kvno -k decrypts the ticket with the service's key: proof that it is what the service would accept.
    const kvno = await realm.run('kvno', ['-c', path, '-k', keytab, 'host/web.example.test']);
    assert.equal(kvno.code, 0, kvno.stderr);
    assert.match(kvno.stdout, /keytab entry valid/);
    alice.close();
  });

  test('a keytab logs on without asking for a salt', async () => {
    const entries = readKeytab(await readFile(await realm.keytab('keyed')));
    const keyed = testClient({ port: realm.port, realm: realm.realm, name: 'keyed', keys: entries.map((e) => e.key) });
    const tgt = await keyed.login();
    assert.ok(tgt.flags & ticketFlag.PRE_AUTHENT);
    keyed.close();
  });

  test('an account without pre-authentication gets its ticket too', async () => {
    const open = client('open', 'no preauth');
    assert.equal((await open.login()).server.components[0], 'krbtgt');
    open.close();
  });

  test('a ticket is renewed to a later end', async () => {
    const alice = client('alice', 'correct horse', { ticketLifetime: 600_000 });
    const tgt = await alice.login();
    const renewed = await alice.renew();
    assert.ok(renewed.endtime >= tgt.endtime);
    assert.deepEqual(renewed.renewTill, tgt.renewTill);
    alice.close();
  });

  test('a wrong password is called that', async () => {
    const alice = client('alice', 'wrong');
    await assert.rejects(
      alice.login(),
      (e) => isAdError(e, 'WRONG_PASSWORD') && /PREAUTH_FAILED \(24\)/.test(e.message),
    );
    alice.close();
  });

  test('an unknown user is called that', async () => {
    const nobody = client('nobody', 'x');
    await assert.rejects(nobody.login(), (e) => isAdError(e, 'UNKNOWN_PRINCIPAL'));
    nobody.close();
  });

  test('an unknown service is called that', async () => {
    const alice = client('alice', 'correct horse');
    await assert.rejects(alice.ticket(servicePrincipal('host', 'nowhere', realm.realm)), (e) =>
      isAdError(e, 'UNKNOWN_SERVICE'),
    );
    alice.close();
  });

  test('a clock twenty minutes off is learned from the KDC', async () => {
    const alice = client('alice', 'correct horse', { clock: () => Date.now() - 20 * 60_000 });
    await alice.login();
    assert.ok(Math.abs(alice.context.timeOffset - 20 * 60_000) < 10_000);
    await alice.ticket(servicePrincipal('host', 'web.example.test', realm.realm));
    alice.close();
  });

  test('a clock two days off is not believed', async () => {
    const alice = client('alice', 'correct horse', { clock: () => Date.now() - 48 * 3_600_000 });
    await assert.rejects(alice.login(), (e) => isAdError(e, 'CLOCK_SKEW'));
    assert.equal(alice.context.timeOffset, 0);
    alice.close();
  });
});
