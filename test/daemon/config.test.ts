import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type DaemonConfig, parseCommand, usage } from '../../src/daemon/config.ts';
import { DEFAULT_FILE_POLICY } from '../../src/daemon/file-policy.ts';
import { nearest, UsageError } from '../../src/flags.ts';

function config(argv: string[] = [], env: Record<string, string> = {}): DaemonConfig {
  const command = parseCommand(argv, env);
  assert.equal(command.action, 'run');
  return (command as { config: DaemonConfig }).config;
}

const refuses = (argv: string[], env: Record<string, string>, ...words: string[]): void =>
  assert.throws(
    () => parseCommand(argv, env),
    (e) => e instanceof UsageError && words.every((w) => e.message.includes(w)),
  );

describe('configuration', () => {
  test('has the defaults that clients expect', () => {
    assert.deepEqual(config(), {
      krbDir: '/var/credentials-fetcher/krbdir',
      socketDir: '/var/credentials-fetcher/socket',
      loggingDir: '/var/credentials-fetcher/logging',
      logLevel: 'info',
      logFormat: 'auto',
      domainControllers: [],
      krb5Config: undefined,
      keytab: undefined,
      metrics: undefined,
      secretId: undefined,
      socketMode: 0o660,
      socketGid: undefined,
      files: DEFAULT_FILE_POLICY,
    });
  });

  test('takes the environment', () => {
    const env = {
      CF_KRB_DIR: '/k',
      CF_UNIX_DOMAIN_SOCKET_DIR: '/s/',
      CF_LOGGING_DIR: '/l',
      DOMAIN_CONTROLLER_GMSA: 'dc1.example.com., dc2.example.com',
      KRB5_CONFIG: '/a:/b',
      KRB5_KTNAME: 'FILE:/t',
      LOG_LEVEL: 'DEBUG',
    };
    const c = config([], env);
    assert.deepEqual([c.krbDir, c.socketDir, c.loggingDir, c.logLevel], ['/k', '/s', '/l', 'debug']);
    assert.deepEqual([c.krb5Config, c.keytab], ['/a:/b', 'FILE:/t']);
    assert.deepEqual(c.domainControllers, ['dc1.example.com', 'dc2.example.com']);
  });

  test("takes the secret's name under the names that scripts know", () => {
    const name = 'CREDENTIALS_FETCHER_SECRET_NAME_FOR_DOMAINLESS_GMSA';
    assert.equal(config([], { [name]: 'aws/reader' }).secretId, 'aws/reader');
    assert.equal(config(['--aws_sm_secret_name', 'flag'], { [name]: 'aws/reader' }).secretId, 'flag');
    assert.equal(config(['-s', 'short']).secretId, 'short');
    refuses(['-s', 'two words'], {}, '--aws_sm_secret_name', 'neither');
  });

  test('prefers flags to the environment', () => {
    assert.equal(config(['--krb-dir', '/flag'], { CF_KRB_DIR: '/env' }).krbDir, '/flag');
    assert.equal(config(['--log-level=warn'], { LOG_LEVEL: 'debug' }).logLevel, 'warn');
  });

  test('treats an empty variable as not set', () => {
    assert.equal(config([], { CF_KRB_DIR: '' }).krbDir, '/var/credentials-fetcher/krbdir');
  });

  test('names the variable that makes no sense', () => {
    refuses([], { CF_KRB_DIR: 'relative' }, 'CF_KRB_DIR', 'absolute', '"relative"');
    refuses([], { LOG_LEVEL: 'loud' }, 'LOG_LEVEL', 'error, warn, info, debug');
  });

  test('names the flag that makes no sense', () => {
    refuses(['--socket-dir', 'x'], {}, '--socket-dir', 'absolute');
    refuses(['--krb-dir', ''], {}, '--krb-dir', 'needs a value');
    refuses(['--krb-dir'], {}, '--krb-dir');
  });

  test('suggests the flag that was meant', () => {
    refuses(['--krbdir', '/x'], {}, 'unknown option --krbdir', 'did you mean --krb-dir?');
    refuses(['--halthcheck'], {}, 'did you mean --healthcheck?');
  });

  test('suggests nothing for a flag unlike any', () => {
    assert.throws(() => parseCommand(['--frobnicate'], {}), /^UsageError: unknown option --frobnicate$/);
  });

  test('refuses other arguments', () => refuses(['start'], {}, 'unexpected argument start'));

  test('knows the short forms', () => {
    assert.equal(parseCommand(['-h'], {}).action, 'help');
    assert.equal(parseCommand(['-n'], {}).action, 'version');
  });

  test('takes --verbosity as ever, with a word of warning', () => {
    const command = parseCommand(['-v', '3'], {});
    assert.ok(command.action === 'run');
    assert.match(command.warnings[0]!, /--verbosity has no effect/);
  });

  test('names every flag and variable in the help text', () => {
    for (const word of ['--krb-dir', 'CF_KRB_DIR', 'KRB5_KTNAME', '--healthcheck', 'DOMAIN_CONTROLLER_GMSA']) {
      assert.ok(usage().includes(word), word);
    }
  });

  test('nearest finds a slip and nothing far away', () => {
    assert.equal(nearest('helth', ['health', 'add']), 'health');
    assert.equal(nearest('xyz', ['health', 'delete']), undefined);
  });
});
