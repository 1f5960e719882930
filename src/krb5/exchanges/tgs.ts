/** The ticket-granting service exchange, RFC 4120 3.3: service tickets, referrals' next hop, renewal, forwarding. */
import { fromDer, toDer } from '../../asn1.ts';
import { wipe } from '../../bytes.ts';
import { AdError, isAdError } from '../../errors.ts';
import type { Credentials } from '../credentials.ts';
import { etypeName, Key, profileOf } from '../crypto/index.ts';
import {
  EncTgsRepPart,
  type HostAddress,
  type KdcRep,
  KdcReqBody,
  KrbError,
  type PaData,
  TgsRep,
  TgsReq,
  toPrincipalName,
} from '../messages.ts';
import { kdcOption, keyUsage, krbError, msgType, paType, ticketFlag } from '../numbers.ts';
import { formatPrincipal, type Principal } from '../principal.ts';
import { buildApReq } from './ap.ts';
import { wholeSeconds } from './as.ts';
import { type ExchangeContext, hasFlag, kdcNow, newNonce, newStamp } from './context.ts';
import { krbErrorToAdError } from './errors.ts';
import { Fast, strengthened } from './fast.ts';
import { believableOffset, replyUsage, verifyFastReply, verifyReply } from './verify.ts';

/** What is asked of the ticket-granting service. */
export interface TgsOptions {
  /** A ticket for the ticket-granting service of the realm that is asked. */
  readonly tgt: Credentials;
  readonly server: Principal;
  /** Bits of kdcOption beside CANONICALIZE and those the ticket-granting ticket hands on. */
  readonly kdcOptions?: number;
  /** Bits of kdcOption that the ticket shall not have although the ticket-granting ticket does. */
  readonly without?: number;
  /** Addresses the ticket is good for; default: any. */
  readonly addresses?: readonly HostAddress[];
  /** RFC 4120 5.4.1 additional-tickets: whose session key seals the ticket, or in whose client's name it shall be. */
  readonly additionalTicket?: Uint8Array;
  /** Further pre-authentication data, made for one request. */
  readonly padata?: (request: TgsRequestKeys) => readonly PaData[];
  /** Whom the ticket names when it is not the client of `tgt` (S4U). */
  readonly subject?: Subject;
  /** True: in FAST, under the armor of the request's own keys; a KDC that answers without is refused. */
  readonly armored?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** What pre-authentication data of a TGS-REQ is bound to. The keys are those of one exchange. */
export interface TgsRequestKeys {
  readonly nonce: number;
  readonly sessionKey: Key;
  readonly subkey: Key;
}

/** In whose name a ticket is asked for. */
export interface Subject {
  readonly client: Principal;
  /** Looks at a reply that passed all other checks, and what came with it. @throws AdError REPLY_REJECTED */
  readonly check?: (reply: KdcRep, padata: readonly PaData[], request: TgsRequestKeys, server: string) => void;
  /** True where the KDC may answer with the account's own name for the one asked. */
  readonly mayRename?: boolean;
}

/**
 * Asks for a ticket. The reply's server may be another realm's krbtgt: a referral, which the caller follows.
 * @throws AdError UNKNOWN_SERVICE, KDC_ERROR, REPLY_REJECTED, ETYPE, CLOCK_SKEW, UNREACHABLE, TIMEOUT, ABORTED;
 *   MalformedError for an answer that is no Kerberos message
 */
export async function tgsExchange(context: ExchangeContext, options: TgsOptions): Promise<Credentials> {
  const trial: ExchangeContext = { ...context };
  for (let round = 0; ; round++) {
    const outcome = await askOnce(trial, options);
    if ('credentials' in outcome) {
      const { credentials } = outcome;
      const start = (credentials.starttime ?? credentials.authtime).getTime();
      // The error that suggested another clock was not authenticated: it is kept once the sealed reply bears it out.
      if (round > 0 && Math.abs(start - kdcNow(trial)) <= trial.clockSkew) context.timeOffset = trial.timeOffset;
      return credentials;
    }
    const { error, server } = outcome;
    if (error.errorCode !== krbError.KRB_AP_ERR_SKEW || round > 0) {
      const what = `the request of ${formatPrincipal(options.tgt.client)} for ${formatPrincipal(options.server)}`;
      throw krbErrorToAdError(error, { what, realm: options.tgt.server.realm, server, by: 'ticket' });
    }
    trial.timeOffset = believableOffset(trial, error.stime.getTime(), server);
  }
}

/** Extends a renewable ticket-granting ticket up to its renew-till (RFC 4120 2.3). */
export async function renewTicket(
  context: ExchangeContext,
  tgt: Credentials,
  signal?: AbortSignal,
  armored = false,
): Promise<Credentials> {
  if (!hasFlag(tgt.flags, ticketFlag.RENEWABLE)) {
    throw new AdError('INVALID_ARGUMENT', `the ticket of ${formatPrincipal(tgt.client)} is not renewable`);
  }
  return tgsExchange(context, { tgt, server: tgt.server, kdcOptions: kdcOption.RENEW, armored, signal });
}

/** Has the KDC declare a postdated ticket-granting ticket valid, once its time has come (RFC 4120 2.4). */
export async function validateTicket(
  context: ExchangeContext,
  tgt: Credentials,
  signal?: AbortSignal,
  armored = false,
): Promise<Credentials> {
  if (!hasFlag(tgt.flags, ticketFlag.INVALID)) {
    throw new AdError('INVALID_ARGUMENT', `the ticket of ${formatPrincipal(tgt.client)} is valid already`);
  }
  return tgsExchange(context, { tgt, server: tgt.server, kdcOptions: kdcOption.VALIDATE, armored, signal });
}

/** A ticket-granting ticket to hand to another host (RFC 4120 2.6): good from there, with a session key of its own. */
export async function forwardedTicket(
  context: ExchangeContext,
  tgt: Credentials,
  options: Pick<TgsOptions, 'armored' | 'signal'> & { readonly forwardable?: boolean } = {},
): Promise<Credentials> {
  if (!hasFlag(tgt.flags, ticketFlag.FORWARDABLE)) {
    throw new AdError('INVALID_ARGUMENT', `the ticket of ${formatPrincipal(tgt.client)} may not be forwarded`);
  }
  const without = options.forwardable === false ? kdcOption.FORWARDABLE : 0;
  const { armored = false, signal } = options;
  return tgsExchange(context, { tgt, server: tgt.server, kdcOptions: kdcOption.FORWARDED, without, armored, signal });
}

type Outcome = { credentials: Credentials } | { error: KrbError; server: string };

async function askOnce(context: ExchangeContext, options: TgsOptions): Promise<Outcome> {
  const { tgt } = options;
  const sessionKey = new Key(tgt.key.etype, tgt.key.value);
  const subkey = Key.generate(tgt.key.etype, context.random);
  const fast = options.armored ? Fast.implicit(subkey, sessionKey) : undefined;
  try {
    const body = requestBody(context, options);
    const keys = { nonce: body.nonce, sessionKey, subkey };
    const reqBody = toDer(KdcReqBody, body);
    const { message: apReq } = buildApReq({
      credentials: tgt,
      sessionKey,
      usage: keyUsage.TGS_REQ_AUTHENTICATOR,
      stamp: newStamp(context),
      subkey,
      // RFC 4120 5.4.1: without this checksum anybody could alter the body on its way.
      checksum: {
        cksumtype: profileOf(sessionKey.etype).cksumType,
        checksum: sessionKey.checksum(keyUsage.TGS_REQ_AUTHENTICATOR_CKSUM, reqBody),
      },
    });
    const inner = options.padata?.(keys) ?? [];
    const outer = fast ? [fast.request(inner, reqBody, apReq)] : inner;
    const padata = [{ padataType: paType.TGS_REQ, padataValue: apReq }, ...outer];
    const request = toDer(TgsReq, { pvno: 5, msgType: msgType.TGS_REQ, padata, reqBody });
    const realm = tgt.server.components[1] ?? tgt.server.realm;
    const { message, server } = await context.transport.exchange(realm, request, options.signal);
    if (message[0] === 0x60 + msgType.ERROR) {
      const error = fromDer(KrbError, message);
      return { error: fast?.openError(error, body.nonce, server)?.error ?? error, server };
    }
    return { credentials: openReply(context, options, body, message, server, keys, fast) };
  } finally {
    fast?.destroy();
    sessionKey.destroy();
    subkey.destroy();
  }
}

/** What a ticket inherits from the ticket-granting ticket unless told otherwise. */
const INHERITED = kdcOption.FORWARDABLE | kdcOption.PROXIABLE | kdcOption.RENEWABLE;

function requestBody(context: ExchangeContext, options: TgsOptions): KdcReqBody {
  const { tgt, server, addresses, additionalTicket } = options;
  const special = options.kdcOptions ?? 0;
  const same = hasFlag(special, kdcOption.RENEW | kdcOption.VALIDATE | kdcOption.FORWARDED);
  const inherited = tgt.flags & INHERITED & ~(options.without ?? 0);
  const till = hasFlag(special, kdcOption.RENEW) ? kdcNow(context) + context.ticketLifetime : tgt.endtime.getTime();
  return {
    // The ticket-granting ticket itself is meant by these three: no other name would do.
    kdcOptions: (special | inherited | (same ? 0 : kdcOption.CANONICALIZE)) >>> 0,
    realm: tgt.server.components[1] ?? tgt.server.realm,
    sname: toPrincipalName(server),
    till: wholeSeconds(till),
    rtime: tgt.renewTill,
    nonce: newNonce(context.random),
    etypes: [...context.tgsEtypes],
    addresses: addresses && [...addresses],
    additionalTickets: additionalTicket && [additionalTicket],
  };
}

function openReply(
  context: ExchangeContext,
  options: TgsOptions,
  body: KdcReqBody,
  message: Uint8Array,
  server: string,
  keys: TgsRequestKeys,
  fast: Fast | undefined,
): Credentials {
  const { sessionKey, subkey } = keys;
  const rep = fromDer(TgsRep, message);
  if (rep.pvno !== 5 || rep.msgType !== msgType.TGS_REP) {
    throw new AdError('REPLY_REJECTED', `${server} answered a TGS-REQ with message type ${rep.msgType}`);
  }
  if (rep.encPart.etype !== subkey.etype) {
    throw new AdError(
      'REPLY_REJECTED',
      `KDC ${server} sealed its reply with ${etypeName(rep.encPart.etype)}, not our subkey's`,
    );
  }
  const { clear, padata = rep.padata } = fast
    ? openArmored(rep, fast, subkey, body.nonce, server)
    : { clear: decryptReply(rep.encPart.cipher, sessionKey, subkey, server) };
  try {
    const part = fromDer(EncTgsRepPart, clear);
    const { client = options.tgt.client, mayRename } = options.subject ?? {};
    const verified = verifyReply(context, { kind: 'TGS', body, client, mayRename, rep, part, server });
    options.subject?.check?.(rep, padata ?? [], keys, server);
    const secondTicket = verified.isSkey && options.additionalTicket;
    const credentials = secondTicket ? { ...verified, secondTicket } : verified;
    return trustsDelegation(options.tgt) ? credentials : withoutDelegation(credentials);
  } finally {
    wipe(clear);
  }
}

/**
 * A foreign realm's word that a service may be delegated to counts only where our own KDC marked the ticket to that
 * realm so too (MIT does the same; RFC 4120 2.8 leaves the flag to local policy).
 */
function trustsDelegation(tgt: Credentials): boolean {
  const local = tgt.server.components[1] === tgt.client.realm && tgt.server.realm === tgt.client.realm;
  return local || hasFlag(tgt.flags, ticketFlag.OK_AS_DELEGATE);
}

function withoutDelegation(credentials: Credentials): Credentials {
  return { ...credentials, flags: (credentials.flags & ~ticketFlag.OK_AS_DELEGATE) >>> 0 };
}

/** RFC 6113 5.4.3: sealed with the subkey, strengthened. */
function openArmored(
  rep: KdcRep,
  fast: Fast,
  subkey: Key,
  nonce: number,
  server: string,
): { clear: Uint8Array; padata?: readonly PaData[] } {
  const armored = fast.open(rep.padata ?? [], server);
  verifyFastReply(armored, rep, fast.key, nonce, server);
  const key = strengthened(armored, subkey);
  try {
    return { clear: key.decrypt(replyUsage.TGS_SUBKEY, rep.encPart.cipher), padata: armored.padata };
  } catch (e) {
    if (!isAdError(e, 'INTEGRITY')) throw e;
    throw new AdError('REPLY_REJECTED', `the reply of KDC ${server} does not open with the key of FAST`, { server }, e);
  } finally {
    key.destroy();
  }
}

/** RFC 4120 5.4.2: sealed with the subkey we sent; Heimdal of old used the session key in spite of it. */
function decryptReply(cipher: Uint8Array, sessionKey: Key, subkey: Key, server: string): Uint8Array {
  try {
    return subkey.decrypt(replyUsage.TGS_SUBKEY, cipher);
  } catch (first) {
    if (!isAdError(first, 'INTEGRITY')) throw first;
    try {
      return sessionKey.decrypt(replyUsage.TGS_SESSION, cipher);
    } catch (second) {
      if (!isAdError(second, 'INTEGRITY')) throw second;
      throw new AdError(
        'REPLY_REJECTED',
        `the reply of KDC ${server} does not open with the key we sent`,
        { server },
        first,
      );
    }
  }
}
