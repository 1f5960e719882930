// Generates src/proto/generated from proto/, offline: buf compiles, ts-proto writes. `--check` writes elsewhere and
// fails when the committed code differs from what the .proto files give.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = (name) => join(root, 'node_modules', '.bin', name);
const committed = join(root, 'src/proto/generated');
const check = process.argv.includes('--check');
const scratch = mkdtempSync(join(tmpdir(), 'proto-'));
const out = check ? join(scratch, 'out') : committed;

const options = [
  'outputServices=grpc-js',
  'outputJsonMethods=false',
  'outputPartialMethods=false',
  'esModuleInterop=true',
  'env=node',
  'importSuffix=.ts',
  'useOptionals=none',
  'annotateFilesWithVersion=false',
];
const template = {
  version: 'v2',
  plugins: [{ local: [process.execPath, bin('protoc-gen-ts_proto')], out, opt: options }],
};

try {
  execFileSync(bin('buf'), ['generate', join(root, 'proto'), '--template', JSON.stringify(template)], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, XDG_CACHE_HOME: join(scratch, 'cache') },
  });
  if (check) {
    const read = (dir, name) => (existsSync(join(dir, name)) ? readFileSync(join(dir, name), 'utf8') : '');
    const names = new Set([...readdirSync(out, { recursive: true }), ...readdirSync(committed, { recursive: true })]);
    const drifted = [...names].filter((name) => name.endsWith('.ts') && read(out, name) !== read(committed, name));
    if (drifted.length > 0) {
      console.error(`src/proto/generated is not what proto/ gives: ${drifted.join(', ')}. Run: npm run proto`);
      process.exitCode = 1;
    }
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
