import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hex } from '../../../src/bytes.ts';
import { readCCache, writeCCache } from '../../../src/krb5/files/ccache.ts';
import {
  configEntryOf,
  configKey,
  configValue,
  isConfigEntry,
  isRemoved,
  makeConfigEntry,
} from '../../../src/krb5/files/ccache-config.ts';
import { krbtgt, principal } from '../../../src/krb5/principal.ts';

const client = principal('MIT.TEST', 'alice');
const tgs = krbtgt('MIT.TEST');

test('a setting about a TGS has the bytes that kinit writes', () => {
  const name = (text: string) => `${text.length.toString(16).padStart(8, '0')}${Buffer.from(text).toString('hex')}`;
  const expected = [
    `00000001 00000001 ${name('MIT.TEST')} ${name('alice')}`,
    `00000001 00000003 ${name('X-CACHECONF:')} ${name('krb5_ccache_conf_data')} ${name('pa_type')}`,
    name('krbtgt/MIT.TEST@MIT.TEST'),
    `0000 00000000 ${'00000000'.repeat(4)} 00 00000000 00000000 00000000 ${name('2')} 00000000`,
  ];
  const empty = writeCCache({ principal: client, credentials: [] });
  const bytes = writeCCache({
    principal: client,
    credentials: [makeConfigEntry(client, configKey.PA_TYPE, '2', tgs)],
  });
  assert.equal(hex(bytes.subarray(empty.length)), expected.join('').replaceAll(' ', ''));
});

test('a setting is told from a ticket and keeps its value through a file', () => {
  const entry = makeConfigEntry(client, configKey.FAST_AVAIL, 'yes', tgs);
  const ticket = { ...entry, server: tgs };
  const read = readCCache(writeCCache({ principal: client, credentials: [entry, ticket] })).credentials;
  assert.deepEqual(read.map(isConfigEntry), [true, false]);
  assert.equal(configEntryOf(read[1]!), undefined);
  assert.equal(configValue(read, configKey.FAST_AVAIL, tgs), 'yes');
  assert.equal(configValue(read, configKey.FAST_AVAIL), undefined);
});

test('the last of several values counts', () => {
  const entries = ['1', '2'].map((value) => makeConfigEntry(client, configKey.REFRESH_TIME, value));
  assert.equal(configValue(entries, configKey.REFRESH_TIME), '2');
});

test('an entry struck out by MIT is known and does not count', () => {
  const entry = makeConfigEntry(client, configKey.REFRESH_TIME, '1');
  const removed = { ...entry, authtime: new Date(0xffffffff * 1000), endtime: new Date(0) };
  assert.equal(isRemoved(removed), true);
  assert.equal(isRemoved(entry), false);
  assert.equal(configValue([removed], configKey.REFRESH_TIME), undefined);
});
