/**
 * `npm run runtimes`: puts Node 22 and 24, Bun and Deno into `.runtimes/`, from npm, so that `npm test` runs the library
 * on them too. Half a gigabyte; nothing else of the project needs them.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RUNTIMES, runtimeBinary, runtimeFolder } from '../test/runtimes/runtimes.ts';

for (const runtime of RUNTIMES) {
  if (!runtimeBinary(runtime)) {
    const folder = runtimeFolder(runtime);
    mkdirSync(folder, { recursive: true });
    // A package of its own: the project's must not know of it.
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
    const flags = ['--no-audit', '--no-fund', '--no-save', '--loglevel=error'];
    execFileSync('npm', ['install', ...flags, runtime.spec], { cwd: folder, stdio: 'inherit' });
  }
  const binary = runtimeBinary(runtime);
  if (!binary) throw new Error(`${runtime.spec} has no ${runtime.binary} on this machine`);
  const version = execFileSync(binary, ['--version'], { encoding: 'utf8' }).split('\n')[0];
  console.log(`${runtime.name}: ${version}`);
}
