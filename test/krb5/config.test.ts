import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { AdError } from '../../src/errors.ts';
import {
  configValues,
  loadKrb5Config,
  parseDuration,
  parseKdcAddress,
  parseKrb5Conf,
  realmOfHost,
} from '../../src/krb5/config.ts';

const lib = (lines: string) => parseKrb5Conf(`[libdefaults]\n${lines}`);
const invalid = (file: string, line: number, words: RegExp) => (e: unknown) =>
  e instanceof AdError &&
  e.code === 'INVALID_ARGUMENT' &&
  e.details.file === file &&
  e.details.line === line &&
  e.message.startsWith(`${file}:${line}: `) &&
  words.test(e.message);

describe('parseKrb5Conf', () => {
  test('reads what a domain member has', () => {
    const config = parseKrb5Conf(`
# written by an administrator
[logging]
  default = SYSLOG:INFO:DAEMON
[libdefaults]
  default_realm = LAB.EXAMPLE.COM
  ; no lookups
  dns_lookup_kdc = false
  permitted_enctypes = aes256-cts-hmac-sha1-96 aes128-cts
  clockskew = 2m
  ticket_lifetime = 10h
  renew_lifetime = 7d
  forwardable = yes
  rdns = no
  kdc_timesync = 0
[realms]
  LAB.EXAMPLE.COM = {
    kdc = dc1.lab.example.com
    kdc = dc2.lab.example.com:1088
    admin_server = dc1.lab.example.com
    auth_to_local = RULE:[1:$1@$0](.*@LAB)s/@.*//
    v4_name_convert = {
      host = {
        rcmd = host
      }
    }
    primary_kdc = dc2.lab.example.com
    kpasswd_server = dc2.lab.example.com:464
    http_anchors = FILE:/etc/ssl/ca.pem
    http_anchors = ENV:CA
    sitename = Berlin
  }
  OTHER.ORG = { 
    kdc = [2001:db8::1]:88
  }
[domain_realm]
  .lab.example.com = LAB.EXAMPLE.COM
  Lab.Example.Com = LAB.EXAMPLE.COM
`);
    assert.equal(config.defaultRealm, 'LAB.EXAMPLE.COM');
    assert.equal(config.dnsLookupKdc, false);
    assert.deepEqual(config.permittedEtypes, [18, 17]);
    assert.equal(config.clockskewSeconds, 120);
    assert.equal(config.ticketLifetimeSeconds, 36_000);
    assert.equal(config.renewLifetimeSeconds, 604_800);
    assert.equal(config.forwardable, true);
    assert.equal(config.rdns, false);
    assert.equal(config.kdcTimesync, false);
    assert.deepEqual(
      config.realms,
      new Map([
        [
          'LAB.EXAMPLE.COM',
          {
            kdc: ['dc1.lab.example.com', 'dc2.lab.example.com:1088'],
            primaryKdc: ['dc2.lab.example.com'],
            adminServer: ['dc1.lab.example.com'],
            kpasswdServer: ['dc2.lab.example.com:464'],
            httpAnchors: ['FILE:/etc/ssl/ca.pem', 'ENV:CA'],
            sitename: 'Berlin',
          },
        ],
        [
          'OTHER.ORG',
          { kdc: ['[2001:db8::1]:88'], primaryKdc: [], adminServer: [], kpasswdServer: [], httpAnchors: [] },
        ],
      ]),
    );
    assert.deepEqual(
      config.domainRealm,
      new Map([
        ['.lab.example.com', 'LAB.EXAMPLE.COM'],
        ['lab.example.com', 'LAB.EXAMPLE.COM'],
      ]),
    );
  });

  test('knows the defaults of an empty file', () => {
    const { settings, ...config } = parseKrb5Conf('');
    assert.deepEqual(settings, []);
    assert.deepEqual(config, {
      realms: new Map(),
      domainRealm: new Map(),
      allowWeakCrypto: false,
      allowRc4: false,
      dnsLookupKdc: true,
      dnsUriLookup: true,
      dnsLookupRealm: false,
      clockskewSeconds: 300,
      kdcTimesync: true,
      ticketLifetimeSeconds: 86_400,
      renewLifetimeSeconds: 0,
      forwardable: false,
      proxiable: false,
      canonicalize: false,
      rdns: true,
      dnsCanonicalizeHostname: 'true',
      noaddresses: true,
    });
  });

  test('takes lines before the first section for comments', () => {
    assert.equal(parseKrb5Conf('any = thing\n [libdefaults]\n{\n[libdefaults]\ndefault_realm = A').defaultRealm, 'A');
  });

  test('reads a file with a BOM and the line ends of Windows', () => {
    assert.equal(parseKrb5Conf('\uFEFF[libdefaults]\r\n default_realm = A.B\r\n\r\n').defaultRealm, 'A.B');
  });

  test('keeps everything after the first "="', () => {
    const config = parseKrb5Conf('[plugins]\n x = a=b = c');
    assert.deepEqual(configValues(config, 'plugins', 'x'), ['a=b = c']);
  });

  test('unquotes values', () => {
    const config = parseKrb5Conf('[x]\n a = " two  words "  # remark\n b = "q\\"\\\\\\n\\t\\b\\z"\n c = ""\n d = a"b"');
    const value = (name: string) => configValues(config, 'x', name);
    assert.deepEqual(
      [...value('a'), ...value('b'), ...value('c'), ...value('d')],
      [' two  words ', 'q"\\\n\t\bz', '', 'a"b"'],
    );
  });

  test('takes a brace on the next line', () => {
    const config = parseKrb5Conf('[realms]\nR =\n  {\n kdc = a\n }');
    assert.deepEqual(config.realms.get('R')?.kdc, ['a']);
  });

  test('joins sections and realms that come twice', () => {
    const config = parseKrb5Conf('[realms]\nR = {\nkdc = a\n}\n[other]\n[realms]\nR = {\nkdc = b\n}\nS = {\n}');
    assert.deepEqual(config.realms.get('R')?.kdc, ['a', 'b']);
    assert.deepEqual(config.realms.get('S')?.kdc, []);
  });

  test('of a setting that comes twice the first counts', () => {
    assert.equal(lib('default_realm = A\ndefault_realm = B').defaultRealm, 'A');
  });

  test('takes names such as __proto__ for names', () => {
    const config = parseKrb5Conf('[__proto__]\n x = 1\n[realms]\n__proto__ = {\n kdc = a\n}\n constructor = {\n}');
    assert.deepEqual([...config.realms.keys()], ['__proto__', 'constructor']);
    assert.equal(({} as { x?: unknown }).x, undefined);
  });

  for (const [what, text] of Object.entries({
    'a final relation': '[realms]\nR = {\nkdc* = a\nkdc = b\n}',
    'a final group': '[realms]\nR* = {\nkdc = a\n}\nR = {\nkdc = b\n}',
    'a group final at its end': '[realms]\nR = {\nkdc = a\n}*\nR = {\nkdc = b\n}',
    'a final section': '[realms]*\nR = {\nkdc = a\n}\n[realms]\nR = {\nkdc = b\n}',
  })) {
    test(`nothing is added after ${what}`, () => {
      assert.deepEqual(parseKrb5Conf(text).realms.get('R')?.kdc, ['a']);
    });
  }

  const nonsense: Record<string, [text: string, line: number, words: RegExp]> = {
    'a relation without "="': ['[a]\nb', 2, /name = value/],
    'a relation without a name': ['[a]\n = b', 2, /name = value/],
    'a name with a blank': ['[a]\nb c = d', 2, /name = value/],
    'a section without an end': ['[a', 1, /not a section/],
    'a section with text behind': ['[a] b', 1, /not a section/],
    'a section within braces': ['[a]\nb = {\n[c]', 3, /within the braces of b, opened in line 2/],
    'a brace too many': ['[a]\n}', 2, /"}" without/],
    'a brace too few': ['[a]\nb = {\nc = d\n', 4, /missing for b, opened in line 2/],
    'a value too few': ['[a]\nb =\nc = d', 3, /a value or "{"/],
    'text after a brace': ['[a]\nb = {\n} c', 3, /text after/],
    'a quote without an end': ['[a]\nb = "c', 2, /quote/],
    'braces without end': [`[a]\n${'b = {\n'.repeat(1000)}`, 17, /deeper/],
    'a NUL': ['[a]\nb = c\0d', 2, /NUL/],
    'a configuration that is in a module': [
      '# x\nmodule /x.so:y\n[a]\nb = c',
      2,
      /module, which needs MIT's libraries/,
    ],
    'an include': ['\ninclude /etc/x', 2, /include/],
    'a boolean of another tongue': ['[libdefaults]\nforwardable = ja', 2, /forwardable cannot be "ja"/],
    'a duration of no unit': ['[libdefaults]\n\nclockskew = 5x', 3, /clockskew cannot be "5x"/],
    'a negative duration': ['[libdefaults]\nclockskew = -5', 2, /clockskew/],
    'a KDC with a port of letters': ['[realms]\nR = {\nkdc = a:b\n}', 3, /kdc cannot be "a:b"/],
    'encryption types none of which is known': ['[libdefaults]\npermitted_enctypes = rot13', 2, /rot13/],
  };
  for (const [what, [text, line, words]] of Object.entries(nonsense)) {
    test(`refuses ${what} and says where`, () => {
      assert.throws(() => parseKrb5Conf(text, 'my.conf'), invalid('my.conf', line, words));
    });
  }

  test('answers any text with a configuration or an AdError', () => {
    const word = fc.constantFrom('[libdefaults]', '[', ']', '{', '}', '}*', '=', '"', '\n', ' ', 'kdc', '\\', '*', '#');
    const texts = fc.array(fc.oneof(word, fc.string({ maxLength: 5 })), { maxLength: 40 }).map((w) => w.join(''));
    fc.assert(
      fc.property(texts, (text) => {
        try {
          parseKrb5Conf(text);
        } catch (e) {
          assert.ok(e instanceof AdError && e.code === 'INVALID_ARGUMENT', String(e));
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('parseDuration', () => {
  const cases: Record<string, number | undefined> = {
    '0': 0,
    '36000': 36_000,
    '90s': 90,
    '5m': 300,
    '10h': 36_000,
    '7d': 604_800,
    '1d12h': 129_600,
    '1d 2h 3m 4s': 93_784,
    '1h30': undefined,
    '7D': undefined,
    '10:00': 36_000,
    '0:05:01': 301,
    '1-00:00:05': 86_405,
    '': undefined,
    d: undefined,
    '-1': undefined,
    '1.5h': undefined,
    '5 parsecs': undefined,
    '99999999999': undefined,
  };
  for (const [text, seconds] of Object.entries(cases)) {
    test(JSON.stringify(text), () => {
      assert.equal(parseDuration(text), seconds);
    });
  }
});

describe('parseKdcAddress', () => {
  const cases: Record<string, ReturnType<typeof parseKdcAddress>> = {
    'dc1.example.com': { host: 'dc1.example.com' },
    'dc1:88': { host: 'dc1', port: 88 },
    'dc1 # the first': { host: 'dc1' },
    '192.0.2.1:1088': { host: '192.0.2.1', port: 1088 },
    '[2001:db8::1]': { host: '2001:db8::1' },
    '[2001:db8::1]:88': { host: '2001:db8::1', port: 88 },
    '2001:db8::1': { host: '2001:db8::1' },
    'tcp/dc1': { host: 'dc1', protocol: 'tcp' },
    'tcp/[::1]:88': { host: '::1', port: 88, protocol: 'tcp' },
    'udp/dc1:88': { host: 'dc1', port: 88, protocol: 'udp' },
    'https://proxy.example.com/KdcProxy': { host: 'proxy.example.com', protocol: 'https', path: 'KdcProxy' },
    'https://proxy:8443': { host: 'proxy', port: 8443, protocol: 'https' },
    '': undefined,
    'dc1:': undefined,
    'dc1:0': undefined,
    'dc1:65536': undefined,
    'dc1/x': undefined,
    '[dc1]:88': undefined,
    '[::1': undefined,
    'http://dc1': undefined,
  };
  for (const [text, address] of Object.entries(cases)) {
    test(JSON.stringify(text), () => {
      assert.deepEqual(parseKdcAddress(text), address);
    });
  }
});

describe('realmOfHost', () => {
  const config = parseKrb5Conf(`[domain_realm]
    special.example.com = SPECIAL
    .example.com = EXAMPLE
    org = ORG
    .b.org = B`);
  const cases: Record<string, string | undefined> = {
    'special.example.com': 'SPECIAL',
    'x.special.example.com': 'SPECIAL',
    'www.example.com': 'EXAMPLE',
    'WWW.Example.COM.': 'EXAMPLE',
    'a.b.c.example.com': 'EXAMPLE',
    'example.com': undefined,
    'notexample.com': undefined,
    'a.org': 'ORG',
    'a.b.org': 'B',
    'b.org': 'ORG',
    localhost: undefined,
    '': undefined,
    '...': undefined,
  };
  for (const [host, realm] of Object.entries(cases)) {
    test(JSON.stringify(host), () => {
      assert.equal(realmOfHost(config, host), realm);
    });
  }
});

describe('loadKrb5Config', () => {
  let top: string;
  let directory: string;
  let count = 0;
  before(async () => {
    top = await mkdtemp(join(tmpdir(), 'krb5-conf-'));
  });
  beforeEach(async () => {
    directory = join(top, String(count++));
    await mkdir(directory);
  });
  after(() => rm(top, { recursive: true, force: true }));

  const write = async (name: string, text: string) => {
    await writeFile(join(directory, name), text);
    return join(directory, name);
  };
  const realm = (name: string) => `[libdefaults]\ndefault_realm = ${name}\n`;

  test('a file that does not exist means the defaults', async () => {
    const config = await loadKrb5Config(undefined, { KRB5_CONFIG: join(directory, 'none') });
    assert.equal(config.defaultRealm, undefined);
    assert.equal(config.clockskewSeconds, 300);
  });

  test('a path goes before KRB5_CONFIG', async () => {
    const [a, b] = [await write('a', realm('A')), await write('b', realm('B'))];
    assert.equal((await loadKrb5Config(a, { KRB5_CONFIG: b })).defaultRealm, 'A');
  });

  test('of several files the earlier wins, and lists are joined', async () => {
    const a = await write('a', `${realm('A')}[realms]\nR = {\nkdc = a1\nkdc = a2\n}`);
    const b = await write('b', `${realm('B')}forwardable = true\n[realms]\nR = {\nkdc = b\n}`);
    const config = await loadKrb5Config(undefined, { KRB5_CONFIG: `${a}:${join(directory, 'none')}::${b}` });
    assert.equal(config.defaultRealm, 'A');
    assert.equal(config.forwardable, true);
    assert.deepEqual(config.realms.get('R')?.kdc, ['a1', 'a2', 'b']);
  });

  test('a path may name several files too', async () => {
    const [a, b] = [await write('a', realm('A')), await write('b', '[libdefaults]\nrdns = no\n')];
    const config = await loadKrb5Config(`${a}:${b}`);
    assert.deepEqual([config.defaultRealm, config.rdns], ['A', false]);
  });

  test('a final section keeps later files out', async () => {
    const a = await write('a', '[realms]*\nR = {\nkdc = a\n}');
    const b = await write('b', '[realms]\nS = {\nkdc = b\n}');
    const config = await loadKrb5Config(undefined, { KRB5_CONFIG: `${a}:${b}` });
    assert.deepEqual([...config.realms.keys()], ['R']);
  });

  test('an included file counts where its line stands', async () => {
    const inner = await write('inner', `${realm('INNER')}forwardable = true\nproxiable = true\n`);
    const outer = await write('outer', `[libdefaults]\nproxiable = false\ninclude ${inner}\nforwardable = false\n`);
    const config = await loadKrb5Config(outer);
    assert.deepEqual([config.defaultRealm, config.proxiable, config.forwardable], ['INNER', false, true]);
  });

  test('includedir takes the names MIT takes, in their order', async () => {
    const names = ['20_b', '10-a.conf', 'x.y.conf', '.hidden.conf', 'z.rpmsave', 'e~', '.conf', 'C'];
    await mkdir(join(directory, 'd'));
    for (const name of names) await write(`d/${name}`, `[realms]\nR = {\nkdc = ${name.replace(/~/, '')}\n}\n`);
    const config = await loadKrb5Config(await write('main', `includedir ${join(directory, 'd')}\n`));
    assert.deepEqual(config.realms.get('R')?.kdc, ['10-a.conf', '20_b', 'C', 'x.y.conf']);
  });

  test('an error in an included file names that file', async () => {
    const inner = await write('inner', '[a]\n}\n');
    const outer = await write('outer', `include ${inner}\n`);
    await assert.rejects(loadKrb5Config(outer), invalid(inner, 2, /without/));
  });

  test('an included file that is missing is an error at the include', async () => {
    const outer = await write('outer', `\ninclude ${join(directory, 'none')}\n`);
    await assert.rejects(loadKrb5Config(outer), invalid(outer, 2, /cannot read/));
  });

  test('refuses a relative path', async () => {
    const outer = await write('outer', 'include inner\n');
    await assert.rejects(loadKrb5Config(outer), invalid(outer, 1, /absolute/));
  });

  test('a file that includes itself is refused', async () => {
    const path = join(directory, 'self');
    await write('self', `include ${path}\n`);
    await assert.rejects(loadKrb5Config(path), invalid(path, 1, /deeper/));
  });

  test('a directory whose files include it is refused before it grows beyond reason', async () => {
    const d = join(directory, 'd');
    await mkdir(d);
    for (let i = 0; i < 20; i++) await write(`d/f${i}`, i === 19 ? `includedir ${d}\n` : '');
    await symlink(join(d, 'f19'), join(d, 'f20'));
    await assert.rejects(
      loadKrb5Config(join(d, 'f19')),
      (e) => e instanceof AdError && e.code === 'INVALID_ARGUMENT' && /files are included|deeper/.test(e.message),
    );
  });

  test('a file that cannot be read is a FILE error', async () => {
    await assert.rejects(loadKrb5Config(directory), (e) => e instanceof AdError && e.code === 'FILE');
  });
});
