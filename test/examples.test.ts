/** The examples do what they say, against the built daemon and the embedded test domain. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startTestDomain, type TestDomain } from '../src/testdomain/index.ts';
import { clientFile, credspec, type DaemonProcess, startDaemonProcess } from './support/daemon-process.ts';
import { hasProgram, runProgram } from './support/programs.ts';

const examples = join(import.meta.dirname, '../examples');
const goPackages = '/usr/share/gocode/src/google.golang.org/grpc';
const noPython = existsSync('/usr/lib/python3/dist-packages/grpc_tools')
  ? false
  : 'needs python3-grpcio python3-grpc-tools';
const noGo =
  ['go', 'protoc', 'protoc-gen-go'].every(hasProgram) && existsSync(goPackages)
    ? false
    : 'needs golang-go golang-google-grpc-dev golang-goprotobuf-dev protobuf-compiler';

describe('examples', () => {
  let domain: TestDomain;
  let daemon: DaemonProcess;
  let args: string[];

  before(async () => {
    domain = await startTestDomain({
      domain: 'corp.example',
      users: [{ name: 'svc', password: 'Example-1', groups: ['Readers'] }],
      gmsas: [{ name: 'WebApp01', readers: ['Readers'] }],
    });
    daemon = await startDaemonProcess({ DOMAIN_CONTROLLER_GMSA: `localhost:${domain.ldapPort}` }, [], {
      'krb5.conf': domain.krb5Conf,
    });
    const file = join(daemon.directory, 'credspec.json');
    await writeFile(file, credspec('WebApp01', domain.domain));
    args = [daemon.socket, file, 'svc', domain.domain];
  });
  after(async () => {
    await daemon?.stop();
    await domain?.close();
  });

  const expected = /^ticket: KRB5CCNAME=\/.*\/WebApp01\/krb5cc\nrenewed: 1\ndeleted: 1\n$/;
  const run = (program: string, more: string[], env: NodeJS.ProcessEnv = {}) =>
    runProgram(program, [...more, ...args], { input: 'Example-1', env, timeoutMs: 240_000 });

  test('Python', { skip: noPython }, async () => {
    const { code, stdout, stderr } = await run('/usr/bin/python3', [join(examples, 'python/lease.py')]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, expected);
  });

  test('Go', { skip: noGo }, async () => {
    const { code, stdout, stderr } = await run('/bin/sh', [join(examples, 'go/run.sh')], {
      HOME: daemon.directory,
      ...(process.env.HOME && { GOCACHE: join(process.env.HOME, '.cache/go-build') }),
    });
    assert.equal(code, 0, stderr);
    assert.match(stdout, expected);
  });

  test('shell', async () => {
    const env = { CREDENTIALS_FETCHER: `${process.execPath} ${clientFile}` };
    const { code, stdout, stderr } = await run('/bin/sh', [join(examples, 'shell/lease.sh')], env);
    assert.equal(code, 0, stderr);
    assert.match(stdout, expected);
  });
});
