/**
 * A Kerberos client: one identity, its ticket-granting tickets and service tickets. Concurrent calls for the same
 * ticket share one exchange. One client never sees another's tickets: what is cached lives in the instance.
 */
import { abortable } from '../async.ts';
import { hex, wipe } from '../bytes.ts';
import { AdError } from '../errors.ts';
import { type Krb5Config, realmOfHost, realmPath } from './config.ts';
import type { Credentials } from './credentials.ts';
import { type AsOptions, asExchange, INITIAL_OPTIONS } from './exchanges/as.ts';
import { type ContextOptions, type ExchangeContext, exchangeContext, hasFlag, kdcNow } from './exchanges/context.ts';
import { CHANGE_SERVICE, changePassword } from './exchanges/kpasswd.ts';
import { s4uProxy, s4uSelf } from './exchanges/s4u.ts';
import { forwardedTicket, renewTicket, validateTicket } from './exchanges/tgs.ts';
import { realmServed, serviceTicket, type TicketWish, tgtFor, type Walk } from './exchanges/walk.ts';
import type { HostAddress } from './messages.ts';
import { kdcOption, ticketFlag } from './numbers.ts';
import {
  anonymousPrincipal,
  formatPrincipal,
  isKrbtgt,
  krbtgt,
  type Principal,
  principal,
  samePrincipal,
} from './principal.ts';
import type { Secret } from './secret.ts';

/** Who a client is, by what it proves that, and how it reaches KDCs. */
export interface KrbClientOptions extends ContextOptions {
  /** Whose tickets these are; an `enterprisePrincipal` where the realm is not known for certain. */
  readonly client: Principal;
  /** The client takes the secret over: `close()` destroys it. */
  readonly secret: Secret;
  /** Tickets the client has already, from its ccache; the client takes them over, and wipes those that are others'. */
  readonly tickets?: readonly Credentials[];
  /** Where hosts and realms belong: `[domain_realm]` and `[capaths]`. Without it realms form a tree by their names. */
  readonly config?: Pick<Krb5Config, 'settings' | 'domainRealm'>;
  /**
   * Armors the exchanges with the client's own KDC (FAST, RFC 6113): a client whose tickets they go under, usually the
   * machine's, which the caller keeps and closes; or its ticket-granting ticket. A KDC that answers without is refused.
   */
  readonly armor?: KrbClient | Credentials;
  /** False: no ticket of this client can be forwarded. */
  readonly forwardable?: boolean;
  /** True: `ticket` may be given addresses. */
  readonly proxiable?: boolean;
  /**
   * Where a client without a secret finds tickets when its own have ended: what another program keeps fresh. It takes
   * them over.
   * @throws AdError NOT_FOUND when there is none that lasts
   */
  readonly reload?: () => Promise<readonly Credentials[]>;
  /** Called once by `close()`: ends what lives as long as the client. */
  readonly closed?: () => void;
}

/** What a service ticket shall be beside plain. */
export interface TicketOptions {
  /** False: a ticket that its service cannot have forwarded, although the ticket-granting ticket could be. */
  readonly forwardable?: boolean;
  /**
   * The ticket-granting ticket of the user that the service runs as (user-to-user, RFC 4120 3.7): the ticket is sealed
   * with its session key in place of a long-term key. DER of the Ticket alone, as the service hands it out.
   */
  readonly userToUser?: Uint8Array;
  /** A ticket that is good at these addresses, for another host to use as this client (proxy, RFC 4120 2.5). */
  readonly proxyFor?: readonly HostAddress[];
  readonly signal?: AbortSignal;
}

/** A ticket is replaced when less than this is left of it, ms: it must outlive the work it is fetched for. */
const MIN_REMAINING = 2 * 60_000;

/** One identity and its tickets. What it fetched it keeps until `close()`, and fetches anew shortly before the end. */
export class KrbClient {
  readonly #options: KrbClientOptions;
  readonly #context: ExchangeContext;
  /** By server principal and what was asked beside it; the client is the same for all tickets of an instance. */
  readonly #tickets = new Map<string, Credentials>();
  readonly #running = new Map<string, Promise<Credentials>>();
  readonly #closing = new AbortController();
  #client: Principal;

