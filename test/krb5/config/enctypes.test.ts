import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadKrb5Config, parseKrb5Conf } from '../../../src/krb5/config.ts';
import { findProfile } from '../../../src/krb5/crypto/index.ts';
import { libkrb5, needsLibkrb5 } from '../../support/krb5lib.ts';

const lib = (lines: string) => parseKrb5Conf(`[libdefaults]\n${lines}\n`);

/** Lists that mean the same to MIT, where RC4 needs no leave. */
const LISTS: Record<string, number[]> = {
  'aes256-cts, aes128-cts': [18, 17],
  'AES128-CTS-HMAC-SHA1-96': [17],
  'des-cbc-crc aes256-cts rot13': [18],
  aes: [18, 17, 20, 19],
  rc4: [23],
  DEFAULT: [18, 17, 20, 19, 23],
  'aes256-sha2 aes': [20, 18, 17, 19],
  'aes256-cts DEFAULT': [18, 17, 20, 19, 23],
  'aes128-sha2,aes128-cts': [19, 17],
  'DEFAULT rc4': [18, 17, 20, 19, 23],
  'DEFAULT -aes128-cts': [18, 20, 19, 23],
  'DEFAULT -rc4 +rc4': [18, 17, 20, 19, 23],
  'DEFAULT -rc4': [18, 17, 20, 19],
  '-aes DEFAULT': [18, 17, 20, 19, 23],
  'DEFAULT -aes': [23],
  'rc4 +aes128-cts aes128-cts': [23, 17],
  '+ aes': [18, 17, 20, 19],
  'arcfour-hmac-exp arcfour-hmac-md5': [23],
  'aes256-cts,rot13;aes': [18],
};

describe('permitted_enctypes', () => {
  for (const [text, etypes] of Object.entries(LISTS)) {
    test(`${text}, with RC4 allowed`, () => {
      assert.deepEqual(lib(`allow_rc4 = true\npermitted_enctypes = ${text}`).permittedEtypes, etypes);
    });
  }

  for (const text of ['rot13', '-aes', 'aes256', '18 17', '+-aes', '""']) {
    test(`${text} leaves nothing and is refused`, () => {
      const message =
        /^krb5\.conf:2: permitted_enctypes ".*" leaves no type that is known here; name one of the aes types/;
      assert.throws(() => lib(`permitted_enctypes = ${text}`), { code: 'INVALID_ARGUMENT', message });
    });
  }
});

describe('RC4 in krb5.conf', () => {
  test('is passed over where the file does not allow it', () => {
    assert.deepEqual(lib('permitted_enctypes = aes256-cts rc4').permittedEtypes, [18]);
  });

  test('alone and not allowed is refused with what to do', () => {
    const message = /leaves DEPRECATED:arcfour-hmac: not allowed; name one of the aes types, or set allow_rc4/;
    assert.throws(() => lib('permitted_enctypes = rc4'), { code: 'INVALID_ARGUMENT', message });
  });

  test('comes last by allow_rc4 alone', () => {
    assert.deepEqual(lib('allow_rc4 = yes').permittedEtypes, [18, 17, 20, 19, 23]);
  });

  test('needs its name besides allow_weak_crypto, and then its place counts', () => {
    assert.equal(lib('allow_weak_crypto = yes').permittedEtypes, undefined);
    const named = lib('allow_weak_crypto = yes\npermitted_enctypes = rc4 aes256-cts');
    assert.deepEqual(named.permittedEtypes, [23, 18]);
  });
});

describe('default_tkt_enctypes and default_tgs_enctypes', () => {
  test('are each a list of its own', () => {
    const config = lib('default_tkt_enctypes = aes128-cts\ndefault_tgs_enctypes = aes256-cts aes128-cts');
    assert.deepEqual([config.tktEtypes, config.tgsEtypes], [[17], [18, 17]]);
    assert.equal(config.permittedEtypes, undefined);
  });

  test('are all that is permitted where the file has none', () => {
    const config = lib('permitted_enctypes = aes256-cts');
    assert.deepEqual([config.tktEtypes, config.tgsEtypes], [undefined, undefined]);
  });

  test('ask for nothing that is not permitted', () => {
    const config = lib('permitted_enctypes = aes256-cts\ndefault_tgs_enctypes = aes128-cts aes256-cts');
    assert.deepEqual(config.tgsEtypes, [18]);
  });

  test('are refused when nothing is left', () => {
    const message = /^krb5\.conf:3: default_tgs_enctypes "aes128-cts" leaves .*add them to permitted_enctypes/;
    assert.throws(() => lib('permitted_enctypes = aes256-cts\ndefault_tgs_enctypes = aes128-cts'), { message });
  });
});

describe('lists of encryption types as libkrb5 has them', { skip: needsLibkrb5 }, () => {
  let top: string;
  before(async () => {
    top = await mkdtemp(join(tmpdir(), 'enctypes-'));
  });
  after(() => rm(top, { recursive: true, force: true }));

  const relations = ['permitted_enctypes', 'default_tkt_enctypes', 'default_tgs_enctypes'];
  const cases = ['', ...relations.flatMap((name) => Object.keys(LISTS).map((list) => `${name} = ${list}`))];

  test('all of them', async () => {
    for (const [i, line] of cases.entries()) {
      const file = join(top, String(i));
      await writeFile(file, `[libdefaults]\nallow_rc4 = true\n${line}\n`);
      const [lists] = (await libkrb5(file, [['enctypes']])) as number[][][];
      const { permittedEtypes, tktEtypes, tgsEtypes } = await loadKrb5Config(file);
      const theirs = lists!.map((list) => list.filter(findProfile));
      assert.deepEqual([permittedEtypes, tktEtypes ?? permittedEtypes, tgsEtypes ?? permittedEtypes], theirs, line);
    }
  });
});
