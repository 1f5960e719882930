/** The house's rules that a machine can check: who may import whom, how long a file may be, what is never spawned. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..');
const src = join(root, 'src');

/** Each room knows only those named here; a room is a folder of src/ or, for single files, 'base'. */
const mayImport: Record<string, readonly string[]> = {
  base: [],
  krb5: ['base'],
  ldap: ['base', 'krb5'],
  gmsa: ['base', 'krb5', 'ldap'],
  http: ['base', 'krb5'],
  accounts: ['base', 'krb5'],
  proto: [],
  client: ['base', 'proto'],
  daemon: ['base', 'krb5', 'ldap', 'gmsa', 'accounts', 'client', 'proto'],
  cli: ['base', 'krb5', 'ldap', 'gmsa', 'client'],
  testdomain: ['base', 'krb5', 'ldap', 'gmsa'],
};

/** Packages a room may use beside Node's own; what is not listed here is not a dependency of that room. */
const packages: Record<string, readonly string[]> = {
  base: ['asn1js'],
  krb5: ['@noble/'],
  ldap: ['ldapts'],
  gmsa: ['ldapts', '@noble/'],
  http: [],
  accounts: ['@aws-sdk/'],
  proto: ['@grpc/grpc-js', '@bufbuild/protobuf'],
  client: ['@grpc/grpc-js'],
  daemon: ['@grpc/grpc-js', 'valibot'],
  cli: ['@grpc/grpc-js', 'ldapts'],
  testdomain: ['ldapts', '@noble/'],
};

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((f) => f.endsWith('.ts'))
  .map((f) => join(src, f));

function room(file: string): string {
  const parts = relative(src, file).split(sep);
  return parts.length === 1 ? 'base' : parts[0]!;
}

function imports(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const statements = text.matchAll(/^(?:import|export)\b(?:[^;']*?\bfrom)? '([^']+)'/gm);
  const dynamic = text.matchAll(/\bimport\('([^']+)'\)/g);
  return [...statements, ...dynamic].map((m) => m[1]!);
}

test('every room of src has its rule', () => {
  assert.deepEqual(
    [...new Set(files.map(room))].filter((r) => !(r in mayImport)),
    [],
  );
});

test('imports go down the house, never up', () => {
  const wrong: string[] = [];
  for (const file of files) {
    for (const path of imports(file).filter((p) => p.startsWith('.'))) {
      const [from, to] = [room(file), room(join(dirname(file), path))];
      if (from !== to && !mayImport[from]!.includes(to)) wrong.push(`${relative(root, file)} imports ${path}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('each package is used where it belongs', () => {
  const wrong: string[] = [];
  for (const file of files) {
    for (const name of imports(file).filter((p) => !p.startsWith('.') && !p.startsWith('node:'))) {
      if (!packages[room(file)]!.some((p) => name === p || name.startsWith(p))) {
        wrong.push(`${relative(root, file)} uses ${name}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test('only asn1.ts knows asn1js', () => {
  assert.deepEqual(
    files.filter((f) => imports(f).includes('asn1js')).map((f) => relative(src, f)),
    ['asn1.ts'],
  );
});

test('nothing in src starts another program but krun, which is there for it', () => {
  assert.deepEqual(
    files.filter((f) => imports(f).some((p) => p.includes('child_process'))).map((f) => relative(src, f)),
    ['cli/kerberos/krun.ts'],
  );
});

test('no file grows past 400 lines', () => {
  const long = files
    .filter((f) => !f.includes(`${sep}generated${sep}`))
    .filter((f) => readFileSync(f, 'utf8').split('\n').length > 400);
  assert.deepEqual(
    long.map((f) => relative(src, f)),
    [],
  );
});
