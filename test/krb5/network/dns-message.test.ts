/** Questions for URI records and their answers, as bytes (RFC 1035 section 4, RFC 7553). */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { isDnsName, readUriAnswer, uriQuery } from '../../../src/krb5/network/dns-message.ts';
import { DnsResolver } from '../../../src/krb5/network/resolver.ts';
import { FakeDns, rcode } from '../../support/fake-dns.ts';
import { fuzz } from '../../support/fuzz.ts';
import { hasProgram, mustRun } from '../../support/programs.ts';
import { TcpServer } from '../../support/tcp-server.ts';

const hex = (...parts: string[]) => new Uint8Array(Buffer.from(parts.join('').replaceAll(' ', ''), 'hex'));
/** As `dig +noadflag +nocookie +bufsize=1232 URI _kerberos.r.test` sends it, its number apart. */
const QUERY = hex(
  '1234 0100 0001 0000 0000 0001',
  '095f6b65726265726f73 0172 0474657374 00',
  '0100 0001',
  '00 0029 04d0 00000000 0000',
);
const QUESTION = '095f6b65726265726f73 0172 0474657374 00 0100 0001';
const uri = (target: string, priority = '000a', weight = '0001') => {
  const text = Buffer.from(target).toString('hex');
  const length = (4 + target.length).toString(16).padStart(4, '0');
  return `c00c 0100 0001 00000e10 ${length} ${priority} ${weight} ${text}`;
};
const answer = (flags: string, counts: string, ...rest: string[]) => hex('1234', flags, counts, ...rest);
const TWO = answer('8180', '0001 0002 0000 0000', QUESTION, uri('krb5srv:m:tcp:kdc1.r.test'), uri('x', '0000', 'ffff'));
/** A name that is another's: the alias first, with a name of its own in its data, then the record under that name. */
const ALIAS = answer(
  '8180',
  '0001 0002 0000 0000',
  QUESTION,
  'c00c 0005 0001 00000001 0004 0161c016',
  '0161c016',
  uri('y').slice(5),
);

test('the query is what another client sends', () => {
  assert.deepEqual(uriQuery('_kerberos.r.test', 0x1234), QUERY);
});

test('records are read in their order', () => {
  assert.deepEqual(readUriAnswer(TWO, QUERY).uris, [
    { priority: 10, weight: 1, target: 'krb5srv:m:tcp:kdc1.r.test' },
    { priority: 0, weight: 65535, target: 'x' },
  ]);
});

test('aliases on the way are passed over', () => {
  assert.deepEqual(readUriAnswer(ALIAS, QUERY).uris, [{ priority: 10, weight: 1, target: 'y' }]);
});

test('letters of the question may come back in the other case', () => {
  const upper = TWO.slice();
  upper[14] = 0x4b; // K
  assert.equal(readUriAnswer(upper, QUERY).uris.length, 2);
});

test('a cut answer tells nothing but that it is cut', () => {
  const cut = answer('8380', '0001 0002 0000 0000', QUESTION, 'c00c');
  assert.deepEqual(readUriAnswer(cut, QUERY), { rcode: 0, truncated: true, uris: [] });
});

test('a refusal may come without the question', () => {
  assert.equal(readUriAnswer(answer('8181', '0000 0000 0000 0000'), QUERY).rcode, 1);
});

const bad: Record<string, Uint8Array> = {
  'of another number': hex('4321', Buffer.from(TWO.subarray(2)).toString('hex')),
  'that is a query': QUERY,
  'to another question': Uint8Array.from(TWO, (b, i) => (i === 14 ? 0x7a : b)),
  'of another type': Uint8Array.from(TWO, (b, i) => (i === 30 ? 0 : b)),
  'without a question': answer('8180', '0000 0000 0000 0000'),
  'with fewer records than it says': answer('8180', '0001 0003 0000 0000', QUESTION, uri('x')),
  'with a record beyond its end': TWO.slice(0, -1),
  'with a label of a forbidden kind': answer('8180', '0001 0001 0000 0000', QUESTION, '4161'),
  'without the numbers of a record': answer(
    '8180',
    '0001 0001 0000 0000',
    QUESTION,
    'c00c 0100 0001 00000e10 0003 000a00',
  ),
  'that is empty': new Uint8Array(),
};
for (const [what, message] of Object.entries(bad)) {
  test(`an answer ${what} is refused`, () => {
    assert.throws(() => readUriAnswer(message, QUERY), { code: 'MALFORMED' });
  });
}

