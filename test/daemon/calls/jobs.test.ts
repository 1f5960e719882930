import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Jobs, type Timers } from '../../../src/daemon/calls/jobs.ts';
import { StatusError } from '../../../src/daemon/calls/status.ts';
import { isAdError } from '../../../src/errors.ts';

/** Timers that fire when told. */
class ManualTimers implements Timers {
  readonly waiting = new Set<{ ms: number; then: () => void }>();

  after(ms: number, then: () => void): () => void {
    const timer = { ms, then };
    this.waiting.add(timer);
    return () => this.waiting.delete(timer);
  }

  fire(ms: number): void {
    for (const timer of [...this.waiting].filter((w) => w.ms === ms)) {
      this.waiting.delete(timer);
      timer.then();
    }
  }
}

const ignore = (): void => undefined;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('jobs', () => {
  test('give the result and forget the timer', async () => {
    const timers = new ManualTimers();
    const jobs = new Jobs({ timers });
    assert.equal(await jobs.run('x', ignore, async () => 5), 5);
    await turn();
    assert.equal(timers.waiting.size, 0);
    assert.equal(jobs.size, 0);
  });

  test('answer when the time is over, without waiting for work that does not listen', async () => {
    const timers = new ManualTimers();
    const jobs = new Jobs({ timers, limitMs: 15_000 });
    const result = jobs.run('adding a lease', ignore, () => new Promise(ignore));
    timers.fire(15_000);
    await assert.rejects(result, (e) => isAdError(e, 'TIMEOUT') && /within 15 s while adding a lease/.test(e.message));
  });

  test('tell the work that the client gave up', async () => {
    const jobs = new Jobs({ timers: new ManualTimers() });
    let cancel = ignore;
    let seen: AbortSignal | undefined;
    const result = jobs.run(
      'x',
      (c) => {
        cancel = c;
      },
      (signal) => {
        seen = signal;
        return new Promise(ignore);
      },
    );
    cancel();
    await assert.rejects(result, (e) => isAdError(e, 'ABORTED'));
    assert.equal(seen?.aborted, true);
  });

  test('turn calls away beyond a number', async () => {
    const jobs = new Jobs({ timers: new ManualTimers(), most: 1 });
    void jobs.run('x', ignore, () => new Promise(ignore));
    await assert.rejects(
      jobs.run('x', ignore, async () => 1),
      (e) => e instanceof StatusError && e.status === 'RESOURCE_EXHAUSTED',
    );
  });

  test('of whoever makes most of them give way to those of others, the latest first', async () => {
    const jobs = new Jobs({ timers: new ManualTimers(), most: 4 });
    const full = (e: unknown) => e instanceof StatusError && e.status === 'RESOURCE_EXHAUSTED';
    const ended: string[] = [];
    const greedy = ['a', 'b', 'c', 'd'].map((name) =>
      jobs.run('x', ignore, () => new Promise(ignore), 'greedy').catch((e) => ended.push(full(e) ? name : String(e))),
    );
    await assert.rejects(
      jobs.run('x', ignore, async () => 1, 'greedy'),
      full,
    );
    void jobs.run('x', ignore, () => new Promise(ignore), 'other');
    void jobs.run('x', ignore, () => new Promise(ignore), 'other');
    await Promise.all(greedy.slice(2));
    assert.deepEqual(ended, ['d', 'c']);
    await assert.rejects(
      jobs.run('x', ignore, async () => 1, 'other'),
      full,
      'two each: nobody has more to give',
    );
  });

  test('give way again when work has failed, also at once', async () => {
    const jobs = new Jobs({ timers: new ManualTimers(), most: 1 });
    const fail = (): never => {
      throw new Error('at once');
    };
    await assert.rejects(jobs.run('x', ignore, fail), /at once/);
    await turn();
    assert.equal(await jobs.run('x', ignore, async () => 2), 2);
  });

  test('drain waits for what is under way and takes nothing new', async () => {
    const jobs = new Jobs({ timers: new ManualTimers() });
    let finish = ignore as (n: number) => void;
    const result = jobs.run('x', ignore, () => new Promise<number>((resolve) => (finish = resolve)));
    const drained = jobs.drain(1000);
    await assert.rejects(
      jobs.run('x', ignore, async () => 1),
      (e) => e instanceof StatusError && e.status === 'UNAVAILABLE',
    );
    finish(7);
    await drained;
    assert.equal(await result, 7);
  });

  test('drain aborts what takes too long', async () => {
    const timers = new ManualTimers();
    const jobs = new Jobs({ timers });
    const result = jobs.run(
      'x',
      ignore,
      (signal) => new Promise((_, no) => signal.addEventListener('abort', () => no(signal.reason))),
    );
    const drained = jobs.drain(1000);
    timers.fire(1000);
    await assert.rejects(result, (e) => isAdError(e, 'UNREACHABLE') && /stopping/.test(e.message));
    await drained;
  });
});
