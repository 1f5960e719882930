import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, test } from 'node:test';
import { abortable, deferred, inTurns, underSignals } from '../src/async.ts';
import { AdError } from '../src/errors.ts';

const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

describe('abortable', () => {
  test('gives what the promise gives', async () => {
    assert.equal(await abortable(Promise.resolve(1), new AbortController().signal, 'waiting'), 1);
    assert.equal(await abortable(Promise.resolve(1), undefined, 'waiting'), 1);
    await assert.rejects(abortable(Promise.reject(new Error('x')), new AbortController().signal, 'waiting'), /x/);
  });

  test('is given up with the signal, whose reason tells which error it is', async () => {
    const never = new Promise<void>(() => undefined);
    await assert.rejects(abortable(never, AbortSignal.abort(), 'waiting'), { code: 'ABORTED', message: /waiting/ });
    const quit = new AbortController();
    const pending = abortable(never, quit.signal, 'waiting');
    const reason = new AdError('UNREACHABLE', 'closed');
    quit.abort(reason);
    await assert.rejects(pending, reason);
    const timedOut = new AbortController();
    timedOut.abort(new DOMException('late', 'TimeoutError'));
    await assert.rejects(abortable(never, timedOut.signal, 'waiting'), { code: 'TIMEOUT' });
  });

  test('leaves no listener behind', async () => {
    const { signal } = new AbortController();
    for (let i = 0; i < 10; i++) await abortable(Promise.resolve(i), signal, 'waiting');
    await new Promise(setImmediate);
    assert.equal(listeners(signal), 0);
  });
});

describe('underSignals', () => {
  test('follows each of the signals, with its reason', async () => {
    for (const which of [0, 1]) {
      const sources = [new AbortController(), new AbortController()];
      const started = deferred<void>();
      const work = underSignals([sources[0]!.signal, undefined, sources[1]!.signal], (signal) => {
        started.resolve();
        return abortable(new Promise(() => undefined), signal, 'waiting');
      });
      await started.promise;
      sources[which]!.abort(new AdError('TIMEOUT', `source ${which}`));
      await assert.rejects(work, { code: 'TIMEOUT', message: `source ${which}` });
    }
  });

  test('begins aborted where a signal was aborted before', async () => {
    await underSignals([AbortSignal.abort('why')], async (signal) => {
      assert.ok(signal.aborted);
      assert.equal(signal.reason, 'why');
    });
  });

  test('leaves no trace in a signal that lives long', async () => {
    const { signal } = new AbortController();
    for (let i = 0; i < 10; i++) {
      await underSignals([signal], async () => i);
      await assert.rejects(underSignals([signal], () => Promise.reject(new Error('x'))));
    }
    assert.equal(listeners(signal), 0);
    const sizes = Object.getOwnPropertySymbols(signal)
      .filter((s) => s.description === 'kDependantSignals')
      .map((s) => (signal as unknown as Record<symbol, Set<unknown> | null>)[s]?.size ?? 0);
    assert.deepEqual(
      sizes.filter((n) => n > 0),
      [],
    );
  });
});

describe('work in turns', () => {
  test('runs once at a time, and once more for all who asked meanwhile', async () => {
    const gates = [deferred<void>(), deferred<void>(), deferred<void>()];
    let begun = 0;
    const ask = inTurns(async () => {
      const n = begun++;
      await gates[n]!.promise;
      return n;
    });
    const first = ask();
    const [second, third] = [ask(), ask()];
    assert.equal(begun, 1);
    gates[0]!.resolve();
    assert.equal(await first, 0);
    gates[1]!.resolve();
    assert.deepEqual(await Promise.all([second, third]), [1, 1]);
    gates[2]!.resolve();
    assert.equal(await ask(), 2);
  });

  test('goes on after a failure', async () => {
    let begun = 0;
    const ask = inTurns(async () => {
      if (begun++ === 0) throw new Error('once');
      return begun;
    });
    const second = [ask(), ask()];
    await assert.rejects(second[0]!, /once/);
    assert.equal(await second[1], 2);
  });
});
