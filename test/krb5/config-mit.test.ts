/** Where MIT's documentation leaves room, its own parser says what a configuration means. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadKrb5Config } from '../../src/krb5/config.ts';
import { needs, runProgram } from '../support/programs.ts';

describe('default_realm as kinit sees it', { skip: needs('kinit') }, () => {
  let top: string;
  let count = 0;
  before(async () => {
    top = await mkdtemp(join(tmpdir(), 'config-mit-'));
  });
  after(() => rm(top, { recursive: true, force: true }));

  const lib = (lines: string) => `[libdefaults]\n${lines}\n`;
  /** The files of each case, `@` standing for their directory; KRB5_CONFIG names those whose names begin with "main". */
  const cases: Record<string, Record<string, string>> = {
    'the first of two': { main: lib('default_realm = A\ndefault_realm = B') },
    'the first of two sections': { main: lib('default_realm = A') + lib('default_realm = B') },
    'the first of two files': { main1: lib('default_realm = A'), main2: lib('default_realm = B') },
    'the only one of two files': { main1: lib('rdns = no'), main2: lib('default_realm = B') },
    'not from after a final section': { main1: '[libdefaults]*\nrdns = no\n', main2: lib('default_realm = B') },
    'a final one': { main1: lib('default_realm* = A'), main2: lib('default_realm = B') },
    quoted: { main: lib('default_realm = "A B" # x') },
    'with an escape': { main: lib('default_realm = "A\\"B\\zC"') },
    'with a quote inside': { main: lib('default_realm = A"B"') },
    'with "=" and blanks inside': { main: lib('  default_realm=A = B =C  ') },
    'with something that is no comment': { main: lib('default_realm = A # B ; C') },
    'after text that is no section': { main: `default_realm = X\nanything\n${lib('default_realm = A')}` },
    'after a section with a blank before it, which is text': {
      main: ` ${lib('default_realm = X')}${lib('default_realm = A')}`,
    },
    'in a section with a blank before it after another': { main: `${lib('rdns = no')} ${lib('default_realm = A')}` },
    'after the line ends of Windows': { main: lib('rdns = no\r\ndefault_realm = A\r') },
    'after groups and comments': {
      main: lib('# c\n; c\nx = {\n y =\n {\n default_realm = N\n }\n}\ndefault_realm = A'),
    },
    'included before': { main: `include @/inc\n${lib('default_realm = A')}`, inc: lib('default_realm = I') },
    'included after': { main: `${lib('default_realm = A')}include @/inc\n`, inc: lib('default_realm = I') },
    'included within': { main: lib('rdns = no\ninclude @/inc\ndefault_realm = A'), inc: lib('default_realm = I') },
    'an include with blanks before it is none': {
      main: `[libdefaults]\ndefault_realm = A\n[x]\n include = @/inc\n`,
      inc: lib('default_realm = I'),
    },
    'from a directory, the names that count': {
      main: 'includedir @/d\n',
      'd/.a.conf': lib('default_realm = HIDDEN'),
      'd/a.b': lib('default_realm = DOT'),
      'd/b.conf': lib('default_realm = CONF'),
      'd/c': lib('default_realm = PLAIN'),
    },
  };

  for (const [what, files] of Object.entries(cases)) {
    test(what, async () => {
      const directory = join(top, String(count++));
      await mkdir(join(directory, 'd'), { recursive: true });
      // Looking for the realm's KDC ends at once, and nobody but [libdefaults] is asked.
      const mains = Object.keys(files).filter((name) => name.startsWith('main'));
      for (const [name, text] of Object.entries(files)) {
        await writeFile(join(directory, name), text.replaceAll('@', directory));
      }
      await writeFile(join(directory, 'last'), '[libdefaults]\ndns_lookup_kdc = false\ndns_lookup_realm = false\n');
      const env = { KRB5_CONFIG: [...mains, 'last'].map((name) => join(directory, name)).join(':') };
      const { stdout, stderr } = await runProgram('kinit', ['-c', join(directory, 'cc'), 'u'], { env });
      const found = /Cannot find KDC for realm "(.*)" while|does not specify default (realm)/s.exec(stdout + stderr);
      assert.ok(found, stdout + stderr);
      assert.equal((await loadKrb5Config(undefined, env)).defaultRealm, found[1]);
    });
  }
});
