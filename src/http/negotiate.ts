/**
 * A `fetch` that logs on with Kerberos where a server asks for it (RFC 4559): `WWW-Authenticate: Negotiate`. The server
 * must prove itself in its answer, and the logon is bound to the TLS connection it is made through.
 */
import { wipe } from '../bytes.ts';
import { AdError } from '../errors.ts';
import type { KrbClient } from '../krb5/client.ts';
import type { Credentials } from '../krb5/credentials.ts';
import type { Negotiator } from '../krb5/gss/context.ts';
import { GssInitiator, type InitiatorOptions } from '../krb5/gss/initiator.ts';
import { SpnegoInitiator } from '../krb5/gss/spnego-initiator.ts';
import { ticketFlag } from '../krb5/numbers.ts';
import { formatPrincipal, type Principal, servicePrincipal } from '../krb5/principal.ts';
import { negotiateHeader, parseChallenge } from './challenge.ts';
import { type Authorize, type Connection, Connections, type Outgoing, type TlsOptions } from './exchange.ts';
import { outgoingOf, redirected } from './redirect.ts';

/** Who logs on, and to whom. */
export interface NegotiateOptions {
  /** Who logs on. It stays the caller's. */
  readonly client: KrbClient;
  /**
   * Origins that may ask for a logon in plain HTTP, such as `http://intranet.example.com`: whoever listens there can
   * take the answer over. None unless told otherwise.
   */
  readonly insecureOrigins?: readonly string[];
  /**
   * Origins to log on to after a redirect has led there. To the origin that a request was made to we always do; to
   * others only when they are named here.
   */
  readonly origins?: readonly string[];
  /** Sends the token with the first request, without being asked; saves a round trip. False unless told otherwise. */
  readonly preemptive?: boolean;
  /**
   * `require`: an answer without the server's proof of itself is refused. `offer`: it is taken where the server has no
   * proof to give; one that is wrong is refused always. `require` unless told otherwise.
   */
  readonly mutual?: 'require' | 'offer';
  /** `spnego` or, for servers that know no negotiation, bare `krb5`. */
  readonly mechanism?: 'spnego' | 'krb5';
  /** The service at a URL; `HTTP/host` in the client's realm, whose KDC refers to others, unless told otherwise. */
  readonly service?: (url: URL) => Principal;
  /**
   * Hands a forwarded ticket-granting ticket to the server, which can then act as the client everywhere. `if-trusted`:
   * where the domain trusts the service with it (OK-AS-DELEGATE in its ticket). `never` unless told otherwise.
   */
  readonly delegate?: 'never' | 'if-trusted' | 'always';
  /** Options of TLS connections, such as `ca`. */
  readonly tls?: TlsOptions;
  /**
   * Sends requests instead of this module, through a proxy or with a dispatcher of its own. It does not tell the
   * certificate of its connection: there are no channel bindings then.
   */
  readonly fetch?: typeof fetch;
}

/** A `fetch` that logs on. */
export interface NegotiateFetch {
  /**
   * As `fetch`; the body is kept in memory, since it may have to be sent twice.
   * @throws AdError NOT_ALLOWED where a logon is asked for and may not be made there; REPLY_REJECTED when the server did
   *   not prove itself; UNREACHABLE; what `KrbClient.ticket` throws
   */
  (input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /** Ends connections that are kept. */
  close(): void;
}

/** Rounds of a negotiation; Kerberos takes one, with a proof of the mechanism list two. */
const MAX_ROUNDS = 4;
const MAX_REDIRECTS = 20;
/** Bytes of an unwanted body that are read to keep its connection. */
const MAX_DISCARDED = 1 << 16;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/** Makes a `fetch` that logs on as the client. */
export function negotiate(options: NegotiateOptions): NegotiateFetch {
  const connections = new Connections(options.tls);
  const call = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const { out: first, redirect } = await outgoingOf(input, init);
    let out = first;
    for (let redirects = 0; ; redirects++) {
      const trusted = out.url.origin === first.url.origin || (options.origins ?? []).includes(out.url.origin);
      const response = await exchange(options, connections, out, trusted);
      const location = REDIRECTS.includes(response.status) ? response.headers.get('location') : null;
      if (location === null || redirect === 'manual') return marked(response, redirects > 0);
      await discard(response);
      if (redirect === 'error') throw new AdError('NOT_ALLOWED', `${out.url.origin} redirects to ${location}`);
      if (redirects === MAX_REDIRECTS) throw new AdError('NOT_ALLOWED', `${first.url.origin} redirects in circles`);
      out = redirected(out, location, response.status);
    }
  };
  return Object.assign(call, { close: () => connections.close() });
}

function marked(response: Response, redirected: boolean): Response {
  if (redirected) Object.defineProperty(response, 'redirected', { value: true });
  return response;
}

async function exchange(
  options: NegotiateOptions,
  connections: Connections,
  out: Outgoing,
  trusted: boolean,
): Promise<Response> {
  if (options.fetch) return new Logon(options, viaFetch(options.fetch), out, trusted).run();
  const { connection, release } = connections.take(out.url.origin);
  try {
    return await new Logon(options, connection, out, trusted).run();
  } finally {
    release();
  }
}

/** One request with the logon it may need. */
class Logon {
  readonly #options: NegotiateOptions;
  readonly #connection: Connection;
  readonly #out: Outgoing;
  readonly #trusted: boolean;
  #initiator: Negotiator | undefined;
  #forwarded: Credentials | undefined;

