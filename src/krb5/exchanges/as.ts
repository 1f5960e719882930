/**
 * The authentication service exchange, RFC 4120 3.1: a ticket for a client that proves its long-term key by an encrypted
 * timestamp (PA-ENC-TIMESTAMP). The loop follows the KDC's hints, yet nothing a forged KRB-ERROR says makes us weaker:
 * only permitted etypes are used, iteration counts are bounded, and a new clock is kept only once a sealed reply agreed.
 */
import { fromDer, toDer } from '../../asn1.ts';
import { wipe } from '../../bytes.ts';
import { AdError, isAdError } from '../../errors.ts';
import type { Credentials } from '../credentials.ts';
import { etypeName, type Key } from '../crypto/index.ts';
import {
  AsRep,
  AsReq,
  EncAsRepPart,
  type KdcRep,
  KdcReqBody,
  KrbError,
  type PaData,
  PaPacRequest,
  toPrincipalName,
} from '../messages.ts';
import { kdcOption, keyUsage, krbError, msgType, paType } from '../numbers.ts';
import { formatPrincipal, krbtgt, type Principal } from '../principal.ts';
import type { KeyHint, Secret } from '../secret.ts';
import { type ExchangeContext, hasFlag, kdcNow, newNonce } from './context.ts';
import { krbErrorToAdError, methodData } from './errors.ts';
import { encryptedTimestamp, hintFrom, noKey, offeredEtypes, sameKey } from './preauth.ts';
import { believableOffset, verifyEncPaRep, verifyReply } from './verify.ts';

export interface AsOptions {
  readonly client: Principal;
  readonly secret: Secret;
  /** Default: the realm's ticket-granting service. */
  readonly server?: Principal;
  /** Bits of kdcOption; default: forwardable, renewable, canonicalize, renewable-ok. */
  readonly kdcOptions?: number;
  /** A ticket for later (postdated): whole seconds; it is to be validated then (RFC 4120 2.4). */
  readonly from?: Date;
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
  };
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const request = await buildRequest(trial, options, etypes, state.hint);
    const { message, server } = await trial.transport.exchange(client.realm, request.message, options.signal);
    if (message[0] === 0x60 + msgType.ERROR) {
      const error = fromDer(KrbError, message);
      const referredTo = clientReferral(error, request.body);
      if (referredTo !== undefined) return { referredTo };
      await adjust(trial, options, etypes, state, error, server);
    } else {
      const { credentials, hint } = await openReply(trial, options, etypes, request, message, server, state.hint);
      secret.remembered = hint;
      context.timeOffset = trial.timeOffset;
      return credentials;
    }
  }
  throw new AdError('KDC_ERROR', `the KDC of ${client.realm} asks for pre-authentication again and again`);
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
}

interface Request {
  readonly message: Uint8Array;
  readonly body: KdcReqBody;
}

async function buildRequest(
  context: ExchangeContext,
  options: AsOptions,
  etypes: readonly number[],
  hint: KeyHint | undefined,
): Promise<Request> {
  const now = kdcNow(context);
  const postdated = options.from ? kdcOption.POSTDATED | kdcOption.ALLOW_POSTDATE : 0;
  const kdcOptions = (options.kdcOptions ?? INITIAL_OPTIONS) | postdated;
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
  };
  const padata: PaData[] = [
    { padataType: paType.PAC_REQUEST, padataValue: toDer(PaPacRequest, { includePac: true }) },
    { padataType: paType.REQ_ENC_PA_REP, padataValue: new Uint8Array(0) },
  ];
  if (hint) {
    const key = await options.secret.key(hint);
    if (!key) throw noKey(options.client, options.secret, [hint.etype]);
    padata.unshift(encryptedTimestamp(context, key));
  }
  const reqBody = toDer(KdcReqBody, body);
  return { message: toDer(AsReq, { pvno: 5, msgType: msgType.AS_REQ, padata, reqBody }), body };
}

/** Learns from a KRB-ERROR what the next request needs, or throws what it means. */
async function adjust(
  context: ExchangeContext,
  options: AsOptions,
  etypes: readonly number[],
  state: Attempt,
  error: KrbError,
  server: string,
): Promise<void> {
  const asked = { what: `the login of ${formatPrincipal(options.client)}`, realm: options.client.realm, server };
  const hint = hintFrom(methodData(error), etypes);
  switch (error.errorCode) {
    case krbError.KDC_ERR_PREAUTH_REQUIRED: {
      if (state.hintIsKdcs) throw krbErrorToAdError(error, asked);
      if (!hint) throw noKey(options.client, options.secret, offeredEtypes(methodData(error)));
      // The salt was asked for after a refusal: if it makes the same key, the password is wrong.
      if (state.refused && (await sameKey(options.secret, hint, state.refused.key))) throw state.refused.error;
      state.hint = hint;
      state.hintIsKdcs = true;
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

function adoptClock(context: ExchangeContext, state: Attempt, error: KrbError, server: string): void {
  if (state.clockTried) return;
  state.clockTried = true;
  context.timeOffset = believableOffset(context, error.stime.getTime(), server);
}

async function openReply(
  context: ExchangeContext,
  options: AsOptions,
  etypes: readonly number[],
  request: Request,
  message: Uint8Array,
  server: string,
  used: KeyHint | undefined,
): Promise<{ credentials: Credentials; hint: KeyHint }> {
  const rep = fromDer(AsRep, message);
  if (rep.pvno !== 5 || rep.msgType !== msgType.AS_REP) {
    throw new AdError('REPLY_REJECTED', `${server} answered an AS-REQ with message type ${rep.msgType}`);
  }
  const hint = replyHint(rep, etypes, used, server);
  const key = await options.secret.key(hint);
  if (!key) throw noKey(options.client, options.secret, [hint.etype]);
  let clear: Uint8Array;
  try {
    clear = key.decrypt(keyUsage.AS_REP_ENC_PART, rep.encPart.cipher);
  } catch (e) {
    if (!isAdError(e, 'INTEGRITY')) throw e;
    throw new AdError(
      'WRONG_PASSWORD',
      `the reply of KDC ${server} does not open with the key of ${formatPrincipal(options.client)}: wrong password or key`,
      { server, etype: hint.etype, kvno: rep.encPart.kvno },
      e,
    );
  }
  try {
    const part = fromDer(EncAsRepPart, clear);
    verifyEncPaRep(part, key, request.message, server);
    const credentials = verifyReply(context, {
      kind: 'AS',
      body: request.body,
      client: options.client,
      rep,
      part,
      server,
    });
    return { credentials, hint };
  } finally {
    wipe(clear);
  }
}

/**
 * Which key opens the reply: that of its etype, with the salt the reply names in ETYPE-INFO2 ("sent ... in the AS-REP",
 * RFC 4120 5.2.7.5) or else the salt already used.
 */
function replyHint(rep: KdcRep, etypes: readonly number[], used: KeyHint | undefined, server: string): KeyHint {
  const { etype } = rep.encPart;
  if (!etypes.includes(etype)) {
    throw new AdError('ETYPE', `KDC ${server} sealed its reply with ${etypeName(etype)}, which was not asked for`, {
      server,
      etype,
    });
  }
  if (used?.etype === etype) return used;
  return hintFrom(rep.padata ?? [], [etype]) ?? { etype, salt: undefined, params: undefined };
}

/** KerberosTime has no fractions; a reply is compared with what was sent. */
export function wholeSeconds(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000);
}
