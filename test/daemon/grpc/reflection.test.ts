/** Reflection and grpc.health.v1, asked by clients that were not made for this daemon. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type DaemonProcess, startDaemonProcess } from '../../support/daemon-process.ts';
import { hasProgram, mustRun } from '../../support/programs.ts';

const support = join(import.meta.dirname, '../../support');
const proto = join(import.meta.dirname, '../../../proto');
const noGo =
  hasProgram('go') && existsSync('/usr/share/gocode/src/google.golang.org/grpc/reflection')
    ? false
    : 'needs golang-go golang-google-grpc-dev golang-goprotobuf-dev protobuf-compiler';
const noPython = existsSync('/usr/lib/python3/dist-packages/grpc_tools')
  ? false
  : 'needs python3-grpcio python3-grpc-tools';

describe('server reflection', () => {
  let daemon: DaemonProcess;
  before(async () => {
    daemon = await startDaemonProcess();
  });
  after(() => daemon?.stop());

  test('grpc-go lists services and methods over v1alpha and finds the daemon serving', { skip: noGo }, async () => {
    const work = await mkdtemp(join(tmpdir(), 'cf-reflect-'));
    try {
      const program = join(work, 'reflect');
      const env = { GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOFLAGS: '', HOME: work };
      const cache = { GOCACHE: process.env.HOME ? join(process.env.HOME, '.cache/go-build') : join(work, 'cache') };
      await mustRun('go', ['build', '-o', program, join(support, 'reflect.go')], {
        env: { ...env, ...cache },
        timeoutMs: 240_000,
      });
      const lines = (await mustRun(program, [daemon.socket])).trim().split('\n');
      assert.equal(lines[0], 'health SERVING');
      const service = 'credentialsfetcher.CredentialsFetcherService';
      const add = '.credentialsfetcher.CreateKerberosLeaseRequest -> .credentialsfetcher.CreateKerberosLeaseResponse';
      assert.ok(lines.includes(`${service}/AddKerberosLease ${add}`), lines.join('\n'));
      assert.equal(lines.filter((line) => line.startsWith(service)).length, 7);
      assert.ok(lines.some((line) => line.startsWith('grpc.reflection.v1.ServerReflection/')));
      assert.equal(lines.at(-1), 'missing 5');
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });

  test('a client that knows only reflection v1 calls HealthCheck', { skip: noPython }, async () => {
    assert.equal(await mustRun('/usr/bin/python3', [join(support, 'reflect.py'), daemon.socket, proto]), 'OK\n');
  });
});
