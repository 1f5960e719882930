import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { allCommands } from '../../src/cli/main.ts';
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

  for (const [shell, args] of [
    ['zsh', ['-n']],
    ['fish', ['--no-execute']],
  ] as const) {
    test(`${shell} takes its script`, { skip: needs(shell) }, async () => {
      await mustRun(shell, [...args, '/dev/stdin'], { input: await script(shell) });
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
