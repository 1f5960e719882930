/**
 * `npm test`: everything this machine can run. Unit and end-to-end suites first; then, where there is root and Samba, the
 * suites against a real Active Directory domain. The last line says what was left out and how to enable it; with CI set
 * in the environment a missing part is a failure.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const complete = process.env.CI === 'true';
const scratch = mkdtempSync(join(tmpdir(), 'cf-test-'));
const lab = join(root, 'test/lab/lab');
const forest = join(root, 'test/lab/forest');
const labName = `test-${process.pid}`;

interface Tally {
  ok: boolean;
  passed: number;
  failed: number;
  skipped: string[];
}

function suites(suffix: string): string[] {
  return readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((f) => f.endsWith(suffix))
    .map((f) => join('test', f))
    .sort();
}

/** Runs a program with our standard output; resolves to its exit code. */
function run(command: string, args: readonly string[], quiet = false): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', quiet ? 'ignore' : 'inherit', 'inherit'] });
    child.on('error', () => resolve(127));
    child.on('close', (code) => resolve(code ?? 1));
  });
}

/** Runs suites with node:test: the readable report to the terminal, a second one to a file for the tally. */
async function runSuites(name: string, files: readonly string[], prefix: readonly string[] = []): Promise<Tally> {
  const report = join(scratch, `${name}.tap`);
  const reporters = ['spec', 'stdout', 'tap', report];
  const node = [process.execPath, '--import', 'tsx', '--test', ...nodeFlags(reporters), ...files];
  const [command, ...args] = [...prefix, ...node];
  const code = await run(command!, args);
  return tally(code, report);
}

function nodeFlags([first, to, second, file]: string[]): string[] {
  return [
    `--test-reporter=${first}`,
    `--test-reporter-destination=${to}`,
    `--test-reporter=${second}`,
    `--test-reporter-destination=${file}`,
  ];
}

function tally(code: number, report: string): Tally {
  const text = readFileSync(report, 'utf8');
  const count = (what: string) => Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  const reasons = [...text.matchAll(/# SKIP ?(.*)$/gm)].map((m) => m[1] || 'no reason given');
  return { ok: code === 0, passed: count('pass'), failed: count('fail') + count('cancelled'), skipped: reasons };
}

/** Brings a lab up under a name of its own, runs `suite` in it, and removes it whatever happens. */
async function inLab(
  script: string,
  name: string,
  steps: readonly string[],
  suite: (exec: string[]) => Promise<Tally[]>,
): Promise<Tally[]> {
  const failed: Tally = { ok: false, passed: 0, failed: 1, skipped: [] };
  const remove = () => run(script, ['--name', name, 'down'], true);
  const onSignal = () => void remove().finally(() => process.exit(130));
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    for (const step of steps) {
      if ((await run(script, ['--name', name, step])) !== 0) return [failed];
    }
    return await suite([script, '--name', name, 'exec']);
  } finally {
    await remove();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/** One domain, one domain controller. */
function domainSuites(): Promise<Tally[]> {
  console.log('\nActive Directory lab: starting a domain (about 20 s)');
  return inLab(lab, labName, ['up', 'accounts'], labSuites);
}

/** Two forests with a trust, two domain controllers in the first. These make faults: one suite at a time. */
function forestSuites(): Promise<Tally[]> {
  console.log('\nActive Directory lab: starting two forests (about 30 s)');
  return inLab(forest, `t${process.pid % 100_000}`, ['up'], async (exec) => {
    const tallies: Tally[] = [];
    for (const file of suites('.forest.ts')) tallies.push(await runSuites(basename(file), [file], exec));
    return tallies;
  });
}

async function labSuites(exec: string[]): Promise<Tally[]> {
  const tallies = [await runSuites('lab', suites('.lab.ts'), exec)];
  // These freeze the domain controller or move its clock, which goes forwards only: one at a time, in their order.
  for (const file of suites('.alone.ts')) tallies.push(await runSuites(basename(file), [file], exec));
  const shifted = suites('.shifted.ts');
  if (shifted.length > 0) {
    if ((await run(lab, ['--name', labName, 'restart', '--faketime', '+36h'])) !== 0)
      throw new Error('the lab did not restart');
    tallies.push(await runSuites('shifted', shifted, exec));
  }
  // These leave the clock days ahead, where nothing can follow them.
  for (const file of suites('.late.ts')) tallies.push(await runSuites(basename(file), [file], exec));
  return tallies;
}

async function main(): Promise<number> {
  // The suites run the programs as users have them: the built files.
  if ((await run(process.execPath, ['scripts/build.mjs'], true)) !== 0)
    throw new Error('the build failed: npm run build');
  const tallies = [await runSuites('unit', suites('.test.ts'))];
  const leftOut: string[] = [];
  if ((await run(lab, ['check'], true)) === 0) tallies.push(...(await domainSuites()), ...(await forestSuites()));
  else
    leftOut.push(
      'the Active Directory lab (needs root, network namespaces and Samba 4.22: sudo test/lab/lab packages install)',
    );

  const skipped = tallies.flatMap((t) => t.skipped);
  for (const reason of new Set(skipped)) leftOut.push(`${skipped.filter((r) => r === reason).length} tests: ${reason}`);
  const passed = tallies.reduce((n, t) => n + t.passed, 0);
  const failed = tallies.reduce((n, t) => n + t.failed, 0);
  console.log(`\n${passed} passed, ${failed} failed, ${skipped.length} skipped`);
  console.log(leftOut.length === 0 ? 'Nothing was left out.' : `Left out here: ${leftOut.join('; ')}.`);
  if (complete && leftOut.length > 0) console.error('CI is set: a part that is left out is a failure.');
  return tallies.every((t) => t.ok) && !(complete && leftOut.length > 0) ? 0 : 1;
}

try {
  process.exitCode = await main();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
