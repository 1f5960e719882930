/**
 * The authentication service exchange, RFC 4120 3.1: a ticket for a client that proves its long-term key by an encrypted
 * timestamp (PA-ENC-TIMESTAMP). The loop follows the KDC's hints, yet nothing a forged KRB-ERROR says makes us weaker:
 * only permitted etypes are used, iteration counts are bounded, and a new clock is kept only once a sealed reply agreed.
 */
import { fromDer, toDer } from '../../asn1.ts';
import { AdError } from '../../errors.ts';
import type { Credentials } from '../credentials.ts';
import type { Key } from '../crypto/index.ts';
import {
  AsReq,
  type HostAddress,
  KdcReqBody,
  KrbError,
  type PaData,
  PaPacRequest,
  toPrincipalName,
} from '../messages.ts';
import { kdcOption, krbError, msgType, nameType, paType } from '../numbers.ts';
import { formatPrincipal, isKrbtgt, krbtgt, type Principal } from '../principal.ts';
import type { KeyHint, PublicKeyProof, Secret } from '../secret.ts';
import { openReply } from './as-reply.ts';
import { type ExchangeContext, hasFlag, kdcNow, newNonce } from './context.ts';
import { krbErrorToAdError, methodData } from './errors.ts';
import { Fast } from './fast.ts';
import { encryptedChallenge, encryptedTimestamp, hintFrom, noKey, offeredEtypes, sameKey } from './preauth.ts';
import { believableOffset } from './verify.ts';

/** What is asked of the authentication service. */
export interface AsOptions {
  readonly client: Principal;
  readonly secret: Secret;
  /** Default: the realm's ticket-granting service. */
  readonly server?: Principal;
  /** Bits of kdcOption; default: forwardable, renewable, canonicalize, renewable-ok. */
  readonly kdcOptions?: number;
  /** A ticket for later (postdated): whole seconds; it is to be validated then (RFC 4120 2.4). */
  readonly from?: Date;
  /** Addresses the ticket is good at (RFC 4120 5.4.1); default: any. */
  readonly addresses?: readonly HostAddress[];
  /** False: a ticket without a PAC (MS-KILE 2.2.3); Active Directory's services know nobody by such a ticket. */
  readonly includePac?: boolean;
  /**
   * A ticket-granting ticket of the realm that is asked, somebody else's for instance the machine's, to armor the
   * exchange with (FAST). With it, a KDC that does not answer in armor is refused.
   */
  readonly armor?: (realm: string, signal?: AbortSignal) => Promise<Credentials>;
  readonly signal?: AbortSignal | undefined;
}

/** The kdcOptions of a login unless told otherwise. */
export const INITIAL_OPTIONS =
  kdcOption.FORWARDABLE | kdcOption.RENEWABLE | kdcOption.CANONICALIZE | kdcOption.RENEWABLE_OK;

/** KDC hints are followed this often at most; a sound exchange needs three (salt, clock, answer). */
const MAX_ROUNDS = 5;

/** Realms that a client is referred through at most (MIT's limit too). */
const MAX_CLIENT_REFERRALS = 10;

/**
 * Gets an initial ticket. A KDC that knows the client to be of another realm says which, and that one is asked then
 * (RFC 6806 section 7): nobody but a KDC that has the client's key can make a reply that opens.
 * @throws AdError WRONG_PASSWORD, UNKNOWN_PRINCIPAL, ACCOUNT_DISABLED, PASSWORD_EXPIRED, ETYPE, CLOCK_SKEW, KDC_ERROR,
 *   REPLY_REJECTED, UNREACHABLE, TIMEOUT, ABORTED; MalformedError for an answer that is no Kerberos message
 */
export async function asExchange(context: ExchangeContext, options: AsOptions): Promise<Credentials> {
  const { client, secret } = options;
  const etypes = context.tktEtypes.filter((e) => secret.etypes.includes(e));
  if (etypes.length === 0) throw noKey(client, secret, context.tktEtypes);
  const visited = new Set<string>();
  for (let realm = client.realm; !visited.has(realm) && visited.size <= MAX_CLIENT_REFERRALS; ) {
    visited.add(realm);
    const outcome = await askRealm(context, { ...options, client: { ...client, realm } }, etypes);
    if (!('referredTo' in outcome)) return outcome;
    realm = outcome.referredTo;
  }
  throw new AdError('UNKNOWN_PRINCIPAL', `the KDCs refer in circles for ${formatPrincipal(client)}`, {
    realm: client.realm,
  });
}

