/** The library's entry points: documented name by name, whole when packed, and light to import in part. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { build } from 'esbuild';
import { readDocument, root } from '../support/documents.ts';
import { type Exported, entryPoints, exportsOf, silentMethods } from '../support/exports.ts';
import { runProgram } from '../support/programs.ts';

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const parts = [...entryPoints()].map(([path, file]) => ({ path, names: exportsOf(file) }));
/** Written by a generator, or somebody else's. */
const ours = (e: Exported): boolean => e.file !== undefined && !e.file.includes('/generated/');

describe('every export has a doc comment', () => {
  for (const { path, names } of parts) {
    test(path, () => {
      const silent = names.filter((e) => ours(e) && !/\w{3}/.test(e.comment));
      assert.deepEqual(
        silent.map((e) => `${e.file}: ${e.name}`),
        [],
      );
    });
  }
});

test('so has every method of an exported class', () => {
  assert.deepEqual(
    parts.flatMap(({ names }) => names.filter(ours).flatMap(silentMethods)),
    [],
  );
});

for (const [path, document] of [
  ['./krb5', 'docs/krb5.md'],
  ['./ldap', 'docs/krb5.md'],
  ['./gmsa', 'docs/krb5.md'],
  ['./http', 'docs/http.md'],
] as const) {
  test(`${document} names every function and class of ${path}`, () => {
    const text = readDocument(document);
    const { names } = parts.find((part) => part.path === path)!;
    const missing = names.filter((e) => !e.type && !new RegExp(`\\b${e.name}\\b`).test(text));
    assert.deepEqual(
      missing.map((e) => e.name),
      [],
    );
  });
}

describe('who imports one thing gets little more', () => {
  /** Sources that a bundle of this code has bytes of, relative to the library. */
  async function bundled(code: string): Promise<string[]> {
    const { metafile } = await build({
      stdin: { contents: code, resolveDir: root },
      absWorkingDir: root,
      alias: Object.fromEntries(
        Object.keys(manifest.exports).map((path) => [
          path.replace('.', 'credentials-fetcher'),
          join(root, entryPoints().get(path) ?? 'package.json'),
        ]),
      ),
      bundle: true,
      platform: 'node',
      format: 'esm',
      metafile: true,
      write: false,
      logLevel: 'silent',
    });
    const [output] = Object.values(metafile.outputs);
    return Object.entries(output!.inputs)
      .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
      .map(([path]) => path);
  }
  const using = (name: string, from: string) => `import { ${name} } from '${from}'; console.log(${name});`;
  const none = (files: readonly string[], unwanted: RegExp): void =>
    assert.deepEqual(
      files.filter((f) => unwanted.test(f)),
      [],
    );

  test('a reader of ticket caches has no network, no GSS-API and no cryptography in it', async () => {
    const files = await bundled(using('readCCache', 'credentials-fetcher/krb5'));
    assert.ok(files.some((f) => f.endsWith('files/ccache.ts')));
    none(files, /network|gss|crypto|exchanges|pac\/|config|environment|node_modules/);
  });

  test('keytabs need no network and no GSS-API', async () => {
    none(await bundled(using('loadKeytab', 'credentials-fetcher/krb5')), /network|gss|exchanges|pac\/|node_modules/);
  });

  test('krb5.conf needs no cryptography but the names of encryption types', async () => {
    none(
      await bundled(using('parseKrb5Conf', 'credentials-fetcher/krb5')),
      /gss|exchanges|pac\/|files\/|network\/(tcp|udp|kkdcp)/,
    );
  });

  test('a client has no acceptor, no PAC and no editor of keytabs', async () => {
    none(await bundled(using('KrbClient', 'credentials-fetcher/krb5')), /gss|pac\/|files|network|ldapts|grpc/);
  });

  test("a server's check has no client, no network and no keytab editor", async () => {
    const files = await bundled(using('acceptNegotiate', 'credentials-fetcher/http'));
    none(files, /network|krb5\/client|exchanges\/(as|tgs|kpasswd)|keytab-edit|http\/negotiate|ldapts|grpc/);
  });

  test('nothing is left of an import that is not used', async () => {
    for (const path of ['krb5', 'http', 'gmsa'])
      assert.deepEqual(await bundled(`import 'credentials-fetcher/${path}';`), [], path);
  });
});

