/** Opening an AS-REP: with which key, and what must hold before its ticket is used. */
import { fromDer } from '../../asn1.ts';
import { wipe } from '../../bytes.ts';
import { AdError, isAdError } from '../../errors.ts';
import type { Credentials } from '../credentials.ts';
import { etypeName, type Key } from '../crypto/index.ts';
import { AsRep, EncAsRepPart, EncryptedData, type KdcRep, type KdcReqBody, type PaData } from '../messages.ts';
import { keyUsage, msgType, paType } from '../numbers.ts';
import { formatPrincipal, type Principal } from '../principal.ts';
import type { KeyHint, Secret } from '../secret.ts';
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
  const longTerm = await secret.key(hint);
  if (!longTerm) throw noKey(client, secret, [hint.etype]);
  if (fast && sent.used) verifyKdcChallenge(context, fast, padata, longTerm, server);
  const key = armored && strengthened(armored, longTerm);
  let clear: Uint8Array | undefined;
  try {
    clear = unseal(rep, key ?? longTerm, sent, hint, server);
    const part = fromDer(EncAsRepPart, clear);
    verifyEncPaRep(part, key ?? longTerm, sent.message, server);
    return { credentials: verifyReply(context, { kind: 'AS', body, client, rep, part, server }), hint };
  } finally {
    wipe(clear);
    key?.destroy();
  }
}

function unseal(rep: KdcRep, key: Key, { client }: SentAsRequest, hint: KeyHint, server: string): Uint8Array {
  try {
    return key.decrypt(keyUsage.AS_REP_ENC_PART, rep.encPart.cipher);
  } catch (e) {
    if (!isAdError(e, 'INTEGRITY')) throw e;
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
