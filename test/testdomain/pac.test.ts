/** The PACs of the test domain: believed by our acceptor, and read by Samba's NDR as they were meant. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { hex } from '../../src/bytes.ts';
import { readKeytab } from '../../src/krb5/files/keytab.ts';
import { type AcceptedContext, GssAcceptor } from '../../src/krb5/gss/acceptor.ts';
import { GssInitiator } from '../../src/krb5/gss/initiator.ts';
import { ReplayCache } from '../../src/krb5/gss/replay-cache.ts';
import { KeytabKeys } from '../../src/krb5/gss/service-keys.ts';
import type { NetworkTransport } from '../../src/krb5/network/network.ts';
import { groupSids } from '../../src/krb5/pac/index.ts';
import { servicePrincipal } from '../../src/krb5/principal.ts';
import { startTestDomain, type TestDomain } from '../../src/testdomain/index.ts';
import { localTransport, testClient } from '../support/kdc-client.ts';
import { runProgram } from '../support/programs.ts';

const PASSWORD = 'Only-For-Tests-1';
const DOMAIN = 'S-1-5-21-1-2-3';
const PYTHON = '/usr/bin/python3'; // the one with Debian's packages
const script = fileURLToPath(new URL('../lab/samba_pac.py', import.meta.url));
const noSamba = spawnSync(PYTHON, ['-c', 'import samba.dcerpc.krb5pac']).status !== 0;

describe('PACs of the test domain', () => {
  let domain: TestDomain;
  let transport: NetworkTransport;

  before(async () => {
    domain = await startTestDomain({
      domainSid: DOMAIN,
      users: [
        { name: 'odd', password: PASSWORD, groups: ['Readers', 'Others'] },
        { name: 'even', password: PASSWORD, userPrincipalName: 'known.as@elsewhere.test' },
      ],
      services: [{ spn: 'HTTP/web.example.test' }],
    });
    transport = localTransport(domain.kdcPort);
  });
  after(async () => {
    transport.close();
    await domain.close();
  });

  async function logon(name: string): Promise<AcceptedContext> {
    const keys = new KeytabKeys(readKeytab(await domain.keytab('HTTP/web.example.test')));
    const { realm, kdcPort: port } = domain;
    const client = testClient({ transport, port, realm, name, password: PASSWORD });
    const credentials = await client.ticket(servicePrincipal('HTTP', 'web.example.test', realm));
    const acceptor = new GssAcceptor({ keys, replays: new ReplayCache(), pac: 'require' });
    acceptor.step(new GssInitiator({ context: client.context, credentials }).step());
    client.close();
    return acceptor.context!;
  }

  test('are signed with the key of the service, and name client and groups', async () => {
    const { logon: info, upn } = (await logon('odd')).pac!;
    assert.equal(info!.accountName, 'odd');
    assert.ok(info!.userSid.startsWith(`${DOMAIN}-`));
    assert.equal(upn!.sid, info!.userSid);
    assert.deepEqual([upn!.upn, upn!.constructed], ['odd@example.test', false]);
    const groups = groupSids(info!);
    assert.equal(groups.length, 4); // Domain Users, two of its own, and S-1-18-1
    assert.ok(groups.includes(`${DOMAIN}-513`) && groups.includes('S-1-18-1'));
    assert.deepEqual(groupSids((await logon('even')).pac!.logon!), [`${DOMAIN}-513`, 'S-1-18-1']);
  });

  for (const name of ['odd', 'even']) {
    test(`are read by Samba: ${name}`, { skip: noSamba ? 'needs python3-samba' : false }, async () => {
      const pac = (await logon(name)).pac!;
      const { code, stdout, stderr } = await runProgram(PYTHON, [script], { input: hex(pac.bytes) });
      assert.equal(code, 0, stderr);
      const told = JSON.parse(stdout);
      const pairs = (list: readonly { sid: string; attributes: number }[]) => list.map((m) => [m.sid, m.attributes]);
      const { logon: info } = pac;
      assert.deepEqual(
        [told.account, told.domain, told.server, told.user, told.primary],
        [name, 'EXAMPLE', 'DC1', info!.userSid, `${DOMAIN}-513`],
      );
      assert.deepEqual([told.groups, told.extra, told.resource], [pairs(info!.groups), [['S-1-18-1', 7]], []]);
      assert.deepEqual(
        [told.client, told.upn, told.dns, told.sam, told.sid],
        [name, name === 'odd' ? 'odd@example.test' : 'known.as@elsewhere.test', 'EXAMPLE.TEST', name, info!.userSid],
      );
    });
  }
});
