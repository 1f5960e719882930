import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { allCommands } from '../../src/cli/main.ts';
import { scratchDirectory } from '../daemon/fake.ts';
import { mustRun, needs } from '../support/programs.ts';
import { cli } from './run.ts';

const script = async (shell: string): Promise<string> => (await cli(['completion', shell])).out;

describe('completion', () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    test(`${shell}: names every command and every flag`, async () => {
      const text = await script(shell);
      for (const { name, flags } of await allCommands()) {
        assert.match(text, new RegExp(`\\b${name}\\b`), name);
        for (const flag of Object.keys(flags))
          assert.ok(text.includes(shell === 'fish' ? `-l ${flag}` : `--${flag}`), flag);
      }
    });
  }

  test('zsh takes its script', { skip: needs('zsh') }, async (t) => {
    const file = join(await scratchDirectory(t), '_credentials-fetcher');
    await writeFile(file, await script('zsh'));
    await mustRun('zsh', ['-n', file]);
  });

  for (const [line, some] of [
    ['ki', 'kinit'],
    ['kinit --forw', '--forwardable'],
    ['keytab mer', 'merge'],
  ] as const) {
    test(`fish completes ${line}`, { skip: needs('fish') }, async (t) => {
      const directory = await scratchDirectory(t);
      await writeFile(join(directory, 'completion.fish'), await script('fish'));
      const command = `source completion.fish; complete -C 'credentials-fetcher ${line}'`;
      const env = { HOME: directory, XDG_CONFIG_HOME: directory };
      const out = await mustRun('fish', ['--no-config', '-c', command], { cwd: directory, env });
      const offered = out.split('\n').map((row) => row.split('\t')[0]);
      assert.ok(offered.includes(some), out);
    });
  }

  /** What bash offers for a command line, the last word being completed. */
  const offered = async (...words: string[]): Promise<string[]> => {
    const line = ['credentials-fetcher', ...words].map((word) => `'${word}'`).join(' ');
    const more = `COMP_WORDS=(${line}); COMP_CWORD=${words.length}; _credentials_fetcher; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const out = await mustRun('bash', ['-eu', '-c', `${await script('bash')}\n${more}`], { cwd: '/usr' });
    return out.trim().split('\n');
  };

  const cases: [words: string[], some: string[]][] = [
    [['ki'], ['kinit']],
    [['kl'], ['klist']],
    [['kinit', '--forw'], ['--forwardable']],
    [
      ['kinit', '-'],
      ['-k', '-t', '--help'],
    ],
    [
      ['klist', '--json', '-'],
      ['-e', '-f'],
    ],
    [['keytab', 'mer'], ['merge']],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [['kinit', '-t', 'sh'], ['share']],
    [['doctor', '--gm'], ['--gmsa']],
  ];
  for (const [words, some] of cases) {
    test(`bash completes ${words.join(' ')}`, { skip: needs('bash') }, async () => {
      const found = await offered(...words);
      for (const word of some) assert.ok(found.includes(word), `${word} among ${found.join(' ')}`);
    });
  }
});
