/** The other runtimes that the library and the programs are said to work on, where `npm run runtimes` has put them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export interface Runtime {
  readonly name: string;
  /** npm package and version that carries the binary. */
  readonly spec: string;
  /** The binary below the folder it is installed in. */
  readonly binary: string;
  /** Arguments before the file to run. */
  readonly args: readonly string[];
}

export const RUNTIMES: readonly Runtime[] = [
  { name: 'node-22', spec: 'node@22.23.3', binary: 'node_modules/node/bin/node', args: [] },
  { name: 'node-24', spec: 'node@24.21.0', binary: 'node_modules/node/bin/node', args: [] },
  { name: 'bun', spec: 'bun@1.4.5', binary: 'node_modules/bun/bin/bun.exe', args: [] },
  {
    name: 'deno',
    spec: 'deno@2.9.6',
    binary: `node_modules/@deno/linux-${process.arch === 'arm64' ? 'arm64' : 'x64'}-glibc/deno`,
    args: ['run', '-A'],
  },
];

const folder = join(import.meta.dirname, '../../.runtimes');

export const runtimeFolder = (runtime: Runtime): string => join(folder, runtime.name);

/** The binary's path; undefined when it is not installed. */
export function runtimeBinary(runtime: Runtime): string | undefined {
  const path = join(runtimeFolder(runtime), runtime.binary);
  return existsSync(path) ? path : undefined;
}
