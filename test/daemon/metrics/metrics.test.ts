/** The metrics as Prometheus' own tools read them, and the rules and dashboard that live on them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { daemonMetrics, renderMetrics } from '../../../src/daemon/metrics/metrics.ts';
import { parseMetricsAddress, serveMetrics } from '../../../src/daemon/metrics/server.ts';
import { isAdError } from '../../../src/errors.ts';
import { hasProgram, mustRun, runProgram } from '../../support/programs.ts';

const deploy = join(import.meta.dirname, '../../../deploy');
const noPromtool = hasProgram('promtool') ? false : 'needs promtool (Debian: prometheus)';

function sample(): string {
  const metrics = daemonMetrics();
  metrics.build.from(() => [[{ version: '0.1.0' }, 1]]);
  metrics.calls.add({ method: 'AddKerberosLease', status: 'OK' });
  metrics.calls.add({ method: 'AddKerberosLease', status: 'OK' }, 2);
  metrics.callSeconds.observe({ method: 'AddKerberosLease' }, 0.02);
  metrics.callSeconds.observe({ method: 'AddKerberosLease' }, 20);
  metrics.ticketSeconds.from(() => [[{ account: 'a"b\\c\n' }, -5]]);
  return renderMetrics(metrics);
}

describe('metrics', () => {
  test('promtool finds nothing wrong with the text', { skip: noPromtool }, async () => {
    const { code, stdout, stderr } = await runProgram('promtool', ['check', 'metrics'], { input: sample() });
    assert.equal(code, 0, stdout + stderr);
  });

  test('counters add up, histograms are cumulative, labels are escaped', () => {
    const lines = sample().split('\n');
    assert.ok(lines.includes('cf_calls_total{method="AddKerberosLease",status="OK"} 3'));
    assert.ok(lines.includes('cf_call_duration_seconds_bucket{method="AddKerberosLease",le="0.01"} 0'));
    assert.ok(lines.includes('cf_call_duration_seconds_bucket{method="AddKerberosLease",le="0.025"} 1'));
    assert.ok(lines.includes('cf_call_duration_seconds_bucket{method="AddKerberosLease",le="15"} 1'));
    assert.ok(lines.includes('cf_call_duration_seconds_bucket{method="AddKerberosLease",le="+Inf"} 2'));
    assert.ok(lines.includes('cf_ticket_remaining_seconds{account="a\\"b\\\\c\\n"} -5'));
  });

  test('strangers cannot grow a metric without bound', () => {
    const metrics = daemonMetrics();
    for (let i = 0; i < 5000; i++) metrics.rc4.add({ account: `App${i}` });
    assert.equal(renderMetrics(metrics).match(/^cf_rc4_tickets_total\{/gm)?.length, 2000);
  });

  test('promtool takes the alert rules, and they fire when they should', { skip: noPromtool }, async () => {
    await mustRun('promtool', ['check', 'rules', join(deploy, 'prometheus/alerts.yml')]);
    await mustRun('promtool', ['test', 'rules', 'alerts.test.yml'], { cwd: join(deploy, 'prometheus') });
  });

  test('rules and dashboard name no metric that does not exist', () => {
    const known = new Set(
      renderMetrics(daemonMetrics())
        .match(/^# HELP \S+/gm)!
        .map((line) => line.slice('# HELP '.length)),
    );
    for (const file of ['prometheus/alerts.yml', 'grafana/credentials-fetcher.json']) {
      const named = readFileSync(join(deploy, file), 'utf8').match(/\bcf_[a-z_0-9]+/g)!;
      const unknown = named.filter((name) => !known.has(name.replace(/_(bucket|sum|count)$/, '')) && !known.has(name));
      assert.deepEqual(unknown, [], file);
    }
  });
});

describe('the metrics server', () => {
  const fetchText = (options: object): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      get({ agent: false, ...options }, (response) => {
        let text = '';
        response.on('data', (chunk) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode!, text }));
      }).on('error', reject);
    });

  test('answers GET /metrics on a loopback port and nothing else', async () => {
    const server = await serveMetrics(parseMetricsAddress('127.0.0.1:0'), () => 'cf_build_info 1\n');
    const port = Number(server.address.split(':')[1]);
    assert.deepEqual(await fetchText({ port, path: '/metrics' }), { status: 200, text: 'cf_build_info 1\n' });
    assert.equal((await fetchText({ port, path: '/' })).status, 404);
    await server.close();
  });

  test('answers on a unix socket', async () => {
    const work = await mkdtemp(join(tmpdir(), 'cf-metrics-'));
    const path = join(work, 'metrics.sock');
    const server = await serveMetrics(parseMetricsAddress(`unix:${path}`), () => 'x 1\n');
    assert.deepEqual(await fetchText({ socketPath: path, path: '/metrics' }), { status: 200, text: 'x 1\n' });
    await server.close();
    await rm(work, { recursive: true });
  });

  for (const text of ['0.0.0.0:9464', '10.0.0.1:1', '127.0.0.1:99999', 'unix:relative', 'host:1', '', '[::]:9464']) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseMetricsAddress(text),
        (e) => isAdError(e, 'INVALID_ARGUMENT'),
      );
    });
  }
});
