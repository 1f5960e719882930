/** Changing and setting passwords (RFC 3244), on the KDC's own ports. */
import { fromDer, toDer } from '../../asn1.ts';
import { concat, fromUtf8, Reader, utf8, Writer } from '../../bytes.ts';
import { isAdError, messageOf } from '../../errors.ts';
import { Key } from '../../krb5/crypto/index.ts';
import { type AcceptedApRequest, acceptApReq, buildApRep } from '../../krb5/exchanges/ap.ts';
import { ChangePasswdData, EncKrbPrivPart, KrbPriv } from '../../krb5/messages.ts';
import { addrType, keyUsage, kpasswdResult, msgType, ticketFlag } from '../../krb5/numbers.ts';
import { type Account, Gmsa } from '../accounts.ts';
import { errorReply } from './kdc.ts';
import { Refusal } from './refusal.ts';
import { type KdcContext, MAX_SKEW_MS } from './tickets.ts';

const HEADER_BYTES = 6;
const CHANGE_VERSION = 1;
const SET_VERSION = 0xff80;
/** The default policy of Active Directory. */
const MIN_LENGTH = 7;
/** Its members may set other accounts' passwords. */
const ADMINISTRATORS = 'Domain Admins';
const RESPONDER = { addrType: addrType.DIRECTIONAL, address: Uint8Array.of(0, 0, 0, 1) };

/** Whether a message is one: its own length stands in front, where other messages have a tag of ASN.1. */
export function isPasswordChange(message: Uint8Array): boolean {
  return message.length >= HEADER_BYTES && message[0]! * 256 + message[1]! === message.length;
}

/** Answers one request. Never throws for anything a client sent. */
export async function changePassword(context: KdcContext, message: Uint8Array): Promise<Uint8Array> {
  const { krbtgt } = context.directory;
  const serviceKey = await krbtgt.keysAt(context.now()).current.get(krbtgt.etypes[0]!);
  try {
    const r = new Reader(message, 'kpasswd request', { offset: 2 });
    const version = r.u16('version');
    const apReq = r.bytes(r.u16('AP-REQ length'), 'AP-REQ');
    const sealed = fromDer(KrbPriv, r.bytes(r.remaining, 'KRB-PRIV'));
    const accepted = acceptApReq(apReq, {
      keyFor: (server) => (server.components.join('/') === 'kadmin/changepw' ? serviceKey : undefined),
      clock: context.now,
      clockSkew: MAX_SKEW_MS,
      usage: keyUsage.AP_REQ_AUTHENTICATOR,
    });
    const key = accepted.subkey ?? accepted.sessionKey;
    try {
      const { userData } = fromDer(EncKrbPrivPart, key.decrypt(keyUsage.KRB_PRIV, sealed.encPart.cipher));
      return answer(context, accepted, key, outcome(context, accepted, version, userData));
    } finally {
      accepted.sessionKey.destroy();
      accepted.subkey?.destroy();
    }
  } catch (e) {
    const refusal = new Refusal('KRB_ERR_GENERIC', isAdError(e) ? messageOf(e) : 'internal error');
    return framed(new Uint8Array(0), errorReply(context, undefined, refusal));
  }
}

type Outcome = readonly [result: keyof typeof kpasswdResult, text: string];

function outcome(
  { directory }: KdcContext,
  accepted: AcceptedApRequest,
  version: number,
  userData: Uint8Array,
): Outcome {
  if (version !== CHANGE_VERSION && version !== SET_VERSION) return ['BAD_VERSION', `version ${version} is unknown`];
  const client = directory.findByUserName(accepted.client.components.join('/'));
  const asked = version === SET_VERSION ? fromDer(ChangePasswdData, userData) : { newPasswd: userData };
  const names = 'targName' in asked ? asked.targName?.nameString : undefined;
  const target = names ? directory.findByService(names) : client;
  if (!client || !target) return ['HARDERROR', 'no such account'];
  if (target === client && !(accepted.flags & ticketFlag.INITIAL))
    return ['INITIAL_FLAG_NEEDED', 'the ticket was not got with the password'];
  if (target !== client && !client.groups.has(ADMINISTRATORS))
    return ['ACCESSDENIED', `only members of ${ADMINISTRATORS} set the passwords of others`];
  return change(directory, target, fromUtf8(asked.newPasswd));
}

function change(directory: KdcContext['directory'], target: Account, password: string): Outcome {
  if (target instanceof Gmsa) return ['ACCESSDENIED', 'a gMSA has no password of its own'];
  if (password.length < MIN_LENGTH) return ['SOFTERROR', `The password must have ${MIN_LENGTH} characters at least.`];
  directory.revision++;
  target.setPassword(password);
  target.state = { ...target.state, passwordExpired: false, mustChangePassword: false };
  return ['SUCCESS', 'Password changed'];
}

function answer(context: KdcContext, accepted: AcceptedApRequest, key: Key, [result, text]: Outcome): Uint8Array {
  const subkey = Key.generate(key.etype);
  const now = context.now();
  try {
    const apRep = buildApRep(accepted, { subkey, sequence: 1 });
    const part = toDer(EncKrbPrivPart, {
      userData: concat(Uint8Array.of(0, kpasswdResult[result]), utf8(text)),
      timestamp: new Date(Math.floor(now / 1000) * 1000),
      usec: Math.floor(now % 1000) * 1000,
      seqNumber: 1,
      sAddress: RESPONDER,
    });
    // RFC 3244 section 2 leaves the key open: the client's, as MIT's and Microsoft's servers have it.
    const encPart = { etype: key.etype, cipher: key.encrypt(keyUsage.KRB_PRIV, part) };
    return framed(apRep, toDer(KrbPriv, { pvno: 5, msgType: msgType.PRIV, encPart }));
  } finally {
    subkey.destroy();
  }
}

function framed(apRep: Uint8Array, rest: Uint8Array): Uint8Array {
  const length = HEADER_BYTES + apRep.length + rest.length;
  return new Writer({ capacity: length })
    .u16(length)
    .u16(CHANGE_VERSION)
    .u16(apRep.length)
    .bytes(apRep)
    .bytes(rest)
    .finish();
}
