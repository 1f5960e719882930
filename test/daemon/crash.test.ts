/** The daemon killed at any moment, again and again, under Adds, Renews and Deletes: what is on disk is always whole. */
import assert from 'node:assert/strict';
import { existsSync, watch } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, createClient } from '../../src/client/index.ts';
import { parseMetadata } from '../../src/daemon/leases/metadata.ts';
import { readCCache } from '../../src/krb5/files/ccache.ts';
import { startTestDomain, type TestDomain } from '../../src/testdomain/index.ts';
import { credspec, type DaemonProcess, startDaemonProcess } from '../support/daemon-process.ts';
import { Random } from '../support/fuzz.ts';
import { hasProgram, runProgram } from '../support/programs.ts';

const ROUNDS = 24;
/** Names of what was being built. */
const draft = /^\.[0-9a-f]{20}\.new$/;
const temporary = /^\.[0-9a-f]{32}\.tmp$/;
const user = { username: 'svc', password: 'Kill-9-me' };
const names = ['App1', 'App2', 'App3'];

describe('a daemon that is killed', () => {
  let domain: TestDomain;
  let krbDir = '';

  before(async () => {
    krbDir = await mkdtemp(join(tmpdir(), 'cf-crash-'));
    domain = await startTestDomain({
      users: [{ name: user.username, password: user.password, groups: ['Readers'] }],
      gmsas: names.map((name) => ({ name, readers: ['Readers'] })),
    });
  });
  after(async () => {
    await domain?.close();
    await rm(krbDir, { recursive: true, force: true });
  });

  const start = (): Promise<DaemonProcess> =>
    startDaemonProcess({ DOMAIN_CONTROLLER_GMSA: `localhost:${domain.ldapPort}`, CF_KRB_DIR: krbDir }, [], {
      'krb5.conf': domain.krb5Conf,
    });

  /** Calls without end, several at once, until the daemon is gone. */
  async function traffic(client: Client, random: Random, done: () => boolean): Promise<void> {
    const leases: string[] = [];
    const one = async (): Promise<void> => {
      while (!done()) {
        const credspecs = names.slice(random.below(3)).map((name) => credspec(name, domain.domain));
        const choice = random.below(4);
        const oldest = leases.length > 6 || choice === 3 ? leases.shift() : undefined;
        if (oldest !== undefined) await client.delete(oldest);
        else if (choice === 2) await client.renew({ ...user, domain: domain.domain });
        else leases.push((await client.addWithUser({ credspecs, ...user, domain: domain.domain })).leaseId);
      }
    };
    await Promise.allSettled([one(), one(), one(), one()]);
  }

  /** Settles when the daemon makes the n-th draft of a lease, or replaces the n-th ticket of one that is there. */
  async function drafted(n: number): Promise<void> {
    const places = [krbDir];
    for (const lease of await readdir(krbDir)) for (const name of names) places.push(join(krbDir, lease, name));
    const stop = new AbortController();
    await new Promise<void>((resolve) => {
      const see = (_: string, name: string | null): void => {
        if (name?.startsWith('.') && --n <= 0) resolve();
      };
      for (const place of places.filter((p) => existsSync(p))) watch(place, { signal: stop.signal }, see);
      setTimeout(resolve, 1000).unref();
    });
    stop.abort();
  }

  /** Every file that anybody may look at is whole. @returns the caches, and how much half-built there is */
  async function inspect(): Promise<{ caches: string[]; leftovers: number; leases: string[] }> {
    const caches: string[] = [];
    const leases: string[] = [];
    let leftovers = 0;
    for (const lease of await readdir(krbDir)) {
      if (draft.test(lease)) {
        leftovers++;
        continue;
      }
      assert.match(lease, /^[0-9a-f]{20}$/);
      const inside = await readdir(join(krbDir, lease), { withFileTypes: true });
      const file = inside.find((e) => e.name === `${lease}_metadata.json`);
      // A lease goes tickets first, metadata last: without it there is nothing left.
      if (!file) assert.deepEqual(inside, []);
      else {
        assert.ok(parseMetadata(await readFile(join(krbDir, lease, file.name), 'utf8')).length > 0);
        leases.push(lease);
      }
      for (const entry of inside.filter((e) => e.isDirectory())) {
        for (const name of await readdir(join(krbDir, lease, entry.name))) {
          const path = join(krbDir, lease, entry.name, name);
          if (temporary.test(name)) leftovers++;
          else {
            assert.equal(name, 'krb5cc');
            assert.equal(readCCache(await readFile(path)).credentials.length, 1);
            caches.push(path);
          }
        }
      }
    }
    return { caches, leftovers, leases };
  }

  test(`leaves whole files alone, ${ROUNDS} times at moments of a seed, and serves when it is started again`, async () => {
    const random = new Random(20_261_123);
    let half = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const daemon = await start();
      const client = createClient({ address: daemon.socket });
      try {
        // What the kill before left half built is gone before anybody is served, and what it left whole is served.
        await client.health();
        const found = await inspect();
        assert.equal(found.leftovers, 0);
        if (found.caches.length > 0) {
          const { paths } = await client.renew({ ...user, domain: domain.domain });
          assert.deepEqual([...paths].sort(), found.caches.sort());
        }
        for (const lease of found.leases.slice(4)) await client.delete(lease);
        let gone = false;
        daemon.child.once('exit', () => {
          gone = true;
        });
        const busy = traffic(client, random, () => gone);
        // At any time, or when something begins to be built.
        await (round % 2 === 0 ? delay(5 + random.below(120)) : drafted(1 + random.below(12)));
        daemon.child.kill('SIGKILL');
        await busy;
      } finally {
        client.close();
        await daemon.stop();
      }
      const { caches, leftovers } = await inspect();
      half += leftovers;
      if (hasProgram('klist')) {
        for (const path of caches.slice(0, 3)) {
          const { code, stdout } = await runProgram('klist', ['-c', path]);
          assert.equal(code, 0);
          assert.match(stdout, /krbtgt\/EXAMPLE\.TEST@EXAMPLE\.TEST/);
        }
      }
    }
    assert.ok(half > 0, 'no kill met the daemon at work on a file: the test has lost its edge');
  });
});