  constructor(options: NegotiateOptions, connection: Connection, out: Outgoing, trusted: boolean) {
    this.#options = options;
    this.#connection = connection;
    this.#out = out;
    this.#trusted = trusted;
  }

  async run(): Promise<Response> {
    try {
      const unasked = this.#options.preemptive && this.#trusted && this.#allowed();
      let response = await this.#send(unasked ? await this.#begin() : () => undefined);
      for (let round = 0; response.status === 401 && round < MAX_ROUNDS; round++) {
        const next = await this.#answer(response);
        if (!next) return response;
        await discard(response);
        response = await this.#send(next);
      }
      if (this.#initiator) await this.#verify(response);
      return response;
    } finally {
      this.#initiator?.destroy();
      wipe(this.#forwarded?.key.value);
    }
  }

  #send(authorize: Authorize): Promise<Response> {
    return this.#connection.send(this.#out, authorize);
  }

  /** What to send on a 401; undefined when that is the server's last word. */
  async #answer(response: Response): Promise<Authorize | undefined> {
    const { offered, token } = parseChallenge(response.headers.get('www-authenticate'));
    if (!offered || !this.#trusted) return undefined;
    if (!this.#initiator) {
      if (this.#allowed()) return this.#begin();
      await discard(response);
      throw new AdError(
        'NOT_ALLOWED',
        `${this.#out.url.origin} asks for a logon over plain HTTP; name it in insecureOrigins if that is meant`,
      );
    }
    if (!token) return undefined;
    const next = await orDiscard(response, () => this.#initiator!.step(token));
    return next && (() => negotiateHeader(next));
  }

  #allowed(): boolean {
    const { origin, protocol } = this.#out.url;
    return protocol === 'https:' || (this.#options.insecureOrigins ?? []).includes(origin);
  }

  async #begin(): Promise<Authorize> {
    const { client, mechanism = 'spnego' } = this.#options;
    const credentials = await this.#ticket();
    const delegated = await this.#delegated(credentials);
    return (bindings) => {
      // A request that is sent again over another connection is another logon.
      this.#initiator?.destroy();
      const options: InitiatorOptions = {
        context: client.context,
        credentials,
        ...(bindings && { bindings }),
        ...(delegated && { delegate: delegated }),
      };
      this.#initiator = mechanism === 'krb5' ? new GssInitiator(options) : new SpnegoInitiator(options);
      return negotiateHeader(this.#initiator.step());
    };
  }

  #ticket(): Promise<Credentials> {
    const { client, service } = this.#options;
    const host = this.#out.url.hostname.replace(/\.$/, '');
    return client.ticket(
      service ? service(this.#out.url) : servicePrincipal('HTTP', host, client.client.realm),
      this.#out.signal,
    );
  }

  /** A ticket made for this logon: what one server was given, no other is. */
  async #delegated(credentials: Credentials): Promise<Credentials | undefined> {
    const { client, delegate = 'never' } = this.#options;
    const trusted = (credentials.flags & ticketFlag.OK_AS_DELEGATE) !== 0;
    if (delegate === 'never' || (delegate === 'if-trusted' && !trusted)) return undefined;
    const { signal } = this.#out;
    this.#forwarded = await client.forward(signal ? { signal } : {});
    return this.#forwarded;
  }

  /** RFC 4559 section 5: the server's last token comes with its answer. */
  async #verify(response: Response): Promise<void> {
    const { status } = response;
    const { token } = await orDiscard(response, () => parseChallenge(response.headers.get('www-authenticate')));
    const initiator = this.#initiator!;
    if (token && !initiator.context) await orDiscard(response, () => void initiator.step(token));
    // What an application refuses, or fails at, is often said before or beside its authentication.
    const needed = status >= 200 && status < 400 && this.#options.mutual !== 'offer';
    if (initiator.context || !(needed || token)) return;
    await discard(response);
    const who = `${this.#out.url.origin} as ${formatPrincipal(initiatorService(this.#options, this.#out.url))}`;
    throw new AdError('REPLY_REJECTED', `${who} did not prove itself in its answer ${status}`);
  }
}

function initiatorService({ service, client }: NegotiateOptions, url: URL): Principal {
  return service ? service(url) : servicePrincipal('HTTP', url.hostname, client.client.realm);
}

/** A connection of somebody else's `fetch`: no channel is known, and each request may take another one. */
function viaFetch(send: typeof fetch): Connection {
  return {
    send(out, authorize) {
      const headers = new Headers(out.headers);
      const authorization = authorize(undefined);
      if (authorization) headers.set('authorization', authorization);
      const { method, signal } = out;
      const body = out.body && { body: new Uint8Array(out.body) };
      return send(out.url, { method, headers, redirect: 'manual', ...(signal && { signal }), ...body });
    },
  };
}

async function orDiscard<T>(response: Response, work: () => T): Promise<T> {
  try {
    return work();
  } catch (e) {
    await discard(response);
    throw e;
  }
}

/** Reads a body that nobody wants, so that its connection can be used again; a long one is cut off. */
async function discard(response: Response): Promise<void> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    for (let left = MAX_DISCARDED; left > 0; ) {
      const { done, value } = await reader.read();
      if (done) return;
      left -= value.byteLength;
    }
    await reader.cancel();
  } catch {
    // A connection that fails now is found out by whoever uses it next.
  }
}
