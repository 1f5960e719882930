/**
 * Readers kept between requests: an identity's tickets and its sealed connection. They are found by the credential
 * itself, through a hash keyed with a random value of this process: another password is another reader, always, and
 * has to prove itself at the KDC.
 */
import { createHmac, randomBytes } from 'node:crypto';
import type { Identity } from '../../accounts/identity.ts';
import { abortable, underSignals } from '../../async.ts';
import { wipe } from '../../bytes.ts';
import { AdError, isAdError } from '../../errors.ts';
import { KeyMemory } from '../../gmsa/key-memory.ts';
import { KrbClient } from '../../krb5/client.ts';
import type { Clock, ContextOptions } from '../../krb5/exchanges/context.ts';
import { firstToAnswer } from '../../krb5/network/failover.ts';
import { type Endpoint, endpointName, type Locator } from '../../krb5/network/locate.ts';
import type { Resolver } from '../../krb5/network/resolver.ts';
import { connectSealed, type SealedConnection } from '../../ldap/client.ts';
import { LDAP_PORT, LDAPS_PORT, locateDomainControllers } from '../../ldap/locate.ts';
import type { TlsOptions } from '../../ldap/tls.ts';
import type { Log } from '../log.ts';
import { type EngineMetrics, timed } from '../metrics/metrics.ts';
import { noteWeakTickets } from './weak-tickets.ts';

export interface ReadersOptions {
  readonly metrics?: EngineMetrics;
  readonly log?: Log;
  readonly kerberos: ContextOptions;
  readonly resolver: Resolver;
  readonly locator: Locator;
  readonly clock: Clock;
  /** DCs that replace DNS. */
  readonly domainControllers?: readonly Endpoint[];
  /** TLS in place of Kerberos' own sealing; `ldaps` goes to its own port where DNS or nobody names one. */
  readonly tls?: TlsOptions | undefined;
  /** How long a DC may be silent before the next is tried beside it, ms. */
  readonly stagger?: number;
  /** Limit for a sealed connection to some DC of a domain, tickets included, ms. */
  readonly connectTimeout?: number;
  /** Limit of one LDAP operation, ms. */
  readonly operationTimeout?: number;
  /** A reader not used for this long is dropped, ms. */
  readonly idle?: number;
  /** A reader proves its credential anew after this long, ms: a password changed meanwhile stops working here too. */
  readonly maxAge?: number;
}

type Settings = Required<Omit<ReadersOptions, 'metrics' | 'log' | 'tls'>> &
  Pick<ReadersOptions, 'metrics' | 'log' | 'tls'>;

const SWEEP = 10_000;

export class Readers {
  readonly #options: Settings;
  readonly #hashKey = randomBytes(32);
  readonly #readers = new Map<string, Reader>();
  readonly #sweep: NodeJS.Timeout;

