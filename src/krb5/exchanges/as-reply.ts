/** Opening an AS-REP: with which key, and what must hold before its ticket is used. */
import { fromDer } from '../../asn1.ts';
import { equal, wipe } from '../../bytes.ts';
import { AdError, isAdError } from '../../errors.ts';
import type { Credentials } from '../credentials.ts';
import { cf2, etypeName, type Key } from '../crypto/index.ts';
import {
  AsRep,
  EncAsRepPart,
  type EncKdcRepPart,
  EncryptedData,
  EncryptionKey,
  type KdcRep,
  type KdcReqBody,
  type PaData,
} from '../messages.ts';
import { keyUsage, msgType, paType } from '../numbers.ts';
import { formatPrincipal, type Principal } from '../principal.ts';
import type { KeyHint, PublicKeyProof, Secret } from '../secret.ts';
import { keyFrom } from './ap.ts';
import { type ExchangeContext, kdcNow } from './context.ts';
import { type Fast, strengthened } from './fast.ts';
import { hintFrom, noKey } from './preauth.ts';
import { verifyEncPaRep, verifyFastReply, verifyReply } from './verify.ts';

export interface SentAsRequest {
  /** DER of the AS-REQ. */
  readonly message: Uint8Array;
  readonly body: KdcReqBody;
  readonly fast: Fast | undefined;
  readonly client: Principal;
  readonly secret: Secret;
  readonly etypes: readonly number[];
  /** Of the key that the request was proved with. */
  readonly used: KeyHint | undefined;
  /** The request's proof where it was none of a long-term key. */
  readonly proof: PublicKeyProof | undefined;
}

/**
 * @returns the credentials, and the hint whose key opened the reply
 * @throws AdError WRONG_PASSWORD, ETYPE, REPLY_REJECTED, CLOCK_SKEW; MalformedError
 */
export async function openReply(
  context: ExchangeContext,
  sent: SentAsRequest,
  message: Uint8Array,
  server: string,
): Promise<{ credentials: Credentials; hint: KeyHint }> {
  const { body, client, secret, fast } = sent;
  const rep = fromDer(AsRep, message);
  if (rep.pvno !== 5 || rep.msgType !== msgType.AS_REP) {
    throw new AdError('REPLY_REJECTED', `${server} answered an AS-REQ with message type ${rep.msgType}`);
  }
  let padata: readonly PaData[] = rep.padata ?? [];
  const armored = fast?.open(padata, server);
  if (fast) {
    verifyFastReply(armored, rep, fast.key, body.nonce, server);
    padata = armored.padata;
  }
  const hint = replyHint(rep, padata, sent, server);
  const agreed = sent.proof?.replyKey({ padata, etype: hint.etype, asReq: sent.message, server });
  const replyKey = agreed?.key ?? (await secret.key(hint));
  if (!replyKey) throw noKey(client, secret, [hint.etype]);
  if (fast && sent.used) verifyKdcChallenge(context, fast, padata, replyKey, server);
  const key = armored && strengthened(armored, replyKey);
  let clear: Uint8Array | undefined;
  try {
    clear = unseal(rep, key ?? replyKey, sent, hint, server);
    const part = fromDer(EncAsRepPart, clear);
    // Outside of armor whoever sits between may have signed our agreement himself: the reply opens, and is not ours.
    const required = agreed?.bound === false && !fast;
    verifyEncPaRep(part, key ?? replyKey, sent.message, server, required);
    const anonymous = secret.publicKey?.anonymous ?? false;
    // The key agreed, not the one that armor strengthened: so MIT's sides have it.
    if (anonymous) verifyKeyContribution(part, replyKey, padata, server);
    return { credentials: verifyReply(context, { kind: 'AS', body, client, anonymous, rep, part, server }), hint };
  } finally {
    wipe(clear);
    key?.destroy();
    agreed?.key.destroy();
  }
}

