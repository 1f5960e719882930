/**
 * A Kerberos client: one identity, its ticket-granting tickets and service tickets. Concurrent calls for the same
 * ticket share one exchange. One client never sees another's tickets: what is cached lives in the instance.
 */
import { abortable } from '../async.ts';
import { wipe } from '../bytes.ts';
import { AdError } from '../errors.ts';
import type { Credentials } from './credentials.ts';
import { asExchange } from './exchanges/as.ts';
import { type ContextOptions, type ExchangeContext, exchangeContext, hasFlag, kdcNow } from './exchanges/context.ts';
import { renewTicket, tgsExchange } from './exchanges/tgs.ts';
import { ticketFlag } from './numbers.ts';
import { formatPrincipal, isKrbtgt, krbtgt, type Principal } from './principal.ts';
import type { Secret } from './secret.ts';

export interface KrbClientOptions extends ContextOptions {
  readonly client: Principal;
  /** The client takes the secret over: `close()` destroys it. */
  readonly secret: Secret;
  /** Tickets the client has already, from its ccache; the client takes them over. */
  readonly tickets?: readonly Credentials[];
}

/** A ticket is replaced when less than this is left of it, ms: it must outlive the work it is fetched for. */
const MIN_REMAINING = 2 * 60_000;
/** Realms crossed at most on the way to a service. */
const MAX_REFERRALS = 10;

export class KrbClient {
  readonly #options: KrbClientOptions;
  readonly #context: ExchangeContext;
  /** By `server principal`; the client and the flags are the same for all tickets of an instance. */
  readonly #tickets = new Map<string, Credentials>();
  readonly #running = new Map<string, Promise<Credentials>>();
  readonly #closing = new AbortController();

  constructor(options: KrbClientOptions) {
    this.#options = options;
    this.#context = exchangeContext(options);
    for (const ticket of options.tickets ?? []) this.#tickets.set(formatPrincipal(ticket.server), ticket);
  }

  get client(): Principal {
    return this.#options.client;
  }

  /** What the exchanges of this client share: clock offset, permitted etypes, random. */
  get context(): ExchangeContext {
    return this.#context;
  }

  /**
   * The ticket-granting ticket, fetched when there is none that lasts. The caller copies what it keeps.
   * @throws as `asExchange`
   */
  login(signal?: AbortSignal): Promise<Credentials> {
    return this.#cached(krbtgt(this.client.realm), (shared) => this.#login(shared), signal);
  }

  async #login(signal: AbortSignal): Promise<Credentials> {
    return asExchange(this.#context, { client: this.client, secret: this.#options.secret, signal });
  }

  /**
   * A ticket for a service, by way of other realms' ticket-granting services where the KDC refers there (RFC 6806 8).
   * @throws as `asExchange` and `tgsExchange`
   */
  ticket(server: Principal, signal?: AbortSignal): Promise<Credentials> {
    return this.#cached(server, (shared) => this.#viaReferrals(server, shared), signal);
  }

  async #viaReferrals(server: Principal, signal: AbortSignal): Promise<Credentials> {
    let tgt = await this.login(signal);
    for (let hops = 0; hops < MAX_REFERRALS; hops++) {
      const got = await tgsExchange(this.#context, { tgt, server, signal });
      if (!isKrbtgt(got.server) || isKrbtgt(server)) return got;
      if (got.server.components[1] === tgt.server.components[1]) break;
      tgt = got;
    }
    throw new AdError('UNKNOWN_SERVICE', `the KDCs refer in circles for ${formatPrincipal(server)}`);
  }

  /** Extends the ticket-granting ticket. @throws as `tgsExchange`, INVALID_ARGUMENT when it is not renewable */
  async renew(signal?: AbortSignal): Promise<Credentials> {
    const tgt = await this.login(signal);
    const renewed = await renewTicket(this.#context, tgt, signal);
    this.#store(krbtgt(this.client.realm), renewed);
    return renewed;
  }

  /** Forgets every ticket, so that the next call proves the secret anew. */
  forget(): void {
    for (const ticket of this.#tickets.values()) wipe(ticket.key.value);
    this.#tickets.clear();
  }

  /** Ends what is under way and wipes secret and session keys. */
  close(): void {
    this.#closing.abort(new AdError('ABORTED', `the client ${formatPrincipal(this.client)} was closed`));
    this.forget();
    this.#options.secret.destroy();
  }

  /** One exchange a ticket at a time; it is not tied to the signal of the caller that happened to come first. */
  #cached(
    server: Principal,
    fetch: (signal: AbortSignal) => Promise<Credentials>,
    signal?: AbortSignal,
  ): Promise<Credentials> {
    const id = formatPrincipal(server);
    const held = this.#tickets.get(id);
    if (held && held.endtime.getTime() - kdcNow(this.#context) > MIN_REMAINING) return Promise.resolve(held);
    let running = this.#running.get(id);
    if (!running) {
      running = fetch(this.#closing.signal)
        .then((ticket) => this.#store(server, ticket))
        .finally(() => this.#running.delete(id));
      this.#running.set(id, running);
    }
    return abortable(running, signal, `getting a ticket for ${id}`);
  }

  #store(server: Principal, ticket: Credentials): Credentials {
    if (this.#closing.signal.aborted) throw this.#closing.signal.reason;
    this.#tickets.set(formatPrincipal(server), ticket);
    return ticket;
  }
}

/** True when a ticket may be extended until `renewTill`. */
export function isRenewable(credentials: Credentials): boolean {
  return hasFlag(credentials.flags, ticketFlag.RENEWABLE) && credentials.renewTill !== undefined;
}
