/**
 * The acceptor of a Kerberos GSS-API context (RFC 4121 section 4.1): opens the client's ticket with the service's keys,
 * makes every check of RFC 4120 3.2.3, and answers with a subkey of its own.
 */
import { randomBytes } from 'node:crypto';
import { copy, equal, wipe } from '../../bytes.ts';
import { AdError, MalformedError } from '../../errors.ts';
import type { Credentials } from '../credentials.ts';
import { DEFAULT_ETYPES, etypeName, Key } from '../crypto/index.ts';
import { type AcceptedApRequest, acceptApReq, buildApRep } from '../exchanges/ap.ts';
import type { Clock, Random } from '../exchanges/context.ts';
import { openCredentials } from '../exchanges/cred.ts';
import { printable } from '../exchanges/errors.ts';
import { adType, cksumType, keyUsage } from '../numbers.ts';
import { type Pac, parsePac, verifyPac } from '../pac/index.ts';
import { formatPrincipal, type Principal, samePrincipal } from '../principal.ts';
import { authorizationElements } from './authorization.ts';
import { decodeGssChecksum, type GssChecksum, gssFlag } from './checksum.ts';
import { describedContext, type GssContext, messageOrder, type Negotiator } from './context.ts';
import { refusal, refused } from './errors.ts';
import { acceptorChoosesKey, chooseContextKey, messageTokens } from './message-tokens.ts';
import type { ReplayCache } from './replay-cache.ts';
import { type ServiceKeys, sameService } from './service-keys.ts';
import { frameToken, gssTokenId, unframeToken } from './token.ts';

/**
 * What is asked of clients on a channel whose bindings are known. `allow-absent`: a client that names a channel must
 * name this one, as MIT's and Windows' acceptors have it unless told otherwise. `require`: every client must.
 */
export type BindingPolicy = 'allow-absent' | 'require';

/**
 * What becomes of the PAC in a ticket. `verify`: one that is there must be the KDC's. `require`: there must be one, with
 * Active Directory's logon information. `ignore`: it is not read.
 */
export type PacPolicy = 'verify' | 'require' | 'ignore';

/** A service's keys, and what it asks of clients. */
export interface AcceptorOptions {
  readonly keys: ServiceKeys;
  /** Shared by all contexts of a service. */
  readonly replays: ReplayCache;
  /**
   * Services that tickets may be for; any whose key is held unless told otherwise. The name stands beside the sealed part
   * of a ticket: services of one account share a key, and whoever passes a ticket on can call it by another of its names.
   * What keeps them apart is an account, or channel bindings, of their own.
   */
  readonly services?: readonly Principal[];
  readonly clock?: Clock;
  /** How far the client's clock may be off, ms; five minutes unless told otherwise. */
  readonly clockSkew?: number;
  readonly random?: Random;
  /** Types of ticket and session keys; those that are not weak unless told otherwise. */
  readonly permittedEtypes?: readonly number[];
  /** MD5 of this channel's bindings (`channelBindings`), 16 bytes. */
  readonly bindings?: Uint8Array | undefined;
  /** `allow-absent` unless told otherwise. */
  readonly bindingPolicy?: BindingPolicy;
  /** `verify` unless told otherwise. */
  readonly pac?: PacPolicy;
  /** Takes the tickets that clients hand on. Passed over unless told otherwise, for they are secrets of theirs. */
  readonly delegation?: boolean;
}

/** A context with what the ticket said of the client. */
export interface AcceptedContext extends GssContext {
  /** True when the client named this channel. */
  readonly channelBound: boolean;
  /** When the client proved its secret to the KDC. */
  readonly authtime: Date;
  /** When the ticket ends. */
  readonly endtime: Date;
  /** Masks of `ticketFlag`. */
  readonly ticketFlags: number;
  /** Verified; undefined where the ticket has none, as those of KDCs that are not Active Directory may. */
  readonly pac: Pac | undefined;
  /** Ticket-granting tickets to act with as the client; whoever drops them wipes their keys. */
  readonly delegated: readonly Credentials[];
}

const FIVE_MINUTES = 5 * 60_000;
/** GSS_C_DCE_STYLE (RFC 4757 7.1): another order of tokens, for DCE RPC only. */
const DCE_STYLE = 0x1000;
const AGREEABLE = gssFlag.DELEG | gssFlag.MUTUAL | gssFlag.REPLAY | gssFlag.SEQUENCE | gssFlag.CONF | gssFlag.INTEG;
/** KERB_AP_OPTIONS_CBT: the client "expects that the channel bindings are checked" (MS-KILE 3.2.5.8). */
const AP_OPTIONS_CBT = 0x4000;