test('whatever comes, it is an answer or refused', () => {
  const { accepted, refused } = fuzz([TWO, ALIAS], (input) => readUriAnswer(input, QUERY));
  assert.ok(accepted > 100 && refused > 100, `${accepted} ${refused}`);
});

test('names that DNS cannot hold are known', () => {
  assert.ok(isDnsName('_kerberos.example.test') && isDnsName('example.test.'));
  for (const name of ['', 'a..b', `${'a'.repeat(64)}.test`, `${'abcdefg.'.repeat(32)}test`])
    assert.ok(!isDnsName(name), name);
});

describe('the resolver', () => {
  const ended: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ended.splice(0)) await end();
  });
  const started = async (zone: Parameters<typeof FakeDns.start>[0]) => {
    const dns = await FakeDns.start(zone);
    ended.push(() => dns.stop());
    return dns;
  };
  const resolver = (...servers: string[]) => new DnsResolver({ servers, timeoutMs: 50, tries: 2 });
  const ZONE = { 'URI _kerberos.r.test': ['10 1 krb5srv:m:tcp:kdc1.r.test'], 'TXT _kerberos.r.test': ['R.TEST'] };

  test('reads records', async () => {
    const dns = await started(ZONE);
    assert.deepEqual(await resolver(dns.address).uri('_kerberos.r.test'), [
      { priority: 10, weight: 1, target: 'krb5srv:m:tcp:kdc1.r.test' },
    ]);
    assert.deepEqual(await resolver(dns.address).txt('_kerberos.r.test'), ['R.TEST']);
    assert.deepEqual(await resolver(dns.address).txt('_kerberos.s.test'), []);
  });

  test('of tests speaks what dig understands', { skip: hasProgram('dig') ? false : 'needs dig' }, async () => {
    const dns = await started(ZONE);
    const port = dns.address.split(':')[1]!;
    const printed = await mustRun('dig', ['@127.0.0.1', '-p', port, '+short', 'URI', '_kerberos.r.test']);
    assert.equal(printed.trim(), '10 1 "krb5srv:m:tcp:kdc1.r.test"');
  });

  test('knows none where the name does not exist, and asks once', async () => {
    const dns = await started({});
    assert.deepEqual(await resolver(dns.address).uri('_kerberos.r.test'), []);
    assert.deepEqual(dns.asked, ['URI _kerberos.r.test']);
  });

  test('passes over a server that there is no route to', async () => {
    await assert.rejects(resolver('[fe80::1]:53').uri('_kerberos.r.test'), { code: 'UNREACHABLE' });
  });

  test('goes on to the next server when one fails, and says when all do', async () => {
    const [broken, silent, good] = await Promise.all([
      started({ 'URI _kerberos.r.test': rcode.SERVFAIL }),
      started({ 'URI _kerberos.r.test': 'silence' }),
      started(ZONE),
    ]);
    const hold = setInterval(() => undefined, 1000);
    ended.push(() => clearInterval(hold));
    assert.equal((await resolver(broken.address, silent.address, good.address).uri('_kerberos.r.test')).length, 1);
    await assert.rejects(resolver(broken.address, silent.address).uri('_kerberos.r.test'), { code: 'UNREACHABLE' });
    assert.equal(silent.asked.length, 3);
  });

  test('fetches by TCP what was cut', async () => {
    const dns = await started({ 'URI _kerberos.r.test': 'cut' });
    const port = Number(dns.address.split(':')[1]);
    const server = await TcpServer.start((socket) => {
      socket.once('data', (chunk: Buffer) => {
        const whole = Buffer.concat([chunk.subarray(2, 4), TWO.subarray(2)]);
        const framed = Buffer.concat([Uint8Array.of(0, whole.length), whole]);
        socket.write(framed.subarray(0, 9));
        setTimeout(() => socket.write(framed.subarray(9)), 5);
      });
    }, port);
    ended.push(() => server.stop());
    assert.equal((await resolver(dns.address).uri('_kerberos.r.test')).length, 2);
  });
});
