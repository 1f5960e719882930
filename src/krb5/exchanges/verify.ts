/**
 * Every check on a KDC's reply, in one place (RFC 4120 3.1.5 and 3.3.4, in the strictness of MIT's library). Nothing of
 * a reply is used before it passed. What the KDC sends in the clear is believed only as far as the sealed part repeats it.
 */

import { fromDer, type Infer } from '../../asn1.ts';
import { copy, wipe } from '../../bytes.ts';
import { AdError, isAdError } from '../../errors.ts';
import { type Credentials, copyAddresses } from '../credentials.ts';
import { etypeName, type Key, profileOf } from '../crypto/index.ts';
import {
  Checksum,
  type EncKdcRepPart,
  type EncKrbPrivPart,
  EncTicketPart,
  fromPrincipalName,
  type KdcRep,
  type KdcReqBody,
  type KrbFastResponse,
  type KrbPriv,
  type PaS4uX509User,
  S4uUserId,
  Ticket,
} from '../messages.ts';
import { kdcOption, keyUsage, msgType, nameType, paType, ticketFlag } from '../numbers.ts';
import {
  anonymousPrincipal,
  formatPrincipal,
  isKrbtgt,
  type Principal,
  sameName,
  samePrincipal,
} from '../principal.ts';
import { type ExchangeContext, hasFlag, kdcNow, MAX_TIME_OFFSET } from './context.ts';
import { printable } from './errors.ts';

export interface ReplyUnderCheck {
  readonly kind: 'AS' | 'TGS';
  /** The request's body as sent. */
  readonly body: KdcReqBody;
  /** The client asked for (AS), or the client of the ticket presented (TGS), or whom that one stands in for (S4U). */
  readonly client: Principal;
  /** True where nobody in particular asked (RFC 8062): the reply is to be nobody's. */
  readonly anonymous?: boolean | undefined;
  /** True where a TGS may name the client by another name: it found the account by the one given (S4U2Self). */
  readonly mayRename?: boolean | undefined;
  readonly rep: KdcRep;
  readonly part: EncKdcRepPart;
  readonly server: string;
}

/**
 * Checks a decrypted reply and turns it into credentials.
 * @throws AdError REPLY_REJECTED naming the failed check, ETYPE, CLOCK_SKEW
 */