/** The service's side of one context; `NegotiateAcceptor` takes SPNEGO too. */
export class GssAcceptor implements Negotiator {
  readonly #options: AcceptorOptions;
  readonly #clock: Clock;
  #server: Principal | undefined;
  #serviceKey: Key | undefined;
  #established: AcceptedContext | undefined;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? Date.now;
  }

  get context(): AcceptedContext | undefined {
    return this.#established;
  }

  /**
   * Takes the client's token.
   * @returns the AP-REP's token where the client asked for mutual authentication
   * @throws GssError, which holds the token to send back
   */
  step(token?: Uint8Array): Uint8Array | undefined {
    try {
      if (!token || this.#established) throw new MalformedError('GSS token', token ? 'one after the last' : 'missing');
      const { tokId, inner } = unframeToken(token);
      if (tokId !== gssTokenId.AP_REQ)
        throw new MalformedError('GSS token', `TOK_ID ${tokId.toString(16)} where AP-REQ is due`);
      return this.#accept(inner);
    } catch (e) {
      throw refusal(e, this.#server, this.#clock());
    }
  }

  #accept(message: Uint8Array): Uint8Array | undefined {
    const { clockSkew = FIVE_MINUTES, replays } = this.#options;
    const keyFor = this.#keyFor.bind(this);
    const accepted = acceptApReq(message, {
      keyFor,
      describeKeys: () => this.#options.keys.describe(),
      clock: this.#clock,
      clockSkew,
      usage: keyUsage.AP_REQ_AUTHENTICATOR,
    });
    const initiatorKey = accepted.subkey ?? copyOf(accepted.sessionKey);
    try {
      for (const key of [accepted.sessionKey, initiatorKey]) this.#permitted(key.etype, 'session');
      const checksum = gssChecksum(accepted);
      const channelBound = this.#checkBindings(checksum, accepted);
      const pac = this.#pac(accepted);
      replays.add(accepted.authenticator, accepted.ctime.getTime() + clockSkew, this.#clock());
      const delegated = this.#delegated(checksum, accepted);
      return this.#establish(accepted, initiatorKey, checksum.flags & AGREEABLE, { channelBound, pac, delegated });
    } catch (e) {
      initiatorKey.destroy();
      throw e;
    } finally {
      accepted.sessionKey.destroy();
    }
  }

  /** The key that opens the ticket. @throws AdError UNKNOWN_SERVICE or ETYPE when there is none */
  #keyFor(server: Principal, etype: number, kvno: number | undefined, sealed: Uint8Array): Key {
    const { keys, services } = this.#options;
    this.#server = server;
    // Whoever sends a token chooses the name, which is for a log here.
    const what = `a ticket for ${printable(formatPrincipal(server))} with kvno ${kvno ?? 'none'} and ${etypeName(etype)}`;
    if (services && !services.some((s) => sameService(s, server)))
      throw new AdError('UNKNOWN_SERVICE', `${what} is for another service`, { krbError: 'KRB_AP_ERR_NOT_US' });
    this.#permitted(etype, 'ticket');
    const candidates = keys.candidates(server, etype, kvno);
    if (candidates.length === 0)
      throw new AdError('UNKNOWN_SERVICE', `${what} opens with no key that is held: ${keys.describe()}`, {
        krbError: 'KRB_AP_ERR_NOKEY',
        etype,
        kvno,
      });
    const key = candidates.length === 1 ? candidates[0] : candidates.find((k) => opens(k, sealed));
    if (key === undefined)
      throw new AdError('INTEGRITY', `${what} opens with none of ${candidates.length} keys of: ${keys.describe()}`, {
        krbError: 'KRB_AP_ERR_BAD_INTEGRITY',
        etype,
        kvno,
      });
    this.#serviceKey = key;
    return key;
  }

  #permitted(etype: number, of: 'ticket' | 'session'): void {
    if ((this.#options.permittedEtypes ?? DEFAULT_ETYPES).includes(etype)) return;
    const advice = of === 'ticket' ? '; give the account AES keys (msDS-SupportedEncryptionTypes 24)' : '';
    throw new AdError('ETYPE', `a ${of} key of ${etypeName(etype)} is not permitted${advice}`, { etype });
  }

  /** RFC 4121 4.1.1.2, MS-KILE 3.4.5: whether the client means this channel. */
  #checkBindings({ bindings: theirs }: GssChecksum, accepted: AcceptedApRequest): boolean {
    const { bindings: ours, bindingPolicy = 'allow-absent' } = this.#options;
    if (bindingPolicy === 'require' && !ours)
      throw refused('channel bindings are required, and this channel has none', { gssMajor: 'BAD_BINDINGS' });
    if (!ours) return false;
    if (theirs && equal(ours, theirs)) return true;
    if (theirs) throw refused('the client is bound to another channel', { gssMajor: 'BAD_BINDINGS' });
    // A client that says it always names its channel has had it removed by somebody, or is not on this one.
    if (bindingPolicy === 'require' || namesChannels(accepted))
      throw refused('the client names no channel', { gssMajor: 'BAD_BINDINGS' });
    return false;
  }

  /** MS-KILE 3.4.5.3: the PAC from the ticket, whose server signature must be by the key that opened it. */
  #pac({ authorizationData, client, authtime }: AcceptedApRequest): Pac | undefined {
    const { pac: policy = 'verify' } = this.#options;
    if (policy === 'ignore') return undefined;
    const [bytes, second] = authorizationElements(authorizationData, adType.WIN2K_PAC);
    if (second) throw refused('the ticket has two PACs', { krbError: 'KRB_AP_ERR_MODIFIED' });
    const pac = bytes && parsePac(bytes);
    if (pac) verifyPac(pac, { serviceKey: this.#serviceKey!, client, authtime });
    if (policy === 'require' && !pac?.logon)
      throw refused('the ticket has no PAC with logon information', { krbError: 'KRB_ERR_GENERIC' });
    return pac;
  }

  /** RFC 4121 4.1.1: the KRB-CRED is sealed with the session key; some seal with the subkey (RFC 4120 3.6.2). */
  #delegated({ delegation }: GssChecksum, { sessionKey, subkey, client }: AcceptedApRequest): readonly Credentials[] {
    if (!delegation || !this.#options.delegation) return [];
    const credentials = openCredentials(delegation, subkey ? [sessionKey, subkey] : [sessionKey]);
    if (credentials.every((c) => samePrincipal(c.client, client))) return credentials;
    for (const { key } of credentials) wipe(key.value);
    throw refused("the client hands on another's tickets", { krbError: 'KRB_AP_ERR_BADMATCH' });
  }

  #establish(
    accepted: AcceptedApRequest,
    initiatorKey: Key,
    flags: number,
    about: Pick<AcceptedContext, 'channelBound' | 'pac' | 'delegated'>,
  ): Uint8Array | undefined {
    const { random = (n) => new Uint8Array(randomBytes(n)) } = this.#options;
    const mutual = (flags & gssFlag.MUTUAL) !== 0;
    const recvSeq = accepted.sequence ?? 0;
    let reply: Uint8Array | undefined;
    let subkey: Key | undefined;
    let sendSeq = recvSeq;
    if (mutual) {
      if (acceptorChoosesKey(initiatorKey.etype)) subkey = Key.generate(initiatorKey.etype, random);
      const start = random(4);
      sendSeq = new DataView(start.buffer, start.byteOffset).getUint32(0) & 0x3fffffff;
      reply = frameToken(gssTokenId.AP_REP, buildApRep(accepted, { ...(subkey && { subkey }), sequence: sendSeq }));
    }
    const tokens = messageTokens({
      ...chooseContextKey(initiatorKey, subkey),
      initiator: false,
      sendSeq: BigInt(sendSeq),
      recvSeq: BigInt(recvSeq),
      order: messageOrder(flags),
    });
    const { client, server, authtime, endtime, flags: ticketFlags } = accepted;
    this.#established = {
      ...describedContext(tokens, { initiator: client, acceptor: server, flags }),
      ...about,
      authtime,
      endtime,
      ticketFlags,
    };
    return reply;
  }

  destroy(): void {
    this.#established?.destroy();
  }
}

function opens(key: Key, sealed: Uint8Array): boolean {
  try {
    key.decrypt(keyUsage.KDC_REP_TICKET, sealed).fill(0);
    return true;
  } catch {
    return false;
  }
}

function copyOf(key: Key): Key {
  return new Key(key.etype, key.value);
}

/** RFC 4121 4.1.1: "The authenticator MUST include" it; without it nobody knows what the client wants. */
function gssChecksum({ checksum }: AcceptedApRequest): GssChecksum {
  if (checksum?.cksumtype !== cksumType.GSS)
    throw refused('the authenticator has no GSS checksum', { krbError: 'KRB_AP_ERR_INAPP_CKSUM' });
  const decoded = decodeGssChecksum(copy(checksum.checksum));
  if (decoded.flags & DCE_STYLE) throw refused('DCE style authentication is not supported', {});
  return decoded;
}

function namesChannels({ clientAuthorizationData }: AcceptedApRequest): boolean {
  return authorizationElements(clientAuthorizationData, adType.AP_OPTIONS).some(
    (data) =>
      data.length >= 4 && (new DataView(data.buffer, data.byteOffset).getUint32(0, true) & AP_OPTIONS_CBT) !== 0,
  );
}
