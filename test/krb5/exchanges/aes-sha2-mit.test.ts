/** RFC 8009's types with MIT's KDC, and MIT's programs on the files they are in. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fromDer } from '../../../src/asn1.ts';
import { utf8 } from '../../../src/bytes.ts';
import type { KrbClient } from '../../../src/krb5/client.ts';
import type { Credentials } from '../../../src/krb5/credentials.ts';
import { stringToKey } from '../../../src/krb5/crypto/index.ts';
import { writeCCache } from '../../../src/krb5/files/ccache.ts';
import { readKeytab, writeKeytab } from '../../../src/krb5/files/keytab.ts';
import { Ticket } from '../../../src/krb5/messages.ts';
import { principal, servicePrincipal } from '../../../src/krb5/principal.ts';
import { testClient } from '../../support/kdc-client.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';

const NAMES: Record<number, string> = { 19: 'aes128-cts-hmac-sha256-128', 20: 'aes256-cts-hmac-sha384-192' };
const PASSWORD = 'pr\u00e4chtig 8009';

describe('an MIT realm with AES-SHA2 keys', { skip: needsMitRealm }, () => {
  let realm: MitRealm;
  before(async () => {
    const both = 'aes256-sha2:normal aes128-sha2:normal';
    realm = await startMitRealm({
      keysalts: both,
      principals: [
        { name: 'alice', password: PASSWORD },
        { name: 'only19', password: PASSWORD, keysalts: 'aes128-sha2:normal' },
        { name: 'host/web.example.test' },
      ],
    });
  });
  after(() => realm?.stop());

  const using = async <T>(more: object, work: (client: KrbClient) => Promise<T>): Promise<T> => {
    const client = testClient({ port: realm.port, realm: realm.realm, name: 'alice', password: PASSWORD, ...more });
    try {
      return await work(client);
    } finally {
      client.close();
    }
  };
  const save = async (name: string, credentials: Credentials[]): Promise<string> => {
    const path = join(realm.directory, name);
    await writeFile(path, writeCCache({ principal: credentials[0]!.client, credentials }));
    return path;
  };

  for (const etype of [19, 20]) {
    test(`etype ${etype} for password, session and service ticket, which klist and kvno take`, async () => {
      const credentials = await using({ permittedEtypes: [etype] }, async (client) => {
        const tgt = await client.login();
        return [tgt, await client.ticket(servicePrincipal('host', 'web.example.test', realm.realm))];
      });
      assert.deepEqual(
        credentials.map((c) => c.key.etype),
        [etype, etype],
      );
      const path = await save(`sha2-${etype}.cc`, credentials);
      const listed = (await realm.run('klist', ['-e', '-c', path])).stdout;
      assert.equal(listed.match(new RegExp(`skey, tkt\\): ${NAMES[etype]}, ${NAMES[20]}`, 'g'))?.length, 2, listed);
      const keytab = await realm.keytab('host/web.example.test');
      const kvno = await realm.run('kvno', ['-c', path, '-k', keytab, 'host/web.example.test']);
      assert.match(kvno.stdout, /keytab entry valid/, kvno.stderr);
    });

    test(`a keytab of ours with etype ${etype} logs kinit on`, async () => {
      const { value } = await stringToKey(etype, utf8(PASSWORD), `${realm.realm}alice`);
      const path = join(realm.directory, `sha2-${etype}.keytab`);
      const entry = {
        principal: principal(realm.realm, 'alice'),
        timestamp: new Date(),
        kvno: 1,
        key: { etype, value },
      };
      await writeFile(path, writeKeytab([entry]));
      assert.match((await realm.run('klist', ['-ek', path])).stdout, new RegExp(`alice@.*\\(${NAMES[etype]}\\)`));
      const kinit = await realm.run('kinit', ['-k', '-t', path, '-c', join(realm.directory, 'kinit.cc'), 'alice']);
      assert.equal(kinit.code, 0, kinit.stderr);
    });
  }

  test('a client without settings finds its key among them', async () => {
    const tgt = await using({ name: 'only19' }, (client) => client.login());
    assert.equal(fromDer(Ticket, tgt.ticket).encPart.etype, 20);
  });

  test('a keytab of MIT logs us on', async () => {
    const keytab = await realm.kadmin(`ktadd -norandkey -k ${join(realm.directory, 'alice.keytab')} alice`);
    assert.match(keytab, /aes128-cts-hmac-sha256-128/);
    const entries = readKeytab(await readFile(join(realm.directory, 'alice.keytab')));
    assert.deepEqual(entries.map((e) => e.key.etype).sort(), [19, 20]);
    const tgt = await using({ keys: entries.map((e) => e.key) }, (client) => client.login());
    assert.equal(tgt.client.components[0], 'alice');
  });

  test('initial and other tickets are asked for with lists of their own', async () => {
    const credentials = await using({ tktEtypes: [19], tgsEtypes: [20] }, async (client) => {
      const tgt = await client.login();
      return [tgt, await client.ticket(servicePrincipal('host', 'web.example.test', realm.realm))];
    });
    assert.deepEqual(
      credentials.map((c) => c.key.etype),
      [19, 20],
    );
  });

  test('a type that is not permitted is not used, though the account has no other', async () => {
    await using({ name: 'only19', permittedEtypes: [18, 17] }, (client) =>
      assert.rejects(client.login(), { code: 'ETYPE' }),
    );
  });
});
