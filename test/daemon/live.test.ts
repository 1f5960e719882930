import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deferred } from '../../src/async.ts';
import { type DaemonConfig, parseCommand } from '../../src/daemon/config/config.ts';
import { withWishes } from '../../src/daemon/leases/file-policy.ts';
import { changeable, liveConfig, ReplaceableEngine } from '../../src/daemon/live.ts';
import type { FetchOutcome } from '../../src/daemon/tickets/engine.ts';
import { FakeEngine } from './fake.ts';

const configOf = (...argv: string[]): DaemonConfig =>
  (parseCommand(argv, {}, () => undefined) as { config: DaemonConfig }).config;

describe('a configuration that can be replaced', () => {
  test('shows the new values to whoever took hold of it before, also of its parts', () => {
    const live = liveConfig(configOf());
    const { files } = live.view;
    live.current = configOf('--krb5cc-mode', '0640', '--ccache-name', 'krb5cc_1', '--aws_sm_secret_name', 'name');
    assert.equal(live.view.secretId, 'name');
    assert.equal(files.ccache.mode, 0o640);
    assert.equal(withWishes(files).secondName, 'krb5cc_1');
  });

  test('keeps what cannot change and names it', () => {
    const now = configOf();
    const next = configOf('--krb-dir', '/k', '--metrics', '9464', '--ldap-timeout', '7');
    const { config, waiting } = changeable(now, next);
    assert.deepEqual([config.krbDir, config.metrics, config.ldapTimeout], [now.krbDir, undefined, 7]);
    assert.deepEqual(waiting, ['krb-dir', 'metrics']);
  });
});

describe('an engine that can be replaced', () => {
  const request = (name: string) => ({
    identity: { kind: 'machine' as const },
    accounts: [{ name, domain: 'example.com' }],
    signal: new AbortController().signal,
  });

  test('answers what it was asked before it is closed', async () => {
    const answer = deferred<FetchOutcome[]>();
    const [old, next] = [new FakeEngine(() => answer.promise), new FakeEngine()];
    const engine = new ReplaceableEngine(async () => old);
    const asked = engine.fetch(request('A'));
    await engine.replace(async () => next);
    await engine.fetch(request('B'));
    assert.deepEqual([old.closed, next.seen.length], [0, 1]);
    answer.resolve([]);
    assert.deepEqual(await asked, []);
    assert.deepEqual([old.closed, next.closed], [1, 0]);
    await engine.close();
    assert.deepEqual([old.closed, next.closed], [1, 1]);
  });

  test('one at rest is closed at once', async () => {
    const old = new FakeEngine();
    const engine = new ReplaceableEngine(async () => old);
    await engine.fetch(request('A'));
    await engine.replace(async () => new FakeEngine());
    assert.equal(old.closed, 1);
  });

  test('stays when its successor cannot be made', async () => {
    const old = new FakeEngine();
    const engine = new ReplaceableEngine(async () => old);
    await assert.rejects(
      engine.replace(() => Promise.reject(new Error('no'))),
      /no/,
    );
    await engine.fetch(request('A'));
    assert.deepEqual([old.seen.length, old.closed], [1, 0]);
  });

  test('is loaded again after a load that failed', async () => {
    let loads = 0;
    const engine = new ReplaceableEngine(async () => {
      if (++loads === 1) throw new Error('not yet');
      return new FakeEngine();
    });
    await assert.rejects(engine.fetch(request('A')), /not yet/);
    assert.equal((await engine.fetch(request('A'))).length, 1);
  });

  test('that nobody ever needed has nothing to close', async () => {
    await new ReplaceableEngine(() => assert.fail('loaded')).close();
  });
});
