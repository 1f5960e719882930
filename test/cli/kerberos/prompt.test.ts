/** The password prompt on a real terminal. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type MitRealm, needsMitRealm, startMitRealm } from '../../support/mit-realm.ts';
import { needs } from '../../support/programs.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

interface Seen {
  shown: string;
  echo: boolean;
  code: number;
}

describe('on a terminal', { skip: needsMitRealm || needs('python3') }, () => {
  let mit: MitRealm;
  before(async () => {
    mit = await startMitRealm({ principals: [{ name: 'alice', password: 'a s\u00e9cret' }, { name: 'WEB1$' }] });
  });
  after(() => mit?.stop());

  const kinit = { prompt: 'Password for alice@MIT.TEST: ', argv: ['kinit', 'alice'] };
  const type = async (answer: string, { prompt, argv } = kinit): Promise<Seen> => {
    const command = [process.execPath, '--import', 'tsx', join(root, 'src/cli/bin.ts'), ...argv];
    const onTerminal = join(root, 'test/support/on_terminal.py');
    const { stdout, stderr } = await mit.run('python3', [onTerminal, prompt, answer, ...command]);
    assert.ok(stdout.startsWith('{'), stderr);
    return JSON.parse(stdout) as Seen;
  };

  test('asks, shows nothing of the password, and logs on', async () => {
    const { shown, echo, code } = await type('a s\\xe9cret\\r');
    assert.deepEqual([shown, echo, code], ['Password for alice@MIT.TEST: \r\n', false, 0]);
    assert.equal((await mit.run('klist', ['-s'])).code, 0);
  });

  test('takes a slip back', async () => {
    assert.equal((await type('a s\\xe9crexx\\x7f\\x7ft\\r')).code, 0);
  });

  test('gives up on an interrupt', async () => {
    const { shown, code } = await type('a s\\x03');
    assert.match(shown, /interrupted/);
    assert.equal(code, 2);
  });

  test('Ctrl-C reaches the program of krun once', async () => {
    const script = 'trap "echo once" INT; echo ready; sleep 3; sleep 0.3; exit 3';
    const argv = ['krun', '-t', await mit.keytab('WEB1$'), 'sh', '-c', script];
    const { shown, code } = await type('\\x03', { prompt: 'ready', argv });
    assert.equal(shown.match(/once/g)?.length, 1, shown);
    assert.equal(code, 3);
  });
});
