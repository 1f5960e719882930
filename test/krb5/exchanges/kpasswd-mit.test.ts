/** Passwords changed and set at MIT's kadmind; MIT's kinit says whether they are. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { utf8 } from '../../../src/bytes.ts';
import type { KrbClient } from '../../../src/krb5/client.ts';
import { principal } from '../../../src/krb5/principal.ts';
import { realmsTransport, testClient } from '../../support/kdc-client.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';
import { needs } from '../../support/programs.ts';

const OLD = 'Only-For-Tests-1';
const NEW = 'Only-For-Tests-2-é';

describe('passwords at MIT kadmind', { skip: needsMitRealm || needs('kadmind') }, () => {
  let realm: MitRealm;
  before(async () => {
    const names = ['alice', 'bob', 'carol', 'expired', 'admin'];
    realm = await startMitRealm({
      kpasswd: true,
      acl: ['admin@MIT.TEST c'],
      principals: names.map((name) => ({ name, password: OLD })),
    });
    await realm.kadmin(
      'add_policy -minlength 12 -minclasses 3 strict',
      'modify_principal -policy strict carol',
      'modify_principal -pwexpire yesterday expired',
    );
  });
  after(() => realm?.stop());

  async function as<T>(name: string, use: (client: KrbClient) => Promise<T>): Promise<T> {
    const transport = realmsTransport(realm);
    const client = testClient({ transport, port: 0, realm: realm.realm, name, password: OLD });
    try {
      return await use(client);
    } finally {
      client.close();
      transport.close();
    }
  }
  const kinit = async (name: string, password: string) =>
    (await realm.run('kinit', ['-c', 'MEMORY:x', name], `${password}\n`)).code;

  test("one's own password is changed", async () => {
    await as('alice', (alice) => alice.changePassword(utf8(NEW)));
    assert.equal(await kinit('alice', NEW), 0);
    assert.equal(await kinit('alice', OLD), 1);
  });

  test('a password that has expired is changed', async () => {
    await as('expired', async (client) => {
      await assert.rejects(client.login(), { code: 'PASSWORD_EXPIRED' });
      await client.changePassword(utf8(NEW));
    });
    assert.equal(await kinit('expired', NEW), 0);
  });

  test('a password that the policy refuses is refused with its words', async () => {
    await as('carol', (carol) =>
      assert.rejects(carol.changePassword(utf8('short')), {
        code: 'INVALID_ARGUMENT',
        message: /SOFTERROR \(4\) for carol@MIT\.TEST.*too short/,
      }),
    );
    assert.equal(await kinit('carol', OLD), 0);
  });

  test("an administrator sets another's", async () => {
    await as('admin', (admin) => admin.setPassword(principal(realm.realm, 'bob'), utf8(NEW)));
    assert.equal(await kinit('bob', NEW), 0);
  });

  test("nobody else sets another's", () =>
    as('carol', (carol) =>
      assert.rejects(carol.setPassword(principal(realm.realm, 'admin'), utf8(NEW)), {
        code: 'NOT_ALLOWED',
        message: /ACCESSDENIED \(5\) for admin@MIT\.TEST/,
      }),
    ));

  test('a wrong old password is called that', async () => {
    const transport = realmsTransport(realm);
    const client = testClient({ transport, port: 0, realm: realm.realm, name: 'carol', password: 'wrong' });
    await assert.rejects(client.changePassword(utf8(NEW)), { code: 'WRONG_PASSWORD' });
    client.close();
    transport.close();
  });
});
