/** Published test vectors, kept as data files that name their sources. */
import { readFileSync } from 'node:fs';

/** @param name of a file in test/vectors without its extension; the caller says what shape it has */
export function loadVectors<T>(name: string): T & { readonly source: string } {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8'));
}
