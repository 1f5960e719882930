/** The ping of domain controllers: its bytes, answers of Samba and of nobody, and what is made of them. */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { utf8 } from '../../src/bytes.ts';
import type { Resolver } from '../../src/krb5/network/resolver.ts';
import { pingRequest, readPing } from '../../src/ldap/cldap.ts';
import { readNetlogon } from '../../src/ldap/netlogon.ts';
import { Sites } from '../../src/ldap/sites.ts';
import { fuzz } from '../support/fuzz.ts';
import { UdpServer } from '../support/udp-server.ts';

const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));

/** What Samba 4.22 answered to the message number 1234, two LDAPMessages in one datagram. */
const NETLOGON = hex(`1700 0000 bdd10100 e3cfee11b4e7744bb6ce243aec81954d 036c6162076578616d706c6500 c018 03646331c018
  034c414200 0344433100 00 1744656661756c742d46697273742d536974652d4e616d6500 c038 05000000 ffff ffff`);
const ENTRY = hex(
  `3075 020204d2 646f 0400 306b 3069 0408 6e65746c6f676f6e 315d 045b ${Buffer.from(NETLOGON).toString('hex')}`,
);
const DONE = hex('300d 020204d2 6507 0a0100 0400 0400');

/** An answer without compression. */
function netlogon(changes: { site?: string; domain?: string; opcode?: number } = {}): Uint8Array {
  const name = (text: string) =>
    text
      .split('.')
      .filter(Boolean)
      .flatMap((l) => [utf8(l).length, ...utf8(l)]);
  const { site = 'Berlin', domain = 'lab.example', opcode = 23 } = changes;
  const names = [domain, domain, `dc1.${domain}`, 'LAB', 'DC1', '', 'Tokyo', site].flatMap((n) => [...name(n), 0]);
  return Uint8Array.of(
    opcode,
    0,
    0,
    0,
    ...hex('bdd10100'),
    ...new Uint8Array(16),
    ...names,
    ...hex('05000000ffffffff'),
  );
}
/** The datagram that answers a request, its number taken over. */
function answered(request: Uint8Array, value: Uint8Array): Buffer {
  const tlv = (tag: number, ...parts: Uint8Array[]) => {
    const body = Buffer.concat(parts);
    return Buffer.concat([Uint8Array.of(tag, 0x82, body.length >> 8, body.length & 0xff), body]);
  };
  const start = request[1] === 0x82 ? 4 : 2;
  const number = request.subarray(start, start + 2 + request[start + 1]!);
  const attribute = tlv(0x30, tlv(0x04, utf8('Netlogon')), tlv(0x31, tlv(0x04, value)));
  return tlv(0x30, number, tlv(0x64, tlv(0x04), tlv(0x30, attribute)));
}

describe('the ping', () => {
  test('is a search of the root, byte by byte', () => {
    const golden = hex(`304e 020204d2 6348 0400 0a0100 0a0100 020100 020100 010100 a029
      a318 0409 446e73446f6d61696e 040b 6c61622e6578616d706c65 a30d 0405 4e74566572 0404 06000000
      300a 0408 4e65746c6f676f6e`);
    assert.deepEqual(new Uint8Array(pingRequest('lab.example', 1234)), golden);
  });
  test('has numbers in their shortest form', () => {
    const number = (id: number) => Buffer.from(pingRequest('x', id)).subarray(2).toString('hex');
    const cases: [number, string][] = [
      [1, '020101'],
      [127, '02017f'],
      [128, '02020080'],
      [0x8000, '0203008000'],
      [0x7fffffff, '02047fffffff'],
    ];
    for (const [id, start] of cases) assert.ok(number(id).startsWith(start), `${id}: ${number(id)}`);
  });
  test('holds domains of any length', () => {
    const domain = Array(4).fill('d'.repeat(60)).join('.');
    assert.ok(Buffer.from(pingRequest(domain, 1)).includes(domain));
  });
});

