/** What operators see of a running daemon: the status command and the metrics. */
import assert from 'node:assert/strict';
import { get } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { duration, formatStatus } from '../../src/cli/status.ts';
import { createClient } from '../../src/client/index.ts';
import { startTestDomain, type TestDomain } from '../../src/testdomain/index.ts';
import { clientFile, credspec, type DaemonProcess, startDaemonProcess } from '../support/daemon-process.ts';
import { mustRun } from '../support/programs.ts';

describe('a daemon with two leases', () => {
  let domain: TestDomain;
  let daemon: DaemonProcess;
  let metricsSocket: string;

  before(async () => {
    domain = await startTestDomain({
      domain: 'corp.example',
      users: [{ name: 'svc', password: 'Seen-1', groups: ['Readers'] }],
      gmsas: ['WebApp01', 'WebApp02'].map((name) => ({ name, readers: ['Readers'] })),
    });
    metricsSocket = join('/tmp', `cf-seen-${process.pid}.sock`);
    daemon = await startDaemonProcess(
      { DOMAIN_CONTROLLER_GMSA: `localhost:${domain.ldapPort}`, CF_METRICS: `unix:${metricsSocket}` },
      [],
      { 'krb5.conf': domain.krb5Conf },
    );
    const client = createClient({ address: daemon.socket });
    const user = { username: 'svc', password: 'Seen-1', domain: domain.domain };
    await client.addWithUser({ credspecs: ['WebApp01', 'WebApp02'].map((n) => credspec(n, domain.domain)), ...user });
    await client.addWithUser({ credspecs: [credspec('WebApp01', domain.domain)], ...user });
    await assert.rejects(client.addWithUser({ credspecs: [credspec('NoApp', domain.domain)], ...user }));
    client.close();
  });
  after(async () => {
    await daemon?.stop();
    await domain?.close();
  });

  test('status shows each ticket with a full bar', async () => {
    const shown = await mustRun(process.execPath, [clientFile, 'status', '--socket', daemon.socket]);
    assert.match(shown, /^credentials-fetcherd \S+, up \S+.*, 2 leases, 3 tickets\n/);
    assert.equal(shown.match(/ {2}WebApp01@corp\.example {2}\[#{20}\] {2}(10h|9h 59m) left +by svc/g)?.length, 2);
  });

  test('status --json is for machines', async () => {
    const answer = JSON.parse(
      await mustRun(process.execPath, [clientFile, 'status', '--json', '--socket', daemon.socket]),
    );
    assert.equal(answer.leases.length, 2);
    const [ticket] = answer.leases.flatMap((l: { tickets: object[] }) => l.tickets);
    assert.equal(ticket.ends - ticket.starts, 10 * 3_600_000);
  });

  test('metrics count leases and calls', async () => {
    const text = await new Promise<string>((resolve, reject) => {
      get({ socketPath: metricsSocket, path: '/metrics', agent: false }, (response) => {
        let all = '';
        response.on('data', (chunk) => (all += chunk)).on('end', () => resolve(all));
      }).on('error', reject);
    });
    assert.match(text, /^cf_leases 2$/m);
    assert.match(text, /^cf_calls_total\{method="AddNonDomainJoinedKerberosLease",status="OK"\} 2$/m);
    assert.match(text, /^cf_calls_total\{method="AddNonDomainJoinedKerberosLease",status="FAILED_PRECONDITION"\} 1$/m);
    assert.match(text, /^cf_ticket_remaining_seconds\{account="WebApp02",domain="corp\.example"\} 3\d{4}(\.\d+)?$/m);
    assert.match(text, /^cf_domain_controller_seconds_count\{server="localhost:\d+",operation="connect"\} 1$/m);
    assert.match(text, /^cf_domain_controller_seconds_count\{server="CORP\.EXAMPLE",operation="login"\} 3$/m);
    assert.match(text, /^cf_reader_cache_total\{result="hit"\} 2$/m);
    assert.ok(!text.includes('Seen-1'));
  });
});

test('status tells of expired tickets, errors and what comes next', () => {
  const now = Date.UTC(2026, 0, 1);
  const hour = 3_600_000;
  const ticket = {
    account: 'WebApp01',
    domain: 'corp.example',
    reader: '',
    path: '/x/krb5cc',
    starts: now - 11 * hour,
    ends: now - hour,
    renewUntil: 0,
    lastError: 'no server answered',
    nextAction: 'renew',
    nextActionTime: now + 30_000,
  };
  const shown = formatStatus({ version: '1', started: now - hour, now, leases: [{ id: 'abc', tickets: [ticket] }] });
  assert.equal(
    shown,
    'credentials-fetcherd 1, up 1h, 1 lease, 1 ticket\n\nabc\n' +
      '  WebApp01@corp.example  [....................]  expired 1h ago by this machine; renew in 30s\n' +
      '    ! no server answered\n',
  );
});

test('durations have their two greatest units', () => {
  assert.deepEqual([0, 999, 61_000, 3_599_000, 90_061_000].map(duration), ['0s', '1s', '1m 1s', '59m 59s', '1d 1h']);
});
