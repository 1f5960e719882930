/** Which Active Directory site this machine is in, as a domain controller sees it, remembered. */
import { AdError } from '../errors.ts';
import type { Clock } from '../krb5/exchanges/context.ts';
import { firstToAnswer } from '../krb5/network/failover.ts';
import { endpointName } from '../krb5/network/locate.ts';
import type { Resolver } from '../krb5/network/resolver.ts';
import { pingDomainController } from './cldap.ts';
import { LDAP_PORT } from './locate.ts';

/** By what sites are found out, and how long they are believed. */
export interface SitesOptions {
  readonly resolver: Resolver;
  readonly clock: Clock;
  /** How long a site is believed, ms; what could not be found out is asked again sooner. */
  readonly keep?: number;
  readonly retry?: number;
  /** Where domain controllers take pings. */
  readonly port?: number;
}

/** Domain controllers that are asked at most, each this long after the one before when that is silent, ms. */
const ASKED = 3;
const STAGGER = 100;

interface Known {
  until: number;
  readonly site: Promise<string | undefined>;
}

/** Finds out sites by CLDAP pings and remembers them; `siteOf` is for a `Locator`. */
export class Sites {
  readonly #options: Required<SitesOptions>;
  readonly #known = new Map<string, Known>();

  constructor(options: SitesOptions) {
    this.#options = { keep: 15 * 60_000, retry: 2 * 60_000, port: LDAP_PORT, ...options };
  }

  /**
   * The site of this machine; undefined when no domain controller answers in time, or none of the site's subnets holds
   * this machine's address. Costs one round trip when it is not known yet. Does not throw.
   * @param hosts some domain controllers of the domain
   */
  readonly siteOf = (domain: string, hosts: readonly string[]): Promise<string | undefined> => {
    const { clock, keep, retry } = this.#options;
    const key = domain.toLowerCase();
    let known = this.#known.get(key);
    if (!known || known.until <= clock()) {
      const asked: Known = { until: clock() + keep, site: this.#ask(key, hosts).catch(() => undefined) };
      known = asked;
      this.#known.set(key, asked);
      asked.site.then((site) => {
        if (site === undefined) asked.until = clock() + retry;
      });
    }
    return known.site;
  };

  async #ask(domain: string, hosts: readonly string[]): Promise<string | undefined> {
    const { resolver, port } = this.#options;
    const endpoints = hosts.slice(0, ASKED).map((host) => ({ host, port }));
    const answer = await firstToAnswer(
      endpoints,
      (endpoint, signal) => pingDomainController(endpoint, domain, { resolver, signal }),
      endpointName,
      { stagger: STAGGER, doing: `asking for the site in ${domain}` },
    );
    const site = answer.clientSite;
    // It becomes a part of a DNS name.
    if (site !== '' && !/^[^\s.\0]{1,63}$/u.test(site)) throw new AdError('REPLY_REJECTED', 'no name of a site');
    return site || undefined;
  }
}
