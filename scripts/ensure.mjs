// Installs the dependencies when they are missing or not those of package-lock.json; says nothing otherwise.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Node 20.19 or later is needed; this is ${process.versions.node}.`);
  process.exit(1);
}

const read = (path) => {
  try {
    return JSON.parse(readFileSync(join(root, path), 'utf8')).packages ?? {};
  } catch {
    return undefined;
  }
};

/** True when npm's record of what it installed, written at the end of an install that went well, fits the lock file. */
function current() {
  const installed = read('node_modules/.package-lock.json');
  const wanted = read('package-lock.json');
  if (!installed || !wanted) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    // '' is this package; optional ones are those of other platforms.
    if (path === '' || (entry.optional && !installed[path])) return true;
    return installed[path]?.version === entry.version && installed[path]?.integrity === entry.integrity;
  });
}

if (!current()) {
  const began = Date.now();
  process.stderr.write('Installing dependencies (npm ci) ... ');
  const npm = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (npm.status !== 0) {
    process.stderr.write(`failed\n${npm.stdout ?? ''}${npm.stderr ?? ''}${npm.error ? `${npm.error.message}\n` : ''}`);
    process.exit(1);
  }
  process.stderr.write(`done in ${((Date.now() - began) / 1000).toFixed(1)} s\n`);
}
