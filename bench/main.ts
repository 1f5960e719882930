/**
 * `npm run bench`: the figures this project promises, measured. Options: `--only NAME` (may be repeated), `--json`,
 * `--embedded` (the embedded domain although the lab could be had). Exit status 1 when a limit is missed.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as crypto from './crypto.ts';
import * as gokrb5 from './gokrb5.ts';
import * as load from './load.ts';
import * as processes from './processes.ts';
import { holds, type Outcome, printOutcome, type Row } from './report.ts';
import * as roundTrips from './round-trips.ts';
import { embeddedScene, labScene, type Scene } from './scene.ts';
import * as start from './start.ts';

interface Bench {
  readonly title: string;
  /** Why it cannot run here and what would enable it. */
  readonly lacking?: () => string | undefined;
  readonly run: (scene: Scene) => Promise<Row[]>;
}

const benches: Readonly<Record<string, Bench>> = {
  'round-trips': roundTrips,
  processes,
  load,
  gokrb5,
  start,
  crypto,
};

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    json: { type: 'boolean' },
    embedded: { type: 'boolean' },
  },
});
const chosen = options.only ?? Object.keys(benches);
for (const name of chosen) {
  if (name in benches) continue;
  console.error(`there is no bench ${name}; there are ${Object.keys(benches).join(', ')}`);
  process.exit(2);
}
process.exitCode = inLab() ?? (await measure());

/** Runs all of this again inside the lab, where there is one or one can be made; undefined where it shall run here. */
function inLab(): number | undefined {
  if (options.embedded || process.env.CF_LAB_INSIDE === '1') return undefined;
  const lab = (args: readonly string[], stdio: 'ignore' | 'inherit') =>
    spawnSync(join(import.meta.dirname, '../test/lab/lab'), args, { stdio }).status ?? 1;
  const again = (name: string) =>
    lab(['--name', name, 'exec', process.execPath, ...process.execArgv, ...process.argv.slice(1)], 'inherit');
  if (lab(['check'], 'ignore') !== 0) {
    console.error('No Active Directory lab here (test/lab/lab check says why): the embedded domain stands in for it.');
    return undefined;
  }
  const standing = process.env.CF_LAB_NAME ?? 'default';
  if (lab(['--name', standing, 'status'], 'ignore') === 0) return again(standing);
  const own = `bench-${process.pid}`;
  console.error('Starting an Active Directory lab (about 20 s) ...');
  try {
    for (const step of ['up', 'accounts']) if (lab(['--name', own, step], 'ignore') !== 0) return undefined;
    return again(own);
  } finally {
    lab(['--name', own, 'down'], 'ignore');
  }
}

async function measure(): Promise<number> {
  const scratch = mkdtempSync(join(tmpdir(), 'cf-bench-'));
  const outcomes: Outcome[] = [];
  try {
    const scene = process.env.CF_LAB_INSIDE === '1' ? labScene(scratch) : await embeddedScene(scratch);
    try {
      const machine = `Node ${process.versions.node}, ${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}`;
      if (!options.json) console.log(`Against ${scene.name}; ${machine}`);
      for (const name of chosen) {
        const outcome = await outcomeOf(name, scene);
        outcomes.push(outcome);
        if (!options.json) printOutcome(outcome);
      }
      const missed = outcomes.flatMap((o) => o.rows).filter((row) => !holds(row)).length;
      if (options.json) console.log(JSON.stringify({ scene: scene.name, machine, missed, outcomes }, undefined, 2));
      else console.log(missed ? `\n${missed} limits missed` : '\nEvery limit is kept.');
      return missed ? 1 : 0;
    } finally {
      await scene.close();
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function outcomeOf(name: string, scene: Scene): Promise<Outcome> {
  const { title, lacking, run } = benches[name]!;
  const skipped = lacking?.();
  return { bench: name, title, rows: skipped ? [] : await run(scene), ...(skipped && { skipped }) };
}