/** The exchange with the KDCs of the client's realm as given. */
async function askRealm(
  context: ExchangeContext,
  options: AsOptions,
  etypes: readonly number[],
): Promise<Credentials | { referredTo: string }> {
  const { client, secret } = options;
  // The exchange works on a copy: a clock suggested by an unauthenticated error is kept only once a sealed reply agreed.
  const trial: ExchangeContext = { ...context };
  const state: Attempt = {
    hint: secret.remembered && etypes.includes(secret.remembered.etype) ? secret.remembered : undefined,
    hintIsKdcs: false,
    clockTried: false,
    refused: undefined,
    cookie: undefined,
  };
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const request = await buildRequest(trial, options, etypes, state);
    try {
      const { message, server } = await trial.transport.exchange(client.realm, request.message, options.signal);
      if (message[0] === 0x60 + msgType.ERROR) {
        const told = whatIsTold(fromDer(KrbError, message), request, server);
        const referredTo = told.trusted && mayBeReferred(options) && clientReferral(told.error, request.body);
        if (referredTo) return { referredTo };
        await adjust(trial, options, etypes, state, told, server);
      } else {
        const opened = await openReply(
          trial,
          { ...request, client, secret, etypes, used: state.hint },
          message,
          server,
        );
        if (!request.proof) secret.remembered = opened.hint;
        context.timeOffset = trial.timeOffset;
        return opened.credentials;
      }
    } finally {
      request.fast?.destroy();
    }
  }
  throw new AdError('KDC_ERROR', `the KDC of ${client.realm} asks for pre-authentication again and again`);
}

/** An error and its hints. */
interface Told {
  readonly error: KrbError;
  readonly padata: readonly PaData[];
  /** False for what came without armor to a request in armor: it may end the exchange, but not steer it. */
  readonly trusted: boolean;
}

/** In armor the error is the one inside the tunnel (RFC 6113 5.4.4). */
function whatIsTold(error: KrbError, { fast, body }: Request, server: string): Told {
  if (!fast) return { error, padata: methodData(error), trusted: true };
  const inner = fast.openError(error, body.nonce, server);
  return inner ? { ...inner, trusted: true } : { error, padata: [], trusted: false };
}

/**
 * What a KDC that has the client's key cannot forge, one with a certificate can: any realm's that the anchors vouch for
 * could draw a client to itself. So by certificate only those are led on who did not know their realm to begin with.
 */
function mayBeReferred({ client, secret }: AsOptions): boolean {
  return !secret.publicKey || client.nameType === nameType.ENTERPRISE;
}

/**
 * The client's realm where the KDC says it is another. RFC 6806 7: "the KDC ... sends KDC_ERR_WRONG_REALM ... the crealm
 * field", if canonicalisation was asked for; Active Directory puts it into KDC_ERR_C_PRINCIPAL_UNKNOWN at times.
 */
function clientReferral(error: KrbError, body: KdcReqBody): string | undefined {
  const { errorCode, crealm } = error;
  if (errorCode !== krbError.KDC_ERR_WRONG_REALM && errorCode !== krbError.KDC_ERR_C_PRINCIPAL_UNKNOWN)
    return undefined;
  if (!hasFlag(body.kdcOptions, kdcOption.CANONICALIZE) || !crealm) return undefined;
  // An error that merely repeats the realm asked is no referral.
  return crealm.toLowerCase() === body.realm.toLowerCase() ? undefined : crealm;
}

interface Attempt {
  hint: KeyHint | undefined;
  /** True once the hint came from the KDC in this exchange rather than from memory or rule. */
  hintIsKdcs: boolean;
  clockTried: boolean;
  /** The key the KDC did not accept, and its words. */
  refused: { readonly key: Key | undefined; readonly error: AdError } | undefined;
  /** PA-FX-COOKIE of the last error, which goes back as it came (RFC 6113 5.2). */
  cookie: PaData | undefined;
}

interface Request {
  readonly message: Uint8Array;
  readonly body: KdcReqBody;
  readonly fast: Fast | undefined;
  readonly proof: PublicKeyProof | undefined;
}

async function buildRequest(
  context: ExchangeContext,
  options: AsOptions,
  etypes: readonly number[],
  { hint, cookie }: Attempt,
): Promise<Request> {
  const now = kdcNow(context);
  const postdated = options.from ? kdcOption.POSTDATED | kdcOption.ALLOW_POSTDATE : 0;
  const { publicKey } = options.secret;
  const anonymous = publicKey?.anonymous ? kdcOption.REQUEST_ANONYMOUS : 0;
  const kdcOptions = (options.kdcOptions ?? INITIAL_OPTIONS) | postdated | anonymous;
  const start = options.from?.getTime() ?? now;
  const renewable = (kdcOptions & kdcOption.RENEWABLE) !== 0;
  const body: KdcReqBody = {
    kdcOptions,
    cname: toPrincipalName(options.client),
    realm: options.client.realm,
    sname: toPrincipalName(options.server ?? krbtgt(options.client.realm)),
    from: options.from,
    till: wholeSeconds(start + context.ticketLifetime),
    rtime: renewable ? wholeSeconds(start + context.renewLifetime) : undefined,
    nonce: newNonce(context.random),
    etypes: [...etypes],
    addresses: options.addresses && [...options.addresses],
  };
  const padata: PaData[] = [
    { padataType: paType.PAC_REQUEST, padataValue: toDer(PaPacRequest, { includePac: options.includePac ?? true }) },
    { padataType: paType.REQ_ENC_PA_REP, padataValue: new Uint8Array(0) },
  ];
  const key = hint && (await options.secret.key(hint));
  if (hint && !key) throw noKey(options.client, options.secret, [hint.etype]);
  const reqBody = toDer(KdcReqBody, body);
  const armor = await options.armor?.(options.client.realm, options.signal);
  if (armor) checkArmor(armor, options.client.realm);
  const fast = armor && Fast.with(context, armor);
  if (key) padata.unshift(fast ? encryptedChallenge(context, fast, key) : encryptedTimestamp(context, key));
  const proof = publicKey?.prove(context, body, reqBody);
  if (proof) padata.unshift(proof.padata);
  if (cookie) padata.push(cookie);
  const outer = fast ? [fast.request(padata, reqBody, reqBody)] : padata;
  return { message: toDer(AsReq, { pvno: 5, msgType: msgType.AS_REQ, padata: outer, reqBody }), body, fast, proof };
}

