/**
 * How requests reach the KDCs of a realm: over TCP, UDP or HTTPS proxies, to the servers that configuration or DNS name,
 * in order, and never waiting long for one that is silent.
 *
 * TCP goes first unless configured otherwise, since an Active Directory answer with a PAC does not fit a datagram and a
 * kept connection saves round trips.
 */
import { fromDer } from '../../asn1.ts';
import { abortable, underSignals } from '../../async.ts';
import { AdError, isAdError } from '../../errors.ts';
import type { Krb5Config } from '../config.ts';
import { KrbError } from '../messages.ts';
import { krbError, msgType } from '../numbers.ts';
import { discoverServers } from './discovery.ts';
import { firstToAnswer } from './failover.ts';
import type { KdcProxies } from './kkdcp.ts';
import type { Locator } from './locate.ts';
import type { Resolver } from './resolver.ts';
import { configuredKdcs, type KdcServer, type KdcService, serverName } from './servers.ts';
import { TcpPool } from './tcp-pool.ts';
import type { KdcReply, KdcTransport } from './transport.ts';
import { askOverUdp, UDP_SCHEDULE } from './udp.ts';

/** Which KDCs there are, by what carriers, and how long each is waited for. */
export interface NetworkTransportOptions {
  readonly resolver: Resolver;
  readonly locator: Locator;
  /** Servers by configuration, tried in order; empty or undefined for a realm that DNS shall find. */
  readonly kdcs?: (realm: string, service: KdcService) => readonly KdcServer[] | undefined;
  /** False: realms that are not configured are not looked up in DNS (krb5.conf dns_lookup_kdc). */
  readonly dns?: boolean;
  /** False: only SRV records are looked up (krb5.conf dns_uri_lookup). */
  readonly uri?: boolean;
  /** The site whose servers go first (krb5.conf sitename). */
  readonly sitename?: (realm: string) => string | undefined;
  /** Certificates that KDC proxies of a realm are checked with (krb5.conf http_anchors); empty: Node's. */
  readonly anchors?: (realm: string) => readonly string[];
  /** Requests of up to so many bytes go by UDP first (krb5.conf udp_preference_limit); 0: all by TCP first. */
  readonly udpPreferenceLimit?: number;
  /** Limit for one exchange over all KDCs, ms. */
  readonly timeout?: number;
  /** How long a KDC that cannot be connected to is waited for alone, ms. */
  readonly stagger?: number;
  /**
   * How long a KDC that has the request is waited for alone, ms. Longer, since a second KDC then does the work again, and
   * a wrong password may count twice.
   */
  readonly patience?: number;
  /** How long an idle connection is kept, ms. */
  readonly keepAlive?: number;
  /** Connections to one KDC at a time; a listen backlog is short, and a dropped SYN costs a second. */
  readonly connections?: number;
}

/** What krb5.conf says about reaching KDCs, as options of the transport. */
export function networkSettings(
  config: Krb5Config,
): Pick<NetworkTransportOptions, 'kdcs' | 'dns' | 'uri' | 'sitename' | 'anchors' | 'udpPreferenceLimit'> {
  const { udpPreferenceLimit } = config;
  return {
    kdcs: (realm, service) => configuredKdcs(config, realm, service),
    dns: config.dnsLookupKdc,
    uri: config.dnsUriLookup,
    sitename: (realm) => config.realms.get(realm)?.sitename,
    anchors: (realm) => config.realms.get(realm)?.httpAnchors ?? [],
    ...(udpPreferenceLimit !== undefined && { udpPreferenceLimit }),
  };
}

type Carrier = 'tcp' | 'udp' | 'https';

/** One server by one carrier. */
interface Way {
  readonly server: KdcServer;
  readonly carrier: Carrier;
}

/** The way to real KDCs. `close()` ends its connections. */
export class NetworkTransport implements KdcTransport {
  readonly #options: Required<NetworkTransportOptions>;
  readonly #pools = new Map<string, TcpPool>();
  #proxies: Promise<KdcProxies> | undefined;
  #closed = false;

