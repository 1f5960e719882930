/**
 * Counters, gauges and histograms in Prometheus' text format 0.0.4. Everything the daemon measures is declared in
 * `daemonMetrics`, so that the list there is the list in the documentation, the dashboard and the alert rules.
 */

import { isAdError } from '../../errors.ts';

export type Labels = Readonly<Record<string, string>>;

/** Seconds; a call is limited to 15 of them. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15] as const;
/** More label sets than this of one metric are dropped: nobody's input shall grow the daemon without bound. */
const MAX_SERIES = 2000;

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  lines(): string[];
}

/** `{a="1",b="2"}`, with the escapes of the text format; nothing for no labels. */
function labelText(labels: Labels, extra = ''): string {
  const quote = (v: string) => v.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
  const pairs = Object.entries(labels).map(([k, v]) => `${k}="${quote(v)}"`);
  const all = [...pairs, ...(extra ? [extra] : [])];
  return all.length > 0 ? `{${all.join(',')}}` : '';
}

/** Values by label set. */
class Series<T> {
  readonly #values = new Map<string, { labels: Labels; value: T }>();

  get(labels: Labels, fresh: () => T): T | undefined {
    const key = labelText(labels);
    const found = this.#values.get(key);
    if (found) return found.value;
    if (this.#values.size >= MAX_SERIES) return undefined;
    const value = fresh();
    this.#values.set(key, { labels, value });
    return value;
  }

  map(line: (labels: Labels, value: T) => string[]): string[] {
    return [...this.#values.values()].flatMap(({ labels, value }) => line(labels, value));
  }
}

export class Counter implements Metric {
  readonly type = 'counter';
  readonly name: string;
  readonly help: string;
  readonly #series = new Series<{ count: number }>();

  constructor(name: string, help: string) {
    this.name = name;
    this.help = help;
  }

  add(labels: Labels = {}, by = 1): void {
    const cell = this.#series.get(labels, () => ({ count: 0 }));
    if (cell) cell.count += by;
  }

  lines(): string[] {
    return this.#series.map((labels, { count }) => [`${this.name}${labelText(labels)} ${count}`]);
  }
}

/** A gauge is asked when somebody looks. */
export class Gauge implements Metric {
  readonly type = 'gauge';
  readonly name: string;
  readonly help: string;
  #read: () => Iterable<readonly [Labels, number]> = () => [];

  constructor(name: string, help: string) {
    this.name = name;
    this.help = help;
  }

  from(read: () => Iterable<readonly [Labels, number]>): void {
    this.#read = read;
  }

  lines(): string[] {
    return [...this.#read()].slice(0, MAX_SERIES).map(([labels, value]) => `${this.name}${labelText(labels)} ${value}`);
  }
}

export class Histogram implements Metric {
  readonly type = 'histogram';
  readonly name: string;
  readonly help: string;
  readonly #series = new Series<{ buckets: number[]; sum: number; count: number }>();

  constructor(name: string, help: string) {
    this.name = name;
    this.help = help;
  }

  observe(labels: Labels, seconds: number): void {
    const cell = this.#series.get(labels, () => ({ buckets: BUCKETS.map(() => 0), sum: 0, count: 0 }));
    if (!cell) return;
    cell.sum += seconds;
    cell.count++;
    for (const [i, limit] of BUCKETS.entries()) if (seconds <= limit) cell.buckets[i]!++;
  }

  lines(): string[] {
    return this.#series.map((labels, { buckets, sum, count }) => [
      ...BUCKETS.map((limit, i) => `${this.name}_bucket${labelText(labels, `le="${limit}"`)} ${buckets[i]}`),
      `${this.name}_bucket${labelText(labels, 'le="+Inf"')} ${count}`,
      `${this.name}_sum${labelText(labels)} ${sum}`,
      `${this.name}_count${labelText(labels)} ${count}`,
    ]);
  }
}

/** Everything the daemon tells about itself. */
export function daemonMetrics() {
  return {
    build: new Gauge('cf_build_info', 'Always 1; the version stands in a label.'),
    calls: new Counter('cf_calls_total', 'gRPC calls answered, by method and status.'),
    callSeconds: new Histogram('cf_call_duration_seconds', 'Time to answer a call, by method.'),
    leases: new Gauge('cf_leases', 'Leases on disk.'),
    ticketSeconds: new Gauge(
      'cf_ticket_remaining_seconds',
      'Time until a ticket ends, the shortest of an account; negative: expired.',
    ),
    passwordAge: new Gauge(
      'cf_managed_password_query_seconds',
      'Time until the managed password of an account is to be read again.',
    ),
    renewals: new Counter(
      'cf_renewals_total',
      'Renewals tried by the daemon itself, by result (ok or the error code).',
    ),
    dcSeconds: new Histogram(
      'cf_domain_controller_seconds',
      'Time a domain controller took, by server and operation (connect, search, login).',
    ),
    dcFailures: new Counter(
      'cf_domain_controller_failures_total',
      'Operations a domain controller failed, by operation and error code.',
    ),
    readers: new Counter(
      'cf_reader_cache_total',
      'Requests that found their reader kept (hit) or made a new one (miss).',
    ),
    rc4: new Counter(
      'cf_rc4_tickets_total',
      'Logons with RC4 in a key or ticket, by account: domains are switching it off.',
    ),
  };
}

export type DaemonMetrics = ReturnType<typeof daemonMetrics>;

/** What the engine measures. */
export type EngineMetrics = Pick<DaemonMetrics, 'dcSeconds' | 'dcFailures' | 'readers' | 'rc4'>;

/** Runs `work` and notes how long the server took for it, or with which code it failed. */
export async function timed<T>(
  metrics: EngineMetrics | undefined,
  operation: 'connect' | 'search' | 'login',
  server: string,
  work: () => Promise<T>,
): Promise<T> {
  if (!metrics) return work();
  const began = performance.now();
  try {
    const result = await work();
    metrics.dcSeconds.observe({ server, operation }, (performance.now() - began) / 1000);
    return result;
  } catch (e) {
    metrics.dcFailures.add({ operation, code: isAdError(e) ? e.code : 'FAULT' });
    throw e;
  }
}

/** The exposition: for each metric its HELP, its TYPE, its samples. */
export function renderMetrics(metrics: DaemonMetrics): string {
  const all: Metric[] = Object.values(metrics);
  return `${all.flatMap((m) => [`# HELP ${m.name} ${m.help}`, `# TYPE ${m.name} ${m.type}`, ...m.lines()]).join('\n')}\n`;
}
