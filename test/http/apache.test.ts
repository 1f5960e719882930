/** Our fetch logs on to Apache with mod_auth_gssapi, which is MIT's library again. */
import assert from 'node:assert/strict';
import { chmod, copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type NegotiateOptions, negotiate } from '../../src/http/index.ts';
import type { KrbClient } from '../../src/krb5/client.ts';
import type { NetworkTransport } from '../../src/krb5/network/network.ts';
import { type Apache, needsApache, startApache } from '../support/apache.ts';
import { localTransport, testClient } from '../support/kdc-client.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../support/mit-realm.ts';
import { needs } from '../support/programs.ts';
import { type TestCertificate, testCertificate } from '../support/tls.ts';

const PASSWORD = 'Only-For-Tests-1';

describe('negotiate() and Apache', { skip: needsMitRealm || needs('openssl') || needsApache }, () => {
  let realm: MitRealm;
  let transport: NetworkTransport;
  let client: KrbClient;
  let certificate: TestCertificate;
  let plain: Apache;
  let secure: Apache;
  const fetches: { close(): void }[] = [];

  before(async () => {
    realm = await startMitRealm({ principals: [{ name: 'alice', password: PASSWORD }, { name: 'HTTP/localhost' }] });
    const keytab = join(realm.directory, 'apache.keytab');
    await copyFile(await realm.keytab('HTTP/localhost'), keytab);
    await Promise.all([chmod(keytab, 0o644), chmod(realm.directory, 0o755)]);
    certificate = await testCertificate();
    const env = { ...realm.env, KRB5RCACHENAME: 'none:' };
    [plain, secure] = await Promise.all([startApache({ keytab, env }), startApache({ keytab, env, tls: certificate })]);
    transport = localTransport(realm.port);
    client = testClient({ transport, port: realm.port, realm: realm.realm, name: 'alice', password: PASSWORD });
  });
  after(async () => {
    for (const fetch of fetches) fetch.close();
    client?.close();
    transport?.close();
    await Promise.all([plain?.stop(), secure?.stop()]);
    await realm?.stop();
  });

  function ours(more: Partial<NegotiateOptions> = {}) {
    const insecureOrigins = [new URL(plain.url).origin];
    const made = negotiate({ client, insecureOrigins, tls: { ca: certificate.cert }, ...more });
    fetches.push(made);
    return made;
  }

  for (const mechanism of ['spnego', 'krb5'] as const) {
    for (const preemptive of [false, true]) {
      test(`${mechanism}${preemptive ? ', unasked' : ''}: over TLS, bound to its certificate`, async () => {
        const response = await ours({ mechanism, preemptive })(secure.url);
        assert.equal(response.status, 200, await secure.log());
        assert.equal(response.headers.get('x-user'), `alice@${realm.realm}`);
        assert.equal(await response.text(), 'a page\n');
      });
    }
  }

  test('in the clear, where that is allowed by name', async () => {
    const response = await ours()(plain.url);
    assert.equal(response.headers.get('x-user'), `alice@${realm.realm}`);
    await response.body?.cancel();
    await assert.rejects(ours({ insecureOrigins: [] })(plain.url), { code: 'NOT_ALLOWED' });
  });

  test("through somebody else's fetch", async () => {
    const response = await ours({ fetch })(plain.url);
    assert.equal(response.headers.get('x-user'), `alice@${realm.realm}`);
    assert.equal(await response.text(), 'a page\n');
  });

  test('a page that is not there is told without complaint', async () => {
    const response = await ours({ preemptive: true })(new URL('/nothing', secure.url));
    assert.equal(response.status, 404);
    await response.body?.cancel();
  });
});