export function verifyReply(context: ExchangeContext, reply: ReplyUnderCheck): Credentials {
  const { kind, body, rep, part } = reply;
  const reject = (why: string): never => {
    throw new AdError('REPLY_REJECTED', `${kind}-REP from ${reply.server} refused: ${why}`, { server: reply.server });
  };
  const canonicalize = hasFlag(body.kdcOptions, kdcOption.CANONICALIZE);

  // RFC 4120 3.1.5: "verifies that the ... nonce in the encrypted part matches"
  if (part.nonce !== body.nonce) reject('the nonce is not the one sent');

  // "verifies that the cname and crealm in the response match those it requested"; RFC 6806 6 lets the name change
  // when canonicalisation or an enterprise name was asked for. A TGS never changes the client of the ticket presented.
  const client = fromPrincipalName(rep.cname, rep.crealm);
  // Nobody in particular is named by a name of no realm, in the ticket as well (RFC 8062 section 3).
  const nobody = reply.anonymous && samePrincipal(client, anonymousPrincipal());
  if (reply.anonymous && (!nobody || !hasFlag(part.flags, ticketFlag.ANONYMOUS))) reject('it is not anonymous');
  if (kind === 'AS' && !reply.anonymous && hasFlag(part.flags, ticketFlag.ANONYMOUS)) reject('it is anonymous');
  const mayRename =
    nobody || reply.mayRename || (kind === 'AS' && (canonicalize || reply.client.nameType === nameType.ENTERPRISE));
  if (!mayRename && !samePrincipal(client, reply.client)) {
    reject(`it is for ${named(client)}, not ${named(reply.client)}`);
  }

  // The sealed part must name the ticket's server: the clear part of a ticket could have been exchanged.
  const ticket = fromDer(Ticket, rep.ticket);
  const server = fromPrincipalName(part.sname, part.srealm);
  if (!samePrincipal(server, fromPrincipalName(ticket.sname, ticket.realm))) {
    reject('the sealed part and the ticket name different servers');
  }
  // The reply names the client in the clear only, and with canonicalisation any name of the realm may come back (a UPN
  // becomes the sAMAccountName). Its realm at least is that of the sealed part, since a KDC logs on its own clients only.
  if (kind === 'AS' && !nobody && client.realm.toLowerCase() !== server.realm.toLowerCase()) {
    reject(`it names a client of ${printable(client.realm)} in a ticket of ${printable(server.realm)}`);
  }
  const asked = fromPrincipalName(body.sname ?? { nameType: 0, nameString: [] }, body.realm);
  const bothTgs = isKrbtgt(server) && isKrbtgt(asked);
  // An AS may canonicalise krbtgt/DOMAIN to krbtgt/REALM; a TGS may canonicalise a name or refer to another realm.
  const mayBeOther = kind === 'AS' ? canonicalize && bothTgs : canonicalize && isSameService(server, asked);
  // A ticket to another realm comes from the very realm that was asked: another could not have made it.
  const isReferral = kind === 'TGS' && canonicalize && isKrbtgt(server) && server.realm === asked.realm;
  if (!samePrincipal(server, asked) && !mayBeOther && !isReferral) {
    reject(`it is for service ${named(server)}, not ${named(asked)}`);
  }
  const { keytype, keyvalue } = part.key;
  if (!context.permittedEtypes.includes(keytype)) {
    throw new AdError('ETYPE', `KDC ${reply.server} chose session key ${etypeName(keytype)}, which is not permitted`);
  }
  if (keyvalue.length !== profileOf(keytype).keyBytes) reject(`its session key has ${keyvalue.length} bytes`);

  checkTimes(context, reply, reject);
  // A ticket to hand on that is not marked so is the client's own, which nobody else shall have.
  for (const option of [kdcOption.FORWARDED, kdcOption.PROXY]) {
    if (hasFlag(body.kdcOptions, option) && !hasFlag(part.flags, option)) reject('it is not marked as one to hand on');
  }
  return {
    client,
    server,
    key: { etype: keytype, value: copy(keyvalue) },
    authtime: part.authtime,
    ...(part.starttime && { starttime: part.starttime }),
    endtime: part.endtime,
    ...(part.renewTill && { renewTill: part.renewTill }),
    flags: part.flags,
    isSkey: hasFlag(body.kdcOptions, kdcOption.ENC_TKT_IN_SKEY),
    addresses: copyAddresses(part.caddr),
    authorizationData: [],
    ticket: copy(rep.ticket),
    secondTicket: new Uint8Array(0),
  };
}

/** A name from the wire, safe for a message. */
const named = (p: Principal): string => printable(formatPrincipal(p));

/** Canonicalisation may change the case of a name and realm, not whose it is. */
function isSameService(a: Principal, b: Principal): boolean {
  const lower = (p: Principal) => ({ components: [p.realm, ...p.components].map((c) => c.toLowerCase()) });
  return sameName(lower(a), lower(b));
}

/** RFC 4120 3.1.5: times must be those requested or less, and the KDC's clock must agree with ours. */
function checkTimes(context: ExchangeContext, reply: ReplyUnderCheck, reject: (why: string) => never): void {
  const { body, part, kind } = reply;
  const end = part.endtime.getTime();
  if (end > body.till.getTime()) reject('the ticket lives longer than was asked');
  const renewTill = part.renewTill?.getTime();
  if (renewTill !== undefined && hasFlag(part.flags, ticketFlag.RENEWABLE)) {
    const askedRenew = hasFlag(body.kdcOptions, kdcOption.RENEWABLE) ? body.rtime?.getTime() : undefined;
    const renewableOk = hasFlag(body.kdcOptions, kdcOption.RENEWABLE_OK) ? body.till.getTime() : undefined;
    const limit = askedRenew ?? renewableOk;
    // A TGS may leave a ticket renewable that was not asked to be; never beyond the ticket-granting ticket, though.
    const beyond = limit === undefined ? kind === 'AS' : renewTill > limit;
    if (beyond) reject('it is renewable for longer than was asked');
  }
  const start = (part.starttime ?? part.authtime).getTime();
  if (end <= start) reject('the ticket ends before it starts');
  const postdated = kind === 'AS' && hasFlag(body.kdcOptions, kdcOption.POSTDATED);
  // "If a postdated ticket was requested, the starttime must match"; it is born invalid (RFC 4120 3.1.3).
  if (postdated && part.starttime?.getTime() !== body.from?.getTime()) reject('it starts at another time than asked');
  if (!postdated && hasFlag(part.flags, ticketFlag.INVALID)) reject('the ticket is not yet valid');
  const kdcTime = postdated ? part.authtime.getTime() : start;
  const skew = kdcTime - kdcNow(context);
  if (kind === 'AS' && Math.abs(skew) > context.clockSkew) learnOffset(context, kdcTime, reply.server);
  if (kind === 'TGS' && skew > context.clockSkew) reject('the ticket starts in the future');
  if (end <= kdcNow(context) - context.clockSkew) reject('the ticket has expired already');
}