/** Whoever gave a ticket knows its session key: another realm's KDC could open what is hidden from everybody else. */
function checkArmor({ client, server }: Credentials, realm: string): void {
  if (isKrbtgt(server) && server.components[1]?.toLowerCase() === realm.toLowerCase()) return;
  throw new AdError(
    'INVALID_ARGUMENT',
    `the armor, a ticket of ${formatPrincipal(client)} for ${formatPrincipal(server)}, is not for the KDC of ${realm}`,
    { realm },
  );
}

/** Learns from a KRB-ERROR what the next request needs, or throws what it means. */
async function adjust(
  context: ExchangeContext,
  options: AsOptions,
  etypes: readonly number[],
  state: Attempt,
  { error, padata, trusted }: Told,
  server: string,
): Promise<void> {
  const { client } = options;
  const by = options.secret.publicKey && ('certificate' as const);
  const asked = { what: `the login of ${formatPrincipal(client)}`, realm: client.realm, server, by };
  const hint = hintFrom(padata, etypes);
  state.cookie = padata.find((p) => p.padataType === paType.FX_COOKIE);
  if (!trusted && error.errorCode !== krbError.KRB_AP_ERR_SKEW)
    throw notArmored(krbErrorToAdError(error, asked), server);
  switch (error.errorCode) {
    case krbError.KDC_ERR_PREAUTH_REQUIRED: {
      if (state.hintIsKdcs) throw krbErrorToAdError(error, asked);
      state.hintIsKdcs = true;
      if (options.secret.publicKey) {
        if (!padata.some((p) => p.padataType === paType.PK_AS_REQ)) throw noPkinit(client, server);
      } else {
        if (!hint) throw noKey(client, options.secret, offeredEtypes(padata));
        // The salt was asked for after a refusal: if it makes the same key, the password is wrong.
        if (state.refused && (await sameKey(options.secret, hint, state.refused.key))) throw state.refused.error;
        state.hint = hint;
      }
      // The KDC's time comes along (RFC 4120 5.9.1), so a clock that is off costs no further round trip.
      if (Math.abs(error.stime.getTime() - kdcNow(context)) > context.clockSkew)
        adoptClock(context, state, error, server);
      return;
    }
    case krbError.KRB_AP_ERR_SKEW:
      if (state.clockTried) throw krbErrorToAdError(error, asked);
      adoptClock(context, state, error, server);
      return;
    case krbError.KDC_ERR_PREAUTH_FAILED:
    case krbError.KDC_ERR_ETYPE_NOSUPP: {
      // A remembered or assumed salt may be out of date where the password is not: look at the KDC's salt once. A
      // second guess with the same key would only bring the account closer to its lockout.
      if (state.hint === undefined || state.hintIsKdcs) throw krbErrorToAdError(error, asked);
      state.refused = { key: await options.secret.key(state.hint), error: krbErrorToAdError(error, asked) };
      if (hint && (await sameKey(options.secret, hint, state.refused.key))) throw state.refused.error;
      state.hint = hint;
      state.hintIsKdcs = hint !== undefined;
      options.secret.remembered = undefined;
      return;
    }
    default:
      throw krbErrorToAdError(error, asked);
  }
}

function noPkinit({ realm }: Principal, server: string): AdError {
  return new AdError('KDC_ERROR', `KDC ${server} takes no certificates (PKINIT)`, { realm, server });
}

function adoptClock(context: ExchangeContext, state: Attempt, error: KrbError, server: string): void {
  if (state.clockTried) return;
  state.clockTried = true;
  context.timeOffset = believableOffset(context, error.stime.getTime(), server);
}

/** Whoever is on the wire can say this, or the KDC does no FAST: either way nothing goes out without armor. */
function notArmored(error: AdError, server: string): AdError {
  return new AdError(
    error.code,
    `${error.message} (not in armor, though the request was)`,
    { ...error.details, server },
    error,
  );
}

/** KerberosTime has no fractions; a reply is compared with what was sent. */
export function wholeSeconds(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000);
}