describe('an answer', () => {
  const SAMBA = {
    paused: false,
    flags: 0x1d1bd,
    domainGuid: '11eecfe3-e7b4-4b74-b6ce-243aec81954d',
    forest: 'lab.example',
    domain: 'lab.example',
    host: 'dc1.lab.example',
    netbiosDomain: 'LAB',
    netbiosHost: 'DC1',
    serverSite: 'Default-First-Site-Name',
    clientSite: 'Default-First-Site-Name',
  };
  test('of Samba is read', () => {
    assert.deepEqual(readNetlogon(NETLOGON), SAMBA);
    assert.deepEqual(readPing(new Uint8Array([...ENTRY, ...DONE]), 1234), SAMBA);
  });
  test('may be none', () => {
    assert.equal(readPing(DONE, 1234), undefined);
    assert.equal(readPing(hex('300a 020204d2 6404 0400 3000'), 1234), undefined);
  });
  test('may have names of other languages, and none for the site of the one who asks', () => {
    assert.equal(readNetlogon(netlogon({ site: 'Zürich' })).clientSite, 'Zürich');
    assert.equal(readNetlogon(netlogon({ site: '' })).clientSite, '');
  });
  test('may say that the service is paused', () => {
    assert.ok(readNetlogon(netlogon({ opcode: 24 })).paused);
  });
  test('may carry fields of later versions before its end', () => {
    const plain = netlogon();
    const more = new Uint8Array([...plain.subarray(0, -8), 5, ...utf8('Kyoto'), 0, ...plain.subarray(-8)]);
    assert.equal(readNetlogon(more).clientSite, 'Berlin');
  });

  const fixed = '17000000 bdd10100 00000000000000000000000000000000';
  const bad: Record<string, Uint8Array> = {
    'of an older kind': netlogon({ opcode: 19 }),
    'with a pointer to itself': hex(`${fixed} c018 05000000ffffffff`),
    'with a pointer forwards': hex(`${fixed} c01a 00 05000000ffffffff`),
    'with two pointers that lead round': hex(`${fixed} 0161 c018 c018 00000000000000 05000000ffffffff`),
    'with a label of a forbidden kind': hex(`${fixed} 4161 05000000ffffffff`),
    'with a name of labels without end': hex(`${fixed} ${'0161'.repeat(200)} 00`),
    'that ends inside a name': hex(`${fixed} 0a61`),
    'with a name that is no text': hex(`${fixed} 01ff00 ${'00'.repeat(7)} 05000000ffffffff`),
    'without its tokens': netlogon().slice(0, -2),
    'that is empty': new Uint8Array(),
  };
  for (const [what, value] of Object.entries(bad)) {
    test(`${what} is refused`, () => {
      assert.throws(() => readNetlogon(value), { code: 'MALFORMED' });
    });
  }
  test('to another message, or of another operation, is refused', () => {
    assert.throws(() => readPing(ENTRY, 1235), { code: 'MALFORMED', message: /another message/ });
    assert.throws(() => readPing(hex('3006 020204d2 6000'), 1234), { code: 'MALFORMED' });
  });
  test('is read or refused, whatever it is', () => {
    const { accepted, refused } = fuzz([NETLOGON, netlogon()], readNetlogon);
    assert.ok(accepted > 100 && refused > 100, `${accepted} ${refused}`);
    fuzz([new Uint8Array([...ENTRY, ...DONE]), DONE], (input) => readPing(input, 1234));
  });
});

describe('the site', () => {
  const ended: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ended.splice(0)) await end();
  });
  /** Domain controllers that each have an address of their own and share a port. */
  async function servers(...treats: Parameters<typeof UdpServer.start>[0][]) {
    const first = await UdpServer.start(treats[0]!);
    ended.push(() => first.stop());
    const rest = await Promise.all(
      treats.slice(1).map((treat, i) => UdpServer.start(treat, first.port, `127.0.0.${i + 2}`)),
    );
    for (const server of rest) ended.push(() => server.stop());
    return [first, ...rest];
  }
  const resolver: Resolver = {
    srv: async () => assert.fail('DNS was asked'),
    addresses: async (host) => [`127.0.0.${host.slice(2)}`],
  };
  const hosts = ['dc1', 'dc2', 'dc3', 'dc4'];
  const says =
    (changes?: Parameters<typeof netlogon>[0]): Parameters<typeof UdpServer.start>[0] =>
    (request, answer) =>
      answer(answered(request, netlogon(changes)));
  function sites(port: number) {
    const time = { now: 0 };
    return { time, sites: new Sites({ resolver, clock: () => time.now, port, keep: 1000, retry: 100 }) };
  }

  test('is what the first domain controller says, and asked once', async () => {
    const [dc1, dc2] = await servers(says(), says({ site: 'Tokyo' }));
    const { sites: all, time } = sites(dc1!.port);
    const asked = [all.siteOf('lab.example', hosts), all.siteOf('LAB.example', hosts)];
    assert.deepEqual(await Promise.all(asked), ['Berlin', 'Berlin']);
    time.now = 999;
    await all.siteOf('lab.example', hosts);
    assert.deepEqual([dc1!.received, dc2!.received], [1, 0]);
    time.now = 1000;
    await all.siteOf('lab.example', hosts);
    assert.equal(dc1!.received, 2);
  });

  test('is what another says where the first is silent, serves another domain, is paused or has no answer', async () => {
    const other: Parameters<typeof UdpServer.start>[0][] = [
      () => undefined,
      says({ domain: 'other.example' }),
      says({ opcode: 24 }),
      (request, answer) =>
        answer(
          Buffer.concat([
            Uint8Array.of(0x30, 2 + request[3]! + 9),
            request.subarray(2, 4 + request[3]!),
            hex('65070a010004000400'),
          ]),
        ),
    ];
    for (const first of other) {
      const [dc1] = await servers(first, says());
      assert.equal(await sites(dc1!.port).sites.siteOf('lab.example', hosts), 'Berlin');
    }
  });

  test('is not what somebody says who cannot know the number of the question', async () => {
    const [dc1] = await servers((request, answer) => {
      const forged = Buffer.from(answered(request, netlogon({ site: 'Forged' })));
      forged[6]! ^= 1; // within the number
      answer(forged);
      setTimeout(() => answer(answered(request, netlogon())), 10);
    });
    assert.equal(await sites(dc1!.port).sites.siteOf('lab.example', ['dc1']), 'Berlin');
  });

  test('is unknown where no subnet holds the address, or its name cannot stand in DNS', async () => {
    for (const site of ['', 'a b']) {
      const [dc1] = await servers(says({ site }));
      assert.equal(await sites(dc1!.port).sites.siteOf('lab.example', ['dc1']), undefined);
    }
  });

  test('is unknown where nobody answers, and asked for again soon', async () => {
    const [dc1] = await servers(() => undefined);
    const { sites: all, time } = sites(dc1!.port);
    assert.equal(await all.siteOf('lab.example', ['dc1']), undefined);
    assert.equal(dc1!.received, 2);
    assert.equal(await all.siteOf('lab.example', ['dc1']), undefined);
    assert.equal(dc1!.received, 2);
    time.now = 100;
    await all.siteOf('lab.example', ['dc1']);
    assert.equal(dc1!.received, 4);
  });
});
