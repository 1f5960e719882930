/**
 * The code in the documents runs: each block marked `runnable`, in the order of its document, in a directory as a reader
 * would have it: the package installed, a daemon on its socket, a domain with a user, a machine and a gMSA.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startTestDomain, type TestDomain } from '../src/testdomain/index.ts';
import { clientFile, credspec, type DaemonProcess, daemonFile, startDaemonProcess } from './support/daemon-process.ts';
import { documents, readDocument, root, type Snippet, snippets } from './support/documents.ts';
import { runProgram } from './support/programs.ts';

const tsx = import.meta.resolve('tsx');
const all = documents()
  .map((document) => ({ document, blocks: snippets(readDocument(document)) }))
  .filter(({ blocks }) => blocks.length > 0);

describe('code in the documents', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'cf-docs-'));
  const { code: noPython } = await runProgram('/usr/bin/python3', ['-c', 'import grpc_tools']).catch(() => ({
    code: 1,
  }));
  let domain: TestDomain;
  let daemon: DaemonProcess;

  before(async () => {
    domain = await startTestDomain({
      domain: 'corp.example',
      users: [
        { name: 'svc-fetch', password: 'Only-For-Tests-1', groups: ['Readers'] },
        { name: 'alice', password: 'Only-For-Tests-1' },
        { name: 'admin', password: 'Only-For-Tests-1', groups: ['Domain Admins'] },
      ],
      services: [{ spn: 'HTTP/web.corp.example' }],
      computers: [{ name: 'HOST1', groups: ['Readers'] }],
      gmsas: [{ name: 'WebApp01', readers: ['Readers'] }],
    });
    reader(scratch, await domain.keytab('HOST1$'), domain.krb5Conf);
    writeFileSync(join(scratch, 'web.keytab'), await domain.keytab('HTTP/web.corp.example'), { mode: 0o600 });
    daemon = await startDaemonProcess(
      { DOMAIN_CONTROLLER_GMSA: `localhost:${domain.ldapPort}`, KRB5_KTNAME: join(scratch, 'host1.keytab') },
      [],
      { 'krb5.conf': domain.krb5Conf },
    );
    // Saved before anything runs, so that one block may import another.
    for (const { document, blocks } of all) {
      for (const block of blocks.filter((b) => b.language === 'ts')) {
        const code = onThisMachine(block.code, domain, daemon);
        writeFileSync(join(scratch, fileOf(document, block)), `${code}\nexport {};\n`);
      }
    }
  });
  after(async () => {
    await daemon?.stop();
    await domain?.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  for (const { document, blocks } of all) {
    for (const block of blocks) {
      const python = block.language === 'python' || block.word === 'python';
      const skip = python && noPython !== 0 ? 'needs python3-grpcio python3-grpc-tools' : false;
      test(`${document}:${block.line} (${block.language})`, { skip }, async () => {
        const [program, args] = command(document, block, onThisMachine(block.code, domain, daemon));
        const { code, stdout, stderr } = await runProgram(program, args, {
          cwd: scratch,
          env: {
            PATH: `${join(scratch, 'bin')}:${process.env.PATH}`,
            KRB5_CONFIG: join(scratch, 'krb5.conf'),
            KRB5CCNAME: join(scratch, 'ccache'),
            KRB5_KTNAME: join(scratch, 'host1.keytab'),
            DOMAIN_CONTROLLER_GMSA: `localhost:${domain.ldapPort}`,
            CF_UNIX_DOMAIN_SOCKET_DIR: join(daemon.directory, 'socket'),
          },
        });
        assert.equal(code, 0, `${stdout}${stderr}`);
      });
    }
  }

  test('TypeScript in strict mode accepts it, and the declarations of the package', async () => {
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    const { code, stdout } = await runProgram(process.execPath, [compiler, '-p', scratch], { cwd: scratch });
    assert.equal(code, 0, stdout);
  });
});

/** What a reader of the documents has in the directory: the package, the client, files that the blocks name. */
function reader(directory: string, keytab: Uint8Array, krb5Conf: string): void {
  mkdirSync(join(directory, 'node_modules'));
  symlinkSync(root, join(directory, 'node_modules/credentials-fetcher'));
  symlinkSync(join(root, 'node_modules/@types'), join(directory, 'node_modules/@types'));
  symlinkSync(join(root, 'proto'), join(directory, 'proto'));
  mkdirSync(join(directory, 'bin'));
  for (const file of [clientFile, daemonFile]) {
    const program = join(directory, 'bin', basename(file, '.mjs'));
    writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${file}' "$@"\n`);
    chmodSync(program, 0o755);
  }
  symlinkSync('/usr/bin/python3', join(directory, 'bin/python3')); // the one with Debian's packages, where it is
  writeFileSync(join(directory, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(directory, 'webapp01.json'), credspec('WebApp01', 'corp.example'));
  writeFileSync(join(directory, 'password.txt'), 'Only-For-Tests-1\n', { mode: 0o600 });
  writeFileSync(join(directory, 'host1.keytab'), keytab, { mode: 0o600 });
  writeFileSync(join(directory, 'krb5.conf'), krb5Conf);
  const compilerOptions = {
    target: 'es2023',
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
    types: ['node'],
  };
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }));
}

const fileOf = (document: string, block: Snippet): string =>
  block.word ?? `${document.replace(/\W+/g, '-')}-${block.line}.ts`;

function command(document: string, block: Snippet, code: string): [string, string[]] {
  switch (block.language) {
    case 'ts':
      return [process.execPath, ['--import', tsx, fileOf(document, block)]];
    case 'sh':
      return ['/bin/sh', ['-euc', code]];
    case 'python':
      return ['/usr/bin/python3', ['-c', code]];
    default:
      throw new Error(`${document}:${block.line}: nothing runs ${block.language}`);
  }
}

/** The daemon's directory and the domain controller's address are others here than at the reader's. */
function onThisMachine(code: string, domain: TestDomain, daemon: DaemonProcess): string {
  return code
    .replaceAll('/var/credentials-fetcher', daemon.directory)
    .replaceAll("host: 'dc1.corp.example', port: 389", `host: 'localhost', port: ${domain.ldapPort}`);
}
