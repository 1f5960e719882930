/** Eight clients at once, each with accounts of its own, and whether the daemon still answers others meanwhile. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startDaemon } from './daemon.ts';
import type { Work } from './load-clients.ts';
import { inTurns, median, quantile } from './measure.ts';
import { figure, type Row } from './report.ts';
import type { Scene } from './scene.ts';

export const title = 'eight clients at once, different accounts, one connection each';

/** The daemon whose place this one takes makes 7.8 leases a second, however many ask. */
const UPSTREAM = 7.8;
const LEASES_A_CLIENT = 40;
const ROUNDS = 5;

export async function run(scene: Scene): Promise<Row[]> {
  const daemon = await startDaemon(scene);
  const clients = fork(join(import.meta.dirname, 'load-clients.ts'));
  const health: number[] = [];
  try {
    await daemon.lease(scene.reader, scene.gmsas[0]!);
    const work: Work = { socket: daemon.socket, clients: 8, leases: LEASES_A_CLIENT, scene: { ...scene } };
    const oneRound = async (clientCount: number) => {
      clients.send({ ...work, clients: clientCount });
      const done = once(clients, 'message');
      let running = true;
      const probing = probe(daemon.client.health, () => running);
      const [ms] = (await done) as [number];
      running = false;
      const latencies = await probing;
      if (clientCount === work.clients) health.push(...latencies);
      return ms;
    };
    const rounds = await inTurns(ROUNDS, { one: () => oneRound(1), eight: () => oneRound(8) });
    const rate = (8 * LEASES_A_CLIENT * 1000) / rounds.ms('eight');
    const alone = (LEASES_A_CLIENT * 1000) / rounds.ms('one');
    return [
      {
        what: 'leases',
        value: rate,
        unit: '/s',
        limit: { at: '>=', value: 10 * UPSTREAM },
        note: `one client alone: ${figure(alone)}/s`,
      },
      {
        what: 'HealthCheck meanwhile, slowest of 100 (p99)',
        value: quantile(health, 0.99),
        unit: 'ms',
        limit: { at: '<', value: 50 },
        note: `median ${figure(median(health))}, max ${figure(quantile(health, 1))} of ${health.length}`,
      },
    ];
  } finally {
    clients.disconnect();
    await daemon.stop();
  }
}

async function probe(health: () => Promise<unknown>, going: () => boolean): Promise<number[]> {
  const taken: number[] = [];
  while (going()) {
    const began = performance.now();
    await health();
    taken.push(performance.now() - began);
    await delay(5);
  }
  return taken;
}
