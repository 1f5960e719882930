/** When postdated tickets begin, in MIT's forms. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseStart } from '../../../src/cli/kerberos/start-time.ts';

const now = new Date(2026, 10, 23, 6, 30, 15).getTime() + 250;

describe('the start of a ticket', () => {
  for (const [text, seconds] of [
    ['1h', 3600],
    ['36000', 36_000],
    ['08:30', 30_600],
    ['1-00:00:01', 86_401],
  ] as const)
    test(`${text} is a while from now, in whole seconds`, () =>
      assert.equal(parseStart(text, now).getTime(), Math.floor(now / 1000) * 1000 + seconds * 1000));

  const at = new Date(2030, 0, 31, 8, 30, 0);
  for (const text of [
    '20300131083000',
    '2030.01.31.08.30.00',
    '300131083000',
    '30.01.31.08.30.00',
    '3001310830',
    '31-Jan-2030:08:30:00',
    '31-jan-2030:08:30',
  ])
    test(`${text} is a date in local time`, () => assert.deepEqual(parseStart(text, now), at));

  for (const text of ['', 'soon', '20300231083000', '20301331083000', '20300131246000', '-5h', '31-Foo-2030:08:30'])
    test(`${JSON.stringify(text)} is none`, () =>
      assert.throws(() => parseStart(text, now), { name: 'UsageError', message: /must be a time/ }));

  for (const text of ['0', '20261123063000'])
    test(`${text} is over`, () =>
      assert.throws(() => parseStart(text, now), { name: 'UsageError', message: /not in the future/ }));
});