  constructor(options: NetworkTransportOptions) {
    this.#options = {
      kdcs: () => undefined,
      dns: true,
      uri: true,
      sitename: () => undefined,
      anchors: () => [],
      udpPreferenceLimit: 0,
      timeout: 7000,
      stagger: 250,
      patience: 700,
      keepAlive: 30_000,
      connections: 8,
      ...options,
    };
  }

  async exchange(
    realm: string,
    request: Uint8Array,
    signal?: AbortSignal,
    service: KdcService = 'kerberos',
    last?: ReadonlySet<string>,
  ): Promise<KdcReply> {
    if (this.#closed) throw new AdError('ABORTED', 'the Kerberos transport is closed');
    const doing = `asking a KDC of ${realm}`;
    const { timeout, stagger, patience, locator } = this.#options;
    const deadline = AbortSignal.timeout(timeout);
    try {
      return await underSignals([signal, deadline], async (both) => {
        const found = await this.#locate(realm, service, both, doing);
        const isLast = (server: KdcServer) => last?.has(serverName(server)) ?? false;
        const servers = last ? found.toSorted((a, b) => Number(isLast(a)) - Number(isLast(b))) : found;
        const ways = waysTo(servers, request.length <= this.#options.udpPreferenceLimit);
        const hasIt = new Set<KdcServer>();
        let answered: KdcServer | undefined;
        const attempt = async (way: Way, attemptSignal: AbortSignal, sent: () => void) => {
          const onSent = () => {
            if (way.carrier !== 'udp') hasIt.add(way.server);
            sent();
          };
          const reply = await this.#ask(realm, way, request, attemptSignal, onSent);
          answered ??= way.server;
          return reply;
        };
        return firstToAnswer(ways, attempt, wayName, {
          stagger,
          // A password must not be changed at two servers: one that has the request is waited for to the end.
          patience: service === 'kpasswd' ? timeout : patience,
          signal: both,
          doing,
          // A request that got through is not sent again by another carrier: the same server would do it twice.
          skip: (way) => hasIt.has(way.server),
          // Else each exchange of a login would wait for the same silent server anew. One that answered by its other
          // carrier was not silent.
          overtaken: ({ server }) => server !== answered && locator.failed(server, 'silent'),
        });
      });
    } catch (e) {
      // Our own limit is a server that is silent, not a caller that gave up.
      if (deadline.aborted && !signal?.aborted && isAdError(e, 'TIMEOUT')) {
        throw new AdError('UNREACHABLE', `no KDC of ${realm} answered within ${timeout} ms`, { realm }, e);
      }
      throw e;
    }
  }

  async #locate(realm: string, service: KdcService, signal: AbortSignal, doing: string): Promise<KdcServer[]> {
    const { kdcs, dns, uri, locator, sitename } = this.#options;
    const configured = kdcs(realm, service);
    if (configured?.length) return locator.inOrder(configured);
    if (!dns)
      throw new AdError('UNREACHABLE', `no KDC of ${realm} is configured, and dns_lookup_kdc is off`, { realm });
    return abortable(discoverServers(locator, realm, service, { uri, sitename: sitename(realm) }), signal, doing);
  }

  async #ask(realm: string, way: Way, request: Uint8Array, signal: AbortSignal, sent: () => void): Promise<KdcReply> {
    const { locator } = this.#options;
    const server = serverName(way.server);
    try {
      const message = await this.#carry(realm, way, request, signal, sent);
      // "A service is not available" (RFC 4120 7.5.9, code 29): another KDC may serve.
      if (errorCode(message) === krbError.KDC_ERR_SVC_UNAVAILABLE) {
        throw new AdError('UNREACHABLE', `KDC ${server} says it cannot serve now`);
      }
      locator.worked(way.server);
      return { message, server };
    } catch (e) {
      if (!isAdError(e, 'ABORTED')) locator.failed(way.server);
      throw e;
    }
  }

  async #carry(
    realm: string,
    { server, carrier }: Way,
    request: Uint8Array,
    signal: AbortSignal,
    sent: () => void,
  ): Promise<Uint8Array> {
    if (carrier === 'tcp') return this.#pool(server).exchange(request, signal, sent);
    if (carrier === 'https') {
      // Most never need a proxy, and TLS and HTTP are large.
      this.#proxies ??= import('./kkdcp.ts').then(
        (kkdcp) => new kkdcp.KdcProxies({ resolver: this.#options.resolver }),
      );
      const proxies = await this.#proxies;
      return proxies.exchange({ server, realm, request, signal, sent, anchors: this.#options.anchors(realm) });
    }
    const { resolver, timeout } = this.#options;
    const schedule = UDP_SCHEDULE.filter((at) => at < timeout);
    const answer = await askOverUdp(server, request, { resolver, signal, sent, schedule, accepts: isMessage });
    // RFC 4120 7.2.1: "If the error is KRB_ERR_RESPONSE_TOO_BIG, the client SHOULD retry the request over TCP".
    const tooBig = server.protocol !== 'udp' && errorCode(answer) === krbError.KRB_ERR_RESPONSE_TOO_BIG;
    return tooBig ? this.#pool(server).exchange(request, signal, sent) : answer;
  }

  #pool(server: KdcServer): TcpPool {
    const name = serverName(server);
    let pool = this.#pools.get(name);
    if (!pool) {
      pool = new TcpPool(server, this.#options);
      this.#pools.set(name, pool);
    }
    return pool;
  }

  close(): void {
    this.#closed = true;
    for (const pool of this.#pools.values()) pool.close();
    this.#pools.clear();
    this.#proxies?.then(
      (proxies) => proxies.close(),
      () => undefined,
    );
  }
}

/**
 * Every server by its first carrier, then those that have a second by that: a server that is down is down for both, and
 * the next one is the better bet.
 */
function waysTo(servers: readonly KdcServer[], udpFirst: boolean): Way[] {
  const [first, second]: Carrier[] = udpFirst ? ['udp', 'tcp'] : ['tcp', 'udp'];
  return [
    ...servers.map((server): Way => ({ server, carrier: server.protocol ?? first! })),
    ...servers.filter((server) => !server.protocol).map((server): Way => ({ server, carrier: second! })),
  ];
}

function wayName({ server }: Way): string {
  return serverName(server);
}

/** Messages begin with an application tag (RFC 4120 5.10), answers to a change of password with their length (RFC 3244). */
function isMessage(datagram: Uint8Array): boolean {
  if (datagram[0] === 0x60 + msgType.AS_REP || datagram[0] === 0x60 + msgType.TGS_REP) return true;
  if (datagram[0] === 0x60 + msgType.ERROR) return errorCode(datagram) !== undefined;
  return datagram.length > 6 && datagram[0]! * 256 + datagram[1]! === datagram.length;
}

/** The code of a KRB-ERROR; undefined for other messages and those that cannot be read. */
function errorCode(message: Uint8Array): number | undefined {
  if (message[0] !== 0x60 + msgType.ERROR) return undefined;
  try {
    return fromDer(KrbError, message).errorCode;
  } catch {
    return undefined; // whoever asked reads it again, and says what is wrong
  }
}
