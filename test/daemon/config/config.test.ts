import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  ConfigError,
  type Configured,
  type DaemonConfig,
  parseCommand,
  usage,
} from '../../../src/daemon/config/config.ts';
import { settingNames, settings } from '../../../src/daemon/config/settings.ts';
import { DEFAULT_FILE_POLICY } from '../../../src/daemon/leases/file-policy.ts';
import { nearest, UsageError } from '../../../src/flags.ts';

type Texts = Record<string, string>;
const CONF = '/etc/credentials-fetcher.conf';
const ECS = '/etc/ecs/ecs.config';

function configured(argv: string[] = [], env: Texts = {}, files: Texts = {}): Configured {
  const command = parseCommand(argv, env, (path) => files[path]);
  assert.equal(command.action, 'run');
  return command as Configured;
}

const config = (argv: string[] = [], env: Texts = {}, files: Texts = {}): DaemonConfig =>
  configured(argv, env, files).config;

const refuses = (argv: string[], env: Texts, ...words: string[]): void =>
  assert.throws(
    () => parseCommand(argv, env, () => undefined),
    (e) => e instanceof UsageError && words.every((w) => e.message.includes(w)),
  );

/** A value that each setting takes, other than its default. */
const examples: Record<string, string> = {
  DIR: '/elsewhere',
  PATH: '/run/cf.sock',
  MODE: '0640',
  GID: '1000',
  UID: '1000',
  LEVEL: 'debug',
  FORMAT: 'json',
  NAMES: 'dc1.example.com',
  DN: 'OU=Apps',
  SECONDS: '7',
  FILE: '/a/file',
  NAME: 'krb5cc_1000',
  BOOL: 'true',
  ADDRESS: '9464',
  HOW: 'ldaps',
};
const exampleOf = (name: (typeof settingNames)[number]): string =>
  name === 'dir-mode' ? '0750' : name === 'renew-user-tickets' ? 'no' : examples[settings[name].value]!;

