/**
 * The accepting side of the Kerberos GSS-API mechanism (RFC 4121), with mutual authentication and a subkey of its own,
 * as a domain controller's LDAP service has it.
 */
import { randomBytes } from 'node:crypto';
import { fromDer, toDer } from '../../asn1.ts';
import { concat, equal, fromHex } from '../../bytes.ts';
import { AdError, MalformedError } from '../../errors.ts';
import { Key } from '../../krb5/crypto/index.ts';
import { CfxContext } from '../../krb5/gss/cfx.ts';
import {
  ApRep,
  ApReq,
  Authenticator,
  EncApRepPart,
  EncTicketPart,
  type PrincipalName,
  Ticket,
} from '../../krb5/messages.ts';
import { apOption, cksumType, etype, keyUsage, msgType } from '../../krb5/numbers.ts';
import { type KdcContext, MAX_SKEW_MS, seal } from '../kdc/tickets.ts';

export interface Accepted {
  readonly client: PrincipalName;
  readonly context: CfxContext;
  /** The token with the AP-REP; absent when the client did not ask for mutual authentication. */
  readonly reply: Uint8Array | undefined;
}

/** 1.2.840.113554.1.2.2 with its DER tag and length. */
const KRB5_OID = fromHex('06092a864886f712010202');
const TOK_AP_REQ = 0x0100;
const TOK_AP_REP = 0x0200;
/** RFC 4121 4.1.1.1 */
const GSS_MUTUAL_FLAG = 2;

/**
 * Checks a client's first token (RFC 4120 3.2.3, RFC 4121 4.1) and makes the answer.
 * @throws AdError INTEGRITY or REPLY_REJECTED when it is not acceptable, MalformedError when it is not a token
 */
export async function acceptContext(context: KdcContext, token: Uint8Array): Promise<Accepted> {
  const apReq = fromDer(ApReq, unframe(token));
  const part = await openTicket(context, apReq.ticket);
  const session = new Key(part.key.keytype, part.key.keyvalue);
  if (session.etype === etype.RC4_HMAC) refuse('tokens for RC4 (RFC 4757) are not supported');
  const auth = fromDer(Authenticator, session.decrypt(keyUsage.AP_REQ_AUTHENTICATOR, apReq.authenticator.cipher));
  if (auth.crealm !== part.crealm || auth.cname.nameString.join('/') !== part.cname.nameString.join('/')) {
    refuse('ticket and authenticator name different clients');
  }
  const now = context.now();
  if (Math.abs(auth.ctime.getTime() - now) > MAX_SKEW_MS) refuse('clock skew too great');
  if (part.endtime.getTime() + MAX_SKEW_MS < now) refuse('ticket has expired');

  const flags = gssFlags(auth);
  const theirs = BigInt(auth.seqNumber ?? 0);
  const initiatorKey = auth.subkey ? new Key(auth.subkey.keytype, auth.subkey.keyvalue) : session;
  const mutual = (flags & GSS_MUTUAL_FLAG) !== 0 && (apReq.apOptions & apOption.MUTUAL_REQUIRED) !== 0;
  if (!mutual) {
    const cfx = new CfxContext({
      key: initiatorKey,
      initiator: false,
      acceptorSubkey: false,
      sendSeq: theirs,
      recvSeq: theirs,
    });
    return { client: part.cname, context: cfx, reply: undefined };
  }
  const subkey = Key.generate(initiatorKey.etype);
  const ours = randomBytes(4).readUInt32BE() >>> 2;
  const repPart = toDer(EncApRepPart, {
    ctime: auth.ctime,
    cusec: auth.cusec,
    subkey: { keytype: subkey.etype, keyvalue: subkey.value },
    seqNumber: ours,
  });
  const apRep = toDer(ApRep, {
    pvno: 5,
    msgType: msgType.AP_REP,
    encPart: seal(session, keyUsage.AP_REP_ENC_PART, repPart),
  });
  const cfx = new CfxContext({
    key: subkey,
    initiator: false,
    acceptorSubkey: true,
    sendSeq: BigInt(ours),
    recvSeq: theirs,
  });
  return { client: part.cname, context: cfx, reply: frame(TOK_AP_REP, apRep) };
}

/** Opens the service ticket with a key of the controller's account, whose name must be the ticket's. */
async function openTicket(context: KdcContext, der: Uint8Array): Promise<EncTicketPart> {
  const { directory } = context;
  const ticket = fromDer(Ticket, der);
  const account = directory.findByService(ticket.sname.nameString);
  if (account !== directory.controller) refuse(`the ticket is for ${ticket.sname.nameString.join('/')}`);
  if (!account.etypes.includes(ticket.encPart.etype)) refuse(`no key of etype ${ticket.encPart.etype}`);
  const key = await account.keysAt(context.now()).current.get(ticket.encPart.etype);
  return fromDer(EncTicketPart, key.decrypt(keyUsage.KDC_REP_TICKET, ticket.encPart.cipher));
}

/** RFC 4121 4.1.1: the checksum field carries 16 bytes of channel bindings and the flags, little endian. */
function gssFlags(auth: Authenticator): number {
  const { cksum } = auth;
  if (cksum?.cksumtype !== cksumType.GSS || cksum.checksum.length < 24)
    return refuse('authenticator without GSS checksum');
  const view = new DataView(cksum.checksum.buffer, cksum.checksum.byteOffset);
  if (view.getUint32(0, true) !== 16) return refuse('channel bindings of other than 16 bytes');
  return view.getUint32(20, true);
}

/** The inside of an InitialContextToken (RFC 2743 3.1): 60, length, mechanism, TOK_ID, message. */
function unframe(token: Uint8Array): Uint8Array {
  const bad = (message: string): never => {
    throw new MalformedError('GSS', message);
  };
  if (token[0] !== 0x60) return bad('not an initial context token');
  const first = token[1] ?? 0;
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (lengthBytes > 4 || token.length < 2 + lengthBytes) return bad('bad length');
  const length = lengthBytes === 0 ? first : token.subarray(2, 2 + lengthBytes).reduce((n, b) => n * 256 + b, 0);
  const body = token.subarray(2 + lengthBytes);
  if (body.length !== length || length < KRB5_OID.length + 2) return bad('bad length');
  if (!equal(body.subarray(0, KRB5_OID.length), KRB5_OID)) return bad('not the Kerberos mechanism');
  const tokId = body[KRB5_OID.length]! * 256 + body[KRB5_OID.length + 1]!;
  return tokId === TOK_AP_REQ ? body.subarray(KRB5_OID.length + 2) : bad('not an AP-REQ token');
}

function frame(tokId: number, message: Uint8Array): Uint8Array {
  const body = concat(KRB5_OID, new Uint8Array([tokId >> 8, tokId & 0xff]), message);
  const { length } = body;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return concat(new Uint8Array([0x60, ...size]), body);
}

function refuse(message: string): never {
  throw new AdError('REPLY_REJECTED', message);
}
