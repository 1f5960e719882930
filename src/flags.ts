/** Command lines of both programs: node:util's parser, with errors that say what to write instead. */
import { parseArgs } from 'node:util';

/** The command line or the environment makes no sense; the message says what to write instead. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export type FlagOptions = Record<
  string,
  { readonly type: 'string' | 'boolean'; readonly short?: string; readonly multiple?: boolean }
>;

export interface ParsedFlags {
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
  /** Those that may be given several times. */
  readonly lists: Readonly<Record<string, readonly string[]>>;
  readonly positionals: readonly string[];
}

/**
 * Reads flags.
 * @param positionals how many other arguments are allowed
 * @throws UsageError for anything else, naming the flag that was probably meant
 */
export function parseFlags(argv: readonly string[], options: FlagOptions, positionals = 0): ParsedFlags {
  try {
    const parsed = parseArgs({ args: [...argv], options, strict: true, allowPositionals: positionals > 0 });
    if (parsed.positionals.length > positionals)
      throw new UsageError(`unexpected argument ${parsed.positionals[positionals]}`);
    const given = Object.entries(parsed.values);
    return {
      flags: Object.fromEntries(given.filter(([, value]) => !Array.isArray(value))) as ParsedFlags['flags'],
      lists: Object.fromEntries(given.filter(([, value]) => Array.isArray(value))) as ParsedFlags['lists'],
      positionals: parsed.positionals,
    };
  } catch (e) {
    throw e instanceof UsageError ? e : new UsageError(explain(e, Object.keys(options)));
  }
}

/** The parser's message in our words, with the nearest flag for one that does not exist. */
function explain(e: unknown, names: readonly string[]): string {
  const { code, message } = e as { code?: string; message: string };
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
    const given = /'(-[^']*)'/.exec(message)?.[1] ?? '';
    const near = nearest(given.replace(/^-+/, ''), names);
    return `unknown option ${given}${near ? `, did you mean --${near}?` : ''}`;
  }
  if (code === 'ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL') {
    return `unexpected argument ${/'([^']*)'/.exec(message)?.[1] ?? ''}`.trimEnd();
  }
  return message.split('\n')[0]!;
}
/** The name with the fewest edits between, when that is a likely slip. */
export function nearest(given: string, names: readonly string[]): string | undefined {
  const ranked = names.map((name) => ({ name, distance: edits(given, name) })).sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best && best.distance <= Math.max(2, Math.floor(best.name.length / 3)) ? best.name : undefined;
}

/** Levenshtein's distance. */
function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}
