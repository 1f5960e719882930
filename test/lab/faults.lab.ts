/**
 * Domain controllers that are off, unreachable, frozen or cut off, in front of a sound one: the daemon goes on to the
 * next, gives up in time when there is none, and one that hangs delays nobody else. Times are bounds that the contract
 * promises, far above what is measured.
 */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { after, before, describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from '../../src/client/index.ts';
import {
  credspec,
  type DaemonProcess,
  type ForeignClient,
  foreignClient,
  type RpcAnswer,
  startDaemonProcess,
} from '../support/daemon-process.ts';
import { Relay, refusedPort } from '../support/faulty-server.ts';
import { lab, labStatus, must } from './lab.ts';

const status = labStatus();
const LDAP = 389;
const KDC = 88;

/** One daemon with servers of its own choice, and a Python client of it. */
interface Site {
  readonly daemon: DaemonProcess;
  readonly client: ForeignClient;
  add(account?: string, deadline?: number): Promise<RpcAnswer>;
  leases(): Promise<string[]>;
}

async function site(
  t: TestContext,
  options: { kdcs?: readonly string[]; domainControllers?: readonly string[] },
): Promise<Site> {
  const kdcs = (options.kdcs ?? [`${lab.dc}:${KDC}`]).map((kdc) => `    kdc = ${kdc}\n`).join('');
  const krb5 = `[libdefaults]\n  default_realm = ${lab.realm}\n[realms]\n  ${lab.realm} = {\n${kdcs}  }\n`;
  const env = { DOMAIN_CONTROLLER_GMSA: options.domainControllers?.join(',') };
  const daemon = await startDaemonProcess(env, [], { 'krb5.conf': krb5 });
  const client = foreignClient(daemon.socket);
  t.after(async () => {
    client.close();
    assert.equal(await daemon.stop(), 0, 'the daemon ends in good order');
  });
  return {
    daemon,
    client,
    add: (account = 'WebApp01', deadline) => client.call('AddNonDomainJoinedKerberosLease', request(account), deadline),
    leases: () => readdir(daemon.krbDir),
  };
}

const request = (account: string, domain: string = lab.domain) => ({
  credspec_contents: [credspec(account, domain)],
  username: lab.reader.name,
  password: lab.reader.password,
  domain,
});

function ok(answer: RpcAnswer): Record<string, unknown> {
  assert.ok('ok' in answer, JSON.stringify(answer));
  return answer.ok;
}

function unavailable(answer: RpcAnswer): string {
  assert.ok('code' in answer && answer.code === 'UNAVAILABLE', JSON.stringify(answer));
  return answer.details;
}

async function proved(added: Record<string, unknown>): Promise<void> {
  const [directory] = added.created_kerberos_file_paths as string[];
  await must('kvno', [`ldap/${lab.dc}`], { env: { KRB5CCNAME: `${directory}/krb5cc` } });
}

async function seconds<T>(work: () => Promise<T>): Promise<[T, number]> {
  const start = performance.now();
  const result = await work();
  return [result, (performance.now() - start) / 1000];
}

describe('domain controllers at fault', { skip: status.available ? false : status.reason, concurrency: 5 }, () => {
  const relays: Relay[] = [];
  const relay = async (target: number, mode = {}) => {
    const made = await Relay.start(target, mode);
    relays.push(made);
    return made;
  };
  let refused = 0;
  before(async () => {
    refused = await refusedPort();
  });
  after(() => Promise.all(relays.map((r) => r.close())));

  for (const fault of ['refused', 'silent', 'frozen'] as const) {
    const faulty = async (): Promise<{ kdc: string; dc: string }> => {
      if (fault === 'refused') return { kdc: `127.0.0.1:${refused}`, dc: `${lab.dc}:${refused}` };
      if (fault === 'silent') return { kdc: lab.silent.dc, dc: lab.silent.dc };
      const [kdc, dc] = [await relay(KDC, { silent: true }), await relay(LDAP, { silent: true })];
      return { kdc: `127.0.0.1:${kdc.port}`, dc: `${lab.dc}:${dc.port}` };
    };

    test(`a first server that is ${fault} costs seconds at most`, async (t) => {
      const { kdc, dc } = await faulty();
      const one = await site(t, { kdcs: [kdc, lab.dc], domainControllers: [dc, lab.dc] });
      const [first, took] = await seconds(() => one.add());
      await proved(ok(first));
      assert.ok(took < 5, `${took} s`);
      const [second, again] = await seconds(() => one.add('App01'));
      await proved(ok(second));
      assert.ok(again < took + 1, `${again} s after ${took} s`);
    });
  }

  test('with no server left the call ends UNAVAILABLE within 15 s, and leaves nothing', async (t) => {
    const frozen = await relay(LDAP, { silent: true });
    const dead = await site(t, {
      kdcs: [`127.0.0.1:${refused}`, lab.silent.dc, `127.0.0.1:${frozen.port}`],
      domainControllers: [`${lab.dc}:${refused}`, lab.silent.dc, `${lab.dc}:${frozen.port}`],
    });
    const [answer, took] = await seconds(() => dead.add());
    assert.match(unavailable(answer), /KDC of LAB\.EXAMPLE/);
    assert.ok(took < 15.5, `${took} s`);
    assert.deepEqual(await dead.leases(), []);
    assert.deepEqual(ok(await dead.client.call('HealthCheck', { service: 'test' })), { status: 'OK' });
  });

  test('a directory that hangs in the bind is given up in time, and is asked anew later', async (t) => {
    const frozen = await relay(LDAP, { silent: true });
    const one = await site(t, { domainControllers: [`${lab.dc}:${frozen.port}`] });
    const [answer, took] = await seconds(() => one.add());
    assert.match(unavailable(answer), /domain controller of lab\.example answered.*dc1\.lab\.example:\d+/);
    assert.ok(took < 15.5, `${took} s`);
    assert.deepEqual(await one.leases(), []);
    assert.equal(frozen.open, 0, 'the connection that hung was not ended');
    frozen.heal();
    await proved(ok(await one.add()));
  });

  test('leases that hang delay neither another reader nor HealthCheck', async (t) => {
    const one = await site(t, { kdcs: [] });
    const many = createClient({ address: one.daemon.socket });
    const order: string[] = [];
    const { username, password } = { username: lab.reader.name, password: lab.reader.password };
    const hanging = Array.from({ length: 30 }, (_, i) => {
      const call = { credspecs: [credspec('WebApp01', lab.silent.domain)], username: `${username}${i}`, password };
      return many.addWithUser({ ...call, domain: lab.silent.domain }).then(
        () => assert.fail('a lease of a silent domain'),
        (e: unknown) => {
          order.push('hung');
          assert.equal((e as { code?: string }).code, 'UNAVAILABLE', String(e));
        },
      );
    });
    await delay(300); // the calls are under way
    ok(await one.client.call('HealthCheck', { service: 'test' }));
    order.push('health');
    await proved(ok(await one.add()));
    order.push('lease');
    assert.deepEqual(order, ['health', 'lease']);
    await Promise.all(hanging);
    assert.equal((await one.leases()).length, 1);
    many.close();
  });

  test('a client that gives up or is killed leaves nothing, also when the server wakes up afterwards', async (t) => {
    const kdc = await relay(KDC);
    const frozen = await relay(LDAP, { silent: true });
    const one = await site(t, { kdcs: [`127.0.0.1:${kdc.port}`], domainControllers: [`${lab.dc}:${frozen.port}`] });
    const late = await one.add('WebApp01', 0.3);
    assert.ok('code' in late && late.code === 'DEADLINE_EXCEEDED', JSON.stringify(late));
    const doomed = foreignClient(one.daemon.socket);
    ok(await doomed.call('HealthCheck', { service: 'test' }));
    const cut = doomed.call('AddNonDomainJoinedKerberosLease', request('WebApp01'));
    await delay(200);
    doomed.kill();
    assert.deepEqual(await cut, { code: 'CLIENT_ENDED', details: 'the Python client ended' });
    frozen.heal();
    await delay(300);
    assert.deepEqual(await one.leases(), []);
    await proved(ok(await one.add()));
    assert.equal((await one.leases()).length, 1);
  });

  // What a directory says on the way: its part of the context, its offer of layers, the result, the search; in bytes.
  for (const bytes of [0, 1, 13, 100, 250, 310, 330, 400, 700, 1000]) {
    test(`the line to the directory is cut after ${bytes} bytes: no call hangs, none leaves a trace`, async (t) => {
      const line = await relay(LDAP);
      const one = await site(t, { domainControllers: [`${lab.dc}:${line.port}`] });
      line.become({ cutAfter: bytes, once: true });
      const first = await one.add();
      if ('code' in first) unavailable(first);
      else await proved(first.ok);
      const kept = (await one.leases()).length;
      assert.equal(kept, 'ok' in first ? 1 : 0);
      line.become({ cutAfter: bytes });
      const second = await one.add('App01');
      if ('code' in second) {
        unavailable(second);
        assert.equal((await one.leases()).length, kept);
      } else await proved(second.ok);
      line.become({});
      await proved(ok(await one.add('App02')));
    });
  }

  for (const bytes of [0, 3, 4, 60, 500]) {
    test(`the line to the KDC is cut after ${bytes} bytes: the other KDC is asked`, async (t) => {
      const line = await relay(KDC, { cutAfter: bytes });
      const one = await site(t, { kdcs: [`127.0.0.1:${line.port}`, lab.dc] });
      await proved(ok(await one.add()));
      assert.ok(line.accepted > 0, 'the first KDC was never asked');
    });
  }

  test('a kept connection that was closed meanwhile is replaced unseen', async (t) => {
    const [ldap, kdc] = [await relay(LDAP), await relay(KDC)];
    const one = await site(t, { kdcs: [`127.0.0.1:${kdc.port}`], domainControllers: [`${lab.dc}:${ldap.port}`] });
    ok(await one.add());
    for (const line of [ldap, kdc]) {
      assert.ok(line.open > 0, 'nothing is kept');
      line.drop();
      await proved(ok(await one.add()));
    }
  });

  test('a kept connection that falls silent is replaced', async (t) => {
    const ldap = await relay(LDAP);
    const one = await site(t, { domainControllers: [`${lab.dc}:${ldap.port}`] });
    ok(await one.add());
    ldap.mute();
    const [answer, took] = await seconds(() => one.add('App01'));
    await proved(ok(answer));
    assert.ok(took < 15, `${took} s`);
  });
});
