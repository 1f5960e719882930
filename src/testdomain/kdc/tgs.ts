/** The ticket-granting service (RFC 4120 3.3.2 and 3.3.3): service tickets, renewal, forwarding, user-to-user. */
import { fromDer, toDer } from '../../asn1.ts';
import { isAdError } from '../../errors.ts';
import { Key } from '../../krb5/crypto/index.ts';
import {
  ApReq,
  Authenticator,
  EncTgsRepPart,
  EncTicketPart,
  type KdcReq,
  type KdcReqBody,
  TgsRep,
  Ticket,
} from '../../krb5/messages.ts';
import { kdcOption, keyUsage, msgType, paType, ticketFlag } from '../../krb5/numbers.ts';
import type { Account } from '../accounts.ts';
import { Refusal } from './refusal.ts';
import {
  grantFlags,
  grantTimes,
  type KdcContext,
  MAX_SKEW_MS,
  seal,
  sealTicket,
  sessionEtype,
  type Times,
} from './tickets.ts';

/** Options that would need parts this KDC does not have: a ticket ignoring them would say something untrue. */
const UNSUPPORTED = kdcOption.CNAME_IN_ADDL_TKT | kdcOption.POSTDATED | kdcOption.PROXY | kdcOption.VALIDATE;

/** @throws Refusal */
export async function tgsExchange(context: KdcContext, req: KdcReq, body: KdcReqBody): Promise<Uint8Array> {
  const { directory } = context;
  const given = req.padata?.find((p) => p.padataType === paType.TGS_REQ);
  if (given === undefined) throw new Refusal('KDC_ERR_PADATA_TYPE_NOSUPP', 'no ticket presented');
  if (body.kdcOptions & UNSUPPORTED || req.padata?.some((p) => p.padataType === paType.FOR_USER)) {
    throw new Refusal('KDC_ERR_BADOPTION', 'option not supported');
  }
  const presented = await openApReq(context, given.padataValue, req.reqBody);
  const { tgt, sessionKey, replyKey, replyUsage } = presented;
  const sname = body.sname;
  const server = sname === undefined ? undefined : directory.findByService(sname.nameString);
  if (server === undefined || sname === undefined) throw new Refusal('KDC_ERR_S_PRINCIPAL_UNKNOWN', 'no such service');
  if (server.state.disabled) throw new Refusal('KDC_ERR_S_PRINCIPAL_UNKNOWN', 'the service account is disabled');

  const forTgs = server === directory.krbtgt;
  const times = body.kdcOptions & kdcOption.RENEW ? renewed(context, tgt) : grantTimes(context, body, tgt);
  const flags = ticketFlags(tgt, body.kdcOptions, times, forTgs);
  const sealWith = body.kdcOptions & kdcOption.ENC_TKT_IN_SKEY ? await userToUserKey(context, body, server) : undefined;
  const session = Key.generate(sessionEtype(context, server, body.etypes));
  try {
    const ticket = await sealTicket(context, {
      server,
      sname,
      crealm: tgt.crealm,
      cname: tgt.cname,
      flags,
      session,
      times,
      sealWith,
    });
    const part = toDer(EncTgsRepPart, {
      key: { keytype: session.etype, keyvalue: session.value },
      lastReq: [{ lrType: 0, lrValue: times.starttime }],
      nonce: body.nonce,
      flags,
      ...times,
      srealm: directory.realm,
      sname,
    });
    return toDer(TgsRep, {
      pvno: 5,
      msgType: msgType.TGS_REP,
      crealm: tgt.crealm,
      cname: tgt.cname,
      ticket,
      encPart: seal(replyKey, replyUsage, part),
    });
  } finally {
    session.destroy();
    sealWith?.destroy();
    sessionKey.destroy();
    replyKey.destroy();
  }
}

interface Presented {
  readonly tgt: EncTicketPart;
  readonly sessionKey: Key;
  readonly replyKey: Key;
  readonly replyUsage: number;
}

/** Opens a ticket of the ticket-granting service with its key. */
async function openTgt(context: KdcContext, der: Uint8Array): Promise<EncTicketPart> {
  const { directory } = context;
  const ticket = fromDer(Ticket, der);
  const [service] = ticket.sname.nameString;
  if (service !== 'krbtgt' || directory.findByService(ticket.sname.nameString) !== directory.krbtgt) {
    throw new Refusal('KRB_AP_ERR_NOT_US', 'the ticket is for another service');
  }
  if (!directory.krbtgt.etypes.includes(ticket.encPart.etype)) throw new Refusal('KRB_AP_ERR_BADKEYVER', 'no such key');
  const key = await directory.krbtgt.keysAt(context.now()).current.get(ticket.encPart.etype);
  // RFC 4120 3.2.3: a ticket that does not decrypt is answered with KRB_AP_ERR_BAD_INTEGRITY, Windows says MODIFIED.
  const part = decryptOr('KRB_AP_ERR_MODIFIED', () => key.decrypt(keyUsage.KDC_REP_TICKET, ticket.encPart.cipher));
  return fromDer(EncTicketPart, part);
}

