/** Where the servers of a realm or domain are: configured, or by DNS SRV (RFC 4120 7.2.3.2, RFC 2782). */
import { AdError } from '../../errors.ts';
import type { Clock } from '../exchanges/context.ts';
import type { Resolver, SrvRecord } from './resolver.ts';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** `host:port` for messages; IPv6 in brackets. */
export function endpointName(e: Endpoint): string {
  return e.host.includes(':') ? `[${e.host}]:${e.port}` : `${e.host}:${e.port}`;
}

/**
 * RFC 2782: lowest priority first; within one, a random order in which a record's chance to come first is its weight.
 * @param random a number in [0, 1)
 */
export function orderSrv(records: readonly SrvRecord[], random: () => number): Endpoint[] {
  const ordered: Endpoint[] = [];
  const priorities = [...new Set(records.map((r) => r.priority))].sort((a, b) => a - b);
  for (const priority of priorities) {
    // Records of weight 0 stand first, so that they have a very small chance instead of none.
    const rest = records.filter((r) => r.priority === priority).sort((a, b) => a.weight - b.weight);
    while (rest.length > 0) {
      const total = rest.reduce((sum, r) => sum + r.weight, 0);
      const mark = Math.floor(random() * (total + 1));
      let sum = 0;
      const i = rest.findIndex((r) => {
        sum += r.weight;
        return sum >= mark;
      });
      const [next] = rest.splice(i, 1);
      ordered.push({ host: next!.host.replace(/\.$/, ''), port: next!.port });
    }
  }
  return ordered;
}

interface Cached {
  readonly until: number;
  readonly endpoints: Promise<Endpoint[]>;
}

export interface LocatorOptions {
  readonly resolver: Resolver;
  readonly clock: Clock;
  readonly random?: () => number;
  /** How long DNS answers are kept, ms. Node does not tell a record's TTL. */
  readonly keep?: number;
  /** How long a server that failed stands behind the others, ms. */
  readonly avoid?: number;
}

/** Finds servers by SRV name, remembers the answer for a while, and puts servers that failed lately last. */
export class Locator {
  readonly #options: Required<LocatorOptions>;
  readonly #cache = new Map<string, Cached>();
  readonly #failed = new Map<string, number>();

  constructor(options: LocatorOptions) {
    this.#options = { random: Math.random, keep: 5 * 60_000, avoid: 60_000, ...options };
  }

  /**
   * The endpoints of an SRV name in the order to try.
   * @throws AdError UNREACHABLE when DNS failed or knows none
   */
  async find(srvName: string): Promise<Endpoint[]> {
    const now = this.#options.clock();
    let cached = this.#cache.get(srvName);
    if (!cached || cached.until <= now) {
      for (const [name, old] of this.#cache) if (old.until <= now) this.#cache.delete(name);
      cached = { until: now + this.#options.keep, endpoints: this.#ask(srvName) };
      this.#cache.set(srvName, cached);
      cached.endpoints.catch(() => this.#cache.delete(srvName));
    }
    return this.inOrder(await cached.endpoints);
  }

  async #ask(srvName: string): Promise<Endpoint[]> {
    const found = orderSrv(await this.#options.resolver.srv(srvName), this.#options.random);
    if (found.length === 0)
      throw new AdError('UNREACHABLE', `DNS has no SRV records ${srvName}: check the domain name and DNS servers`);
    return found;
  }

  /** The same endpoints with those that failed lately last. */
  inOrder(endpoints: readonly Endpoint[]): Endpoint[] {
    const now = this.#options.clock();
    const bad = (e: Endpoint) => (this.#failed.get(endpointName(e)) ?? 0) > now;
    return [...endpoints.filter((e) => !bad(e)), ...endpoints.filter(bad)];
  }

  /** Notes that a server did not answer. */
  failed(endpoint: Endpoint): void {
    const now = this.#options.clock();
    for (const [name, until] of this.#failed) if (until <= now) this.#failed.delete(name);
    this.#failed.set(endpointName(endpoint), now + this.#options.avoid);
  }

  /** Notes that a server answered. */
  worked(endpoint: Endpoint): void {
    this.#failed.delete(endpointName(endpoint));
  }
}
