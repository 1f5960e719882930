/** What a bench hands back, the table that shows it, and the verdict. */

export interface Limit {
  readonly at: '<=' | '>=' | '<';
  readonly value: number;
}

export interface Row {
  readonly what: string;
  readonly value: number;
  readonly unit: '' | 'ms' | 'x' | 'us' | '/s';
  /** Absent: for information. */
  readonly limit?: Limit;
  /** What it was measured against, spread, raw figures. */
  readonly note?: string;
}

export interface Outcome {
  readonly bench: string;
  readonly title: string;
  readonly rows: readonly Row[];
  /** Why it could not run here, and what would enable it. */
  readonly skipped?: string;
}

export function holds({ value, limit }: Row): boolean {
  if (!limit) return true;
  if (limit.at === '>=') return value >= limit.value;
  return limit.at === '<' ? value < limit.value : value <= limit.value;
}

export function printOutcome(outcome: Outcome): void {
  console.log(`\n${outcome.bench}: ${outcome.title}`);
  if (outcome.skipped) console.log(`  skipped: ${outcome.skipped}`);
  const cells = outcome.rows.map((row) => ({
    what: row.what,
    value: `${figure(row.value)}${row.unit && ` ${row.unit}`}`,
    limit: row.limit ? `${row.limit.at} ${row.limit.value}` : '',
    verdict: row.limit ? (holds(row) ? 'ok' : 'MISSED') : '-',
    note: row.note ?? '',
  }));
  const width = (name: 'what' | 'value' | 'limit') => Math.max(0, ...cells.map((c) => c[name].length));
  for (const c of cells) {
    const line = [c.what.padEnd(width('what')), c.value.padStart(width('value')), c.limit.padEnd(width('limit'))];
    console.log(`  ${[...line, c.verdict.padEnd(6), c.note].join('  ').trimEnd()}`);
  }
}

/** Three digits are what such measurements are good for. */
export function figure(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
