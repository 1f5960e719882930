/**
 * Changing and setting passwords, RFC 3244 (and Active Directory's additions to its results). One request, one answer:
 * an AP-REQ that proves who asks, and a KRB-PRIV with the new password.
 */
import { fromDer, toDer } from '../../asn1.ts';
import { copy, Reader, Writer, wipe } from '../../bytes.ts';
import { AdError, MalformedError } from '../../errors.ts';
import type { Credentials } from '../credentials.ts';
import { Key } from '../crypto/index.ts';
import { ChangePasswdData, EncKrbPrivPart, KrbError, KrbPriv, toPrincipalName } from '../messages.ts';
import { addrType, keyUsage, kpasswdResult, msgType } from '../numbers.ts';
import { formatPrincipal, type Principal } from '../principal.ts';
import { buildApReq, openApRep, type SentApRequest } from './ap.ts';
import { type ExchangeContext, newStamp } from './context.ts';
import { krbErrorToAdError } from './errors.ts';
import { resultError } from './kpasswd-result.ts';
import { checkPrivReply } from './verify.ts';

export interface PasswordChange {
  /** A ticket for kadmin/changepw: got with the old password itself to change one's own (`INITIAL`). */
  readonly ticket: Credentials;
  /** UTF-8; the caller wipes it. */
  readonly newPassword: Uint8Array;
  /** Whose password is set; default: that of the ticket's client. */
  readonly target?: Principal;
  readonly signal?: AbortSignal | undefined;
}

/** The service of a realm that changes passwords (RFC 3244 section 2). */
export const CHANGE_SERVICE = ['kadmin', 'changepw'] as const;

/**
 * Versions of requests. A change goes by the older protocol, whose user data is the bare password: everybody has it, and
 * MIT's server does not take the newer one without the name of a target (RFC 3244 makes that optional).
 */
const CHANGE_VERSION = 1;
const SET_VERSION = 0xff80;
const REPLY_VERSIONS: readonly number[] = [CHANGE_VERSION, SET_VERSION];
/** Message length, version, AP-REQ length, two bytes each. */
const HEADER_BYTES = 6;
const MAX_MESSAGE = 0xffff;
/**
 * RFC 4120 5.7.1 wants a sender's address, which a host behind a translator does not know. A directional address says
 * only which side it is: "0 for the initiator" (RFC 4120 7.1).
 */
const INITIATOR = { addrType: addrType.DIRECTIONAL, address: new Uint8Array(4) };

/**
 * Asks the realm's kpasswd server.
 * @throws AdError INVALID_ARGUMENT when the domain does not take the password, with its policy in words; NOT_ALLOWED when
 *   this client may not; KDC_ERROR, REPLY_REJECTED, INTEGRITY, UNREACHABLE, TIMEOUT, ABORTED; MalformedError
 */
export async function changePassword(context: ExchangeContext, change: PasswordChange): Promise<void> {
  const { ticket, target } = change;
  const sessionKey = new Key(ticket.key.etype, ticket.key.value);
  const subkey = Key.generate(ticket.key.etype, context.random);
  try {
    const sequence = firstSequence(context);
    const usage = keyUsage.AP_REQ_AUTHENTICATOR;
    const sent = buildApReq({
      credentials: ticket,
      sessionKey,
      usage,
      stamp: newStamp(context),
      mutual: true,
      subkey,
      sequence,
    });
    const version = target ? SET_VERSION : CHANGE_VERSION;
    const request = frame(version, sent.message, sealedPassword(context, change, subkey, sequence));
    const realm = ticket.server.realm;
    const { message, server } = await context.transport.exchange(realm, request, change.signal, 'kpasswd');
    const result = openReply(message, { sessionKey, subkey, sent, realm, server });
    if (result.code === kpasswdResult.SUCCESS) return;
    throw resultError(result.code, result.text, formatPrincipal(target ?? ticket.client), server);
  } finally {
    sessionKey.destroy();
    subkey.destroy();
  }
}

