/** MIT's libkrb5, asked through Python's ctypes. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { hasProgram, mustRun } from './programs.ts';

const PLACES = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib'];

export const needsLibkrb5: false | string =
  hasProgram('python3') && PLACES.some((place) => existsSync(join(place, 'libkrb5.so.3')))
    ? false
    : 'needs python3 and libkrb5 (Debian: python3, libkrb5-3)';

/**
 * Answers of MIT's library under a configuration.
 * @param conf value of KRB5_CONFIG
 * @param questions 'duration', text; 'path', client, server; 'host_realm', host; 'values', name…; 'enctypes'
 */
export async function libkrb5(conf: string, questions: readonly (readonly string[])[]): Promise<unknown[]> {
  const program = join(import.meta.dirname, 'krb5lib.py');
  const out = await mustRun('python3', [program], { env: { KRB5_CONFIG: conf }, input: JSON.stringify(questions) });
  return JSON.parse(out) as unknown[];
}
