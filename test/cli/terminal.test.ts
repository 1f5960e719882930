/** What of the world's text reaches a terminal. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { CLEAR_SCREEN, visible } from '../../src/cli/terminal.ts';
import { writeCCache } from '../../src/krb5/files/ccache.ts';
import { principal } from '../../src/krb5/principal.ts';

describe('text for a terminal', () => {
  test('keeps its lines, tabs and letters of any script', () => {
    const text = 'Ticket cache: FILE:/tmp/x\n\tjürgen@КОРП.TEST\n';
    assert.equal(visible(text), text);
  });

  test('shows control characters instead of sending them', () => {
    assert.equal(
      visible('a\x1b]0;title\x07\r\x7f\u009b2J\u202e'),
      'a\\u001b]0;title\\u0007\\u000d\\u007f\\u009b2J\\u202e',
    );
  });

  test('may clear the screen first, and not later', () => {
    assert.equal(visible(`${CLEAR_SCREEN}a${CLEAR_SCREEN}`), `${CLEAR_SCREEN}a\\u001b[H\\u001b[2J`);
  });

  test('is JSON still', () => {
    assert.deepEqual(JSON.parse(visible(JSON.stringify({ name: 'a\u009b\x1b' }))), { name: 'a\u009b\x1b' });
  });
});

describe('the program', () => {
  test('does not obey a name in a ticket cache', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'cf-terminal-'));
    try {
      const path = join(directory, 'cc');
      await writeFile(path, writeCCache({ principal: principal('A.TEST', 'al\x1b[2Jice'), credentials: [] }));
      const argv = ['--import', 'tsx', 'src/cli/bin.ts', 'klist', path];
      const { stdout } = spawnSync(process.execPath, argv, { encoding: 'utf8', timeout: 30_000 });
      assert.match(stdout, /Default principal: al\\u001b\[2Jice@A\.TEST/);
      assert.ok(!stdout.includes('\x1b'));
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
