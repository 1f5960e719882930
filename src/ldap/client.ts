/** A sealed LDAP connection: one identity, one server, every byte encrypted, by the bind's own layer or by TLS. */
import { connect, type Socket } from 'node:net';
import { Client, ResultCodeError } from 'ldapts';
import { abortable, deferred } from '../async.ts';
import { AdError, abortError, messageOf, throwIfAborted } from '../errors.ts';
import type { KrbClient } from '../krb5/client.ts';
import { type Endpoint, endpointName } from '../krb5/network/locate.ts';
import { DnsResolver, lookupWith, type Resolver } from '../krb5/network/resolver.ts';
import { servicePrincipal } from '../krb5/principal.ts';
import { saslBind } from './bind.ts';
import { ldapResultError } from './errors.ts';
import { AnswerReader } from './messages.ts';
import { GssapiMechanism } from './sasl-gssapi.ts';
import { SpnegoMechanism } from './sasl-spnego.ts';
import { type LdapEntry, runSearch, type SearchRequest, type SearchResult } from './search.ts';
import { SealedSocket, type SecurityLayer } from './security-layer.ts';
import { secure, type TlsOptions } from './tls.ts';

/** Where to, as whom, and how it is encrypted. */
export interface SealedConnectionOptions {
  /** Host name as in the service principal `ldap/<host>`, and port. */
  readonly endpoint: Endpoint;
  /** Who binds. */
  readonly client: KrbClient;
  /** Node's, by /etc/resolv.conf, unless told otherwise. */
  readonly resolver?: Resolver;
  /** TLS in place of the bind's own encryption; the port is then that of the endpoint all the same. */
  readonly tls?: TlsOptions | undefined;
  /** SASL mechanism; GSSAPI when absent. */
  readonly mechanism?: 'GSSAPI' | 'GSS-SPNEGO';
  /** Limit of one operation, ms; the connection ends when it passes. */
  readonly operationTimeout?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Connects and binds. The TCP handshake and the ticket are fetched side by side.
 * @throws AdError UNREACHABLE, NOT_SEALED, LDAP and what getting a ticket throws
 */
export async function connectSealed(options: SealedConnectionOptions): Promise<SealedConnection> {
  const { endpoint, client, signal } = options;
  const server = endpointName(endpoint);
  throwIfAborted(signal, `connecting to ${server}`);
  const raw = connect({
    host: endpoint.host,
    port: endpoint.port,
    lookup: lookupWith(options.resolver ?? new DnsResolver()),
    noDelay: true,
  });
  let socket: Socket = raw;
  try {
    const service = servicePrincipal('ldap', endpoint.host.toLowerCase(), client.client.realm);
    const [bindings, credentials] = await Promise.all([
      connected(raw, server, signal).then(async () => {
        if (!options.tls) return undefined;
        const secured = await secure(raw, endpoint.host, options.tls, server, signal);
        socket = secured.socket;
        return secured.bindings;
      }),
      client.ticket(service, signal),
    ]);
    const Mechanism = options.mechanism === 'GSS-SPNEGO' ? SpnegoMechanism : GssapiMechanism;
    const mechanism = new Mechanism({
      context: client.context,
      credentials,
      protection: options.tls ? 'tls' : 'seal',
      ...(bindings && { bindings }),
    });
    const layer = await saslBind(socket, mechanism, server, signal);
    return new SealedConnection(socket, layer, endpoint, options.operationTimeout ?? 10_000);
  } catch (e) {
    socket.destroy();
    raw.destroy(); // also a handshake that nobody waits for any more
    throw e;
  }
}

function connected(socket: Socket, server: string, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve, reject } = deferred<void>();
  const unreachable = (why: string, cause?: unknown) =>
    reject(new AdError('UNREACHABLE', `cannot connect to ${server}: ${why}`, { server }, cause));
  const onAbort = () => reject(abortError(signal!, `connecting to ${server}`));
  signal?.addEventListener('abort', onAbort, { once: true });
  socket.once('connect', () => resolve());
  socket.on('error', (e) => unreachable(messageOf(e), e));
  socket.once('close', () => unreachable('the connection was closed'));
  return promise.finally(() => signal?.removeEventListener('abort', onAbort));
}

/** A connection to one directory server that is bound and encrypted. `close()` ends it. */
export class SealedConnection {
  readonly endpoint: Endpoint;
  /** `host:port`, for messages. */
  readonly server: string;
  readonly #socket: SealedSocket;
  readonly #answers = new AnswerReader();
  readonly #client: Client;
  #paging = Promise.resolve();

  /** @param raw connected and bound, with this layer agreed; with none it is TLS */
  constructor(raw: Socket, layer: SecurityLayer | undefined, endpoint: Endpoint, operationTimeout: number) {
    const socket = new SealedSocket(raw, layer, this.#answers);
    const server = endpointName(endpoint);
    this.endpoint = endpoint;
    this.server = server;
    this.#socket = socket;
    let unused: SealedSocket | undefined = socket;
    this.#client = new Client({
      url: `ldap://${server}`,
      timeout: operationTimeout,
      // ldapts would reconnect without authentication after a drop; there is one socket only, so it fails instead.
      createConnection: (() => {
        const s = unused;
        unused = undefined;
        if (!s || s.destroyed) throw new AdError('UNREACHABLE', `the connection to ${server} is closed`, { server });
        return s;
      }) as unknown as typeof connect,
    });
    socket.on('error', () => undefined); // operations under way report it
  }

  /** True once the connection cannot be used any more. */
  get closed(): boolean {
    return this.#socket.destroyed;
  }

  /**
   * @throws AdError by the LDAP result; UNREACHABLE when the connection ended or the operation took too long;
   *   TIMEOUT or ABORTED by the signal
   */
  async search(request: SearchRequest): Promise<LdapEntry[]> {
    return (await this.searchReferring(request)).entries;
  }

  /** As `search`, with the references to servers that hold more. */
  async searchReferring(request: SearchRequest): Promise<SearchResult> {
    try {
      const search = this.#run(request);
      // Who gives the search up does not see how it ends: a server that never answers it is not kept for the next.
      search.catch((e: unknown) => e instanceof ResultCodeError || e instanceof AdError || this.close());
      return await abortable(search, request.signal, `searching on ${this.server}`);
    } catch (e) {
      if (e instanceof ResultCodeError) throw ldapResultError(e.code, e.message, 'search', this.server);
      if (e instanceof AdError) throw e;
      this.close();
      throw new AdError(
        'UNREACHABLE',
        `the search on ${this.server} failed: ${messageOf(e)}`,
        { server: this.server },
        e,
      );
    }
  }

  /** A search in pages has the connection's answers to itself: only their order says whose page a cookie is of. */
  async #run(request: SearchRequest): Promise<SearchResult> {
    if (request.pageSize === undefined) return runSearch(this.#client, request);
    const before = this.#paging;
    const { promise, resolve } = deferred<void>();
    this.#paging = promise;
    await before;
    this.#answers.pageDue = true;
    try {
      return await runSearch(this.#client, request, this.#answers);
    } finally {
      this.#answers.pageDue = false;
      resolve();
    }
  }

  /** Lets the process end while the connection idles. */
  unref(): void {
    this.#socket.unref();
  }

  /** Ends the connection and wipes its keys. */
  close(): void {
    this.#socket.destroy();
  }
}