/** Adopts the KDC's clock from an authenticated time (MIT: kdc_timesync), within reason. */
function learnOffset(context: ExchangeContext, kdcTime: number, server: string): void {
  context.timeOffset = believableOffset(context, kdcTime, server);
}

/**
 * The KDC's time minus ours in ms.
 * @throws AdError CLOCK_SKEW when it is further off than any honest clock, or than allowed where it is not to be learned
 */
export function believableOffset(context: ExchangeContext, kdcTime: number, server: string): number {
  const offset = kdcTime - context.clock();
  if (Math.abs(offset) > (context.kdcTimesync ? MAX_TIME_OFFSET : context.clockSkew)) {
    throw new AdError(
      'CLOCK_SKEW',
      `the clock of KDC ${server} differs from this host's by ${Math.round(offset / 1000)} s: set this host's clock`,
      { server, offsetSeconds: Math.round(offset / 1000) },
    );
  }
  return offset;
}

/**
 * RFC 6806 section 11: a KDC that sets enc-pa-rep seals a checksum of our AS-REQ into its reply, so that nobody can have
 * altered what we asked for (the etype list above all) nor hidden that the KDC knows the extension.
 * @param request DER of the AS-REQ that was answered
 * @param required true where nothing else ties the reply to it: then a KDC without the extension is refused
 */
export function verifyEncPaRep(
  part: EncKdcRepPart,
  replyKey: Key,
  request: Uint8Array,
  server: string,
  required = false,
): void {
  const reject = (why: string): never => {
    throw new AdError('REPLY_REJECTED', `AS-REP from ${server} refused: ${why}`, { server });
  };
  if (!hasFlag(part.flags, ticketFlag.ENC_PA_REP)) {
    if (required) reject('it does not say which request it answers (RFC 6806), nor does its key (RFC 8636)');
    return;
  }
  const pa = part.encryptedPaData?.find((p) => p.padataType === paType.REQ_ENC_PA_REP);
  const checksum = pa && fromDer(Checksum, pa.padataValue).checksum;
  if (!checksum || !replyKey.verifyChecksum(keyUsage.AS_REQ, request, checksum))
    reject('it answers another request than ours');
}

/**
 * RFC 6113 5.4.3: the tunnel's nonce is the request's, and "KrbFastFinished ... ticket-checksum" under the armor key
 * covers the ticket; the client it names is the one to believe, and the reply's clear part must not say another.
 * @throws AdError REPLY_REJECTED
 */
export function verifyFastReply(
  response: KrbFastResponse | undefined,
  rep: KdcRep,
  armorKey: Key,
  nonce: number,
  server: string,
): asserts response is KrbFastResponse {
  const reject = (why: string): never => {
    throw new AdError('REPLY_REJECTED', `the reply of KDC ${server} refused: ${why}`, { server });
  };
  if (!response) return reject('it is not armored (FAST), though the request was');
  if (response.nonce !== nonce) reject('its FAST answer is to another request');
  const { finished } = response;
  // "The finished field ... MUST be present in the KDC's reply that issues a ticket"
  if (!finished) return reject('FAST was not finished');
  if (!armorKey.verifyChecksum(keyUsage.FAST_FINISHED, rep.ticket, finished.ticketChecksum.checksum)) {
    reject('its ticket is not the one that FAST was finished with');
  }
  const [sealed, clear] = [
    fromPrincipalName(finished.cname, finished.crealm),
    fromPrincipalName(rep.cname, rep.crealm),
  ];
  if (!samePrincipal(sealed, clear)) reject(`it is for ${named(clear)}, and in FAST for ${named(sealed)}`);
}

