import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, test } from 'node:test';
import { AdError, MalformedError } from '../../../src/errors.ts';
import { firstToAnswer } from '../../../src/krb5/network/failover.ts';

const down = (name: string) => new AdError('UNREACHABLE', `${name} is down`);
const never = <T>(signal: AbortSignal) =>
  new Promise<T>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
const run = <T>(
  attempts: Readonly<Record<string, (signal: AbortSignal, sent: () => void) => Promise<T>>>,
  more: Partial<Parameters<typeof firstToAnswer>[3]> = {},
) =>
  firstToAnswer(
    Object.keys(attempts),
    (name, signal, sent) => attempts[name]!(signal, sent),
    (name) => name,
    { stagger: 60_000, doing: 'testing', ...more },
  );

/** Keeps the process alive, since waiting for a silent server does not. */
const held = async <T>(work: Promise<T>): Promise<T> => {
  const hold = setInterval(() => undefined, 1000);
  return work.finally(() => clearInterval(hold));
};

describe('several servers', () => {
  test('the first that answers is the only one asked', async () => {
    const asked: string[] = [];
    const got = await run({
      a: async () => asked.push('a') && 'A',
      b: async () => asked.push('b') && 'B',
    });
    assert.deepEqual([got, asked], ['A', ['a']]);
  });

  test('one that fails is followed at once, however long silence would be borne', async () => {
    assert.equal(await held(run({ a: () => Promise.reject(down('a')), b: async () => 'B' })), 'B');
  });

  test('one that throws before it is asynchronous is followed too', async () => {
    const got = run({
      a: () => {
        throw down('a');
      },
      b: async () => 'B',
    });
    assert.equal(await held(got), 'B');
  });

  test('one that is silent gets company and is aborted when the other wins', async () => {
    let aborted = false;
    const attempts = {
      a: (signal: AbortSignal) => {
        signal.addEventListener('abort', () => (aborted = true));
        return never<string>(signal);
      },
      b: async () => 'B',
    };
    assert.equal(await held(run(attempts, { stagger: 5 })), 'B');
    assert.ok(aborted);
  });

  test('those still silent when a later one answered are told, and no others', async () => {
    const told: unknown[] = [];
    const attempts = {
      a: () => Promise.reject(down('a')),
      b: (signal: AbortSignal) => never<string>(signal),
      c: async () => 'C',
      d: async () => 'D',
    };
    assert.equal(await held(run(attempts, { stagger: 5, overtaken: (server) => told.push(server) })), 'C');
    assert.deepEqual(told, ['b']);
  });

  test('one that has the request is given more time', async () => {
    const asked: string[] = [];
    const attempts = {
      a: async (_: AbortSignal, sent: () => void) => {
        sent();
        await new Promise((resolve) => setTimeout(resolve, 40));
        return 'A';
      },
      b: async () => `${asked.push('b')}`,
    };
    assert.equal(await held(run(attempts, { stagger: 5, patience: 60_000 })), 'A');
    assert.deepEqual(asked, []);
  });

  test('one that never got the request is not given that time', async () => {
    const attempts = { a: (signal: AbortSignal) => never<string>(signal), b: async () => 'B' };
    assert.equal(await held(run(attempts, { stagger: 5, patience: 60_000 })), 'B');
  });

  test('one that has the request late does not hold up those whose turn has come', async () => {
    const attempts = {
      a: (signal: AbortSignal, sent: () => void) => {
        setTimeout(sent, 20);
        return never<string>(signal);
      },
      b: (signal: AbortSignal) => never<string>(signal),
      c: async () => 'C',
    };
    assert.equal(await held(run(attempts, { stagger: 30, patience: 35 })), 'C');
  });

  test('one that shall not be asked any more is passed over when its turn comes', async () => {
    const attempts = {
      a: () => Promise.reject(down('a')),
      b: async () => assert.fail('asked'),
      c: () => Promise.reject(down('c')),
    };
    await assert.rejects(held(run<string>(attempts, { skip: (name) => name === 'b' })), {
      message: 'no server answered while testing (a: a is down; c: c is down)',
    });
  });

  test('one that was slow may still win', async () => {
    let answer!: (text: string) => void;
    const attempts = {
      a: () => new Promise<string>((resolve) => (answer = resolve)),
      b: (signal: AbortSignal) => {
        setTimeout(() => answer('A'), 1);
        return never<string>(signal);
      },
    };
    assert.equal(await held(run(attempts, { stagger: 5 })), 'A');
  });

  test('when all fail, every reason is told', async () => {
    const attempts = { a: () => Promise.reject(down('a')), b: () => Promise.reject(down('b')) };
    await assert.rejects(held(run(attempts)), {
      code: 'UNREACHABLE',
      message: 'no server answered while testing (a: a is down; b: b is down)',
    });
  });

  test('when there is none, that is told', async () => {
    await assert.rejects(run({}), { code: 'UNREACHABLE', message: /none is known/ });
  });

  test('an answer that all would give ends the search', async () => {
    let asked = false;
    const attempts = {
      a: () => Promise.reject(new MalformedError('DER', 'noise')),
      b: async () => {
        asked = true;
      },
    };
    await assert.rejects(run<void>(attempts), { code: 'MALFORMED' });
    assert.equal(asked, false);
  });

  test('the caller may let the search go on after any error', async () => {
    const attempts = { a: () => Promise.reject(new MalformedError('DER', 'noise')), b: async () => 'B' };
    assert.equal(await held(run<string>(attempts, { goesOn: () => true })), 'B');
  });

  test('the caller may give up, which aborts all attempts', async () => {
    const quit = new AbortController();
    let aborted = 0;
    const silent = (signal: AbortSignal) => {
      signal.addEventListener('abort', () => aborted++);
      return never<string>(signal);
    };
    const pending = run({ a: silent, b: silent }, { stagger: 1, signal: quit.signal });
    setTimeout(() => quit.abort(), 30);
    await assert.rejects(held(pending), { code: 'ABORTED', message: /testing/ });
    assert.equal(aborted, 2);
  });

  test('nobody is asked for a caller who gave up before', async () => {
    const attempts = { a: async () => assert.fail('asked') };
    await assert.rejects(run(attempts, { signal: AbortSignal.abort() }), { code: 'ABORTED' });
  });

  test('a signal that lives long gathers no listeners', async () => {
    const quit = new AbortController();
    for (let i = 0; i < 20; i++) await run({ a: async () => 'A' }, { signal: quit.signal });
    assert.equal(getEventListeners(quit.signal, 'abort').length, 0);
  });
});
