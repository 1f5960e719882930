/** Answers of a directory that is who it says and means ill. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EqualityFilter } from 'ldapts';
import { concat, utf8 } from '../../src/bytes.ts';
import { AnswerReader } from '../../src/ldap/messages.ts';
import { fuzz } from '../support/fuzz.ts';
import { entryOf, message, resultOf, scriptedDirectory, text, tlv } from './scripted.ts';

const attribute = (setLength?: number) => tlv(0x30, [text('cn'), tlv(0x31, [text('x')], setLength)]);
const entry = message([tlv(0x64, [text('CN=x'), tlv(0x30, [attribute(), attribute()])])]);
const reference = message([tlv(0x73, [text('ldap://other')])]);
const done = message([resultOf(0x65)]);
const honest = [entry, reference, done, message([resultOf(0x78)])];

/** pagedResultsControl with a cookie, as a server sends it (RFC 2696 2). */
const paging = tlv(0x30, [
  text('1.2.840.113556.1.4.319'),
  tlv(4, [tlv(0x30, [tlv(2, [Uint8Array.of(0)]), text('cookie')])]),
]);

const read = (...chunks: Uint8Array[]): Uint8Array[] => {
  const reader = new AnswerReader();
  return chunks.flatMap((chunk) => [...reader.push(chunk.slice())]);
};

describe('answers to a search', () => {
  test('are handed on one by one, however they are cut', () => {
    const all = concat(...honest);
    assert.deepEqual(read(all), honest);
    assert.deepEqual(read(...[...all].map((byte) => Uint8Array.of(byte))), honest);
  });

  test('are not left in the memory they came in', () => {
    const chunk = entry.slice();
    const [taken] = new AnswerReader().push(chunk);
    assert.deepEqual(taken, entry);
    assert.ok(!Buffer.from(chunk).includes('CN=x'));
  });

  test('carry the control of pages when pages were asked for, and no other', () => {
    const reader = new AnswerReader();
    reader.pageDue = true;
    const page = message([resultOf(0x65), tlv(0xa0, [paging])]);
    assert.deepEqual([...reader.push(page.slice())], [page]);
    assert.deepEqual(reader.cookie, utf8('cookie'));
    const lies = [
      tlv(0x30, [text('1.2'), text('')]),
      tlv(0x30, [text('1.2.840.113556.1.4.319')]),
      tlv(0x30, [text('1.2.840.113556.1.4.319'), tlv(4, [tlv(0x30, [tlv(2, [Uint8Array.of(0)]), text('c', 90)])])]),
      tlv(0x30, [text('1.2.840.113556.1.4.319'), tlv(4, [tlv(0x30, [], 2 ** 31 - 1)])]),
    ];
    for (const lie of lies) {
      assert.throws(() => [...reader.push(message([resultOf(0x65), tlv(0xa0, [lie])]))], { code: 'MALFORMED' });
    }
    assert.throws(() => [...reader.push(message([resultOf(0x65), tlv(0xa0, [paging, paging])]))], {
      code: 'MALFORMED',
    });
  });

  const refused: Readonly<Record<string, Uint8Array>> = {
    'an entry with attributes beyond its end': message([
      tlv(0x64, [text('CN=x'), tlv(0x30, [attribute()], 2 ** 31 - 1)]),
    ]),
    'an attribute with values beyond its end': message([tlv(0x64, [text('CN=x'), tlv(0x30, [attribute(500)])])]),
    'a name beyond the end of its entry': message([tlv(0x64, [text('CN=x', 100), tlv(0x30, [])])]),
    'a reference beyond its end': message([tlv(0x73, [text('ldap://other', 100)])]),
    'an operation longer than its message': message([tlv(0x65, [tlv(10, [Uint8Array.of(0)])], 2 ** 31 - 1)]),
    'something else where a list of attributes is due': message([tlv(0x64, [text('CN=x'), text('attributes')])]),
    'a control': message([resultOf(0x65), tlv(0xa0, [paging])]),
    'another operation': message([resultOf(0x61)]),
    'a message of two megabytes': tlv(0x30, [], 2 << 20),
    'a length without an end': Uint8Array.of(0x30, 0x80, 2, 1, 1, 0, 0),
    'what is no message': utf8('HTTP/1.1 200'),
  };
  for (const [what, bytes] of Object.entries(refused)) {
    test(`refused: ${what}`, () => assert.throws(() => read(bytes), { code: 'MALFORMED' }));
  }

  test('without end are refused, unless they were asked for', () => {
    const reader = new AnswerReader();
    const chunk = concat(
      ...Array.from({ length: 10 }, () => message([entryOf('CN=x', { cn: ['x'.repeat(100_000)] })])),
    );
    const times = Math.ceil((33 << 20) / chunk.length);
    const take = () => [...reader.push(chunk.slice())].length;
    for (let i = 0; i < times; i++) {
      reader.requested();
      take();
    }
    assert.throws(() => {
      for (let i = 0; i < times; i++) take();
    }, /bytes for one request/);
  });

  test('that are altered are refused as MalformedError or are whole', () => {
    const { accepted, refused: no } = fuzz(honest, (input) => read(input), { iterations: 4000, seed: 4511 });
    assert.ok(accepted > 100 && no > 1000, `${accepted} accepted, ${no} refused`);
  });
});

test('a search whose answer points beyond its own end fails, and the connection ends', async (t) => {
  const connection = await scriptedDirectory(t, () => [message([tlv(0x64, [], 2 ** 31 - 1)])]);
  const filter = new EqualityFilter({ attribute: 'cn', value: 'x' });
  const search = connection.search({ base: 'DC=example', scope: 'sub', filter, attributes: { cn: 'text' } });
  await assert.rejects(search, { code: 'UNREACHABLE', message: /a message of 2147483647 bytes/ });
  assert.ok(connection.closed);
});
