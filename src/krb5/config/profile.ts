/**
 * The syntax of krb5.conf (MIT krb5 documentation, "krb5.conf", section "Structure"): sections, relations, braces,
 * quotes, final marks and include directives. What the names mean is config.ts's matter; unknown ones are kept.
 */
import { AdError } from '../../errors.ts';

/** A relation (`value`), or a section or braced group (`children`). */
export interface ProfileNode {
  readonly name: string;
  readonly value?: string;
  readonly children?: ProfileNode[];
  /** Marked with '*': nothing of that name counts that comes later, in this file or in later ones. */
  final: boolean;
  readonly file: string;
  readonly line: number;
}

/** An `include` or `includedir` line, to be replaced with what the files hold. */
export interface IncludeNode {
  readonly include: 'file' | 'directory';
  readonly path: string;
  readonly file: string;
  readonly line: number;
}

/** Deeper braces than this have no meaning to anyone. */
const MAX_DEPTH = 16;

/** An error that names the place, as every complaint about a configuration file does. */
export function configError(at: { readonly file: string; readonly line: number }, message: string): AdError {
  return new AdError('INVALID_ARGUMENT', `${at.file}:${at.line}: ${message}`, { file: at.file, line: at.line });
}

/**
 * Parses one file's text into its sections, in order, with include directives between them.
 * @param file name for errors
 * @throws AdError INVALID_ARGUMENT with file and line
 */
export function parseProfile(text: string, file: string): (ProfileNode | IncludeNode)[] {
  const top: (ProfileNode | IncludeNode)[] = [];
  /** The open section and the groups open within it. */
  let open: ProfileNode[] = [];
  /** Set by `name =` alone on its line: the brace must come on the next. */
  let braceDue = false;
  let line = 0;
  const here = () => ({ file, line });
  const refuse = (message: string): never => {
    throw configError(here(), message);
  };
  const addGroup = (into: ProfileNode[], name: string, final: boolean) => {
    if (open.length >= MAX_DEPTH) refuse(`braces nested deeper than ${MAX_DEPTH}`);
    const node: ProfileNode = { name, children: [], final, ...here() };
    into.push(node);
    open.push(node);
  };

  for (const raw of text.replace(/^\uFEFF/, '').split('\n')) {
    line++;
    const include = /^(include|includedir)\s+(.*?)\s*$/.exec(raw);
    if (include) {
      // Values included here come after those above and before those below: the open section goes on in a twin.
      top.push({ include: include[1] === 'include' ? 'file' : 'directory', path: include[2]!, ...here() });
      if (open.length === 1 && !open[0]!.final) {
        const { name } = open[0]!;
        open = [];
        addGroup(top as ProfileNode[], name, false);
      }
      continue;
    }
    const content = raw.trim();
    if (content.includes('\0')) refuse('NUL in a configuration file');
    if (content === '' || content.startsWith('#') || content.startsWith(';')) continue;
    if (braceDue) {
      if (!content.startsWith('{')) refuse('a value or "{" is missing');
      braceDue = false;
    } else if (open.length === 0 && top.length === 0 && /^module\s/.test(raw)) {
      // "module PATH:RESIDUAL": the whole configuration comes from a shared object; without it nothing below is meant.
      refuse(`the configuration is in a module, which needs MIT's libraries: write it as text (${content})`);
    } else if (content.startsWith('[') && (open.length > 0 || raw.startsWith('['))) {
      if (open.length > 1)
        refuse(`section within the braces of ${open.at(-1)!.name}, opened in line ${open.at(-1)!.line}`);
      const section = /^\[([^\]]+)\](\*?)$/.exec(content) ?? refuse(`not a section: ${content}`);
      open = [];
      addGroup(top as ProfileNode[], section[1]!.trim(), section[2] === '*');
    } else if (open.length === 0) {
      // "Lines before the first section are comments", as MIT's parser has it: until a line begins with '['.
    } else if (content.startsWith('}')) {
      if (open.length === 1) refuse('"}" without its "{"');
      if (content !== '}' && content !== '}*') refuse(`text after "}": ${content}`);
      if (content === '}*') open.at(-1)!.final = true;
      open.pop();
    } else {
      const [, tag, mark, rest] =
        /^([^\s=]+?)(\*?)\s*=\s*(.*)$/.exec(content) ?? refuse(`not "name = value": ${content}`);
      const siblings = open.at(-1)!.children!;
      if (rest === '' || rest === '{') {
        addGroup(siblings, tag!, mark === '*');
        braceDue = rest === '';
      } else {
        const value = rest!.startsWith('"') ? unquote(rest!, refuse) : rest!;
        siblings.push({ name: tag!, value, final: mark === '*', ...here() });
      }
    }
  }
  if (braceDue || open.length > 1)
    refuse(`"}" is missing for ${open.at(-1)!.name}, opened in line ${open.at(-1)!.line}`);
  return top;
}

/** The text between quotes, with the escapes \n, \t, \b; any other escaped character stands for itself. */
function unquote(text: string, refuse: (message: string) => never): string {
  const quoted = /^"((?:[^"\\]|\\.)*)"/.exec(text) ?? refuse(`quote without its end: ${text}`);
  const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', b: '\b' };
  return quoted[1]!.replace(/\\(.)/g, (_, c: string) => escapes[c] ?? c);
}

/**
 * Every node at a path of names, in order of their files and lines, as far as final marks let it: after a final node
 * none of its name counts.
 */
export function findNodes(roots: readonly ProfileNode[], path: readonly string[]): ProfileNode[] {
  let level: readonly ProfileNode[] = roots;
  let found: ProfileNode[] = [];
  for (const name of path) {
    found = level.filter((node) => node.name === name);
    const last = found.findIndex((node) => node.final);
    if (last >= 0) found.length = last + 1;
    level = found.flatMap((node) => node.children ?? []);
  }
  return found;
}
