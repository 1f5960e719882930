/**
 * Two domain controllers that do not agree about a gMSA's keys, as between a roll and its replication: what the
 * directory hands out is right at one KDC and wrong at the other. The first asked is the wrong one.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { utf8 } from '../../src/bytes.ts';
import { parseCommand } from '../../src/daemon/config/config.ts';
import { createEngine } from '../../src/daemon/tickets/assemble.ts';
import { isFailure } from '../../src/daemon/tickets/engine.ts';
import { keptLog } from '../daemon/fake.ts';
import plan from './accounts.json' with { type: 'json' };
import { forest, forestMissing } from './forest.ts';

const { domain, realm, reader } = forest;
const directory = process.env.CF_FOREST_DIR;
const gmsa = 'App09';

const samba = (...args: string[]): string => {
  const inside = ['netns', 'exec', `cf-${process.env.CF_FOREST_NAME}-dc1`, 'samba-tool', ...args];
  return execFileSync('ip', inside, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
};
const replication = (sign: '+' | '-'): void => {
  const user = ['-U', `LAB\\Administrator%${plan.administrator.password}`, '-s', `${directory}/dc1/etc/smb.conf`];
  for (const way of ['OUTBOUND', 'INBOUND']) {
    samba('drs', 'options', `dc1.${domain}`, `--dsa-option=${sign}DISABLE_${way}_REPL`, ...user);
  }
};

describe('a KDC that has other keys of a gMSA than the directory', { skip: forestMissing }, () => {
  let work = '';
  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'cf-lag-'));
    const kdcs = ['dc1', 'dc2'].map((host) => `kdc = ${host}.${domain}`).join('\n');
    await writeFile(join(work, 'krb5.conf'), `[realms]\n${realm} = {\n${kdcs}\n}\n`);
    replication('+');
    const database = ['-H', `${directory}/dc1/private/sam.ldb`];
    samba('user', 'setpassword', `${gmsa}$`, '--newpassword=Test-Only-Not-The-Managed-1', ...database);
  });
  after(async () => {
    if (work === '') return;
    replication('-');
    await rm(work, { recursive: true });
  });

  test('is passed over: the password is read at the other domain controller and tried at its KDC', async () => {
    const command = parseCommand([], { KRB5_CONFIG: join(work, 'krb5.conf') });
    assert.ok(command.action === 'run');
    const { log, lines } = keptLog();
    const engine = await createEngine(command.config, log);
    try {
      const identity = { kind: 'password', username: reader.name, domain, password: utf8(reader.password) } as const;
      const accounts = [gmsa, forest.gmsa].map((name) => ({ name, domain }));
      const outcomes = await engine.fetch({ identity, accounts, signal: AbortSignal.timeout(5000) });
      for (const outcome of outcomes) assert.ok(!isFailure(outcome), String(isFailure(outcome) && outcome.error));
      const told = lines.filter((line) => line.includes('reading it elsewhere'));
      assert.equal(told.length, 1, lines.join('\n'));
      assert.match(told[0]!, /KDC_ERR_PREAUTH_FAILED/);
    } finally {
      await engine.close();
    }
  });
});
