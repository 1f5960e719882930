/** A client that shares no code with this project: Python's gRPC, with stubs generated from the proto file. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { AdError } from '../../src/errors.ts';
import { foreignClient } from '../support/daemon-process.ts';
import { credspec, never, run, ticketFor, tree, until, user } from './fake.ts';

const skip = existsSync('/usr/lib/python3/dist-packages/grpc_tools')
  ? false
  : 'needs python3-grpcio python3-grpc-tools';

test('a Python client goes the whole way of a lease', { skip }, async (t) => {
  const { daemon, krbDir } = await run(t);
  const python = foreignClient(daemon.address.replace('unix:', ''));
  t.after(() => python.close());
  assert.deepEqual(await python.call('HealthCheck', { service: 'test' }), { ok: { status: 'OK' } });

  const request = { credspec_contents: [credspec('WebApp01')], ...user };
  const added = (await python.call('AddNonDomainJoinedKerberosLease', request)) as { ok: Record<string, unknown> };
  const id = added.ok.lease_id as string;
  assert.match(id, /^[0-9a-f]{20}$/);
  assert.deepEqual(added.ok.created_kerberos_file_paths, [join(krbDir, id, 'WebApp01')]);

  const cache = join(krbDir, id, 'WebApp01/krb5cc');
  assert.deepEqual(await python.call('RenewNonDomainJoinedKerberosLease', user), {
    ok: { renewed_kerberos_file_paths: [cache] },
  });
  assert.deepEqual(await python.call('DeleteKerberosLease', { lease_id: id }), {
    ok: { lease_id: id, deleted_kerberos_file_paths: [cache] },
  });
  assert.deepEqual(await tree(krbDir), []);
});

test('a Python client is told what is wrong, and its deadline is kept', { skip }, async (t) => {
  const { daemon, engine, krbDir } = await run(t);
  const python = foreignClient(daemon.address.replace('unix:', ''));
  t.after(() => python.close());
  assert.deepEqual(await python.call('AddKerberosLease', { credspec_contents: ['{'] }), {
    code: 'INVALID_ARGUMENT',
    details: 'ERROR: invalid credentialspec fields: credspec_contents[0]: credspec: is not valid JSON (at character 1)',
  });

  engine.answer = () => Promise.reject(new AdError('UNREACHABLE', 'no KDC of EXAMPLE.COM answers – Zürich'));
  assert.deepEqual(await python.call('AddKerberosLease', { credspec_contents: [credspec('a')] }), {
    code: 'UNAVAILABLE',
    details: 'ERROR: Cannot get gMSA krb ticket: no KDC of EXAMPLE.COM answers – Zürich',
  });

  engine.answer = never;
  const late = (await python.call('AddKerberosLease', { credspec_contents: [credspec('a')] }, 0.2)) as { code: string };
  assert.equal(late.code, 'DEADLINE_EXCEEDED');
  await until(() => engine.seen.at(-1)!.request.signal.aborted);
  assert.deepEqual(await tree(krbDir), []);
  engine.answer = ticketFor;
  assert.ok('ok' in (await python.call('AddKerberosLease', { credspec_contents: [credspec('a')] })));
});