  constructor(options: KrbClientOptions) {
    this.#options = options;
    this.#client = options.client;
    this.#context = exchangeContext(options);
    for (const ticket of options.tickets ?? []) {
      // A whole cache may hold tickets got in a user's name (S4U), and such as are for one session of a service.
      if (!ticket.isSkey && samePrincipal(ticket.client, options.client))
        this.#tickets.set(formatPrincipal(ticket.server), ticket);
      else wipe(ticket.key.value);
    }
  }

  /** The client as asked for; after a login under the name and realm its KDC knows it by. */
  get client(): Principal {
    return this.#client;
  }

  /** The realm whose KDC is asked first. The name in tickets of nobody in particular tells none: their server does. */
  get #home(): string {
    const nobody = samePrincipal(this.#client, anonymousPrincipal());
    const first = nobody ? [...this.#tickets.values()].find(({ server }) => isKrbtgt(server)) : undefined;
    return first ? first.server.realm : this.#client.realm;
  }

  /** The tickets held at present, which stay the client's: a look at them, not copies. */
  get held(): Iterable<Credentials> {
    return this.#tickets.values();
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
    return this.#cached(formatPrincipal(krbtgt(this.#home)), (shared) => this.#login(shared), signal);
  }

  async #login(signal: AbortSignal): Promise<Credentials> {
    const { forwardable, proxiable, secret } = this.#options;
    if (secret.etypes.length === 0) return this.#reload();
    const kdcOptions =
      (INITIAL_OPTIONS & ~(forwardable === false ? kdcOption.FORWARDABLE : 0)) | (proxiable ? kdcOption.PROXIABLE : 0);
    const tgt = await asExchange(this.#context, { ...this.#proof(), kdcOptions, signal });
    // The tickets of nobody in particular tell no realm, and one is needed to ask again.
    if (!secret.publicKey?.anonymous) this.#client = tgt.client;
    return this.#store(formatPrincipal(krbtgt(this.#home)), tgt);
  }

  /** Tickets in place of a logon. Those of before may still be in use, and are not wiped. */
  async #reload(): Promise<Credentials> {
    const tickets = (await this.#options.reload?.()) ?? [];
    const tgs = krbtgt(this.#home);
    const own = (t: Credentials): boolean => samePrincipal(t.client, this.client);
    const tgt = tickets.findLast((t) => own(t) && samePrincipal(t.server, tgs) && this.#lasts(t));
    if (!tgt) {
      wipe(...tickets.map((t) => t.key.value));
      const who = formatPrincipal(this.client);
      throw new AdError('NOT_FOUND', `no ticket-granting ticket of ${who} lasts, and there is nothing to get one with`);
    }
    for (const ticket of tickets.filter(own)) this.#store(formatPrincipal(ticket.server), ticket);
    return tgt;
  }

  #proof(): Pick<AsOptions, 'client' | 'secret' | 'armor'> {
    const { secret, armor } = this.#options;
    const { client } = this;
    if (!armor) return { client, secret };
    return {
      client,
      secret,
      armor: async (realm, signal) => (armor instanceof KrbClient ? armor.tgtOf(realm, signal) : armor),
    };
  }

  /**
   * A ticket for a service, by way of other realms where it is theirs: to the realm its name says, and with realm ''
   * wherever the KDCs refer to (RFC 6806 section 8).
   * @throws as `asExchange` and `tgsExchange`; UNKNOWN_SERVICE also where no way leads to its realm
   */
  ticket(server: Principal, options: TicketOptions | AbortSignal = {}): Promise<Credentials> {
    const { forwardable, userToUser, proxyFor, signal } =
      options instanceof AbortSignal ? { signal: options } : options;
    const wish: TicketWish = {
      kdcOptions: (userToUser ? kdcOption.ENC_TKT_IN_SKEY : 0) | (proxyFor ? kdcOption.PROXY : 0),
      ...(forwardable === false && { without: kdcOption.FORWARDABLE }),
      ...(userToUser && { additionalTicket: userToUser }),
      ...(proxyFor && { addresses: proxyFor }),
    };
    // No ticket stands in for one that was asked for otherwise.
    const extras = [
      wish.without,
      userToUser && hex(userToUser),
      proxyFor?.map((a) => `${a.addrType}:${hex(a.address)}`).join(),
    ];
    const id = [formatPrincipal(server), ...(extras.some((e) => e !== undefined) ? extras : [])].join('|');
    return this.#cached(id, async (shared) => serviceTicket(await this.#walk(shared), server, wish), signal);
  }

  /**
   * A ticket-granting ticket of another realm, by way of those between.
   * @throws as `ticket`
   */
  tgtOf(realm: string, signal?: AbortSignal): Promise<Credentials> {
    if (realm === this.#home) return this.login(signal);
    const id = `krbtgt/${realm}`;
    return this.#cached(id, async (shared) => tgtFor(await this.#walk(shared), realm), signal);
  }

  async #walk(signal: AbortSignal): Promise<Walk> {
    const { config } = this.#options;
    return {
      context: this.#context,
      start: await this.login(signal),
      path: (from, to) => realmPath(config ?? { settings: [] }, from, to),
      realmOfHost: config && ((host) => realmOfHost(config, host)),
      held: (realm) => this.#heldTgt(realm),
      keep: (tgt) => this.#store(formatPrincipal(tgt.server), tgt),
      armored: this.#armored,
      signal,
    };
  }

  get #armored(): boolean {
    return this.#options.armor !== undefined;
  }

  #heldTgt(realm: string): Credentials | undefined {
    for (const ticket of this.#tickets.values()) {
      if (isKrbtgt(ticket.server) && realmServed(ticket) === realm && this.#lasts(ticket)) return ticket;
    }
    return undefined;
  }

  /** Extends the ticket-granting ticket. @throws as `tgsExchange`, INVALID_ARGUMENT when it is not renewable */
  async renew(signal?: AbortSignal): Promise<Credentials> {
    const tgt = await this.login(signal);
    return this.#store(formatPrincipal(tgt.server), await renewTicket(this.#context, tgt, signal, this.#armored));
  }

  /**
   * Has a postdated ticket-granting ticket declared valid, once its time has come.
   * @throws as `tgsExchange`, INVALID_ARGUMENT when it is valid already
   */
  async validate(tgt: Credentials, signal?: AbortSignal): Promise<Credentials> {
    return this.#store(formatPrincipal(tgt.server), await validateTicket(this.#context, tgt, signal, this.#armored));
  }

  /**
   * A ticket-granting ticket with a session key of its own, to be handed to a service that shall act for this client
   * (`sealCredentials` makes the message). It is not kept: the caller wipes it.
   * @param options forwardable: false keeps the service from handing it on
   * @throws as `tgsExchange`, INVALID_ARGUMENT when the ticket-granting ticket may not be forwarded
   */
  async forward(options: { readonly forwardable?: boolean; readonly signal?: AbortSignal } = {}): Promise<Credentials> {
    return forwardedTicket(this.#context, await this.login(options.signal), { ...options, armored: this.#armored });
  }

  /**
   * A ticket for this client itself, in a user's name, without the user (S4U2Self). It is not kept: the caller wipes it.
   * @param user of this client's realm
   * @throws as `s4uSelf`
   */
  async s4u2self(user: Principal, signal?: AbortSignal): Promise<Credentials> {
    const { secret } = this.#options;
    const ownKey = async (etype: number) => {
      if (!secret.etypes.includes(etype)) return undefined;
      const { salt, ...known } = secret.remembered ?? { etype, salt: undefined, params: undefined };
      return secret.key({ etype, salt, params: known.etype === etype ? known.params : undefined });
    };
    return s4uSelf(this.#context, { tgt: await this.login(signal), user, ownKey, armored: this.#armored, signal });
  }

  /**
   * A ticket for a service in the name of a ticket's client, where the domain allows this client to act so (S4U2Proxy,
   * also by resource-based constrained delegation). It is not kept: the caller wipes it.
   * @param evidence a ticket for this client, which a user brought or `s4u2self` made
   * @throws as `s4uProxy`
   */
  async s4u2proxy(evidence: Credentials, server: Principal, signal?: AbortSignal): Promise<Credentials> {
    return s4uProxy(this.#context, { tgt: await this.login(signal), evidence, server, armored: this.#armored, signal });
  }

  /**
   * Changes this client's password. The client goes on with the tickets it has; a login needs a client with the new one.
   * @param newPassword UTF-8; the caller wipes it
   * @throws as `asExchange` and `changePassword`; INVALID_ARGUMENT where the domain does not take the password
   */
  async changePassword(newPassword: Uint8Array, signal?: AbortSignal): Promise<void> {
    await this.#withChangeTicket(this.client.realm, signal, (ticket) =>
      changePassword(this.#context, { ticket, newPassword, signal }),
    );
  }

  /**
   * Sets the password of another account, as an administrator.
   * @param newPassword UTF-8; the caller wipes it
   * @throws as `changePassword`; NOT_ALLOWED where this client may not
   */
  async setPassword(target: Principal, newPassword: Uint8Array, signal?: AbortSignal): Promise<void> {
    await this.#withChangeTicket(target.realm, signal, (ticket) =>
      changePassword(this.#context, { ticket, newPassword, target, signal }),
    );
  }

  /** One's own realm wants the secret to be proved anew (RFC 3244 section 2, "MUST have the INITIAL flag set"). */
  async #withChangeTicket(
    realm: string,
    signal: AbortSignal | undefined,
    use: (ticket: Credentials) => Promise<void>,
  ): Promise<void> {
    const server = principal(realm, ...CHANGE_SERVICE);
    const { secret } = this.#options;
    const initial = realm === this.client.realm && secret.etypes.length > 0;
    const options = { ...this.#proof(), server, kdcOptions: kdcOption.CANONICALIZE, signal };
    const ticket = initial
      ? await asExchange(this.#context, options)
      : await serviceTicket(await this.#walk(signal ?? this.#closing.signal), server);
    try {
      await use(ticket);
    } finally {
      wipe(ticket.key.value);
    }
  }

  /** Forgets every ticket, so that the next call proves the secret anew. */
  forget(): void {
    for (const ticket of this.#tickets.values()) wipe(ticket.key.value);
    this.#tickets.clear();
  }

  /** Ends what is under way and wipes secret and session keys. */
  close(): void {
    const again = this.#closing.signal.aborted;
    this.#closing.abort(new AdError('ABORTED', `the client ${formatPrincipal(this.client)} was closed`));
    this.forget();
    this.#options.secret.destroy();
    if (!again) this.#options.closed?.();
  }

  #lasts(ticket: Credentials): boolean {
    return (
      ticket.endtime.getTime() - kdcNow(this.#context) > MIN_REMAINING && !hasFlag(ticket.flags, ticketFlag.INVALID)
    );
  }

  /** One exchange a ticket at a time; it is not tied to the signal of the caller that happened to come first. */
  #cached(
    id: string,
    fetch: (signal: AbortSignal) => Promise<Credentials>,
    signal?: AbortSignal,
  ): Promise<Credentials> {
    const held = this.#tickets.get(id);
    if (held && this.#lasts(held)) return Promise.resolve(held);
    let running = this.#running.get(id);
    if (!running) {
      running = fetch(this.#closing.signal)
        .then((ticket) => this.#store(id, ticket))
        .finally(() => this.#running.delete(id));
      this.#running.set(id, running);
    }
    return abortable(running, signal, `getting a ticket for ${id}`);
  }

  #store(id: string, ticket: Credentials): Credentials {
    if (this.#closing.signal.aborted) throw this.#closing.signal.reason;
    this.#tickets.set(id, ticket);
    return ticket;
  }
}

/** True when a ticket may be extended until `renewTill`. */
export function isRenewable(credentials: Credentials): boolean {
  return hasFlag(credentials.flags, ticketFlag.RENEWABLE) && credentials.renewTill !== undefined;
}
