/** Searches whose answer comes in pieces. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { PresenceFilter } from 'ldapts';
import { connectSealed } from '../../src/ldap/client.ts';
import { startTestDomain } from '../../src/testdomain/index.ts';
import { localTransport, testClient } from '../support/kdc-client.ts';
import { members, PASSWORD } from '../testdomain/domain.ts';
import { entryOf, message, resultOf, scriptedDirectory, text, tlv } from './scripted.ts';

const everybody = new PresenceFilter({ attribute: 'sAMAccountName' });

describe('a directory with more entries than a page', () => {
  async function connected(t: TestContext) {
    const users = Array.from({ length: 40 }, (_, i) => ({ name: `user${i}`, password: PASSWORD }));
    const domain = await startTestDomain({ ...members, users: [...members.users!, ...users] });
    const transport = localTransport(domain.kdcPort);
    const { realm, kdcPort: port } = domain;
    const client = testClient({ port, realm, name: 'svc-fetch', password: PASSWORD, transport });
    const resolver = { srv: async () => [], addresses: async () => ['127.0.0.1'] };
    const endpoint = { host: domain.controllerName, port: domain.ldapPort };
    const connection = await connectSealed({ endpoint, client, resolver });
    t.after(async () => {
      connection.close();
      client.close();
      transport.close();
      await domain.close();
    });
    return { connection, base: domain.baseDn };
  }

  test('gives all of them, page by page', async (t) => {
    const { connection, base } = await connected(t);
    const request = { base, scope: 'sub', filter: everybody, attributes: { sAMAccountName: 'text' } } as const;
    const entries = await connection.search({ ...request, pageSize: 7 });
    const names = new Set(entries.map((entry) => entry.text.get('samaccountname')![0]));
    assert.ok(names.has('user0') && names.has('user39'));
    assert.ok(names.size > 40 && names.size === entries.length, `${names.size} of ${entries.length}`);
  });

  test('names the servers that hold other naming contexts', async (t) => {
    const { connection, base } = await connected(t);
    const filter = new PresenceFilter({ attribute: 'objectClass' });
    const request = { base, scope: 'sub', filter, attributes: { cn: 'text' }, pageSize: 11 } as const;
    const { references } = await connection.searchReferring(request);
    assert.deepEqual(references, [
      `ldap://DomainDnsZones.example.test/DC=DomainDnsZones,${base}`,
      `ldap://ForestDnsZones.example.test/DC=ForestDnsZones,${base}`,
    ]);
  });
});

test('an empty page is no end while the directory says that more follows', async (t) => {
  const pages = [['A'], [], ['B'], []];
  const sent: string[] = [];
  const connection = await scriptedDirectory(t, (request, id) => {
    sent.push(/next\d$/.exec(Buffer.from(request).toString('latin1'))?.[0] ?? '');
    const names = pages[id - 2]!;
    const cookie = id - 2 < pages.length - 1 ? `next${id}` : '';
    const control = tlv(0x30, [
      text('1.2.840.113556.1.4.319'),
      tlv(4, [tlv(0x30, [tlv(2, [Uint8Array.of(0)]), text(cookie)])]),
    ]);
    return [
      ...names.map((cn) => message([entryOf(`CN=${cn},DC=example`, { cn: [cn] })], id)),
      message([resultOf(0x65), tlv(0xa0, [control])], id),
    ];
  });
  const request = {
    base: 'DC=example',
    scope: 'sub',
    filter: everybody,
    attributes: { cn: 'text' },
    pageSize: 1,
  } as const;
  const entries = await connection.search(request);
  assert.deepEqual(
    entries.map((entry) => entry.text.get('cn')![0]),
    ['A', 'B'],
  );
  assert.deepEqual(sent, ['', 'next2', 'next3', 'next4']);
});

describe('an attribute with more values than a server sends at a time', () => {
  const dn = 'CN=many,DC=example';
  const values = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `CN=${from + i}`);
  const search = { base: dn, scope: 'base', filter: everybody, attributes: { member: 'text' } } as const;
  /** Answers request n with one entry of these attributes, or with none. */
  const directory = (t: TestContext, pieces: readonly (Record<string, string[]> | undefined)[], asked: string[] = []) =>
    scriptedDirectory(t, (request, id) => {
      asked.push(/member[^\0]*?(?=$|[^\w;=*-])/.exec(Buffer.from(request).toString('latin1'))?.[0] ?? '');
      const piece = pieces[id - 2];
      const done = message([resultOf(0x65)], id);
      return piece ? [message([entryOf(dn, piece)], id), done] : [done];
    });

  test('is put together from its ranges', async (t) => {
    const asked: string[] = [];
    const connection = await directory(
      t,
      [
        { member: [], 'member;range=0-2': values(0, 2) },
        { 'member;range=3-5': values(3, 5) },
        { 'member;range=6-*': values(6, 7) },
      ],
      asked,
    );
    const [entry] = await connection.search(search);
    assert.deepEqual(entry!.text.get('member'), values(0, 7));
    assert.deepEqual(asked, ['member', 'member;range=3-*', 'member;range=6-*']);
  });

  const lies: Readonly<Record<string, readonly (Record<string, string[]> | undefined)[]>> = {
    'a range that begins later': [{ 'member;range=1-2': values(1, 2) }],
    'a range of another length': [{ 'member;range=0-9': values(0, 2) }],
    'a range that begins anew': [{ 'member;range=0-2': values(0, 2) }, { 'member;range=0-2': values(0, 2) }],
    'no further range': [{ 'member;range=0-2': values(0, 2) }, undefined],
  };
  for (const [what, pieces] of Object.entries(lies)) {
    test(`is refused with ${what}`, async (t) => {
      await assert.rejects((await directory(t, pieces)).search(search), { code: 'MALFORMED' });
    });
  }
});

test('a reference is handed on as it came', async (t) => {
  const url = 'ldap://child.lab.example/DC=child,DC=lab,DC=example';
  const connection = await scriptedDirectory(t, (_request, id) => [
    message([tlv(0x73, [text(url)])], id),
    message([resultOf(0x65)], id),
  ]);
  const request = { base: 'DC=lab,DC=example', scope: 'sub', filter: everybody, attributes: { cn: 'text' } } as const;
  assert.deepEqual(await connection.searchReferring(request), { entries: [], references: [url] });
});
