/**
 * Two domain controllers of which one is in trouble. A login costs less than a second whatever the trouble is, where
 * MIT's kinit needs up to 23; each starts from nothing, with no memory of who is dead.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { utf8 } from '../../src/bytes.ts';
import { parseCommand } from '../../src/daemon/config/config.ts';
import { createEngine } from '../../src/daemon/tickets/assemble.ts';
import { isFailure } from '../../src/daemon/tickets/engine.ts';
import { KrbClient } from '../../src/krb5/client.ts';
import { readCCache } from '../../src/krb5/files/ccache.ts';
import { Locator } from '../../src/krb5/network/locate.ts';
import { NetworkTransport } from '../../src/krb5/network/network.ts';
import { DnsResolver } from '../../src/krb5/network/resolver.ts';
import { formatPrincipal, principal } from '../../src/krb5/principal.ts';
import { PasswordSecret } from '../../src/krb5/secret.ts';
import { keptLog } from '../daemon/fake.ts';
import { faults, forest, forestMissing } from './forest.ts';

const { realm, domain, reader } = forest;
const KDC = 88;
const LDAP = 389;

/** As often as it takes for each domain controller to have been the first: those of one priority come in any order. */
const TIMES = 4;

async function login(signal: AbortSignal): Promise<void> {
  const resolver = new DnsResolver();
  const transport = new NetworkTransport({ resolver, locator: new Locator({ resolver, clock: Date.now }) });
  const secret = new PasswordSecret(utf8(reader.password), `${realm}${reader.name}`, [18]);
  const client = new KrbClient({ transport, client: principal(realm, reader.name), secret });
  try {
    await client.login(signal);
  } finally {
    client.close();
    transport.close();
  }
}

/** A whole lease: the reader's login and sealed search, and the gMSA's own ticket. */
async function lease(signal: AbortSignal): Promise<void> {
  const command = parseCommand([], { KRB5_CONFIG: process.env.KRB5_CONFIG });
  assert.ok(command.action === 'run');
  const engine = await createEngine(command.config, keptLog().log);
  try {
    const [outcome] = await engine.fetch({
      identity: { kind: 'password', username: reader.name, domain, password: utf8(reader.password) },
      accounts: [{ name: forest.gmsa, domain }],
      signal,
    });
    assert.ok(outcome && !isFailure(outcome), String(outcome && isFailure(outcome) && outcome.error));
    assert.equal(formatPrincipal(readCCache(outcome.ccache).principal), `${forest.gmsa}$@${realm}`);
  } finally {
    await engine.close();
  }
}

describe('with one domain controller', { skip: forestMissing }, () => {
  let mend = (): unknown => undefined;
  afterEach(() => {
    mend();
    mend = () => undefined;
  });

  const troubles: Readonly<Record<string, () => () => void>> = {
    stopped: () => faults.stopped('dc1'),
    frozen: () => faults.frozen('dc1'),
    'cut off': () => faults.cutOff('dc1'),
    'whose Kerberos port loses packets': () => faults.portDropped('dc1', KDC),
    'whose Kerberos port refuses': () => faults.portRefused('dc1', KDC),
  };
  for (const [what, trouble] of Object.entries(troubles)) {
    test(`${what}, a login costs less than a second`, async () => {
      mend = trouble();
      for (let i = 0; i < TIMES; i++) await login(AbortSignal.timeout(1000));
    });
  }

  const leaseTroubles: Readonly<Record<string, () => () => void>> = {
    ...troubles,
    'whose LDAP port loses packets': () => faults.portDropped('dc1', LDAP),
    'whose LDAP port refuses': () => faults.portRefused('dc1', LDAP),
  };
  for (const [what, trouble] of Object.entries(leaseTroubles)) {
    test(`${what}, a lease is there within three seconds`, async () => {
      mend = trouble();
      for (let i = 0; i < TIMES; i++) await lease(AbortSignal.timeout(3000));
    });
  }
});