export interface S4uReply {
  readonly rep: KdcRep;
  readonly user: Principal;
  /** PA-S4U-X509-USER of the reply; KDCs that do not know it send none. */
  readonly answer: Infer<typeof PaS4uX509User> | undefined;
  readonly asked: Infer<typeof S4uUserId>;
  readonly subkey: Key;
  readonly server: string;
}

/**
 * MS-SFU 3.1.5.1.1.2: the reply's PA-S4U-X509-USER repeats the nonce and names the user under a checksum of our subkey.
 * A reply names its client in the clear only; so without that answer it must be the user as asked, save capitals.
 * @throws AdError REPLY_REJECTED
 */
export function verifyS4uReply({ rep, user, answer, asked, subkey, server }: S4uReply): void {
  const reject = (why: string): never => {
    throw new AdError('REPLY_REJECTED', `TGS-REP from ${server} refused: ${why}`, { server });
  };
  const client = fromPrincipalName(rep.cname, rep.crealm);
  if (!answer) {
    if (!isSameService(client, user)) reject(`it is for ${named(client)}, not ${named(user)}`);
    return;
  }
  const { userId, checksum } = answer;
  if (!subkey.verifyChecksum(keyUsage.PA_S4U_X509_USER_REPLY, userId, checksum.checksum)) {
    reject('its user is not under the checksum of our key');
  }
  const found = fromDer(S4uUserId, userId);
  if (found.nonce !== asked.nonce) reject('its user is of another request');
  const sealed = fromPrincipalName(found.cname ?? { nameType: 0, nameString: [] }, found.crealm);
  // A user principal name may come back as it was sent: that it is the account's is the KDC's to know.
  const echoed = user.nameType === nameType.ENTERPRISE && isSameService(sealed, user);
  if (!isSameService(sealed, client) && !echoed) {
    reject(`its user is ${named(sealed)}, and its client ${named(client)}`);
  }
}

/**
 * Whom a ticket of S4U2Self names, by the service's own key. PA-FOR-USER has no nonce: whoever is on the wire can put one
 * of an earlier request in its place, and the name that was asked for over the answer to it.
 * @param client as the reply has it
 * @param sealed the ticket's encrypted part; one that the key does not open (an older password's) says nothing
 * @throws AdError REPLY_REJECTED when it names somebody else; MalformedError
 */
export function verifyS4uTicket(client: Principal, key: Key, sealed: Uint8Array): void {
  let clear: Uint8Array;
  try {
    clear = key.decrypt(keyUsage.KDC_REP_TICKET, sealed);
  } catch (e) {
    if (!isAdError(e, 'INTEGRITY')) throw e;
    return;
  }
  try {
    const { cname, crealm } = fromDer(EncTicketPart, clear);
    const inside = fromPrincipalName(cname, crealm);
    if (!isSameService(inside, client))
      throw new AdError('REPLY_REJECTED', `a ticket said to be for ${named(client)} is for ${named(inside)}`);
  } finally {
    wipe(clear);
  }
}

/**
 * RFC 4120 3.5.2, for the one KRB-PRIV of a kpasswd answer: version, type, the key's etype, and the number that the
 * server's AP-REP announced, so that no other message of that server can stand in its place.
 * @throws AdError REPLY_REJECTED
 */
export function checkPrivReply(
  priv: KrbPriv,
  part: EncKrbPrivPart,
  etype: number,
  sequence: number | undefined,
  server: string,
): void {
  const reject = (why: string): never => {
    throw new AdError('REPLY_REJECTED', `KRB-PRIV from ${server} refused: ${why}`, { server });
  };
  if (priv.pvno !== 5 || priv.msgType !== msgType.PRIV) reject('it has another version or type');
  if (priv.encPart.etype !== etype) reject(`it is sealed with ${etypeName(priv.encPart.etype)}`);
  if ((part.seqNumber ?? 0) !== (sequence ?? 0)) reject('it answers another request');
}

/** The usage under which each kind of reply is sealed. */
export const replyUsage = {
  AS: keyUsage.AS_REP_ENC_PART,
  TGS_SUBKEY: keyUsage.TGS_REP_ENC_PART_SUBKEY,
  TGS_SESSION: keyUsage.TGS_REP_ENC_PART_SESSION_KEY,
} as const;
