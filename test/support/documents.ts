/** What documents say that a machine can check: their tables, and the blocks of code marked `runnable`. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Paths of all documents in Markdown, relative to the repository. */
export function documents(): string[] {
  const docs = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).map((f) => join('docs', f));
  return ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...docs.sort()].filter((f) => f.endsWith('.md'));
}

export function readDocument(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** A block fenced with ```LANGUAGE runnable [WORD]. */
export interface Snippet {
  readonly language: string;
  /** A file name for TypeScript, so that other blocks can import it; a word of the document's choice otherwise. */
  readonly word: string | undefined;
  readonly code: string;
  /** Of its first line in the document. */
  readonly line: number;
}

/** The runnable blocks of a document, in order. */
export function snippets(markdown: string): Snippet[] {
  return [...markdown.matchAll(/^```(\w+) runnable(?: (\S+))?\n([\s\S]*?)^```$/gm)].map((m) => ({
    language: m[1]!,
    word: m[2],
    code: m[3]!,
    line: markdown.slice(0, m.index).split('\n').length + 1,
  }));
}

/** The rows of the first table whose head has a column of that name; code marks are taken off the cells. */
export function tableWith(markdown: string, column: string): Record<string, string>[] {
  const cells = (row: string): string[] =>
    row
      .replace(/^\||\|$/g, '')
      .split('|')
      .map((cell) => cell.trim());
  const lines = markdown.split('\n');
  const head = lines.findIndex((line) => line.startsWith('|') && cells(line).includes(column));
  if (head < 0) throw new Error(`no table has a column ${column}`);
  const names = cells(lines[head]!);
  const rest = lines.slice(head + 2);
  const end = rest.findIndex((line) => !line.startsWith('|'));
  const rows = end < 0 ? rest : rest.slice(0, end);
  return rows.map((row) => {
    const values = cells(row).map((cell) => cell.replace(/^`([^`]*)`$/, '$1'));
    return Object.fromEntries(names.map((name, i) => [name, values[i] ?? '']));
  });
}

/** Every `--flag` in a text, without repetition, sorted; roff's `\-` is a dash. */
export function longFlags(text: string): string[] {
  const plain = text.replace(/\\-/g, '-');
  return [...new Set([...plain.matchAll(/(?<![\w-])--[a-z][a-z0-9_-]*/g)].map((m) => m[0]))].sort();
}
