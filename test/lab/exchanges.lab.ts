/** Exchanges beyond the login with a real domain: names, passwords, proxies, services that act for users. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fromDer } from '../../src/asn1.ts';
import { fromHex, utf8 } from '../../src/bytes.ts';
import { AdError } from '../../src/errors.ts';
import { readManagedAccounts } from '../../src/gmsa/account.ts';
import { loginManagedAccount } from '../../src/gmsa/login.ts';
import { KrbClient } from '../../src/krb5/client.ts';
import type { Credentials } from '../../src/krb5/credentials.ts';
import { Key } from '../../src/krb5/crypto/index.ts';
import { exchangeContext } from '../../src/krb5/exchanges/context.ts';
import { writeCCache } from '../../src/krb5/files/ccache.ts';
import { type KeytabEntry, readKeytab } from '../../src/krb5/files/keytab.ts';
import { EncTicketPart, Ticket } from '../../src/krb5/messages.ts';
import { Locator } from '../../src/krb5/network/locate.ts';
import { NetworkTransport } from '../../src/krb5/network/network.ts';
import { DnsResolver } from '../../src/krb5/network/resolver.ts';
import { keyUsage, ticketFlag } from '../../src/krb5/numbers.ts';
import {
  enterprisePrincipal,
  formatPrincipal,
  type Principal,
  principal,
  servicePrincipal,
} from '../../src/krb5/principal.ts';
import { KeySecret, PasswordSecret } from '../../src/krb5/secret.ts';
import { connectSealed } from '../../src/ldap/client.ts';
import { LDAP_PORT } from '../../src/ldap/locate.ts';
import { type LabUser, lab, labStatus, must, run } from './lab.ts';

const status = labStatus();

describe('exchanges with the domain', { skip: status.available ? false : status.reason }, () => {
  const resolver = new DnsResolver();
  const transport = new NetworkTransport({ resolver, locator: new Locator({ resolver, clock: Date.now }) });
  const clients: KrbClient[] = [];
  let work = '';
  let keys: KeytabEntry[] = [];
  let middle: KrbClient;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'cf-lab-test-'));
    const file = join(work, 'all.keytab');
    await must(lab.paths.script, ['dump-keys', file]);
    keys = readKeytab(await readFile(file));
    middle = await loggedOnGmsa();
  });
  after(async () => {
    for (const client of clients) client.close();
    transport.close();
    await rm(work, { recursive: true, force: true });
  });

  function clientOf(client: Principal, password: string, more = {}): KrbClient {
    const secret = new PasswordSecret(utf8(password), '', [18, 17]);
    clients.push(new KrbClient({ transport, client, secret, ...more }));
    return clients.at(-1)!;
  }
  const as = (user: LabUser, password = user.password) => clientOf(principal(lab.realm, user.name), password);
  const service = (host: string) => servicePrincipal('HOST', host, lab.realm);

  /** The gMSA in the middle, with its ticket-granting ticket alone, as a program has it that was given the ccache. */
  async function loggedOnGmsa(): Promise<KrbClient> {
    const connection = await connectSealed({
      endpoint: { host: lab.dc, port: LDAP_PORT },
      client: as(lab.reader),
      resolver,
    });
    try {
      const [account] = await readManagedAccounts(connection, lab.domain, [lab.middleApp.name]);
      if (account instanceof AdError) throw account;
      const tgt = await loginManagedAccount(exchangeContext({ transport }), account!, lab.realm);
      clients.push(new KrbClient({ transport, client: tgt.client, secret: new KeySecret([]), tickets: [tgt] }));
      return clients.at(-1)!;
    } finally {
      connection.close();
    }
  }

  /** Whom the domain controller's own key finds in a ticket. */
  function clientIn(ticket: Credentials, account: string): string {
    const { etype, kvno, cipher } = fromDer(Ticket, ticket.ticket).encPart;
    const entry = keys.find((k) => k.principal.components[0] === account && k.key.etype === etype && k.kvno === kvno);
    assert.ok(entry, `no key of ${account} with etype ${etype}, kvno ${kvno}`);
    const part = fromDer(EncTicketPart, new Key(etype, entry.key.value).decrypt(keyUsage.KDC_REP_TICKET, cipher));
    return formatPrincipal({ ...part.cname, components: part.cname.nameString, realm: part.crealm });
  }

  describe('a user principal name', () => {
    test('with a suffix of its own logs the account on', async () => {
      const alice = clientOf(enterprisePrincipal(lab.alice.upn, lab.realm), lab.alice.password);
      const tgt = await alice.login();
      assert.equal(formatPrincipal(tgt.client), lab.alice.principal);
      assert.equal(formatPrincipal(alice.client), lab.alice.principal);
      const ticket = await alice.ticket(service(lab.backs[0]!.host));
      assert.equal(clientIn(ticket, lab.backs[0]!.name), lab.alice.principal);
    });

    test('of the account name and the domain does too', async () => {
      const upn = enterprisePrincipal(`${lab.alice.name}@${lab.domain}`, lab.realm);
      assert.equal(formatPrincipal((await clientOf(upn, lab.alice.password).login()).client), lab.alice.principal);
    });

    test('that nobody has is unknown', () =>
      assert.rejects(clientOf(enterprisePrincipal('nobody@mail.example', lab.realm), 'x').login(), {
        code: 'UNKNOWN_PRINCIPAL',
      }));
  });

  describe('a password', () => {
    const random = () => `Test-Only-${Math.random().toString(36).slice(2)}-9`;

    test('is set by an administrator, and changed by its owner', async () => {
      const [first, second] = [random(), random()];
      const target = principal(lab.realm, lab.changes.name);
      await as(lab.administrator).setPassword(target, utf8(first));
      await as(lab.changes, first).changePassword(utf8(second));
      const kinit = await run('kinit', ['-c', join(work, 'changed.cc'), lab.changes.name], { input: `${second}\n` });
      assert.equal(kinit.code, 0, kinit.stderr);
      await assert.rejects(as(lab.changes, random()).login(), { code: 'WRONG_PASSWORD' });
    });

    test('against the policy is refused, and the policy said', () =>
      assert.rejects(as(lab.alice).changePassword(utf8('short')), (e: AdError) => {
        assert.equal(e.code, 'INVALID_ARGUMENT');
        assert.match(e.message, /SOFTERROR \(4\) for alice@LAB\.EXAMPLE.*(7 characters|too short)/i);
        return true;
      }));

    test('of another is not for everybody to set', () =>
      assert.rejects(as(lab.alice).setPassword(principal(lab.realm, lab.changes.name), utf8(random())), {
        code: 'NOT_ALLOWED',
      }));

    test('that must be changed can be changed', async () => {
      const mustChange = lab.brokenReaders.find((user) => user.state === 'must-change')!;
      await assert.rejects(as(mustChange).changePassword(utf8('short')), { code: 'INVALID_ARGUMENT' });
    });
  });

  describe('a service that acts for a user', () => {
    const alice = principal(lab.realm, lab.alice.name);

    test('gets a ticket to itself in the name of the user, forwardable by "any protocol"', async () => {
      const evidence = await middle.s4u2self(alice);
      assert.equal(formatPrincipal(evidence.client), lab.alice.principal);
      assert.equal(clientIn(evidence, lab.middleApp.name), lab.alice.principal);
      assert.ok(evidence.flags & ticketFlag.FORWARDABLE);
    });

    test('finds the user by its user principal name', async () => {
      const evidence = await middle.s4u2self(enterprisePrincipal(lab.alice.upn, lab.realm));
      // This KDC leaves the name as it was asked for; what we say is what is in the ticket.
      assert.equal(clientIn(evidence, lab.middleApp.name), formatPrincipal(evidence.client));
    });

    const ways = [
      ['by the list of the machine behind', lab.backs[0]!],
      ['by its own list', lab.backs[1]!],
    ] as const;
    for (const [way, { name, host }] of ways) {
      test(`goes on ${way}`, async () => {
        const evidence = await middle.s4u2self(alice);
        const ticket = await middle.s4u2proxy(evidence, service(host));
        assert.equal(formatPrincipal(ticket.client), lab.alice.principal);
        assert.equal(clientIn(ticket, name), lab.alice.principal);
      });
    }

    test('goes on with the ticket that the user brought', async () => {
      const brought = await as(lab.alice).ticket(servicePrincipal('HTTP', lab.middleApp.dnsHostName, lab.realm));
      const ticket = await middle.s4u2proxy(brought, service(lab.backs[1]!.host));
      assert.equal(clientIn(ticket, lab.backs[1]!.name), lab.alice.principal);
    });

    test('does not go where no list allows it', async () => {
      const evidence = await middle.s4u2self(alice);
      await assert.rejects(middle.s4u2proxy(evidence, service(lab.backs[2]!.host)), {
        code: 'KDC_ERROR',
        message: /KDC_ERR_BADOPTION/,
      });
    });

    test('does not go on for an account that is not to be delegated', async () => {
      const evidence = await middle.s4u2self(principal(lab.realm, lab.sensitive.name));
      assert.equal(evidence.flags & ticketFlag.FORWARDABLE, 0);
      await assert.rejects(middle.s4u2proxy(evidence, service(lab.backs[0]!.host)), { code: 'KDC_ERROR' });
    });

    test('does not act for a user that does not exist', () =>
      assert.rejects(middle.s4u2self(principal(lab.realm, 'nobody')), { code: 'UNKNOWN_PRINCIPAL' }));
  });

  describe('armor', () => {
    /** HOST1 with the keytab it has. */
    async function machine(): Promise<KrbClient> {
      const entries = readKeytab(await readFile(lab.host1.keytab));
      const secret = new KeySecret(entries.filter((e) => e.key.etype === 18).map((e) => e.key));
      clients.push(new KrbClient({ transport, client: principal(lab.realm, lab.host1.name), secret }));
      return clients.at(-1)!;
    }
    const armored = async (user: LabUser, password = user.password) =>
      clientOf(principal(lab.realm, user.name), password, { armor: await machine() });

    test('of a machine carries a login and the requests after it', async () => {
      const alice = await armored(lab.alice);
      assert.ok((await alice.login()).flags & ticketFlag.ENC_PA_REP);
      const ticket = await alice.ticket(service(lab.backs[0]!.host));
      assert.equal(clientIn(ticket, lab.backs[0]!.name), lab.alice.principal);
      await alice.renew();
      await alice.forward();
    });

    test('carries the refusal of a wrong password', async () => {
      await assert.rejects((await armored(lab.alice, 'wrong')).login(), { code: 'WRONG_PASSWORD' });
    });

    test('carries the refusal of accounts that cannot log on', async () => {
      for (const user of lab.brokenReaders) {
        const code = /password|change/.test(user.state!) ? 'PASSWORD_EXPIRED' : 'ACCOUNT_DISABLED';
        await assert.rejects((await armored(user)).login(), { code }, user.name);
      }
    });

    test('carries a change of password', async () => {
      const password = `Test-Only-${Math.random().toString(36).slice(2)}-9`;
      const admin = clientOf(principal(lab.realm, lab.administrator.name), lab.administrator.password, {
        armor: await machine(),
      });
      await admin.setPassword(principal(lab.realm, lab.changes.name), utf8(password));
      await as(lab.changes, password).login();
    });

    test('carries S4U2Self and S4U2Proxy', async () => {
      const own = await middle.login();
      const gmsa = new KrbClient({
        transport,
        client: own.client,
        secret: new KeySecret([]),
        tickets: [{ ...own, key: { ...own.key, value: Uint8Array.from(own.key.value) } }],
        armor: await machine(),
      });
      clients.push(gmsa);
      const evidence = await gmsa.s4u2self(principal(lab.realm, lab.alice.name));
      const ticket = await gmsa.s4u2proxy(evidence, service(lab.backs[0]!.host));
      assert.equal(clientIn(ticket, lab.backs[0]!.name), lab.alice.principal);
    });
  });

  describe('other tickets', () => {
    test("a forwarded ticket-granting ticket is used by MIT's kvno", async () => {
      const forwarded = await as(lab.alice).forward();
      const ccache = join(work, 'forwarded.cc');
      await writeFile(ccache, writeCCache({ principal: forwarded.client, credentials: [forwarded] }));
      await must('kvno', ['-c', ccache, `HOST/${lab.backs[0]!.host}`]);
    });

    test('a proxy ticket names the addresses it is for', async () => {
      const alice = clientOf(principal(lab.realm, lab.alice.name), lab.alice.password, { proxiable: true });
      const proxyFor = [{ addrType: 2, address: fromHex('c0000201') }];
      const proxy = await alice.ticket(service(lab.backs[0]!.host), { proxyFor });
      assert.ok(proxy.flags & ticketFlag.PROXY);
      assert.deepEqual(proxy.addresses, proxyFor);
      assert.equal(clientIn(proxy, lab.backs[0]!.name), lab.alice.principal);
    });

    test('a user-to-user ticket is sealed with the session key of the other', async () => {
      const theirs = await as(lab.changes, (await reset()).password).login();
      const ticket = await as(lab.alice).ticket(principal(lab.realm, lab.changes.name), { userToUser: theirs.ticket });
      const { etype, cipher } = fromDer(Ticket, ticket.ticket).encPart;
      assert.equal(etype, theirs.key.etype);
      const part = fromDer(EncTicketPart, new Key(etype, theirs.key.value).decrypt(keyUsage.KDC_REP_TICKET, cipher));
      assert.deepEqual(part.cname.nameString, [lab.alice.name]);
    });

    async function reset(): Promise<{ password: string }> {
      const password = `Test-Only-${Math.random().toString(36).slice(2)}-9`;
      await as(lab.administrator).setPassword(principal(lab.realm, lab.changes.name), utf8(password));
      return { password };
    }

    test('a ticket is renewed', async () => {
      const alice = as(lab.alice);
      const tgt = await alice.login();
      assert.deepEqual((await alice.renew()).renewTill, tgt.renewTill);
    });
  });
});
