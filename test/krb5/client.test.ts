/** One client: its tickets, the way to other realms, and its end. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deferred } from '../../src/async.ts';
import { KrbClient, type KrbClientOptions } from '../../src/krb5/client.ts';
import { parseKrb5Conf } from '../../src/krb5/config.ts';
import { Key } from '../../src/krb5/crypto/index.ts';
import { nameType } from '../../src/krb5/numbers.ts';
import { formatPrincipal, principal, servicePrincipal } from '../../src/krb5/principal.ts';
import { KeySecret } from '../../src/krb5/secret.ts';
import { asReply, errorReply, FakeKdc, type SeenRequest, tgsReply } from '../support/fake-kdc.ts';

const REALM = 'A.TEST';
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const key = Key.generate(18);
const server = servicePrincipal('ldap', 'dc1.b.test', REALM);

const clientOf = (
  kdc: FakeKdc,
  more: { clock?: () => number; name?: string } & Partial<Pick<KrbClientOptions, 'config' | 'tickets'>> = {},
) =>
  new KrbClient({
    transport: kdc,
    clock: () => NOW,
    client: principal(REALM, more.name ?? 'alice'),
    secret: new KeySecret([{ etype: 18, value: key.value }]),
    ...more,
  });

/** A KDC whose TGS of each realm refers to the next realm in the map, and serves where there is none. */
const referring = (next: Readonly<Record<string, string>>) =>
  new FakeKdc((request) => {
    if (request.kind === 'AS') return asReply(request, key, NOW);
    const to = next[request.realm];
    return tgsReply(
      request,
      NOW,
      to ? { part: { sname: { nameType: nameType.SRV_INST, nameString: ['krbtgt', to] } } } : {},
    );
  });

describe('referrals', () => {
  test('are followed from realm to realm', async () => {
    const kdc = referring({ 'A.TEST': 'B.TEST', 'B.TEST': 'C.TEST' });
    const got = await clientOf(kdc).ticket(server);
    assert.equal(formatPrincipal(got.server), 'ldap/dc1.b.test@C.TEST');
    assert.deepEqual(
      kdc.requests.map((r) => r.realm),
      ['A.TEST', 'A.TEST', 'B.TEST', 'C.TEST'],
    );
  });

  test('back to the same realm end at once', async () => {
    const kdc = referring({ 'A.TEST': 'A.TEST' });
    await assert.rejects(clientOf(kdc).ticket(server), { code: 'UNKNOWN_SERVICE', message: /circles/ });
    assert.equal(kdc.requests.length, 2);
  });

  test('in circles end', async () => {
    const kdc = referring({ 'A.TEST': 'B.TEST', 'B.TEST': 'A.TEST' });
    await assert.rejects(clientOf(kdc).ticket(server), { code: 'UNKNOWN_SERVICE', message: /circles/ });
    assert.ok(kdc.requests.length <= 11, `${kdc.requests.length}`);
  });

  test('through ever new realms end', async () => {
    const kdc = new FakeKdc((request, n) =>
      request.kind === 'AS'
        ? asReply(request, key, NOW)
        : tgsReply(request, NOW, { part: { sname: { nameType: 2, nameString: ['krbtgt', `R${n}.TEST`] } } }),
    );
    await assert.rejects(clientOf(kdc).ticket(server), { code: 'UNKNOWN_SERVICE' });
    assert.ok(kdc.requests.length <= 11, `${kdc.requests.length}`);
  });
});

