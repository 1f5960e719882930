// Builds dist/: two programs of one file each that run with no node_modules beside them, and the library with types.
// `--programs` leaves the library out; BUILD_DIR puts the result elsewhere.
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync } from 'node:zlib';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = process.env.BUILD_DIR ?? join(root, 'dist');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  // Names stay: stack traces are worth more than the bytes, and programs start no faster without.
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'none',
  define: { BUNDLED_VERSION: JSON.stringify(version) },
  logLevel: 'warning',
};

/** gRPC parses .proto files at run time for services that are not offered here (channelz, ORCA). */
const withoutProtoLoader = {
  name: 'without-proto-loader',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^@grpc\/proto-loader$/ }, () => ({ path: 'proto-loader', namespace: 'absent' }));
    onLoad({ filter: /.*/, namespace: 'absent' }, () => ({
      contents: "exports.loadSync = () => { throw new Error('there is no proto-loader in this bundle'); };",
    }));
  },
};

/** An ES module of its own in one string: CommonJS that takes Node's modules and the shared errors from outside. */
async function asText(entryPoint) {
  const { outputFiles } = await build({
    ...common,
    entryPoints: [entryPoint],
    format: 'cjs',
    // Code compiled from a string has no loader behind import(): it becomes require().
    supported: { 'dynamic-import': false },
    write: false,
    plugins: [
      {
        name: 'shared-errors',
        setup({ onResolve }) {
          onResolve({ filter: /\/errors\.ts$/ }, ({ path, resolveDir }) =>
            join(resolveDir, path) === join(root, 'src/errors.ts') ? { path: 'shared:errors', external: true } : null,
          );
        },
      },
    ],
  });
  return outputFiles[0].text;
}

/**
 * What the daemon needs only later goes into its file as a string, compiled when it is asked for: the parser would
 * otherwise walk through it, at every start, before the first line runs. All parts must know the same error classes, so
 * that module is handed in. The part for AWS, which most daemons never need, is compressed.
 */
const lateParts = {
  'src/cli/tools.ts': {
    exports: ['doctorOf', 'gmsa', 'kdestroy', 'keytab', 'kinit', 'klist', 'kpasswd', 'krun', 'kswitch', 'kvno'],
    packed: false,
  },
  'src/daemon/tickets/assemble.ts': { exports: ['createEngine'], packed: false },
  'src/accounts/aws/session.ts': { exports: ['openAws'], packed: true },
};

const late = {
  name: 'late',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\.ts$/ }, ({ path, kind, resolveDir }) => {
      const file = relative(root, resolve(resolveDir, path));
      return kind === 'dynamic-import' && file in lateParts ? { path: file, namespace: 'late' } : null;
    });
    onLoad({ filter: /.*/, namespace: 'late' }, async ({ path: file }) => {
      const { exports, packed } = lateParts[file];
      const text = await asText(file);
      const source = packed
        ? `brotliDecompressSync(Buffer.from(${JSON.stringify(brotliCompressSync(text).toString('base64'))}, 'base64')).toString()`
        : JSON.stringify(text);
      return {
        resolveDir: root,
        contents: `
          import { createRequire } from 'node:module';
          import { compileFunction } from 'node:vm';
          ${packed ? "import { brotliDecompressSync } from 'node:zlib';" : ''}
          import * as errors from './src/errors.ts';
          const nodeRequire = createRequire(import.meta.url);
          const module = { exports: {} };
          const run = compileFunction(${source}, ['module', 'exports', 'require'], {
            filename: 'credentials-fetcherd/${file}',
          });
          run(module, module.exports, (id) => (id === 'shared:errors' ? errors : nodeRequire(id)));
          ${exports.map((name) => `export const ${name} = module.exports.${name};`).join('\n')}`,
      };
    });
  },
};

if (!process.env.BUILD_DIR && !process.argv.includes('--programs')) rmSync(dist, { recursive: true, force: true });

const programs = { 'credentials-fetcherd': 'src/daemon/bin.ts', 'credentials-fetcher': 'src/cli/bin.ts' };
for (const [name, entry] of Object.entries(programs)) {
  const outfile = join(dist, `${name}.mjs`);
  await build({
    ...common,
    entryPoints: [entry],
    outfile,
    format: 'esm',
    plugins: [withoutProtoLoader, late],
    // CommonJS packages inside an ES module need a require() for Node's own modules.
    banner: {
      js: `#!/usr/bin/env node\nimport{createRequire as bundleRequire}from'node:module';const require=bundleRequire(import.meta.url);`,
    },
  });
  chmodSync(outfile, 0o755);
  console.log(`${name}.mjs  ${Math.round(statSync(outfile).size / 1024)} KiB`);
}

if (!process.argv.includes('--programs')) {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', join(dist, 'lib')], {
    cwd: root,
    stdio: 'inherit',
  });
  console.log('lib/');
}
