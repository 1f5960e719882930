/** What the library's entry points export, and where each name is declared: by reading the sources. */
import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { root } from './documents.ts';

export interface Exported {
  readonly name: string;
  /** True for types alone. */
  readonly type: boolean;
  /** Source file of the declaration, relative to the repository; undefined in another package. */
  readonly file: string | undefined;
  /** The declaration's line and those before it that comment on it. */
  readonly comment: string;
  readonly declaration: string;
}

/** The entry points by their subpath: './krb5' → 'src/krb5/index.ts'. */
export function entryPoints(): ReadonlyMap<string, string> {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, string | { default: string }>;
  };
  const files = Object.entries(exports).flatMap(([path, target]) =>
    typeof target === 'string'
      ? []
      : [[path, target.default.replace('./dist/lib/', 'src/').replace(/js$/, 'ts')] as const],
  );
  return new Map(files);
}

/** Everything that a file exports, by whichever way through other files. */
export function exportsOf(file: string): Exported[] {
  const text = readFileSync(join(root, file), 'utf8');
  const found: Exported[] = [];
  for (const [, all, names, from] of text.matchAll(/^export (type )?\{([^}]*)\} from '([^']+)';$/gm)) {
    for (const item of names!
      .split(',')
      .map((n) => n.trim())
      .filter(Boolean)) {
      const [, type, original, alias] = /^(type )?(\w+)(?: as (\w+))?$/.exec(item)!;
      const isType = all !== undefined || type !== undefined;
      found.push({ ...declarationOf(file, from!, original!), name: alias ?? original!, type: isType });
    }
  }
  for (const [, kind, name] of text.matchAll(
    /^export (?:declare )?(?:abstract )?(?:async )?(function\*?|class|interface|type|const) (\w+)/gm,
  ))
    found.push({ ...declared(file, text, name!), name: name!, type: kind === 'interface' || kind === 'type' });
  return found;
}

function declarationOf(from: string, path: string, name: string): Omit<Exported, 'name' | 'type'> {
  if (!path.startsWith('.')) return { file: undefined, comment: '', declaration: '' };
  const file = relative(root, join(root, dirname(from), path));
  const text = readFileSync(join(root, file), 'utf8');
  const here = declared(file, text, name);
  if (here.declaration) return here;
  const again = exportsOf(file).find((e) => e.name === name);
  if (!again) throw new Error(`${file} does not export ${name}`);
  return again;
}

function declared(file: string, text: string, name: string): Omit<Exported, 'name' | 'type'> {
  const pattern = `^export (?:abstract )?(?:async )?(?:function\\*?|class|interface|type|const) ${name}\\b.*$`;
  const match = new RegExp(pattern, 'm').exec(text);
  const before = match ? text.slice(0, match.index) : '';
  const comment = /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n$/.exec(before)?.[0] ?? '';
  return { file, comment, declaration: match?.[0] ?? '' };
}

/** Public methods of an exported class that say nothing of themselves, and have no interface to say it for them. */
export function silentMethods({ file, name, declaration }: Exported): string[] {
  if (file === undefined || !/\bclass\b/.test(declaration) || /\bimplements\b/.test(declaration)) return [];
  const text = readFileSync(join(root, file), 'utf8');
  const from = text.indexOf(declaration);
  const lines = text.slice(from, text.indexOf('\n}\n', from)).split('\n');
  const isMethod = /^ {2}(?:static |async |get )*(?!constructor|private|protected)([a-z]\w*)(?:<[^>]*>)?\(/;
  return lines.flatMap((line, i) => {
    const method = isMethod.exec(line)?.[1];
    return method && !/\*\/\s*$/.test(lines[i - 1]!) ? [`${name}.${method}`] : [];
  });
}