describe('realms whose KDC refers nobody', () => {
  /** Realms that share a key; every KDC serves its own realm, and knows hosts of its domain alone. */
  const sharing = (...pairs: readonly string[]) =>
    new FakeKdc((request) => {
      if (request.kind === 'AS') return asReply(request, key, NOW);
      const [service, name] = request.body.sname!.nameString;
      const known =
        service === 'krbtgt' ? pairs.includes(`${request.realm}>${name}`) : name!.endsWith(request.realm.toLowerCase());
      return known ? tgsReply(request, NOW) : errorReply('KDC_ERR_S_PRINCIPAL_UNKNOWN', NOW);
    });
  const asked = (kdc: FakeKdc) => kdc.requests.map((r) => `${r.realm} ${r.body.sname!.nameString.join('/')}`);
  const http = (host: string, realm: string) => servicePrincipal('HTTP', host, realm);

  test('are walked up and down the tree of their names', async () => {
    const kdc = sharing('X.A.TEST>A.TEST', 'A.TEST>Y.A.TEST');
    const client = new KrbClient({
      transport: kdc,
      clock: () => NOW,
      client: principal('X.A.TEST', 'alice'),
      secret: new KeySecret([{ etype: 18, value: key.value }]),
    });
    const got = await client.ticket(http('web.y.a.test', 'Y.A.TEST'));
    assert.equal(formatPrincipal(got.server), 'HTTP/web.y.a.test@Y.A.TEST');
    assert.deepEqual(asked(kdc).slice(1), [
      'X.A.TEST krbtgt/Y.A.TEST',
      'X.A.TEST krbtgt/A.TEST',
      'A.TEST krbtgt/Y.A.TEST',
      'Y.A.TEST HTTP/web.y.a.test',
    ]);
  });

  test('are asked once for a ticket-granting ticket that lasts', async () => {
    const kdc = sharing('A.TEST>B.TEST');
    const client = clientOf(kdc);
    await client.ticket(http('one.b.test', 'B.TEST'));
    await client.ticket(http('two.b.test', 'B.TEST'));
    assert.deepEqual(asked(kdc).slice(1), ['A.TEST krbtgt/B.TEST', 'B.TEST HTTP/one.b.test', 'B.TEST HTTP/two.b.test']);
  });

  test("are found by the host's domain when the name says no realm", async () => {
    const kdc = sharing('A.TEST>B.TEST');
    await clientOf(kdc).ticket(http('web.b.test', ''));
    assert.deepEqual(asked(kdc).slice(1), ['A.TEST HTTP/web.b.test', 'A.TEST krbtgt/B.TEST', 'B.TEST HTTP/web.b.test']);
  });

  test('are not reached by the way that another realm led to them', async () => {
    const kdc = new FakeKdc((request) => {
      if (request.kind === 'AS') return asReply(request, key, NOW);
      const next = { 'A.TEST': 'EVIL.TEST', 'EVIL.TEST': 'C.TEST' }[request.realm];
      if (!next || request.body.sname!.nameString[0] === 'krbtgt') return tgsReply(request, NOW);
      return tgsReply(request, NOW, { part: { sname: { nameType: 2, nameString: ['krbtgt', next] } } });
    });
    const client = clientOf(kdc);
    await client.ticket(http('web.evil.test', ''));
    assert.deepEqual(asked(kdc).at(-1), 'C.TEST HTTP/web.evil.test');
    await client.ticket(http('db.c.test', 'C.TEST'));
    assert.deepEqual(asked(kdc).slice(-2), ['A.TEST krbtgt/C.TEST', 'C.TEST HTTP/db.c.test']);
  });

  test('are found by [domain_realm] first', async () => {
    const kdc = sharing('A.TEST>B.TEST');
    const config = parseKrb5Conf('[domain_realm]\n .b.test = B.TEST');
    await clientOf(kdc, { config }).ticket(http('web.b.test', ''));
    assert.deepEqual(asked(kdc).slice(1), ['A.TEST krbtgt/B.TEST', 'B.TEST HTTP/web.b.test']);
  });

  test("that cannot be reached leave the KDC's own word", async () => {
    const kdc = sharing();
    await assert.rejects(clientOf(kdc).ticket(http('web.b.test', '')), {
      code: 'UNKNOWN_SERVICE',
      message: /S_PRINCIPAL_UNKNOWN.*HTTP/,
    });
  });

  test('are not entered by a ticket another realm claims to have made', async () => {
    const kdc = new FakeKdc((request) =>
      request.kind === 'AS' ? asReply(request, key, NOW) : tgsReply(request, NOW, { part: { srealm: 'EVIL.TEST' } }),
    );
    await assert.rejects(clientOf(kdc).ticket(http('web.b.test', 'B.TEST')), { code: 'REPLY_REJECTED' });
  });

  test('that lead back to where we were end', async () => {
    const kdc = new FakeKdc((request) => {
      if (request.kind === 'AS') return asReply(request, key, NOW);
      const to = request.realm === 'A.TEST' ? 'B.TEST' : 'A.TEST';
      return tgsReply(request, NOW, { part: { sname: { nameType: 2, nameString: ['krbtgt', to] } } });
    });
    await assert.rejects(clientOf(kdc).ticket(http('web.c.test', 'C.TEST')), {
      code: 'UNKNOWN_SERVICE',
      message: /circles/,
    });
    assert.ok(kdc.requests.length < 10, `${kdc.requests.length}`);
  });
});