/**
 * PA-PKINIT-KX, RFC 8062: the session key of an anonymous ticket is made of the KDC's part and the reply key. Whoever sits
 * between, and may ask for as many anonymous tickets as he likes, cannot pass one of his off as this one's.
 */
function verifyKeyContribution(part: EncKdcRepPart, replyKey: Key, padata: readonly PaData[], server: string): void {
  const pa = padata.find((p) => p.padataType === paType.PKINIT_KX);
  const sealed = pa && fromDer(EncryptedData, pa.padataValue);
  if (sealed?.etype !== replyKey.etype)
    throw new AdError('REPLY_REJECTED', `KDC ${server} did not tell its part of the session key`, { server });
  const clear = contribution(replyKey, sealed.cipher, server);
  let made: Key | undefined;
  let contributed: Key | undefined;
  try {
    contributed = keyFrom(fromDer(EncryptionKey, clear));
    made = cf2(contributed, replyKey, 'PKINIT', 'KEYEXCHANGE');
    if (made.etype !== part.key.keytype || !equal(made.value, part.key.keyvalue))
      throw new AdError('REPLY_REJECTED', `the session key of KDC ${server} is not what both sides made`, { server });
  } finally {
    wipe(clear);
    contributed?.destroy();
    made?.destroy();
  }
}

function contribution(replyKey: Key, cipher: Uint8Array, server: string): Uint8Array {
  try {
    return replyKey.decrypt(keyUsage.PA_PKINIT_KX, cipher);
  } catch (e) {
    if (!isAdError(e, 'INTEGRITY')) throw e;
    const why = `the part of KDC ${server} in the session key does not open with the key agreed`;
    throw new AdError('REPLY_REJECTED', why, { server }, e);
  }
}

function unseal(rep: KdcRep, key: Key, { client, proof }: SentAsRequest, hint: KeyHint, server: string): Uint8Array {
  try {
    return key.decrypt(keyUsage.AS_REP_ENC_PART, rep.encPart.cipher);
  } catch (e) {
    if (!isAdError(e, 'INTEGRITY')) throw e;
    if (proof)
      throw new AdError('REPLY_REJECTED', `the reply of KDC ${server} does not open with the key agreed`, {}, e);
    throw new AdError(
      'WRONG_PASSWORD',
      `the reply of KDC ${server} does not open with the key of ${formatPrincipal(client)}: wrong password or key`,
      { server, etype: hint.etype, kvno: rep.encPart.kvno },
      e,
    );
  }
}

/**
 * Which key opens the reply: that of its etype, with the salt the reply names in ETYPE-INFO2 ("sent ... in the AS-REP",
 * RFC 4120 5.2.7.5) or else the salt already used.
 */
function replyHint(rep: KdcRep, padata: readonly PaData[], { etypes, used }: SentAsRequest, server: string): KeyHint {
  const { etype } = rep.encPart;
  if (!etypes.includes(etype)) {
    throw new AdError('ETYPE', `KDC ${server} sealed its reply with ${etypeName(etype)}, which was not asked for`, {
      server,
      etype,
    });
  }
  if (used?.etype === etype) return used;
  return hintFrom(padata, [etype]) ?? { etype, salt: undefined, params: undefined };
}

/** RFC 6113 5.4.6: the KDC answers a challenge with one of its own, "to prove that it knows the client's long-term key". */
function verifyKdcChallenge(
  context: ExchangeContext,
  fast: Fast,
  padata: readonly PaData[],
  longTerm: Key,
  server: string,
): void {
  const pa = padata.find((p) => p.padataType === paType.ENCRYPTED_CHALLENGE);
  const time = pa && fast.openChallenge(longTerm, fromDer(EncryptedData, pa.padataValue).cipher);
  if (time === undefined || Math.abs(time - kdcNow(context)) > context.clockSkew) {
    throw new AdError('REPLY_REJECTED', `KDC ${server} did not answer our challenge`, { server });
  }
}
