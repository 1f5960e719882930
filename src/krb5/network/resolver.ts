/**
 * Names to addresses without the operating system's blocking resolver: getaddrinfo runs on libuv's four threads, and a
 * dead DNS server would take those away from files and key derivation. /etc/hosts first, then DNS.
 */
import { promises as dns, lookup as systemLookup } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { isIP, type LookupFunction } from 'node:net';
import { AdError, messageOf } from '../../errors.ts';
import { queryUri } from './dns-uri.ts';

/** RFC 2782. */
export interface SrvRecord {
  readonly host: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** RFC 7553. */
export interface UriRecord {
  readonly target: string;
  readonly priority: number;
  readonly weight: number;
}

/** What this library asks of DNS. */
export interface Resolver {
  /** SRV records of a name; empty when the name or the records do not exist. @throws AdError UNREACHABLE when DNS failed */
  srv(name: string): Promise<SrvRecord[]>;
  /** Addresses of a host, IPv4 first. @throws AdError UNREACHABLE when there are none */
  addresses(host: string): Promise<string[]>;
  /** URI records, as `srv`; the signal gives up. A resolver without this method knows none. */
  uri?(name: string, signal?: AbortSignal): Promise<UriRecord[]>;
  /** TXT records, each put together, as `srv`. */
  txt?(name: string): Promise<string[]>;
}

const NOT_THERE = new Set(['ENOTFOUND', 'ENODATA']);
const codeOf = (e: unknown): string => (e as NodeJS.ErrnoException).code ?? '';

/** Node's c-ares resolver: asynchronous, by /etc/resolv.conf as it is now. */
export class DnsResolver implements Resolver {
  readonly #dns: dns.Resolver;
  readonly #hostsFile: string;
  readonly #timeouts: { readonly timeout: number; readonly tries: number };

  constructor(options: { timeoutMs?: number; tries?: number; servers?: string[]; hostsFile?: string } = {}) {
    this.#timeouts = { timeout: options.timeoutMs ?? 1000, tries: options.tries ?? 2 };
    this.#dns = new dns.Resolver(this.#timeouts);
    if (options.servers) this.#dns.setServers(options.servers);
    this.#hostsFile = options.hostsFile ?? '/etc/hosts';
  }

  async srv(name: string): Promise<SrvRecord[]> {
    try {
      const records = await this.#dns.resolveSrv(name);
      // RFC 2782: a target of "." means the service is decidedly not available.
      return records
        .filter((r) => r.name !== '' && r.name !== '.')
        .map((r) => ({ host: r.name, port: r.port, priority: r.priority, weight: r.weight }));
    } catch (e) {
      if (NOT_THERE.has(codeOf(e))) return [];
      throw new AdError('UNREACHABLE', `DNS did not answer for SRV ${name}: ${messageOf(e)}`, {}, e);
    }
  }

  async txt(name: string): Promise<string[]> {
    try {
      return (await this.#dns.resolveTxt(name)).map((parts) => parts.join(''));
    } catch (e) {
      if (NOT_THERE.has(codeOf(e))) return [];
      throw new AdError('UNREACHABLE', `DNS did not answer for TXT ${name}: ${messageOf(e)}`, {}, e);
    }
  }

  /** Node's resolver knows no URI records; they are asked for with a query of our own. */
  uri(name: string, signal?: AbortSignal): Promise<UriRecord[]> {
    return queryUri(name, this.#dns.getServers(), this.#timeouts, signal);
  }

  async addresses(host: string): Promise<string[]> {
    const bare = host.replace(/\.$/, '');
    if (isIP(bare)) return [bare];
    const fromHosts = await this.#hosts(bare.toLowerCase());
    if (fromHosts.length > 0) return fromHosts;
    const [v4, v6] = await Promise.allSettled([this.#dns.resolve4(bare), this.#dns.resolve6(bare)]);
    const found = [v4, v6].flatMap((r) => (r.status === 'fulfilled' ? r.value : []));
    if (found.length > 0) return found;
    const failed = [v4, v6].find((r) => r.status === 'rejected' && !NOT_THERE.has(codeOf(r.reason)));
    if (failed?.status === 'rejected') {
      throw new AdError(
        'UNREACHABLE',
        `DNS did not answer for ${bare}: ${messageOf(failed.reason)}`,
        {},
        failed.reason,
      );
    }
    return this.#system(bare);
  }

  /** DNS says there is no such name; search domains, mDNS or an NSS module may still know it. */
  #system(host: string): Promise<string[]> {
    return new Promise((resolve, reject) => {
      systemLookup(host, { all: true, order: 'ipv4first' }, (e, found) => {
        if (e) reject(new AdError('UNREACHABLE', `no address for ${host}: ${e.code}`, {}, e));
        else resolve(found.map((a) => a.address));
      });
    });
  }

  async #hosts(host: string): Promise<string[]> {
    const text = await readFile(this.#hostsFile, 'utf8').catch(() => '');
    const found: string[] = [];
    for (const line of text.split('\n')) {
      const [address, ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
      if (address && isIP(address) && names.some((n) => n.toLowerCase() === host)) found.push(address);
    }
    return found.sort((a, b) => isIP(a) - isIP(b));
  }
}

/** The resolver as `net.connect`'s lookup option. */
export function lookupWith(resolver: Resolver): LookupFunction {
  return (host, options, callback) => {
    resolver.addresses(host).then(
      (found) => {
        const all = found.map((address) => ({ address, family: isIP(address) }));
        if (options.all) callback(null, all);
        else callback(null, all[0]!.address, all[0]!.family);
      },
      (e: unknown) => callback(e as NodeJS.ErrnoException, '', 0),
    );
  };
}