describe('tickets', () => {
  const honest = (request: SeenRequest) =>
    request.kind === 'AS' ? asReply(request, key, NOW) : tgsReply(request, NOW);

  test('are fetched once for all who ask at the same time, and kept', async () => {
    const kdc = new FakeKdc(honest);
    const client = clientOf(kdc);
    const all = await Promise.all([client.ticket(server), client.ticket(server), client.login()]);
    assert.equal(all[0], all[1]);
    await client.ticket(server);
    assert.equal(kdc.requests.length, 2);
  });

  test("of others in a cache are never handed out as the client's own", async () => {
    const kdc = new FakeKdc(honest);
    const first = clientOf(kdc);
    const [tgt, own] = [await first.login(), await first.ticket(server)];
    const mine = { ...tgt, key: { ...tgt.key, value: Uint8Array.from(tgt.key.value) } };
    const others = [{ client: principal(REALM, 'bob') }, { isSkey: true }].map((other) => ({
      ...own,
      ...other,
      key: { ...own.key, value: Uint8Array.from(own.key.value) },
    }));
    const client = clientOf(kdc, { tickets: [mine, ...others] });
    assert.deepEqual([...client.held], [mine]);
    assert.equal((await client.ticket(server)).client.components[0], 'alice');
    for (const { key } of others) assert.ok(key.value.every((byte) => byte === 0));
  });

  test('that end soon are fetched anew', async () => {
    let now = NOW;
    const kdc = new FakeKdc((request) => asReply(request, key, now));
    const client = clientOf(kdc, { clock: () => now });
    await client.login();
    now += 10 * 3_600_000 - 60_000;
    await client.login();
    assert.equal(kdc.requests.length, 2);
  });

  test('that could not be had are asked for again', async () => {
    const kdc = new FakeKdc(() => new Uint8Array(), honest);
    const client = clientOf(kdc);
    await assert.rejects(client.login(), { code: 'MALFORMED' });
    await client.login();
  });

  test('a caller that gives up does not spoil the exchange for the others', async () => {
    const asked = deferred<void>();
    const client = clientOf(new FakeKdc((request) => asked.promise.then(() => honest(request))));
    const first = new AbortController();
    const [mine, theirs] = [client.login(first.signal), client.login()];
    first.abort();
    await assert.rejects(mine, { code: 'ABORTED' });
    asked.resolve();
    assert.equal(formatPrincipal((await theirs).client), 'alice@A.TEST');
  });

  test('are gone with the client, and what was under way ends', async () => {
    const kdc = new FakeKdc(
      honest,
      (request) =>
        new Promise((_, reject) => request.signal?.addEventListener('abort', () => reject(request.signal?.reason))),
    );
    const client = clientOf(kdc);
    const held = await client.login();
    const pending = client.ticket(server);
    await new Promise(setImmediate);
    client.close();
    await assert.rejects(pending, { code: 'ABORTED', message: /alice@A\.TEST was closed/ });
    assert.ok(held.key.value.every((byte) => byte === 0));
  });

  test('show no key when they are inspected by way of their client', async () => {
    const { inspect } = await import('node:util');
    const client = clientOf(new FakeKdc(honest));
    await client.login();
    assert.doesNotMatch(inspect(client, { depth: 10, showHidden: true }), /5e5e|94, 94|<Buffer/);
  });
});