describe('the package', () => {
  let directory: string;
  let packed: { files: { path: string }[]; filename: string };
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'cf-pack-'));
    const npm = join(process.execPath, '../../lib/node_modules/npm/bin/npm-cli.js');
    const [program, first] = existsSync(npm) ? [process.execPath, [npm]] : ['npm', []];
    const args = [...first, 'pack', '--json', '--ignore-scripts', '--pack-destination', directory];
    const env = { HOME: directory, npm_config_cache: join(directory, 'cache'), npm_config_offline: 'true' };
    const { code, stdout, stderr } = await runProgram(program, args, { cwd: root, env });
    assert.equal(code, 0, stderr);
    packed = JSON.parse(stdout)[0];
    assert.equal((await runProgram('tar', ['-xzf', packed.filename], { cwd: directory })).code, 0);
    symlinkSync(join(root, 'node_modules'), join(directory, 'package/node_modules'));
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  test('has the programs, their manual pages, the library with types, and the documents', () => {
    const paths = new Set(packed.files.map((f) => f.path));
    const man = readdirSync(join(root, 'docs/man')).map((f) => `docs/man/${f}`);
    const exported = Object.values<string | Record<string, string>>(manifest.exports).flatMap((target) =>
      typeof target === 'string' ? [target] : Object.values(target),
    );
    const needed = [
      ...Object.values<string>(manifest.bin),
      ...man,
      ...exported,
      'docs/krb5.md',
      'README.md',
      'LICENSE',
    ];
    assert.deepEqual(
      needed.map((f) => f.replace(/^\.\//, '')).filter((f) => !paths.has(f)),
      [],
    );
  });

  test('has no tests, no sources and no settings of tools', () => {
    const stray = packed.files.filter(({ path }) => /^(src|test|bench|scripts|\.)|tsconfig|biome/.test(path));
    assert.deepEqual(stray, []);
  });

  test('names every manual page', () => {
    const pages = readdirSync(join(root, 'docs/man')).sort();
    assert.deepEqual(
      manifest.man,
      pages.map((page) => `./docs/man/${page}`),
    );
  });

  test('each part can be imported from it', async () => {
    mkdirAndLink(directory);
    const imports = parts.map(({ path }) => `await import('credentials-fetcher${path.slice(1)}')`);
    const names = `console.log(JSON.stringify([${imports.join(',')}].map((m) => Object.keys(m).sort())))`;
    const { code, stdout, stderr } = await runProgram(process.execPath, ['--input-type=module', '-e', names], {
      cwd: join(directory, 'user'),
    });
    assert.equal(code, 0, stderr);
    const values = parts.map(({ names: all }) => all.filter((e) => !e.type).map((e) => e.name));
    assert.deepEqual(
      JSON.parse(stdout),
      values.map((v) => v.sort()),
    );
  });

  test('strict TypeScript knows the type of every export', async () => {
    mkdirAndLink(directory);
    const lines = parts.flatMap(({ path, names }) => {
      const from = `'credentials-fetcher${path.slice(1)}'`;
      const space = path.slice(2);
      const generic = names
        .filter((e) => e.type)
        .map((e) => `export type { ${e.name} as ${space}_${e.name} } from ${from};`);
      const values = names.filter((e) => !e.type).map((e) => `notAny(${space}.${e.name});`);
      return [`import * as ${space} from ${from};`, ...generic, ...values];
    });
    // What is `any` would pass for everything.
    const helper = 'declare function notAny<T>(value: 0 extends 1 & T ? never : T): void;';
    writeFileSync(join(directory, 'user/consumer.ts'), [helper, ...lines].join('\n'));
    const compilerOptions = {
      target: 'es2022',
      module: 'nodenext',
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noEmit: true,
      types: ['node'],
      skipLibCheck: false,
    };
    writeFileSync(join(directory, 'user/tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }));
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    const { code, stdout } = await runProgram(process.execPath, [compiler, '-p', '.'], {
      cwd: join(directory, 'user'),
    });
    assert.equal(code, 0, stdout);
  });
});

/** A project beside the unpacked package, with the package in its node_modules. */
function mkdirAndLink(directory: string): void {
  const modules = join(directory, 'user/node_modules');
  if (existsSync(modules)) return;
  mkdirSync(join(modules, '@types'), { recursive: true });
  symlinkSync(join(directory, 'package'), join(modules, 'credentials-fetcher'));
  symlinkSync(join(root, 'node_modules/@types/node'), join(modules, '@types/node'));
  writeFileSync(join(directory, 'user/package.json'), '{ "type": "module" }');
}
