/**
 * PACs of a real domain controller: our acceptor verifies them with the service's keys, and reads what Samba's own NDR
 * and directory say.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fromHex, hex, utf8 } from '../../src/bytes.ts';
import { acceptNegotiate, negotiate } from '../../src/http/index.ts';
import { KrbClient } from '../../src/krb5/client.ts';
import { readKeytab } from '../../src/krb5/files/keytab.ts';
import { type AcceptedContext, GssAcceptor } from '../../src/krb5/gss/acceptor.ts';
import { GssInitiator } from '../../src/krb5/gss/initiator.ts';
import { ReplayCache } from '../../src/krb5/gss/replay-cache.ts';
import { KeytabKeys } from '../../src/krb5/gss/service-keys.ts';
import { NegotiateAcceptor } from '../../src/krb5/gss/spnego-acceptor.ts';
import { Locator } from '../../src/krb5/network/locate.ts';
import { NetworkTransport } from '../../src/krb5/network/network.ts';
import { DnsResolver } from '../../src/krb5/network/resolver.ts';
import { cksumType } from '../../src/krb5/numbers.ts';
import { groupSids, type Pac } from '../../src/krb5/pac/index.ts';
import { type Principal, principal, servicePrincipal } from '../../src/krb5/principal.ts';
import { PasswordSecret } from '../../src/krb5/secret.ts';
import { type LabUser, lab, labStatus, must } from './lab.ts';

const status = labStatus();
const PYTHON = '/usr/bin/python3'; // the one with Samba's packages
const script = fileURLToPath(new URL('./samba_pac.py', import.meta.url));
const client = fileURLToPath(new URL('./samba_client.py', import.meta.url));
const webApp = servicePrincipal('HTTP', 'webapp01.lab.example', lab.realm);

describe('PACs of Active Directory', { skip: status.available ? false : status.reason }, () => {
  const resolver = new DnsResolver();
  const transport = new NetworkTransport({ resolver, locator: new Locator({ resolver, clock: Date.now }) });
  const replays = new ReplayCache();
  let work = '';
  /** The controller's own keys of the accounts that are services here. */
  let all: KeytabKeys;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'cf-lab-test-'));
    const file = join(work, 'all.keytab');
    await must(lab.paths.script, ['dump-keys', file]);
    const services = [lab.webApp.name, lab.rc4Reader.name];
    const entries = readKeytab(await readFile(file));
    all = new KeytabKeys(entries.filter(({ principal: { components } }) => services.includes(components[0]!)));
  });
  after(async () => {
    transport.close();
    await rm(work, { recursive: true, force: true });
  });

  async function logon(user: LabUser, server: Principal, keys = all, permitted = [18, 17]): Promise<AcceptedContext> {
    const secret = new PasswordSecret(utf8(user.password), `${lab.realm}${user.name}`, permitted);
    const options = { transport, client: principal(lab.realm, user.name), secret, permittedEtypes: permitted };
    const client = new KrbClient(options);
    try {
      const initiator = new GssInitiator({ context: client.context, credentials: await client.ticket(server) });
      const acceptor = new GssAcceptor({ keys, replays, pac: 'require', permittedEtypes: permitted });
      initiator.step(acceptor.step(initiator.step()));
      return acceptor.context!;
    } finally {
      client.close();
    }
  }
  const samba = async (pac: Pac) => JSON.parse(await must(PYTHON, [script], { input: hex(pac.bytes) }));
  async function attribute(account: string, name: string): Promise<string | undefined> {
    const { name: admin, password } = lab.administrator;
    const args = ['user', 'show', account, `--attributes=${name}`, '-H', `ldap://${lab.dc}`];
    const shown = await must('samba-tool', [...args, '-U', `${lab.netbios}\\${admin}%${password}`]);
    return new RegExp(`^${name}: (.*)$`, 'm').exec(shown)?.[1];
  }

  test("a user's, opened with a machine's keytab, is what Samba's NDR reads", async () => {
    const keys = new KeytabKeys(readKeytab(await readFile(lab.host1.keytab)));
    const { pac } = await logon(lab.reader, principal(lab.realm, 'HOST1$'), keys);
    const told = await samba(pac!);
    const { logon: info, upn } = pac!;
    const pairs = (list: readonly { sid: string; attributes: number }[]) => list.map((m) => [m.sid, m.attributes]);
    assert.deepEqual(
      {
        account: info!.accountName,
        server: info!.logonServer,
        domain: info!.logonDomainName,
        user: info!.userSid,
        primary: info!.primaryGroupSid,
        groups: pairs(info!.groups),
        extra: pairs(info!.extraSids),
        resource: pairs(info!.resourceGroups),
        control: info!.userAccountControl,
        client: pac!.client!.name,
        upn: upn!.upn,
        dns: upn!.dnsDomain,
        sam: upn!.samName,
        sid: upn!.sid,
        types: [...pac!.buffers.keys()],
      },
      told,
    );
  });

  test("the user's SID and group are those of the directory", async () => {
    const { pac } = await logon(lab.reader, webApp);
    const sid = await attribute(lab.reader.name, 'objectSid');
    assert.equal(pac!.logon!.userSid, sid);
    assert.equal(pac!.upn!.sid, sid);
    const { name, password } = lab.administrator;
    const group = await must('samba-tool', [
      ...['group', 'show', 'Readers', '--attributes=objectSid', '-H', `ldap://${lab.dc}`],
      ...['-U', `${lab.netbios}\\${name}%${password}`],
    ]);
    const readers = /^objectSid: (.*)$/m.exec(group)![1]!;
    assert.ok(groupSids(pac!.logon!).includes(readers), `${readers} is not among ${groupSids(pac!.logon!)}`);
    const { pac: other } = await logon(lab.deniedReader, webApp);
    assert.ok(!groupSids(other!.logon!).includes(readers));
  });

  test('a gMSA as the service opens its tickets with the keys of its password', async () => {
    const context = await logon(lab.reader, webApp);
    assert.deepEqual(context.acceptor.components, ['HTTP', 'webapp01.lab.example']);
    assert.equal(context.pac!.upn!.upn, `${lab.reader.name}@${lab.domain}`);
    // In a ticket for a service there are the KDC's signatures over ticket and PAC too.
    assert.ok(context.pac!.ticketSignature && context.pac!.fullSignature);
  });

  test('a ticket under RC4 is good where RC4 is permitted by name, signature and all, and only there', async () => {
    const rc4 = servicePrincipal('MSSQLSvc', 'rc4.lab.example', lab.realm);
    await assert.rejects(logon(lab.reader, rc4), { code: 'ETYPE' });
    const { pac } = await logon(lab.reader, rc4, all, [18, 17, 23]);
    assert.equal(pac!.serverSignature!.type, cksumType.HMAC_MD5);
  });

  test("curl logs on to a server that has a gMSA's keys, which knows its groups", async () => {
    const authenticate = acceptNegotiate({ keytab: all, pac: 'require' });
    const server = createServer(async (request, response) => {
      const user = await authenticate(request, response);
      if (!user) return;
      const { principal, sid, groups, upn, accountName, domain } = user;
      response.end(JSON.stringify({ principal, sid, groups, upn, accountName, domain }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const env = { KRB5CCNAME: `FILE:${join(work, 'curl.ccache')}` };
      await must('kinit', [lab.reader.principal], { env, input: `${lab.reader.password}\n` });
      const { port } = server.address() as { port: number };
      const args = ['--resolve', `webapp01.lab.example:${port}:127.0.0.1`, `http://webapp01.lab.example:${port}/`];
      const body = await must('curl', ['-sS', '--fail', '--negotiate', '-u', ':', ...args], { env });
      const user = JSON.parse(body);
      assert.equal(user.principal, lab.reader.principal);
      assert.equal(user.sid, await attribute(lab.reader.name, 'objectSid'));
      assert.deepEqual(
        [user.accountName, user.domain, user.upn],
        [lab.reader.name, lab.netbios, `${lab.reader.name}@${lab.domain}`],
      );
      const domain = user.sid.slice(0, user.sid.lastIndexOf('-'));
      assert.ok(user.groups.includes(`${domain}-513`), 'Domain Users');
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  for (const [mechanism, requireMic] of [
    ['spnego', false],
    ['spnego', true],
    ['gssapi_krb5', false],
  ] as const) {
    const proof = requireMic ? ', proof of the list and all' : '';
    test(`Samba's own client negotiates with us as ${mechanism}${proof}, and talks sealed`, async () => {
      const ours = new NegotiateAcceptor({ keys: all, replays, pac: 'require', requireMic });
      const { name, password } = lab.reader;
      const host = 'webapp01.lab.example';
      const child = spawn(PYTHON, [client, name, password, lab.realm, host, mechanism], {
        stdio: ['pipe', 'pipe', 'ignore'],
      });
      try {
        const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
        const next = async (): Promise<string> => {
          const { value, done } = await lines.next();
          if (done) throw new Error("Samba's client gave up");
          return value;
        };
        const send = (bytes: Uint8Array) => child.stdin.write(`${hex(bytes)}\n`);
        while (!ours.context) {
          const reply = ours.step(fromHex(await next()));
          if (reply) send(reply);
        }
        assert.equal(await next(), ''); // it has nothing more to say to make the context
        assert.equal(ours.context.pac!.logon!.accountName, name);
        const { plain, confidential } = ours.context.unwrap(fromHex(await next()));
        assert.deepEqual([Buffer.from(plain).toString(), confidential], ['from samba', true]);
        send(ours.context.wrap(utf8('from us'), { confidential: true }));
        assert.equal(await next(), 'from us');
      } finally {
        child.kill('SIGKILL');
      }
    });
  }

  test('our fetch logs on to it, bound by nothing but the name', async () => {
    const secret = new PasswordSecret(utf8(lab.reader.password), `${lab.realm}${lab.reader.name}`, [18]);
    const client = new KrbClient({ transport, client: principal(lab.realm, lab.reader.name), secret });
    const authenticate = acceptNegotiate({ keytab: all, pac: 'require' });
    const server = createServer(async (request, response) => {
      const user = await authenticate(request, response);
      if (user) response.end(user.sid);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://localhost:${(server.address() as { port: number }).port}`;
    const fetch = negotiate({ client, insecureOrigins: [url], service: () => webApp });
    try {
      assert.match(await (await fetch(url)).text(), /^S-1-5-21-/);
    } finally {
      fetch.close();
      client.close();
      server.close();
    }
  });
});
