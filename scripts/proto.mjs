// Generates src/proto/generated from proto/, offline: buf compiles, ts-proto writes. `--check` writes elsewhere and
// fails when the committed code differs from what the .proto files give. Beside the code stands descriptors.ts: the same
// files in their binary form, for server reflection.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
  'enumsAsLiterals=true',
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
  writeDescriptors();
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

/** Splits buf's FileDescriptorSet into its files and writes them with the names that each defines. */
function writeDescriptors() {
  const image = join(scratch, 'image.binpb');
  const flags = ['--as-file-descriptor-set', '--exclude-source-info', '-o', image];
  execFileSync(bin('buf'), ['build', join(root, 'proto'), ...flags], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, XDG_CACHE_HOME: join(scratch, 'cache') },
  });
  const files = fields(readFileSync(image), 1).map((bytes) => {
    const [name, pkg] = [text(bytes, 1)[0], text(bytes, 2)[0]];
    const within = (prefix, n) => (message) => `${prefix}.${text(message, n)[0]}`;
    const services = fields(bytes, 6).map((service) => ({
      name: within(pkg, 1)(service),
      methods: fields(service, 2).map(within(within(pkg, 1)(service), 1)),
    }));
    const messages = fields(bytes, 4).flatMap((m) => names(m, pkg));
    const symbols = [...messages, ...services.flatMap((s) => [s.name, ...s.methods])];
    return { name, symbols, services: services.map((s) => s.name), descriptor: bytes.toString('base64') };
  });
  const head = '// Written by scripts/proto.mjs from proto/; do not edit.\n';
  const type =
    'readonly { name: string; symbols: readonly string[]; services: readonly string[]; descriptor: string }[]';
  const body = `export const protoFiles: ${type} = ${JSON.stringify(files, null, 2)};\n`;
  writeFileSync(join(out, 'descriptors.ts'), head + body);
}

/** A message's own name and those of its nested messages and enumerations. */
function names(message, prefix) {
  const own = `${prefix}.${text(message, 1)[0]}`;
  return [own, ...fields(message, 3).flatMap((m) => names(m, own)), ...text(message, 4, 1).map((n) => `${own}.${n}`)];
}

/** The length-delimited values of one field of a message in protobuf's wire format. */
function fields(bytes, wanted) {
  const found = [];
  for (let at = 0; at < bytes.length; ) {
    const varint = () => {
      let [value, shift] = [0, 1];
      for (; bytes[at] >= 0x80; shift *= 128) value += (bytes[at++] & 0x7f) * shift;
      return value + bytes[at++] * shift;
    };
    const key = varint();
    const wire = key & 7;
    if (wire === 0) varint();
    else if (wire === 2) {
      const length = varint();
      if (key >> 3 === wanted) found.push(bytes.subarray(at, at + length));
      at += length;
    } else throw new Error(`wire type ${wire} is not expected in a descriptor`);
  }
  return found;
}

function text(bytes, field, inner) {
  const values = fields(bytes, field);
  return (inner === undefined ? values : values.map((v) => fields(v, inner)[0])).map((v) => v.toString('utf8'));
}
