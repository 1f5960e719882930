/** `npm run demo` does what the README promises. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runProgram } from './support/programs.ts';

const root = join(import.meta.dirname, '..');

test('the demo runs to its end, shows a ticket in each mode and leaves nothing behind', async () => {
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith('cf-demo-'));
  const { code, stdout, stderr } = await runProgram(process.execPath, ['--import', 'tsx', 'scripts/demo.ts'], {
    cwd: root,
  });
  assert.equal(code, 0, stdout + stderr);
  assert.equal(stdout.match(/Default principal: WebApp01\$@CORP\.EXAMPLE/g)?.length, 2);
  assert.match(stdout, /renew until .*, Flags: FRIA/);
  assert.match(stdout, /new ticket in .*krb5cc/);
  assert.equal(stdout.match(/removed .*krb5cc/g)?.length, 2);
  const left = readdirSync(tmpdir()).filter((name) => name.startsWith('cf-demo-') && !before.includes(name));
  assert.deepEqual(left, []);
});
