/** curl with MIT's library logs on to our server. */
import assert from 'node:assert/strict';
import { copyFile, rename, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { GssError } from '../../src/http/index.ts';
import { type AcceptNegotiateOptions, acceptNegotiate } from '../../src/http/index.ts';
import { formatPrincipal } from '../../src/krb5/principal.ts';
import { type MitRealm, needsMitRealm, startMitRealm } from '../support/mit-realm.ts';
import { needs } from '../support/programs.ts';
import { testCertificate } from '../support/tls.ts';

const PASSWORD = 'Only-For-Tests-1';

describe('curl', { skip: needsMitRealm || needs('curl', 'openssl') }, () => {
  let realm: MitRealm;
  let keytab: string;
  const servers: Server[] = [];
  const refusals: GssError[] = [];

  before(async () => {
    realm = await startMitRealm({
      principals: [{ name: 'alice', password: PASSWORD }, { name: 'HTTP/localhost' }],
      libdefaults: ['forwardable = true'],
    });
    keytab = await realm.keytab('HTTP/localhost');
    const { code, stderr } = await realm.run('kinit', ['-f', 'alice'], `${PASSWORD}\n`);
    assert.equal(code, 0, stderr);
  });
  after(async () => {
    for (const server of servers) server.close();
    await realm?.stop();
  });

  async function serve(
    more: Partial<AcceptNegotiateOptions> = {},
    tls?: { key: string; cert: string },
  ): Promise<string> {
    const authenticate = acceptNegotiate({ keytab, onRefused: (e) => refusals.push(e), ...more });
    const handler: Parameters<typeof createServer>[1] = async (request, response) => {
      const user = await authenticate(request, response);
      if (!user) return;
      let body = '';
      for await (const chunk of request) body += chunk;
      const delegated = user.context.delegated.map((c) => formatPrincipal(c.client));
      response.end(JSON.stringify({ who: user.principal, bound: user.channelBound, body, delegated }));
    };
    const server = tls ? createTlsServer(tls, handler) : createServer(handler);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `${tls ? 'https' : 'http'}://localhost:${(server.address() as AddressInfo).port}/`;
  }
  const curl = (...args: string[]) => realm.run('curl', ['-sS', '-i', '--max-time', '20', ...args]);

  test('logs on when it is asked to, and gets the proof of the server', async () => {
    const { stdout } = await curl('--anyauth', '-u', ':', await serve());
    assert.match(stdout, /^HTTP\/1\.1 401 /);
    assert.match(stdout, /HTTP\/1\.1 200 OK\r\nWWW-Authenticate: Negotiate [A-Za-z0-9+/]+=*\r\n/);
    assert.match(stdout, /"who":"alice@MIT\.TEST"/);
  });

  test('--negotiate logs on at once', async () => {
    const { stdout } = await curl('--negotiate', '-u', ':', await serve());
    assert.match(stdout, /^HTTP\/1\.1 200 OK\r\nWWW-Authenticate: Negotiate [A-Za-z0-9+/]+=*\r\n/);
  });

  test('posts a body with it', async () => {
    const { stdout } = await curl('--negotiate', '-u', ':', '-d', 'some=data', await serve());
    assert.match(stdout, /"body":"some=data"/);
  });

  test('logs on over TLS, where its certificate would have to fit had it named one', async () => {
    const certificate = await testCertificate();
    const ca = join(realm.directory, 'ca.pem');
    await writeFile(ca, certificate.cert);
    const { stdout } = await curl('--cacert', ca, '--negotiate', '-u', ':', await serve({}, certificate));
    assert.match(stdout, /"who":"alice@MIT\.TEST"/);
  });

  test('--delegation always hands its ticket on', async () => {
    const { stdout } = await curl(
      '--delegation',
      'always',
      '--negotiate',
      '-u',
      ':',
      await serve({ delegation: true }),
    );
    assert.match(stdout, /"delegated":\["alice@MIT\.TEST"\]/);
  });

  test('without a ticket stays outside', async () => {
    const url = await serve();
    const { stdout } = await realm.run('curl', ['-sS', '-i', '--negotiate', '-u', ':', url], '', {
      KRB5CCNAME: 'FILE:/nonexistent/ccache',
    });
    assert.match(stdout, /HTTP\/1\.1 401 /);
    assert.doesNotMatch(stdout, /200 OK/);
  });

  test('is refused where the keytab has other keys, and the operator learns why', async () => {
    await realm.kadmin('add_principal -randkey HTTP/other');
    const url = await serve({ keytab: await realm.keytab('HTTP/other') });
    refusals.length = 0;
    const { stdout } = await curl('--negotiate', '-u', ':', url);
    assert.doesNotMatch(stdout, /200 OK/);
    assert.equal(refusals[0]?.major, 'DEFECTIVE_CREDENTIAL');
  });

  test('goes in again after the keytab was replaced', async () => {
    const path = join(realm.directory, 'rolling.keytab');
    await copyFile(await realm.keytab('HTTP/other'), path);
    const url = await serve({ keytab: path });
    assert.doesNotMatch((await curl('--negotiate', '-u', ':', url)).stdout, /200 OK/);
    await copyFile(keytab, `${path}.new`);
    await rename(`${path}.new`, path);
    assert.match((await curl('--negotiate', '-u', ':', url)).stdout, /"who":"alice@MIT\.TEST"/);
  });
});
