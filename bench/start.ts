/** How soon the daemon is there, against the same Node doing nothing. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from '../src/client/index.ts';
import { accepting, spawnDaemon } from './daemon.ts';
import { inTurns, timed } from './measure.ts';
import type { Row } from './report.ts';
import type { Scene } from './scene.ts';

export const title = "the daemon's start against node -e 0 (spawn to exit)";

const ROUNDS = 15;

export async function run(scene: Scene): Promise<Row[]> {
  const nothing = () => timed(() => once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit'));
  const until = (ready: (socket: string) => Promise<void>) => async () => {
    const daemon = spawnDaemon(scene);
    await accepting(daemon.socket, daemon.child);
    await ready(daemon.socket);
    const ms = performance.now() - daemon.began;
    await delay(300); // lets the rest of it load, so that it ends before the next contestant begins
    await daemon.stop();
    return ms;
  };
  const healthy = async (socket: string) => {
    const client = createClient({ address: socket });
    await client.health();
    client.close();
  };
  const rounds = await inTurns(ROUNDS, { node: nothing, socket: until(async () => undefined), health: until(healthy) });
  return [
    {
      what: 'socket accepts / node -e 0',
      value: rounds.ratio('socket', 'node'),
      unit: 'x',
      limit: { at: '<=', value: 2 },
      note: `${rounds.describe('socket')}, ${rounds.describe('node')}`,
    },
    {
      what: 'HealthCheck answered / node -e 0',
      value: rounds.ratio('health', 'node'),
      unit: 'x',
      limit: { at: '<=', value: 2 },
      note: rounds.describe('health'),
    },
  ];
}