  constructor(options: ReadersOptions) {
    this.#options = {
      domainControllers: [],
      stagger: 600,
      connectTimeout: 8000, // longer than an exchange with silent KDCs, so that those are named
      operationTimeout: 4000,
      idle: 5 * 60_000,
      maxAge: 15 * 60_000,
      ...options,
    };
    this.#sweep = setInterval(() => this.#dropOld(), SWEEP).unref();
  }

  /** The reader of an identity, new or kept. Takes the identity over. `done` says the caller is through with it. */
  acquire(identity: Identity): { reader: Reader; done(): void } {
    this.#dropOld();
    const id = createHmac('sha256', this.#hashKey).update(identity.fingerprint).digest('hex');
    wipe(identity.fingerprint);
    let reader = this.#readers.get(id);
    this.#options.metrics?.readers.add({ result: reader ? 'hit' : 'miss' });
    if (reader) identity.secret.destroy();
    else {
      reader = new Reader(identity, this.#options, () => this.#forget(id, reader!));
      this.#readers.set(id, reader);
    }
    const held = reader;
    held.use();
    return { reader: held, done: () => held.release() };
  }

  #dropOld(): void {
    for (const [id, reader] of this.#readers) if (reader.isOld()) this.#forget(id, reader);
  }

  /** Requests under way keep what they hold; new ones get a new reader. */
  #forget(id: string, reader: Reader): void {
    if (this.#readers.get(id) === reader) this.#readers.delete(id);
    reader.retire();
  }

  close(): void {
    clearInterval(this.#sweep);
    for (const reader of this.#readers.values()) reader.close();
    this.#readers.clear();
    wipe(this.#hashKey);
  }
}

/** A connection being made or ready; `live` once it is. */
interface Held {
  readonly promise: Promise<SealedConnection>;
  live?: SealedConnection;
}

/** One identity: a Kerberos client and a sealed connection for each domain it reads in. */
export class Reader {
  readonly client: KrbClient;
  /** Of the accounts it read. */
  readonly keys = new KeyMemory();
  readonly #options: Settings;
  readonly #identity: Identity;
  readonly #forget: () => void;
  readonly #born: number;
  readonly #connections = new Map<string, Held>();
  readonly #closing = new AbortController();
  #lastUse: number;
  #users = 0;
  #retired = false;

  constructor(identity: Identity, options: Settings, forget: () => void) {
    this.#options = options;
    this.#identity = identity;
    this.#forget = forget;
    this.#born = options.clock();
    this.#lastUse = this.#born;
    this.client = new KrbClient({ ...options.kerberos, client: identity.principal, secret: identity.secret });
  }

  /**
   * The sealed connection to a DC of a domain. Requests at the same time share the attempt; none is tied to another's
   * deadline.
   * @throws AdError as `connectSealed`; UNREACHABLE when no DC could be used
   */
  connection(domain: string, signal: AbortSignal): Promise<SealedConnection> {
    const key = domain.toLowerCase();
    const held = this.#connections.get(key);
    const promise = held && !held.live?.closed ? held.promise : this.#hold(key);
    return abortable(promise, signal, `connecting to a domain controller of ${domain}`);
  }

  #hold(domain: string): Promise<SealedConnection> {
    const held: Held = { promise: this.#connect(domain) };
    this.#connections.set(domain, held);
    held.promise.then(
      (connection) => {
        held.live = connection;
        connection.unref();
        this.#noteWeakTickets();
      },
      (e: unknown) => {
        if (this.#connections.get(domain) === held) this.#connections.delete(domain);
        // A credential that was refused is not kept for a second try.
        if (!isAdError(e, 'UNREACHABLE', 'TIMEOUT', 'ABORTED')) this.#forget();
      },
    );
    return held.promise;
  }

  async #connect(domain: string): Promise<SealedConnection> {
    const { locator, domainControllers } = this.#options;
    return this.#connectTo(domain, await locateDomainControllers(domain, locator, domainControllers));
  }

  /**
   * A connection to a DC that is none of these, made for the caller, who closes it; undefined when there is no other.
   * @param servers as `SealedConnection.server` has them
   * @throws as `connection`
   */
  async another(
    domain: string,
    servers: ReadonlySet<string>,
    signal: AbortSignal,
  ): Promise<SealedConnection | undefined> {
    const { locator, domainControllers } = this.#options;
    const all = await locateDomainControllers(domain, locator, domainControllers);
    const others = all.filter((endpoint) => !servers.has(endpointName(endpoint)));
    return others.length === 0 ? undefined : this.#connectTo(domain, others, signal);
  }

  async #connectTo(domain: string, servers: readonly Endpoint[], asked?: AbortSignal): Promise<SealedConnection> {
    const { locator, stagger, connectTimeout } = this.#options;
    // Those who wait have deadlines of their own, but a server that never answers must not keep the attempt alive, or
    // every later request would wait for it too.
    const deadline = AbortSignal.timeout(connectTimeout);
    try {
      return await underSignals([this.#closing.signal, deadline, asked], (signal) =>
        firstToAnswer(servers, (endpoint, attempt) => this.#try(endpoint, attempt), endpointName, {
          stagger,
          signal,
          doing: `connecting to a domain controller of ${domain}`,
          // A DC whose service principal is missing is as good as down; a wrong password is wrong everywhere.
          goesOn: (e) => isAdError(e, 'UNREACHABLE', 'UNKNOWN_SERVICE', 'REPLY_REJECTED', 'MALFORMED'),
          overtaken: (endpoint) => locator.failed(endpoint, 'silent'),
        }),
      );
    } catch (e) {
      if (!deadline.aborted || !isAdError(e, 'TIMEOUT')) throw e;
      const tried = servers.map(endpointName).join(', ');
      const message = `no domain controller of ${domain} answered within ${connectTimeout} ms (${tried})`;
      throw new AdError('UNREACHABLE', message, { domain }, e);
    }
  }

  async #try(endpoint: Endpoint, signal: AbortSignal): Promise<SealedConnection> {
    const { locator, resolver, operationTimeout, metrics, tls } = this.#options;
    // DNS publishes the port of plain LDAP alone.
    const port = tls?.mode === 'ldaps' && endpoint.port === LDAP_PORT ? LDAPS_PORT : endpoint.port;
    try {
      const connection = await timed(metrics, 'connect', endpointName(endpoint), () =>
        connectSealed({
          endpoint: { ...endpoint, port },
          client: this.client,
          resolver,
          tls,
          operationTimeout,
          signal,
        }),
      );
      if (signal.aborted) connection.close(); // another DC was faster
      locator.worked(endpoint);
      return connection;
    } catch (e) {
      if (isAdError(e, 'UNREACHABLE')) locator.failed(endpoint);
      throw e;
    }
  }

  /** Those of the reader itself, once for each connection. */
  #noteWeakTickets(): void {
    const { client, held } = this.client;
    noteWeakTickets(this.#options, client.components.join('/'), held, this.#identity.secret.remembered?.etype);
  }

  /** The connection failed in use: the next request makes a new one, and its server stands last for a while. */
  discard(connection: SealedConnection): void {
    this.#options.locator.failed(connection.endpoint);
    connection.close();
  }

  use(): void {
    this.#users++;
    this.#lastUse = this.#options.clock();
  }

  release(): void {
    this.#users--;
    this.#lastUse = this.#options.clock();
    if (this.#retired && this.#users === 0) this.close();
  }

  isOld(): boolean {
    const now = this.#options.clock();
    // Before its birth: the clock was set, and nobody knows how old it is.
    if (now < this.#born) return true;
    return now - this.#born > this.#options.maxAge || (this.#users === 0 && now - this.#lastUse > this.#options.idle);
  }

  /** No new requests come; closes when those under way are through. */
  retire(): void {
    this.#retired = true;
    if (this.#users === 0) this.close();
  }

  close(): void {
    this.#closing.abort();
    for (const held of this.#connections.values()) {
      held.promise.then(
        (connection) => connection.close(),
        () => undefined,
      );
    }
    this.#connections.clear();
    this.keys.destroy();
    this.client.close();
  }
}
