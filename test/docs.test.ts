/** The documents are true: settings, flags, errors, dependencies, links, and the code they show. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { manualPage, pageFile } from '../scripts/man.ts';
import { allCommands, commands } from '../src/cli/main.ts';
import { toStatus } from '../src/daemon/calls/status.ts';
import { usage } from '../src/daemon/config/config.ts';
import { AdError, type ErrorCode } from '../src/errors.ts';
import { documents, longFlags, readDocument, root, tableWith } from './support/documents.ts';

interface Setting {
  readonly flag: string;
  readonly variable: string;
  readonly fallback: string;
}

/** The settings as `credentials-fetcherd --help` lists them: `--flag VALUE help`, then `[VARIABLE, default]`. */
function settings(): Setting[] {
  const found = usage().matchAll(/^\s*(--[a-z0-9_-]+ [A-Z]+) .*\n\s*\[([A-Z0-9_]+)(?:, (.*))?\]$/gm);
  return [...found].map((m) => ({ flag: m[1]!, variable: m[2]!, fallback: m[3] ?? '' }));
}

const manual = (page: string): string => readFileSync(join(root, 'docs/man', page), 'utf8');

describe('settings', () => {
  const inReadme = tableWith(readDocument('README.md'), 'Variable').map((row) => ({
    flag: row.Flag!,
    variable: row.Variable!,
    fallback: row.Default!,
  }));
  const byFlag = (a: Setting, b: Setting): number => (a.flag < b.flag ? -1 : 1);

  test('--help lists them in the form this test reads', () => {
    const actions = ['--healthcheck', '--check-config', '--self_test', '--once', '--help', '--version'];
    const ofOnce = ['--output', '--username', '--domain', '--password-file'];
    assert.equal(settings().length, longFlags(usage()).length - actions.length - ofOnce.length);
  });

  test("README's table names exactly the settings, with their variables and defaults", () => {
    assert.deepEqual(inReadme.toSorted(byFlag), settings().toSorted(byFlag));
  });

  test("the daemon's manual page names exactly the flags and variables of --help", () => {
    const page = manual('credentials-fetcherd.8');
    assert.deepEqual(longFlags(page), longFlags(usage()));
    for (const { variable } of settings()) assert.match(page, new RegExp(`\\b${variable}\\b`), variable);
  });

  test("the client's manual page names every command", async () => {
    const page = manual('credentials-fetcher.1').replace(/\\-/g, '-');
    const named = [...page.matchAll(/^\.BR credentials-fetcher-([a-z]+) \(1\)$/gm)].map((m) => m[1]);
    assert.deepEqual(named, Object.keys(commands));
    assert.deepEqual(longFlags(page.slice(0, page.indexOf('.SH EXAMPLES'))), ['--help', '--socket', '--version']);
  });

  test('every command has the manual page that npm run man writes of it', async () => {
    for (const command of await allCommands())
      assert.equal(manual(pageFile(command)), manualPage(command), command.name);
  });
});

describe('errors', () => {
  const source = readFileSync(join(root, 'src/errors.ts'), 'utf8');
  const union = /export type ErrorCode =([\s\S]*?);$/m.exec(source)![1]!;
  const codes = [...union.matchAll(/^ {2}\| '([A-Z_]+)'/gm)].map((m) => m[1] as ErrorCode);

  test('docs/errors.md has each code with the gRPC status the daemon answers', () => {
    const rows = tableWith(readDocument('docs/errors.md'), 'gRPC status');
    assert.deepEqual(
      Object.fromEntries(rows.map((row) => [row.Code, row['gRPC status']])),
      Object.fromEntries(codes.map((code) => [code, toStatus(new AdError(code, 'text')).name])),
    );
  });

  test('each says what it means and what to do', () => {
    for (const row of tableWith(readDocument('docs/errors.md'), 'gRPC status'))
      assert.ok(row.Meaning && row['What to do'], row.Code);
  });
});

describe('dependencies', () => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

  test('all are pinned to one version', () => {
    for (const [name, version] of Object.entries<string>({ ...dependencies, ...devDependencies }))
      assert.match(version, /^\d+\.\d+\.\d+$/, name);
  });

  test('docs/dependencies.md gives a reason for exactly those of package.json', () => {
    const text = readDocument('docs/dependencies.md');
    const named = (column: string) => tableWith(text, column).map((row) => row[column]!);
    assert.deepEqual(named('At run time').sort(), Object.keys(dependencies).sort());
    assert.deepEqual(named('For development').sort(), Object.keys(devDependencies).sort());
  });
});

describe('documents', () => {
  for (const document of documents()) {
    test(`every link in ${document} leads somewhere`, () => {
      const broken = [...readDocument(document).matchAll(/\]\(([^)\s]+)\)/g)]
        .map((m) => m[1]!)
        .filter((target) => !/^https?:/.test(target))
        .filter((target) => !leadsSomewhere(document, target));
      assert.deepEqual(broken, []);
    });
  }

  test('docs/architecture.md has a sentence for every room of src', () => {
    const text = readDocument('docs/architecture.md');
    const rooms = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((e) => e.isDirectory());
    for (const { name } of rooms) assert.ok(text.includes(`\`${name}/\``), `src/${name} is not mentioned`);
  });
});

/** A file of the repository, or a heading as GitHub anchors it. */
function leadsSomewhere(from: string, target: string): boolean {
  const [path, anchor] = target.split('#') as [string, string?];
  const file = path === '' ? from : join(dirname(from), path);
  if (!existsSync(join(root, file))) return false;
  if (anchor === undefined) return true;
  const headings = [...readDocument(file).matchAll(/^#+ (.+)$/gm)].map((m) => m[1]!.toLowerCase());
  return headings.some((h) => h.replace(/[^\p{L}\p{N}\s-]/gu, '').replace(/\s/g, '-') === anchor);
}
