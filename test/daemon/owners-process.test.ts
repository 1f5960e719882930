/** The settings of owners and files, from the environment of the built daemon to what lies on disk. */
import assert from 'node:assert/strict';
import { lstat, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { createClient } from '../../src/client/index.ts';
import { startTestDomain } from '../../src/testdomain/index.ts';
import { credspec, startDaemonProcess } from '../support/daemon-process.ts';
import { hasProgram, mustRun } from '../support/programs.ts';

const skip = process.getuid?.() !== 0 ? 'needs root, to make files of other users' : false;

test('owners, modes and files are those of the settings, made and renewed', { skip }, async (t) => {
  const domain = await startTestDomain({
    users: [{ name: 'svc-fetch', password: 'Only-For-Tests-1' }],
    gmsas: [{ name: 'App', readers: ['svc-fetch'], servicePrincipalNames: ['HTTP/app.example.test'] }],
  });
  t.after(() => domain.close());
  const env = {
    DOMAIN_CONTROLLER_GMSA: `localhost:${domain.ldapPort}`,
    ...{ CF_KRB5CC_MODE: '0640', CF_KRB5CC_UID: '1654', CF_KRB5CC_GID: '1655' },
    ...{ CF_DIR_MODE: '0750', CF_DIR_UID: '1656', CF_DIR_GID: '1657' },
    ...{ CF_SOCKET_MODE: '0620', CF_SOCKET_GID: '1658' },
    ...{ CF_CCACHE_NAME: 'krb5cc_1654', CF_WRITE_KEYTAB: 'true', CF_WRITE_KRB5_CONF: 'true' },
  };
  const daemon = await startDaemonProcess(env, [], { 'krb5.conf': domain.krb5Conf });
  t.after(() => daemon.stop());
  const owner = async (path: string): Promise<string> => {
    const { mode, uid, gid } = await lstat(path);
    return `${(mode & 0o7777).toString(8)} ${uid}:${gid}`;
  };
  assert.equal(await owner(daemon.socket), '620 0:1658');

  const client = createClient({ address: daemon.socket });
  t.after(() => client.close());
  const user = { username: 'svc-fetch', password: 'Only-For-Tests-1', domain: domain.domain };
  const { leaseId, paths } = await client.addWithUser({ credspecs: [credspec('App', domain.domain)], ...user });
  const directory = paths[0]!;
  const names = ['krb5.conf', 'krb5.keytab', 'krb5cc'];
  for (const step of ['made', 'renewed']) {
    assert.deepEqual((await readdir(directory)).sort(), [...names, 'krb5cc_1654'], step);
    for (const name of names) assert.equal(await owner(join(directory, name)), '640 1654:1655', `${step} ${name}`);
    assert.equal(await owner(directory), '750 1656:1657', step);
    assert.equal(await owner(dirname(directory)), '751 0:1657', step);
    await client.renew(user);
  }
  if (hasProgram('klist')) {
    const listed = await mustRun('klist', ['-k', join(directory, 'krb5.keytab')]);
    assert.match(listed, / 1 App\$@EXAMPLE\.TEST\n[\s\S]* 1 HTTP\/app\.example\.test@EXAMPLE\.TEST\n/);
  }
  assert.deepEqual((await client.delete(leaseId)).paths, [join(directory, 'krb5cc')]);
  assert.deepEqual(await readdir(daemon.krbDir), []);
});
