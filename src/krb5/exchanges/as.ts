/**
 * The authentication service exchange, RFC 4120 3.1: a ticket for a client that proves its long-term key by an encrypted
 * timestamp (PA-ENC-TIMESTAMP). The loop follows the KDC's hints, yet nothing a forged KRB-ERROR says makes us weaker:
 * only permitted etypes are used, iteration counts are bounded, and a new clock is kept only once a sealed reply agreed.
 */
import { fromDer, toDer } from '../../asn1.ts';
import { equal, wipe } from '../../bytes.ts';
import { AdError, isAdError } from '../../errors.ts';
import type { Credentials } from '../credentials.ts';
import { etypeName, type Key } from '../crypto/index.ts';
import {
  AsRep,
  AsReq,
  EncAsRepPart,
  EncryptedData,
  EtypeInfo2,
  type KdcRep,
  KdcReqBody,
  KrbError,
  type PaData,
  PaEncTsEnc,
  PaPacRequest,
  toPrincipalName,
} from '../messages.ts';
import { kdcOption, keyUsage, krbError, msgType, paType } from '../numbers.ts';
import { formatPrincipal, krbtgt, type Principal } from '../principal.ts';
import type { KeyHint, Secret } from '../secret.ts';
import { type ExchangeContext, kdcNow, newNonce, newStamp } from './context.ts';
import { krbErrorToAdError, methodData } from './errors.ts';
import { believableOffset, verifyEncPaRep, verifyReply } from './verify.ts';

export interface AsOptions {
  readonly client: Principal;
  readonly secret: Secret;
  /** Default: the realm's ticket-granting service. */
  readonly server?: Principal;
  /** Bits of kdcOption; default: forwardable, renewable, canonicalize, renewable-ok. */
  readonly kdcOptions?: number;
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_OPTIONS = kdcOption.FORWARDABLE | kdcOption.RENEWABLE | kdcOption.CANONICALIZE | kdcOption.RENEWABLE_OK;

/** KDC hints are followed this often at most; a sound exchange needs three (salt, clock, answer). */
const MAX_ROUNDS = 5;

/**
 * Gets an initial ticket.
 * @throws AdError WRONG_PASSWORD, UNKNOWN_PRINCIPAL, ACCOUNT_DISABLED, PASSWORD_EXPIRED, ETYPE, CLOCK_SKEW, KDC_ERROR,
 *   REPLY_REJECTED, UNREACHABLE, TIMEOUT, ABORTED; MalformedError for an answer that is no Kerberos message
 */
export async function asExchange(context: ExchangeContext, options: AsOptions): Promise<Credentials> {
  const { client, secret } = options;
  const etypes = context.permittedEtypes.filter((e) => secret.etypes.includes(e));
  if (etypes.length === 0) throw noKey(options, context.permittedEtypes);
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
      await adjust(trial, options, etypes, state, fromDer(KrbError, message), server);
    } else {
      const { credentials, hint } = await openReply(trial, options, etypes, request, message, server, state.hint);
      secret.remembered = hint;
      context.timeOffset = trial.timeOffset;
      return credentials;
    }
  }
  throw new AdError('KDC_ERROR', `the KDC of ${client.realm} asks for pre-authentication again and again`);
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
  const kdcOptions = options.kdcOptions ?? DEFAULT_OPTIONS;
  const renewable = (kdcOptions & kdcOption.RENEWABLE) !== 0;
  const body: KdcReqBody = {
    kdcOptions,
    cname: toPrincipalName(options.client),
    realm: options.client.realm,
    sname: toPrincipalName(options.server ?? krbtgt(options.client.realm)),
    till: wholeSeconds(now + context.ticketLifetime),
    rtime: renewable ? wholeSeconds(now + context.renewLifetime) : undefined,
    nonce: newNonce(context.random),
    etypes: [...etypes],
  };
  const padata: PaData[] = [
    { padataType: paType.PAC_REQUEST, padataValue: toDer(PaPacRequest, { includePac: true }) },
    { padataType: paType.REQ_ENC_PA_REP, padataValue: new Uint8Array(0) },
  ];
  if (hint) {
    const key = await options.secret.key(hint);
    if (!key) throw noKey(options, [hint.etype]);
    padata.unshift({ padataType: paType.ENC_TIMESTAMP, padataValue: encryptedTimestamp(context, key) });
  }
  const reqBody = toDer(KdcReqBody, body);
  return { message: toDer(AsReq, { pvno: 5, msgType: msgType.AS_REQ, padata, reqBody }), body };
}

/** PA-ENC-TIMESTAMP, RFC 4120 5.2.7.2. */
function encryptedTimestamp(context: ExchangeContext, key: Key): Uint8Array {
  const { seconds, microseconds } = newStamp(context);
  const clear = toDer(PaEncTsEnc, { patimestamp: seconds, pausec: microseconds });
  const cipher = key.encrypt(keyUsage.AS_REQ_PA_ENC_TIMESTAMP, clear);
  return toDer(EncryptedData, { etype: key.etype, cipher });
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
      if (!hint) throw noKey(options, offered(error));
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

async function sameKey(secret: Secret, hint: KeyHint, key: Key | undefined): Promise<boolean> {
  const other = await secret.key(hint);
  return key !== undefined && other !== undefined && equal(key.value, other.value);
}

/** The most preferred permitted etype among those in ETYPE-INFO2, with its salt. The KDC's order does not count. */
function hintFrom(padata: readonly PaData[], etypes: readonly number[]): KeyHint | undefined {
  const entries = etypeInfo2(padata);
  for (const etype of etypes) {
    const entry = entries.find((e) => e.etype === etype);
    if (entry) return { etype, salt: entry.salt, params: entry.s2kparams };
  }
  return undefined;
}

function etypeInfo2(padata: readonly PaData[]): EtypeInfo2 {
  const pa = padata.find((p) => p.padataType === paType.ETYPE_INFO2);
  return pa ? fromDer(EtypeInfo2, pa.padataValue) : [];
}

function offered(error: KrbError): number[] {
  return etypeInfo2(methodData(error)).map((e) => e.etype);
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
  if (!key) throw noKey(options, [hint.etype]);
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

/** @param wanted the etypes the other side can do, as far as it said */
function noKey(options: AsOptions, wanted: readonly number[]): AdError {
  const list = (etypes: readonly number[]) => etypes.map(etypeName).join(', ');
  const there =
    wanted.length > 0
      ? `${list(wanted)} only`
      : 'none of them (it may have RC4 keys alone: set its password again to give it AES keys, or permit arcfour-hmac)';
  return new AdError(
    'ETYPE',
    `no permitted encryption type in common: asked for ${list(options.secret.etypes)}, ${formatPrincipal(options.client)} has ${there}`,
    { realm: options.client.realm },
  );
}

/** KerberosTime has no fractions; a reply is compared with what was sent. */
export function wholeSeconds(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000);
}