/** Checks of RFC 4120 3.2.3 and 3.3.2 on the AP-REQ in PA-TGS-REQ. */
async function openApReq(context: KdcContext, der: Uint8Array, reqBody: Uint8Array): Promise<Presented> {
  const apReq = fromDer(ApReq, der);
  const tgt = await openTgt(context, apReq.ticket);
  const sessionKey = new Key(tgt.key.keytype, tgt.key.keyvalue);
  const plain = decryptOr('KRB_AP_ERR_BAD_INTEGRITY', () =>
    sessionKey.decrypt(keyUsage.TGS_REQ_AUTHENTICATOR, apReq.authenticator.cipher),
  );
  const auth = fromDer(Authenticator, plain);
  const sameClient = auth.crealm === tgt.crealm && auth.cname.nameString.join('/') === tgt.cname.nameString.join('/');
  if (!sameClient) throw new Refusal('KRB_AP_ERR_BADMATCH', 'ticket and authenticator name different clients');
  const now = context.now();
  if (Math.abs(auth.ctime.getTime() - now) > MAX_SKEW_MS) throw new Refusal('KRB_AP_ERR_SKEW', 'clock skew too great');
  if (tgt.endtime.getTime() + MAX_SKEW_MS < now) throw new Refusal('KRB_AP_ERR_TKT_EXPIRED', 'ticket has expired');
  if ((tgt.starttime ?? tgt.authtime).getTime() > now + MAX_SKEW_MS)
    throw new Refusal('KRB_AP_ERR_TKT_NYV', 'ticket is not yet valid');
  // RFC 4120 3.3.3: "if the checksum is not present ... KRB_AP_ERR_INAPP_CKSUM", and it must match the body as sent.
  if (auth.cksum === undefined) throw new Refusal('KRB_AP_ERR_INAPP_CKSUM', 'authenticator without checksum');
  if (!sessionKey.verifyChecksum(keyUsage.TGS_REQ_AUTHENTICATOR_CKSUM, reqBody, auth.cksum.checksum)) {
    throw new Refusal('KRB_AP_ERR_MODIFIED', 'request body was altered');
  }
  const replyKey = auth.subkey ? new Key(auth.subkey.keytype, auth.subkey.keyvalue) : sessionKey;
  const replyUsage = auth.subkey ? keyUsage.TGS_REP_ENC_PART_SUBKEY : keyUsage.TGS_REP_ENC_PART_SESSION_KEY;
  return { tgt, sessionKey, replyKey, replyUsage };
}

function decryptOr(code: 'KRB_AP_ERR_MODIFIED' | 'KRB_AP_ERR_BAD_INTEGRITY', decrypt: () => Uint8Array): Uint8Array {
  try {
    return decrypt();
  } catch (e) {
    if (isAdError(e, 'INTEGRITY', 'MALFORMED')) throw new Refusal(code, 'decryption failed');
    throw e;
  }
}

/** RFC 4120 3.3.3.1: the same length of life again, up to renew-till. */
function renewed(context: KdcContext, tgt: EncTicketPart): Times {
  const now = Math.floor(context.now() / 1000) * 1000;
  if (!(tgt.flags & ticketFlag.RENEWABLE) || tgt.renewTill === undefined)
    throw new Refusal('KDC_ERR_BADOPTION', 'ticket is not renewable');
  if (tgt.renewTill.getTime() <= now) throw new Refusal('KRB_AP_ERR_TKT_EXPIRED', 'past the renewable life');
  const life = tgt.endtime.getTime() - (tgt.starttime ?? tgt.authtime).getTime();
  const endtime = new Date(Math.min(now + life, tgt.renewTill.getTime()));
  return { authtime: tgt.authtime, starttime: new Date(now), endtime, renewTill: tgt.renewTill };
}

function ticketFlags(tgt: EncTicketPart, options: number, times: Times, forTgs: boolean): number {
  // RFC 4120 3.3.3.1: FORWARDABLE and the like pass on only where the presented ticket has them.
  const inherited = tgt.flags & (ticketFlag.PRE_AUTHENT | ticketFlag.HW_AUTHENT | ticketFlag.ENC_PA_REP);
  if (options & kdcOption.RENEW) return tgt.flags & ~ticketFlag.INITIAL;
  let flags = inherited | (grantFlags(options, times) & (tgt.flags | ticketFlag.RENEWABLE));
  if (options & kdcOption.FORWARDED) {
    if (!(tgt.flags & ticketFlag.FORWARDABLE)) throw new Refusal('KDC_ERR_BADOPTION', 'ticket is not forwardable');
    flags |= ticketFlag.FORWARDED;
  }
  // A service ticket is vouched for by its own realm, nothing was transited.
  return forTgs ? flags : flags | ticketFlag.TRANSITED_POLICY_CHECKED;
}

/** RFC 4120 3.3.3: with ENC-TKT-IN-SKEY the ticket is sealed with the session key of the server's own TGT. */
async function userToUserKey(context: KdcContext, body: KdcReqBody, server: Account): Promise<Key> {
  const der = body.additionalTickets?.[0];
  if (der === undefined) throw new Refusal('KDC_ERR_BADOPTION', 'no additional ticket');
  const tgt = await openTgt(context, der);
  if (context.directory.find(tgt.cname.nameString.join('/')) !== server) {
    throw new Refusal('KRB_AP_ERR_BADMATCH', 'the additional ticket is not of that server');
  }
  return new Key(tgt.key.keytype, tgt.key.keyvalue);
}