describe('configuration', () => {
  test('has the defaults that clients expect', () => {
    assert.deepEqual(config(), {
      krbDir: '/var/credentials-fetcher/krbdir',
      socketDir: '/var/credentials-fetcher/socket',
      loggingDir: '/var/credentials-fetcher/logging',
      logLevel: 'info',
      logFormat: 'auto',
      socketPath: undefined,
      domainControllers: [],
      site: 'auto',
      gmsaOu: undefined,
      gmsaDistinguishedName: undefined,
      ldapTimeout: 5,
      ldapTls: 'off',
      ldapCa: undefined,
      krb5Config: undefined,
      keytab: undefined,
      metrics: undefined,
      secretId: undefined,
      renewUserTickets: true,
      credspecFile: undefined,
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
    assert.throws(
      () => parseCommand(['--frobnicate'], {}, () => undefined),
      /^UsageError: unknown option --frobnicate$/,
    );
  });

  test('refuses other arguments', () => refuses(['start'], {}, 'unexpected argument start'));

  test('knows the short forms', () => {
    assert.equal(parseCommand(['-h'], {}, () => undefined).action, 'help');
    assert.equal(parseCommand(['-n'], {}, () => undefined).action, 'version');
    assert.equal(parseCommand(['-t'], {}, () => undefined).action, 'check-config');
  });

  test('takes --verbosity as ever, with a word of warning', () => {
    assert.match(configured(['-v', '3']).warnings[0]!, /--verbosity has no effect/);
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

describe('where a setting comes from', () => {
  for (const name of settingNames) {
    const { env } = settings[name];
    const text = exampleOf(name);

    test(`${env}: flag, environment, the daemon's file, the agent's file, default, in this order`, () => {
      const places = [
        { argv: [`--${name}`, text], source: 'flag' },
        { env: { [env]: text }, source: 'environment' },
        { files: { [CONF]: `# ours\n${env} = ${text}` }, source: `${CONF}:2` },
        { files: { [ECS]: `${env}=${text}` }, source: `${ECS}:1`, agents: true },
      ];
      const readable = /^(CF_|CREDENTIALS_FETCHER|DOMAIN_CONTROLLER_GMSA$)/.test(env)
        ? places
        : places.filter((p) => !p.agents);
      const merged = (from: typeof places): [string[], Texts, Texts] => [
        from.flatMap((p) => p.argv ?? []),
        Object.assign({}, ...from.map((p) => p.env ?? {})),
        Object.assign({}, ...from.map((p) => p.files ?? {})),
      ];
      for (const [i, place] of readable.entries()) {
        const { found, config: with_ } = configured(...merged(readable.slice(i)));
        assert.deepEqual([found[name].source, found[name].text], [place.source, text]);
        assert.notDeepEqual(with_, name === 'socket' ? undefined : withText(name, settings[name].fallback));
      }
      assert.equal(configured().found[name].source, 'default');
    });
  }

  /** The configuration in which nothing is said but this. */
  const withText = (name: (typeof settingNames)[number], text: string): DaemonConfig | undefined =>
    exampleOf(name) === text ? undefined : config([], text === '' ? {} : { [settings[name].env]: text });

  test('the names that earlier daemons and the agent use are names too', () => {
    const conf = 'RunRenewalNonDomainJoined = false\nCFGmsaSecretName = "aws/reader"\nLDAPSearchTimeout = 9\n';
    const c = config([], {}, { [CONF]: conf });
    assert.deepEqual([c.renewUserTickets, c.secretId, c.ldapTimeout], [false, 'aws/reader', 9]);
    assert.equal(config([], { CF_CRED_FILE: '/a' }).credspecFile?.path, '/a');
    assert.equal(config([], { CREDENTIALS_FETCHER_HOST_DIR: '/run/x.sock' }).socketPath, '/run/x.sock');
  });

  test('what is not certainly ours is not taken from the agent', () => {
    const c = config([], {}, { [ECS]: 'LOG_LEVEL=debug\nKRB5_CONFIG=/x\nCFGmsaSecretName=x' });
    assert.deepEqual([c.logLevel, c.krb5Config, c.secretId], ['info', undefined, undefined]);
  });

  test('the files may be elsewhere', () => {
    const files = { '/a': 'CF_KRB_DIR=/from-a', '/b': 'DOMAIN_CONTROLLER_GMSA=dc.b' };
    const c = config(['--config', '/a'], { CF_ECS_CONFIG: '/b' }, files);
    assert.deepEqual([c.krbDir, c.domainControllers], ['/from-a', ['dc.b']]);
  });

  test('a file that was named must be there, the usual ones need not', () => {
    refuses(['--config', '/nowhere'], {}, '--config: there is no file /nowhere');
    assert.deepEqual(configured().warnings, []);
  });

  test('a usual file that cannot be read is warned of, a named one is a problem', () => {
    const closed = () => {
      throw new Error('EACCES');
    };
    const command = parseCommand([], {}, closed);
    assert.ok(command.action === 'run');
    assert.deepEqual(command.warnings, [`cannot read ${ECS}: EACCES`, `cannot read ${CONF}: EACCES`]);
    assert.throws(() => parseCommand(['--config', '/x'], {}, closed), /cannot read \/x: EACCES/);
  });

  test('a value set to nothing in a file counts as not set', () => {
    assert.equal(configured([], {}, { [CONF]: 'CF_KRB_DIR =' }).found['krb-dir'].source, 'default');
  });
});

describe('warnings', () => {
  const warningsOf = (env: Texts, files: Texts = {}): readonly string[] => configured([], env, files).warnings;

  test('an unknown key of our file, with the one that was meant and without its value', () => {
    const warnings = warningsOf({}, { [CONF]: 'LDAPSearchTimout = 7\nPassword = Very-Secret-1' });
    assert.deepEqual(warnings, [
      `${CONF}:1: unknown key "LDAPSearchTimout", did you mean LDAPSearchTimeout?`,
      `${CONF}:2: unknown key "Password"`,
    ]);
  });

  test('an unknown variable, with the one that was meant', () => {
    assert.deepEqual(warningsOf({ CF_KRB5CC_MOD: '0640', HOME: '/root' }), [
      'unknown variable CF_KRB5CC_MOD, did you mean CF_KRB5CC_MODE?',
    ]);
  });

  test("the agent's own keys are the agent's; one of ours mistyped is told", () => {
    const text = 'ECS_CLUSTER=x\nECS_GMSA_SUPPORTED=true\nNO_PROXY=y\nDOMAIN_CONTROLER_GMSA=dc1\nFOO=1';
    assert.deepEqual(warningsOf({}, { [ECS]: text }), [
      `${ECS}:4: unknown key "DOMAIN_CONTROLER_GMSA", did you mean DOMAIN_CONTROLLER_GMSA?`,
    ]);
  });

  test('a line that is none, by its number alone', () => {
    assert.deepEqual(warningsOf({}, { [CONF]: '\nVery-Secret-1\n = x' }), [
      `${CONF}:2 is not NAME = VALUE and is passed over`,
      `${CONF}:3 is not NAME = VALUE and is passed over`,
    ]);
  });

  test('a key said twice: the last word counts', () => {
    const { config: c, warnings } = configured([], {}, { [CONF]: 'CF_KRB_DIR=/a\nCF_KRB_DIR=/b' });
    assert.deepEqual([c.krbDir, warnings], ['/b', [`${CONF}:2: CF_KRB_DIR takes the place of ${CONF}:1`]]);
  });

  test('what earlier daemons know and has no effect here is not warned of', () => {
    assert.deepEqual(warningsOf({ CREDENTIALS_FETCHERD_STARTED_BY_SYSTEMD: '1', CF_TEST_DOMAIN_NAME: 'x' }), []);
  });

  test('tickets that everybody can read', () => {
    assert.match(warningsOf({ CF_KRB5CC_MODE: '0644' })[0]!, /^CF_KRB5CC_MODE lets every user of this host/);
  });
});

describe('values', () => {
  test('every problem is told, not just the first', () => {
    const env = { CF_KRB_DIR: 'x', CF_SOCKET_MODE: '666', CF_KRB5CC_UID: 'root', LDAPSearchTimeout: '7' };
    const file = { [CONF]: 'LDAPSearchTimeout = soon' };
    assert.throws(
      () => parseCommand(['--log-level', 'loud'], env, (path) => file[path as keyof typeof file]),
      (e) => e instanceof ConfigError && e.problems.length === 5,
    );
  });

  test('a path of the socket goes before a directory from the same place, not before one from a better place', () => {
    const host = { CREDENTIALS_FETCHER_HOST: 'unix:///run/a.sock' };
    assert.equal(config([], host).socketPath, '/run/a.sock');
    assert.equal(config([], { ...host, CF_UNIX_DOMAIN_SOCKET_DIR: '/s' }).socketPath, '/run/a.sock');
    assert.equal(config(['--socket-dir', '/s'], host).socketPath, undefined);
    assert.equal(config(['--socket', 'unix:/run/']).socketPath, '/run/credentials_fetcher.sock');
    refuses(['--socket', 'tcp://x'], {}, '--socket', 'unix:///path');
  });

  test('owners and modes of files', () => {
    const c = config([], {
      CF_KRB5CC_MODE: '640',
      CF_KRB5CC_UID: '0',
      CF_KRB5CC_GID: '4294967294',
      CF_DIR_MODE: '0o750',
      CF_DIR_UID: '7',
      CF_DIR_GID: '8',
      CF_SOCKET_MODE: '0600',
      CF_SOCKET_GID: '9',
      CF_CCACHE_NAME: 'krb5cc_1000',
      CF_WRITE_KEYTAB: 'yes',
      CF_WRITE_KRB5_CONF: '1',
      CF_LEASE_FILES: 'yes',
    });
    assert.deepEqual(c.files, {
      ccache: { mode: 0o640, uid: 0, gid: 4294967294 },
      directory: { mode: 0o750, uid: 7, gid: 8 },
      keytab: true,
      krb5Conf: true,
      wishes: true,
      secondName: 'krb5cc_1000',
    });
    assert.deepEqual([c.socketMode, c.socketGid], [0o600, 9]);
  });

  for (const [env, text, why] of [
    ['CF_KRB5CC_MODE', '0666', 'nobody but owner and group may write'],
    ['CF_KRB5CC_MODE', '04600', 'there is no set-user-id'],
    ['CF_KRB5CC_MODE', '0700', 'a ticket is not executed'],
    ['CF_KRB5CC_MODE', '0040', 'its owner must be able to read and write'],
    ['CF_KRB5CC_MODE', '689', 'octal'],
    ['CF_KRB5CC_MODE', 'rw-r-----', 'octal'],
    ['CF_DIR_MODE', '0777', 'nobody but owner and group may write'],
    ['CF_DIR_MODE', '0644', 'its owner must be able to read, write and enter'],
    ['CF_SOCKET_MODE', '0666', 'nobody but owner and group may write'],
    ['CF_KRB5CC_UID', 'app', 'id -u NAME'],
    ['CF_DIR_GID', '4294967295', 'from 0 to 4294967294'],
    ['CF_SOCKET_GID', '-1', 'getent group NAME'],
    ['CF_CCACHE_NAME', 'krb5cc', 'name of another file'],
    ['CF_CCACHE_NAME', '../x', 'must be a file name'],
    ['CF_WRITE_KEYTAB', 'perhaps', 'true or false'],
    ['CF_LDAP_SEARCH_TIMEOUT', '0', 'a number of seconds from 1'],
    ['CF_LDAP_SEARCH_TIMEOUT', '5s', 'a number of seconds from 1'],
    ['CF_GMSA_OU', 'Apps', 'no distinguished name'],
    ['CF_GMSA_DISTINGUISHED_NAME', 'CN=a\nOU=b', 'control character'],
    ['DOMAIN_CONTROLLER_GMSA', 'dc1,-x;y', 'no host name'],
    ['DOMAIN_CONTROLLER_GMSA', 'dc1:70000', 'no port'],
    ['CF_SITE', 'a.b', 'no name of a site'],
    ['CF_LDAP_TLS', 'yes', 'one of off, starttls, ldaps'],
    ['CF_CRED_SPEC_FILE', '/a:..', 'names the lease'],
    ['CF_CRED_SPEC_FILE', '/a:', 'names the lease'],
  ] as const) {
    test(`${env}=${JSON.stringify(text)} is refused`, () => refuses([], { [env]: text }, env, why));
  }

  test('no more than a minute for a search, with a warning', () => {
    const { config: c, warnings } = configured([], {}, { [CONF]: 'LDAPSearchTimeout=120' });
    assert.equal(c.ldapTimeout, 60);
    assert.match(warnings[0]!, /LDAPSearchTimeout is more than 60 seconds/);
  });

  test('a credspec file with and without the name of its lease', () => {
    const of = (text: string) => config([], { CF_CRED_SPEC_FILE: text }).credspecFile;
    assert.deepEqual(of('/a/b.json'), { path: '/a/b.json', leaseId: 'credspec' });
    assert.deepEqual(of('/a/b.json:web-1'), { path: '/a/b.json', leaseId: 'web-1' });
    assert.deepEqual(of('/a:b/c.json'), { path: '/a:b/c.json', leaseId: 'credspec' });
  });
});

describe('--once', () => {
  const request = (...argv: string[]) => {
    const command = parseCommand(argv, {}, () => undefined);
    assert.ok(command.action === 'once');
    return command.once;
  };

  test('takes credspecs and who reads', () => {
    assert.deepEqual(request('--once', 'a.json', 'b.json:web', '--username', 'u', '--password-file', '-'), {
      credspecs: [
        { path: 'a.json', leaseId: 'credspec' },
        { path: 'b.json', leaseId: 'web' },
      ],
      user: { username: 'u', passwordFile: '-' },
    });
    assert.equal(request('--once', '--cred-spec-file', '/a', '--output', 'x').output, 'x');
  });

  test('refuses what makes no sense', () => {
    refuses(['--once'], {}, 'needs a credspec');
    refuses(['--output', 'x'], {}, '--output needs --once');
    refuses(['--once', 'a', 'b', '--output', 'x'], {}, 'one credspec');
    refuses(['--once', 'a', '--username', 'u'], {}, '--password-file');
    refuses(['--once', 'a', '--domain', 'x.y'], {}, 'need --username');
    refuses(['--once', 'a', '--username', 'u/v', '--password-file', '-'], {}, '--username');
    refuses(['--once', 'a:..'], {}, 'names the lease');
  });
});
