import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dueIn, keepFresh } from '../../../src/cli/kerberos/fresh-cache.ts';

const HOUR = 3_600_000;

/** A world whose timers are noted, and run when the test says so. */
function world(lives: (number | Error)[]) {
  const waits: number[] = [];
  const failures: string[] = [];
  let due: (() => void) | undefined;
  let now = 0;
  let refreshed = 0;
  return {
    waits,
    failures,
    refreshed: () => refreshed,
    /** Lets the time pass until the timer is due. */
    async pass() {
      now += waits.at(-1)!;
      due!();
      await new Promise((resolve) => setImmediate(resolve));
    },
    options: {
      refresh: async () => {
        refreshed++;
        const life = lives.shift() ?? 10 * HOUR;
        if (life instanceof Error) throw life;
        return now + life;
      },
      failed: (message: string) => failures.push(message),
      clock: () => now,
      setTimer: (work: () => void, ms: number) => {
        due = work;
        waits.push(ms);
        return { unref: () => undefined };
      },
      clearTimer: () => {
        due = undefined;
      },
    },
  };
}

describe('a fresh cache', () => {
  test('gets the next ticket at half of the life of the last', async () => {
    const w = world([10 * HOUR, 4 * HOUR, 10 * HOUR]);
    await keepFresh(w.options);
    await w.pass();
    await w.pass();
    assert.deepEqual(w.waits, [5 * HOUR, 2 * HOUR, 5 * HOUR]);
  });

  test('is not kept when there was never a ticket', async () => {
    await assert.rejects(keepFresh(world([new Error('wrong password')]).options), /wrong password/);
  });

  test('tries again after a second, then less often, and says why', async () => {
    const w = world([10 * HOUR, ...Array.from({ length: 8 }, (_, i) => new Error(`no ${i}`)), 10 * HOUR]);
    await keepFresh(w.options);
    for (let i = 0; i < 9; i++) await w.pass();
    assert.deepEqual(w.waits.slice(1), [...[1, 2, 4, 8, 16, 32, 60, 60].map((s) => s * 1000), 5 * HOUR]);
    assert.equal(w.failures.length, 8);
  });

  test('gets one at once when told to, one at a time', async () => {
    const w = world([]);
    const fresh = await keepFresh(w.options);
    await Promise.all([fresh.refreshNow(), fresh.refreshNow()]);
    assert.equal(w.refreshed(), 2);
  });

  test('ends', async () => {
    const w = world([10 * HOUR, new Error('given up')]);
    const fresh = await keepFresh(w.options);
    fresh.close();
    await fresh.refreshNow();
    assert.deepEqual([w.waits, w.failures], [[5 * HOUR], []]);
  });

  test('never waits less than a second, nor longer than a day', () => {
    assert.equal(dueIn(0, 5), 1000);
    assert.equal(dueIn(90 * 24 * HOUR, 0), 24 * HOUR);
  });
});