function firstSequence(context: ExchangeContext): number {
  const b = context.random(4);
  return new DataView(b.buffer, b.byteOffset).getUint32(0) & 0x3fffffff;
}

function sealedPassword(
  context: ExchangeContext,
  { newPassword, target }: PasswordChange,
  subkey: Key,
  seqNumber: number,
): Uint8Array {
  const userData = target
    ? toDer(ChangePasswdData, {
        newPasswd: newPassword,
        targName: toPrincipalName(target),
        targRealm: target.realm,
      })
    : copy(newPassword);
  const { seconds: timestamp, microseconds: usec } = newStamp(context);
  const clear = toDer(EncKrbPrivPart, { userData, timestamp, usec, seqNumber, sAddress: INITIATOR });
  try {
    const encPart = { etype: subkey.etype, cipher: subkey.encrypt(keyUsage.KRB_PRIV, clear) };
    return toDer(KrbPriv, { pvno: 5, msgType: msgType.PRIV, encPart });
  } finally {
    wipe(clear, userData);
  }
}

function frame(version: number, apReq: Uint8Array, priv: Uint8Array): Uint8Array {
  const length = HEADER_BYTES + apReq.length + priv.length;
  if (length > MAX_MESSAGE) throw new AdError('INVALID_ARGUMENT', `a password change of ${length} bytes is too long`);
  return new Writer({ capacity: length }).u16(length).u16(version).u16(apReq.length).bytes(apReq).bytes(priv).finish();
}

interface Asked {
  readonly sessionKey: Key;
  readonly subkey: Key;
  readonly sent: SentApRequest;
  readonly realm: string;
  readonly server: string;
}

/** RFC 3244 section 2, the reply: header, AP-REP, KRB-PRIV; or, without an AP-REP, a KRB-ERROR. */
function openReply(message: Uint8Array, asked: Asked): { code: number; text: Uint8Array } {
  // Some servers answer with a bare KRB-ERROR.
  if (message[0] === 0x60 + msgType.ERROR) throw refusal(message, asked);
  const r = new Reader(message, 'kpasswd reply');
  const length = r.u16('message length');
  if (length !== message.length) r.fail(`it says ${length} bytes and has ${message.length}`);
  const version = r.u16('version');
  if (!REPLY_VERSIONS.includes(version)) r.fail(`version ${version}`);
  const apRep = r.bytes(r.u16('AP-REP length'), 'AP-REP');
  const rest = r.bytes(r.remaining, 'KRB-PRIV');
  if (apRep.length === 0) throw refusal(rest, asked);
  // The AP-REP may offer a subkey of the server's; the answer is sealed with ours all the same.
  const { sequence, subkey: theirs } = openApRep(apRep, asked.sessionKey, asked.sent);
  theirs?.destroy();
  const priv = fromDer(KrbPriv, rest);
  const clear = asked.subkey.decrypt(keyUsage.KRB_PRIV, priv.encPart.cipher);
  try {
    const part = fromDer(EncKrbPrivPart, clear);
    checkPrivReply(priv, part, asked.subkey.etype, sequence, asked.server);
    return resultOf(part.userData);
  } finally {
    wipe(clear);
  }
}

/** Nobody signs it: it can only make the change fail. Its e-data may hold result and text. */
function refusal(message: Uint8Array, { realm, server }: Asked): AdError {
  const error = fromDer(KrbError, message);
  const what = 'a change of password';
  if (error.eData && error.eData.length >= 2) {
    const { code, text } = resultOf(error.eData);
    if (code > kpasswdResult.SUCCESS && code <= kpasswdResult.INITIAL_FLAG_NEEDED) {
      return resultError(code, text, `${what} in ${realm}`, server);
    }
  }
  return krbErrorToAdError(error, { what, realm, server, by: 'ticket' });
}

function resultOf(data: Uint8Array): { code: number; text: Uint8Array } {
  if (data.length < 2) throw new MalformedError('kpasswd reply', 'no result code');
  return { code: data[0]! * 256 + data[1]!, text: data.slice(2) };
}
