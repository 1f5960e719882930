/** Files that a configuration includes: which they are, in which order, and how many at most. */
import { readdir, readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { configError, type IncludeNode, type ProfileNode, parseProfile } from './profile.ts';

/** Files that include themselves, or each other many times over, end here. */
const MAX_INCLUDE_DEPTH = 10;
export const MAX_FILES = 1000;

/** Appends nodes to `into`, each include directive replaced with the sections of its files. */
export async function expand(
  nodes: readonly (ProfileNode | IncludeNode)[],
  into: ProfileNode[],
  depth: number,
  budget: { files: number },
): Promise<void> {
  for (const node of nodes) {
    if (!('include' in node)) {
      into.push(node);
      continue;
    }
    if (!isAbsolute(node.path)) throw configError(node, `include needs an absolute path, not ${node.path}`);
    if (depth >= MAX_INCLUDE_DEPTH) throw configError(node, `includes nested deeper than ${MAX_INCLUDE_DEPTH}`);
    for (const file of node.include === 'file' ? [node.path] : await filesOf(node)) {
      if (--budget.files < 0) throw configError(node, `more than ${MAX_FILES} files are included`);
      const text = await readFile(file, 'utf8').catch((e: unknown) => {
        throw configError(node, `cannot read ${file}: ${messageOf(e)}`);
      });
      await expand(parseProfile(text, file), into, depth + 1, budget);
    }
  }
}

/**
 * The files an `includedir` means, in the order of their names: "all files within the directory whose names consist
 * solely of alphanumeric characters, dashes, or underscores", and since MIT 1.15 "files with names ending in '.conf'
 * ... unless the name begins with '.'".
 */
async function filesOf(node: IncludeNode): Promise<string[]> {
  const names = await readdir(node.path).catch((e: unknown) => {
    throw configError(node, `cannot read the directory ${node.path}: ${messageOf(e)}`);
  });
  return names
    .filter((name) => /^[A-Za-z0-9_-]+$/.test(name) || /^[^.].*\.conf$/.test(name))
    .sort()
    .map((name) => join(node.path, name));
}
