/** Where the servers of a realm or domain are: configured, or by DNS SRV (RFC 4120 7.2.3.2, RFC 2782). */
import { AdError } from '../../errors.ts';
import type { Clock } from '../exchanges/context.ts';
import type { Resolver, SrvRecord } from './resolver.ts';

/** A host by name or address, and its port. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** `host:port` for messages; IPv6 in brackets. */
export function endpointName(e: Endpoint): string {
  return e.host.includes(':') ? `[${e.host}]:${e.port}` : `${e.host}:${e.port}`;
}

interface Weighted {
  readonly priority: number;
  readonly weight: number;
}

/**
 * RFC 2782: lowest priority first; within one, a random order in which a record's chance to come first is its weight.
 * @param random a number in [0, 1)
 */
export function orderRecords<R extends Weighted>(records: readonly R[], random: () => number): R[] {
  const ordered: R[] = [];
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
      ordered.push(...rest.splice(i, 1));
    }
  }
  return ordered;
}

/** SRV records in the order to try. A target of "." and port 0 mean that there is no such service. */
export function orderSrv(records: readonly SrvRecord[], random: () => number): Endpoint[] {
  const named = records.map((r) => ({ ...r, host: r.host.replace(/\.$/, '') }));
  const there = named.filter((r) => r.host !== '' && r.port !== 0);
  return orderRecords(there, random).map(({ host, port }) => ({ host, port }));
}

interface Cached {
  readonly until: number;
  readonly found: Promise<readonly Endpoint[]>;
}

/** Tells the site this machine is in, by asking servers of the domain; undefined when none says. */
export type SiteOf = (domain: string, hosts: readonly string[]) => Promise<string | undefined>;

/** A server that failed: how it did, and until when it stands behind others. */
interface Failure {
  readonly host: string;
  readonly until: number;
  readonly silent: boolean;
}

/** Where a locator asks, and how long it remembers. */
export interface LocatorOptions {
  readonly resolver: Resolver;
  readonly clock: Clock;
  readonly random?: () => number;
  /** How long DNS answers are kept, ms. Node does not tell a record's TTL. */
  readonly keep?: number;
  /** How long a server that failed stands behind the others, ms. */
  readonly avoid?: number;
  /** Asked where several servers could do; by default sites play no part. */
  readonly siteOf?: SiteOf;
}

/** Finds servers in DNS, remembers the answer for a while, and puts servers that failed lately last. */
export class Locator {
  readonly #options: Required<LocatorOptions>;
  readonly #cache = new Map<string, Cached>();
  readonly #failed = new Map<string, Failure>();

  constructor(options: LocatorOptions) {
    this.#options = {
      random: Math.random,
      keep: 5 * 60_000,
      avoid: 60_000,
      siteOf: async () => undefined,
      ...options,
    };
  }

  /** What is asked for names. */
  get resolver(): Resolver {
    return this.#options.resolver;
  }

  /** The order among records of one name. */
  ordered<R extends Weighted>(records: readonly R[]): R[] {
    return orderRecords(records, this.#options.random);
  }

  /**
   * The endpoints of an SRV name in the order to try.
   * @throws AdError UNREACHABLE when DNS failed or knows none
   */
  async find(srvName: string): Promise<Endpoint[]> {
    return this.inOrder(await this.remember(srvName, () => this.#ask(srvName)));
  }

  /**
   * As `find`, with the servers of this machine's site first where the domain has several servers.
   * @param inSite the SRV name of a site's servers
   * @param site its name, where it is known; else it is asked for
   */
  async findNear(
    domain: string,
    srvName: string,
    inSite: (site: string) => string,
    site?: string,
  ): Promise<Endpoint[]> {
    const all = await this.find(srvName);
    const hosts = [...new Set(all.map((endpoint) => endpoint.host))];
    if (hosts.length < 2) return all;
    const here = site ?? (await this.#options.siteOf(domain, hosts).catch(() => undefined));
    if (!here) return all;
    const near = await this.remember(inSite(here), () => this.#ask(inSite(here))).catch(() => []);
    const names = new Set(near.map(endpointName));
    return this.inOrder([...near, ...all.filter((endpoint) => !names.has(endpointName(endpoint)))]);
  }

  /** What `ask` found, for a while; those who want the same thing at the same time share it, and failures are forgotten. */
  remember<E extends Endpoint>(name: string, ask: () => Promise<readonly E[]>): Promise<readonly E[]> {
    const now = this.#options.clock();
    let cached = this.#cache.get(name);
    if (!cached || cached.until <= now) {
      for (const [key, old] of this.#cache) if (old.until <= now) this.#cache.delete(key);
      cached = { until: now + this.#options.keep, found: ask() };
      this.#cache.set(name, cached);
      cached.found.catch(() => this.#cache.delete(name));
    }
    return cached.found as Promise<readonly E[]>;
  }

  async #ask(srvName: string): Promise<Endpoint[]> {
    const found = orderSrv(await this.#options.resolver.srv(srvName), this.#options.random);
    if (found.length === 0)
      throw new AdError('UNREACHABLE', `DNS has no SRV records ${srvName}: check the domain name and DNS servers`);
    return found;
  }

  /**
   * The same endpoints with those that failed lately last, and before those the ones on hosts that were silent on another
   * port: such a host is as a rule frozen or cut off as a whole.
   */
  inOrder<E extends Endpoint>(endpoints: readonly E[]): E[] {
    const now = this.#options.clock();
    const silent = new Set<string>();
    for (const failure of this.#failed.values()) if (failure.until > now && failure.silent) silent.add(failure.host);
    const rank = (e: Endpoint) =>
      (this.#failed.get(endpointName(e))?.until ?? 0) > now ? 2 : silent.has(e.host) ? 1 : 0;
    return [0, 1, 2].flatMap((wanted) => endpoints.filter((e) => rank(e) === wanted));
  }

  /** Notes that a server did not answer. */
  failed(endpoint: Endpoint, how?: 'silent'): void {
    const now = this.#options.clock();
    for (const [name, { until }] of this.#failed) if (until <= now) this.#failed.delete(name);
    const failure = { host: endpoint.host, until: now + this.#options.avoid, silent: how === 'silent' };
    this.#failed.set(endpointName(endpoint), failure);
  }

  /** Notes that a server answered. */
  worked(endpoint: Endpoint): void {
    this.#failed.delete(endpointName(endpoint));
  }
}
