/** Whatever the daemon writes, at its most talkative and when calls fail, holds no password and no key. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { hex } from '../../src/bytes.ts';
import { parseManagedPassword } from '../../src/gmsa/blob.ts';
import { readCCache } from '../../src/krb5/files/ccache.ts';
import { readKeytab } from '../../src/krb5/files/keytab.ts';
import { formatPrincipal } from '../../src/krb5/principal.ts';
import { credspec, type DaemonProcess, foreignClient, startDaemonProcess } from '../support/daemon-process.ts';
import { secretsIn } from '../support/secrets.ts';
import { type LabUser, lab, labStatus, ldapsearchBlob, must } from './lab.ts';

const status = labStatus();
const wrong: LabUser = { ...lab.reader, password: 'Wrong-Ünd-Secret-😀-7' };

describe('secrets stay inside', { skip: status.available ? false : status.reason }, () => {
  let work = '';
  let daemon: DaemonProcess;
  const answers: string[] = [];
  /** Passwords and long-term keys: nothing at all may hold them. */
  const lasting = new Map<string, string | Uint8Array>();
  /** Session keys: the caches hold them, nothing else. */
  const session = new Map<string, Uint8Array>();

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'cf-lab-test-'));
    daemon = await startDaemonProcess({
      KRB5_CONFIG: lab.paths.krb5Conf,
      KRB5_KTNAME: lab.host1.keytab,
      LOG_LEVEL: 'debug',
    });
    await callAll();
    await collect();
  });
  after(async () => {
    await daemon?.stop();
    await rm(work, { recursive: true, force: true });
  });

  async function callAll(): Promise<void> {
    const client = foreignClient(daemon.socket);
    const call = async (method: string, request: object) =>
      void answers.push(JSON.stringify(await client.call(method, request)));
    const user = (who: LabUser) => ({ username: who.name, password: who.password, domain: lab.domain });
    const add = (who: LabUser, ...names: string[]) =>
      call('AddNonDomainJoinedKerberosLease', {
        ...user(who),
        credspec_contents: names.map((name) => credspec(name, lab.domain)),
      });
    await add(lab.reader, 'WebApp01', 'RolledApp');
    await add(lab.umlautReader, 'App01');
    await call('AddKerberosLease', { credspec_contents: [credspec('App02', lab.domain)] });
    await call('RenewNonDomainJoinedKerberosLease', user(lab.reader));
    await add(wrong, 'WebApp01');
    await add({ ...wrong, name: 'nobody' }, 'WebApp01');
    for (const who of [lab.rc4Reader, lab.deniedReader, ...lab.brokenReaders]) await add(who, 'WebApp01');
    await add(lab.reader, 'DisabledApp');
    await add(lab.reader, 'bad/name');
    await call('AddNonDomainJoinedKerberosLease', { ...user(lab.reader), credspec_contents: ['{"not":'] });
    await call('AddNonDomainJoinedKerberosLease', { ...user(lab.reader), domain: '', credspec_contents: [] });
    await call('RenewNonDomainJoinedKerberosLease', user(wrong));
    client.close();
  }

  async function collect(): Promise<void> {
    for (const who of [lab.reader, lab.umlautReader, lab.rc4Reader, lab.deniedReader, wrong, ...lab.brokenReaders]) {
      lasting.set(`password ${who.password}`, who.password);
    }
    const keytab = join(work, 'all.keytab');
    await must(lab.paths.script, ['dump-keys', keytab]);
    for (const { principal, kvno, key } of readKeytab(await readFile(keytab))) {
      lasting.set(`key ${formatPrincipal(principal)} ${kvno} ${key.etype}`, key.value);
    }
    const env = { KRB5CCNAME: `FILE:${join(work, 'cc')}` };
    await must('kinit', [lab.reader.principal], { env, input: `${lab.reader.password}\n` });
    for (const gmsa of [lab.webApp, lab.rolledApp]) {
      const { current, previous } = parseManagedPassword((await ldapsearchBlob(gmsa, env.KRB5CCNAME))!);
      lasting.set(`managed password of ${gmsa.name}`, current);
      if (previous) lasting.set(`previous managed password of ${gmsa.name}`, previous);
    }
    for (const { path, content } of await files()) {
      if (!path.endsWith('/krb5cc')) continue;
      for (const { key } of readCCache(content).credentials) session.set(`session key in ${path}`, key.value);
    }
  }

  async function files(): Promise<{ path: string; content: Buffer }[]> {
    const names = await readdir(daemon.directory, { recursive: true, withFileTypes: true });
    const paths = names
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
    return Promise.all(paths.map(async (path) => ({ path, content: await readFile(path) })));
  }

  test('the probe finds what is there', async () => {
    assert.ok(lasting.size > 150 && session.size >= 4, `${lasting.size} and ${session.size} secrets`);
    const key = [...session.values()][0]!;
    const planted = `x${Buffer.concat([Buffer.from('ab'), key, Buffer.from('c')]).toString('base64')}y`;
    assert.equal(secretsIn(Buffer.from(planted), session).length, 1);
    assert.equal(
      secretsIn(Buffer.from(`${hex(key)}\u0000${lab.reader.password}`), new Map([...session, ...lasting])).length,
      2,
    );
    assert.equal(secretsIn(Buffer.from(lab.umlautReader.password, 'utf16le'), lasting).length, 1);
  });

  test('not in the log and not on standard error', async () => {
    const written = Buffer.from(await daemon.output());
    assert.ok(written.length > 1000, 'nothing was logged');
    assert.deepEqual(secretsIn(written, new Map([...lasting, ...session])), []);
  });

  test('not in an answer', () => {
    assert.ok(answers.length > 15);
    assert.deepEqual(secretsIn(Buffer.from(answers.join('\n')), new Map([...lasting, ...session])), []);
  });

  test('not in its files, but for the session keys in the caches', async () => {
    const written = await files();
    assert.ok(written.some(({ path }) => path.endsWith('_metadata.json')));
    for (const { path, content } of written) {
      assert.deepEqual(secretsIn(content, lasting), [], path);
      if (!path.endsWith('/krb5cc')) assert.deepEqual(secretsIn(content, session), [], path);
    }
  });

  test('not in its arguments and environment', async () => {
    const [args, env] = await Promise.all(
      ['cmdline', 'environ'].map((name) => readFile(`/proc/${daemon.child.pid}/${name}`)),
    );
    assert.deepEqual(secretsIn(Buffer.concat([args!, env!]), lasting), []);
  });
});
