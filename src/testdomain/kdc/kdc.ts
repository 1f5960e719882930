/** One request in, one answer out, whatever the transport: AS-REP, TGS-REP or a KRB-ERROR that is always well formed. */
import { fromDer, toDer } from '../../asn1.ts';
import { isAdError, messageOf } from '../../errors.ts';
import { AsReq, type KdcReq, KdcReqBody, KrbError, TgsReq } from '../../krb5/messages.ts';
import { krbError, msgType, nameType } from '../../krb5/numbers.ts';
import type { Stats } from '../options.ts';
import { asExchange } from './as.ts';
import { Refusal } from './refusal.ts';
import { tgsExchange } from './tgs.ts';
import type { KdcContext } from './tickets.ts';

/** First byte of each message: [APPLICATION n], constructed. */
const TAG = { AS_REQ: 0x60 | msgType.AS_REQ, TGS_REQ: 0x60 | msgType.TGS_REQ } as const;

/** Answers one KDC-REQ. Never throws for anything a client sent. */
export async function answer(
  context: KdcContext,
  stats: Stats,
  request: Uint8Array,
  forcedError?: number,
): Promise<Uint8Array> {
  let body: KdcReqBody | undefined;
  try {
    const isAs = request[0] === TAG.AS_REQ;
    if (!isAs && request[0] !== TAG.TGS_REQ) throw new Refusal('KRB_AP_ERR_MSG_TYPE', 'neither AS-REQ nor TGS-REQ');
    if (isAs) stats.as++;
    else stats.tgs++;
    const req: KdcReq = fromDer(isAs ? AsReq : TgsReq, request);
    body = fromDer(KdcReqBody, req.reqBody);
    if (req.pvno !== 5) throw new Refusal('KDC_ERR_BAD_PVNO', `protocol version ${req.pvno}`);
    if (forcedError !== undefined) throw new Refusal(forcedError, 'as asked for');
    if (!context.directory.isOwnRealm(body.realm))
      throw new Refusal('KDC_ERR_WRONG_REALM', `not the realm ${body.realm}`);
    return isAs ? await asExchange(context, req, body, request) : await tgsExchange(context, req, body);
  } catch (e) {
    stats.kdcErrors++;
    return errorReply(context, body, e);
  }
}

/** The KRB-ERROR for anything thrown; a request that could not be decoded is answered KRB_ERR_GENERIC. */
export function errorReply(context: KdcContext, body: KdcReqBody | undefined, e: unknown): Uint8Array {
  const refusal =
    e instanceof Refusal ? e : new Refusal('KRB_ERR_GENERIC', isAdError(e) ? messageOf(e) : 'internal error');
  const now = context.now();
  const { realm } = context.directory;
  const whose = body?.cname === undefined ? {} : { crealm: realm, cname: body.cname };
  return toDer(KrbError, {
    pvno: 5,
    msgType: msgType.ERROR,
    stime: new Date(now),
    susec: (((Math.floor(now) % 1000) + 1000) % 1000) * 1000,
    errorCode: refusal.code,
    ...whose,
    realm,
    sname: body?.sname ?? { nameType: nameType.SRV_INST, nameString: ['krbtgt', realm] },
    eText: refusal.message,
    eData: refusal.eData,
  });
}

export function tooBig(context: KdcContext): Uint8Array {
  return errorReply(
    context,
    undefined,
    new Refusal(krbError.KRB_ERR_RESPONSE_TOO_BIG, 'answer does not fit a datagram'),
  );
}
export function tooLong(context: KdcContext): Uint8Array {
  return errorReply(context, undefined, new Refusal(krbError.KRB_ERR_FIELD_TOOLONG, 'request is too long'));
}
