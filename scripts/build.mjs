// Builds dist/: two programs of one file each that run with no node_modules beside them, and the library with types.
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = process.env.BUILD_DIR ?? join(root, 'dist');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

if (!process.env.BUILD_DIR) rmSync(dist, { recursive: true, force: true });

const programs = { 'credentials-fetcherd': 'src/daemon/bin.ts', 'credentials-fetcher': 'src/cli/bin.ts' };
for (const [name, entry] of Object.entries(programs)) {
  const outfile = join(dist, `${name}.mjs`);
  await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    minify: true,
    // Class names are part of error messages, and of what a stack trace is good for.
    keepNames: true,
    legalComments: 'none',
    define: { BUNDLED_VERSION: JSON.stringify(version) },
    // CommonJS packages inside an ES module need a require() for Node's own modules. The entry brings its shebang.
    banner: {
      js: `#!/usr/bin/env node\nimport{createRequire as bundleRequire}from'node:module';const require=bundleRequire(import.meta.url);`,
    },
    logLevel: 'warning',
  });
  chmodSync(outfile, 0o755);
  console.log(`${name}.mjs  ${Math.round(statSync(outfile).size / 1024)} KiB`);
}

if (!process.argv.includes('--programs')) {
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit',
  });
  console.log('lib/');
}
