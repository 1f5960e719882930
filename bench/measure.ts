/**
 * Comparisons on a machine that is busy with other things: the contestants take turns within each round, and what counts
 * is the median of the rounds' ratios. A slow moment then hits both sides, or one round only.
 */
import { figure } from './report.ts';

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** @param q 0.5 the median, 1 the largest */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) throw new Error('nothing was measured');
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (high - low) * (at - Math.floor(at));
}

/** Milliseconds an action takes. */
export async function timed(action: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await action();
  return performance.now() - began;
}

/** Measures one contestant once, in milliseconds. */
export type Contestant = () => Promise<number>;

export interface Rounds<Name extends string> {
  ms(name: Name): number;
  /** Median over the rounds of `name` divided by `base` in the same round. */
  ratio(name: Name, base: Name): number;
  /** `name 12.3 (11.0-14.1) ms`: median and quartiles. */
  describe(name: Name): string;
}

/** Every round runs each contestant once, from one round to the next in reversed order. The first round warms up. */
export async function inTurns<Name extends string>(
  rounds: number,
  contestants: Readonly<Record<Name, Contestant>>,
): Promise<Rounds<Name>> {
  const names = Object.keys(contestants) as Name[];
  const taken = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = 0; round <= rounds; round++) {
    for (const name of round % 2 ? [...names].reverse() : names) {
      const ms = await contestants[name]();
      if (round > 0) taken[name].push(ms);
    }
  }
  return {
    ms: (name) => median(taken[name]),
    ratio: (name, base) => median(taken[name].map((ms, i) => ms / taken[base][i]!)),
    describe(name) {
      const at = (q: number) => figure(quantile(taken[name], q));
      return `${name} ${at(0.5)} (${at(0.25)}-${at(0.75)}) ms`;
    },
  };
}
