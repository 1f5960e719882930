/** The client/server authentication exchange, RFC 4120 3.2: AP-REQ and AP-REP, both sides. */
import { fromDer, toDer } from '../../asn1.ts';
import { copy, wipe } from '../../bytes.ts';
import { AdError, isAdError, MalformedError } from '../../errors.ts';
import type { Credentials } from '../credentials.ts';
import { etypeName, Key, profileOf } from '../crypto/index.ts';
import {
  ApRep,
  ApReq,
  Authenticator,
  type AuthorizationData,
  type Checksum,
  EncApRepPart,
  type EncryptionKey,
  EncTicketPart,
  fromPrincipalName,
  Ticket,
  toPrincipalName,
} from '../messages.ts';
import { apOption, keyUsage, type krbError, msgType, ticketFlag } from '../numbers.ts';
import { formatPrincipal, type Principal, samePrincipal } from '../principal.ts';
import type { Clock, Stamp } from './context.ts';
import { printable } from './errors.ts';

export interface ApRequestOptions {
  readonly credentials: Credentials;
  readonly sessionKey: Key;
  /** Key usage of the authenticator: 7 to a TGS, 11 to any other server (RFC 4120 7.5.1). */
  readonly usage: number;
  /** The KDC's time, never given before (`newStamp`). */
  readonly stamp: Stamp;
  readonly mutual?: boolean;
  readonly checksum?: Checksum;
  readonly subkey?: Key;
  readonly sequence?: number;
}

export interface SentApRequest {
  /** DER of the AP-REQ. */
  readonly message: Uint8Array;
  /** What a mutual AP-REP must echo. */
  readonly ctime: Date;
  readonly cusec: number;
}

/** Builds an AP-REQ with a fresh authenticator (RFC 4120 5.5.1). */
export function buildApReq(options: ApRequestOptions): SentApRequest {
  const { credentials, sessionKey } = options;
  const { seconds: ctime, microseconds: cusec } = options.stamp;
  const authenticator = toDer(Authenticator, {
    authenticatorVno: 5,
    crealm: credentials.client.realm,
    cname: toPrincipalName(credentials.client),
    cksum: options.checksum,
    cusec,
    ctime,
    subkey: options.subkey && { keytype: options.subkey.etype, keyvalue: options.subkey.value },
    seqNumber: options.sequence,
  });
  try {
    const message = toDer(ApReq, {
      pvno: 5,
      msgType: msgType.AP_REQ,
      // RFC 4120 3.7.3: a ticket sealed with a session key says so, for its server to find that key.
      apOptions: (options.mutual ? apOption.MUTUAL_REQUIRED : 0) | (credentials.isSkey ? apOption.USE_SESSION_KEY : 0),
      ticket: credentials.ticket,
      authenticator: { etype: sessionKey.etype, cipher: sessionKey.encrypt(options.usage, authenticator) },
    });
    return { message, ctime, cusec };
  } finally {
    wipe(authenticator);
  }
}

/**
 * Opens the server's AP-REP and proves that the server could read our authenticator (RFC 4120 3.2.5).
 * @returns the server's subkey and first sequence number where it sent them
 * @throws MalformedError, AdError INTEGRITY, AdError REPLY_REJECTED
 */
export function openApRep(
  message: Uint8Array,
  sessionKey: Key,
  sent: SentApRequest,
): { subkey?: Key; sequence: number | undefined } {
  const rep = fromDer(ApRep, message);
  if (rep.pvno !== 5 || rep.msgType !== msgType.AP_REP) throw rejected('AP-REP has another version or type');
  if (rep.encPart.etype !== sessionKey.etype) throw rejected(`AP-REP is sealed with etype ${rep.encPart.etype}`);
  const clear = sessionKey.decrypt(keyUsage.AP_REP_ENC_PART, rep.encPart.cipher);
  try {
    const part = fromDer(EncApRepPart, clear);
    // "verifies that the ctime and cusec fields ... match those in the Authenticator"
    if (part.ctime.getTime() !== sent.ctime.getTime() || part.cusec !== sent.cusec) {
      throw rejected('AP-REP answers another AP-REQ');
    }
    return part.subkey === undefined
      ? { sequence: part.seqNumber }
      : { subkey: keyFrom(part.subkey), sequence: part.seqNumber };
  } finally {
    wipe(clear);
  }
}

export interface AcceptedApRequest {
  readonly client: Principal;
  readonly server: Principal;
  readonly mutual: boolean;
  readonly flags: number;
  readonly authtime: Date;
  readonly starttime: Date | undefined;
  readonly endtime: Date;
  readonly renewTill: Date | undefined;
  readonly sessionKey: Key;
  readonly subkey: Key | undefined;
  readonly sequence: number | undefined;
  readonly checksum: Checksum | undefined;
  readonly ctime: Date;
  readonly cusec: number;
  /** The ticket's, from the KDC. */
  readonly authorizationData: AuthorizationData | undefined;
  /** The authenticator's, from the client. */
  readonly clientAuthorizationData: AuthorizationData | undefined;
  /** The sealed authenticator: no two are the same, which tells a replay. */
  readonly authenticator: Uint8Array;
}

export interface AcceptOptions {
  /**
   * The long-term key of a service for the ticket's etype and kvno; undefined when there is none. `sealed` is the
   * ticket's encrypted part, for whoever has several keys to try.
   */
  readonly keyFor: (server: Principal, etype: number, kvno: number | undefined, sealed: Uint8Array) => Key | undefined;
  /** The keys there are, for the words of an error. */
  readonly describeKeys?: () => string;
  readonly clock: Clock;
  readonly clockSkew: number;
  readonly usage: number;
}

/**
 * The server's side: opens ticket and authenticator and checks names and times (RFC 4120 3.2.3). Replays are the
 * caller's to detect. The caller destroys the keys. Where RFC 4120 names the error a server answers with, `krbError` in
 * the details has it.
 * @throws MalformedError, AdError INTEGRITY, REPLY_REJECTED, CLOCK_SKEW, UNKNOWN_SERVICE
 */
export function acceptApReq(message: Uint8Array, options: AcceptOptions): AcceptedApRequest {
  const req = fromDer(ApReq, message);
  if (req.pvno !== 5 || req.msgType !== msgType.AP_REQ)
    throw rejected('AP-REQ has another version or type', 'KRB_AP_ERR_MSG_TYPE');
  const ticket = fromDer(Ticket, req.ticket);
  const server = fromPrincipalName(ticket.sname, ticket.realm);
  const { etype, kvno, cipher } = ticket.encPart;
  const key = options.keyFor(server, etype, kvno, cipher);
  if (!key) {
    throw new AdError('UNKNOWN_SERVICE', `no key for ${printable(formatPrincipal(server))} with etype ${etype}`, {
      etype,
      kvno,
    });
  }
  const clearTicket = openTicket(key, server, ticket, options);
  let sessionKey: Key | undefined;
  let clear: Uint8Array | undefined;
  try {
    const part = fromDer(EncTicketPart, clearTicket);
    const client = fromPrincipalName(part.cname, part.crealm);
    sessionKey = keyFrom(part.key);
    if (req.authenticator.etype !== sessionKey.etype)
      throw rejected('authenticator is sealed with another etype', 'KRB_AP_ERR_BAD_INTEGRITY');
    clear = sessionKey.decrypt(options.usage, req.authenticator.cipher);
    const auth = fromDer(Authenticator, clear);
    // KRB_AP_ERR_BADMATCH: "the name and realm of the client from the ticket are compared against the same fields"
    if (!samePrincipal(client, fromPrincipalName(auth.cname, auth.crealm))) {
      throw rejected('ticket and authenticator name different clients', 'KRB_AP_ERR_BADMATCH');
    }
    const now = options.clock();
    if (Math.abs(auth.ctime.getTime() - now) > options.clockSkew) {
      throw new AdError('CLOCK_SKEW', `authenticator is of ${auth.ctime.toISOString()}`, {
        krbError: 'KRB_AP_ERR_SKEW',
      });
    }
    const start = (part.starttime ?? part.authtime).getTime();
    // "or the INVALID flag is set in the ticket, the KRB_AP_ERR_TKT_NYV error is returned"
    if (start - options.clockSkew > now || (part.flags & ticketFlag.INVALID) !== 0)
      throw rejected('ticket is not yet valid', 'KRB_AP_ERR_TKT_NYV');
    if (part.endtime.getTime() + options.clockSkew < now)
      throw rejected('ticket has expired', 'KRB_AP_ERR_TKT_EXPIRED');
    // RFC 4120 2.7: unless the KDC did so, "application servers MUST ... verify the transited" realms. There is nothing
    // here to verify them by, as there is nothing to do where no realm lies between. (The ticket's own realm stands beside
    // the sealed part: it must not decide whether the client is a foreign one.)
    if (part.transited.contents.length > 0 && (part.flags & ticketFlag.TRANSITED_POLICY_CHECKED) === 0)
      throw rejected('the KDC did not check the realms the ticket came through', 'KRB_AP_PATH_NOT_ACCEPTED');
    return {
      client,
      server,
      mutual: (req.apOptions & apOption.MUTUAL_REQUIRED) !== 0,
      flags: part.flags,
      authtime: part.authtime,
      starttime: part.starttime,
      endtime: part.endtime,
      renewTill: part.renewTill,
      sessionKey,
      subkey: auth.subkey && keyFrom(auth.subkey),
      sequence: auth.seqNumber,
      checksum: auth.cksum && { cksumtype: auth.cksum.cksumtype, checksum: copy(auth.cksum.checksum) },
      ctime: auth.ctime,
      cusec: auth.cusec,
      authorizationData: copied(part.authorizationData),
      clientAuthorizationData: copied(auth.authorizationData),
      authenticator: req.authenticator.cipher,
    };
  } catch (e) {
    sessionKey?.destroy();
    throw e;
  } finally {
    wipe(clearTicket, clear);
  }
}

/** Which key was tried on which ticket is all that whoever runs a service has to go by. */
function openTicket(key: Key, server: Principal, { encPart }: Ticket, options: AcceptOptions): Uint8Array {
  const { etype, kvno, cipher } = encPart;
  try {
    return key.decrypt(keyUsage.KDC_REP_TICKET, cipher);
  } catch (e) {
    if (!isAdError(e, 'INTEGRITY')) throw e;
    const held = options.describeKeys ? `: ${options.describeKeys()}` : '';
    const what = `a ticket for ${printable(formatPrincipal(server))} with kvno ${kvno ?? 'none'} and ${etypeName(etype)}`;
    throw new AdError('INTEGRITY', `${what} does not open with the key that is held${held}`, { etype, kvno }, e);
  }
}

/** The AP-REP that answers an accepted request (RFC 4120 3.2.4). */
export function buildApRep(accepted: AcceptedApRequest, options: { subkey?: Key; sequence?: number }): Uint8Array {
  const part = toDer(EncApRepPart, {
    ctime: accepted.ctime,
    cusec: accepted.cusec,
    subkey: options.subkey && { keytype: options.subkey.etype, keyvalue: options.subkey.value },
    seqNumber: options.sequence,
  });
  try {
    const cipher = accepted.sessionKey.encrypt(keyUsage.AP_REP_ENC_PART, part);
    return toDer(ApRep, { pvno: 5, msgType: msgType.AP_REP, encPart: { etype: accepted.sessionKey.etype, cipher } });
  } finally {
    wipe(part);
  }
}

/** A key from the wire. @throws MalformedError for another length than its etype has, AdError ETYPE when that is unknown */
export function keyFrom(key: EncryptionKey): Key {
  const { name, keyBytes } = profileOf(key.keytype);
  if (key.keyvalue.length !== keyBytes) {
    throw new MalformedError('EncryptionKey', `a key of ${name} has ${keyBytes} bytes, not ${key.keyvalue.length}`);
  }
  return new Key(key.keytype, key.keyvalue);
}

function copied(data: AuthorizationData | undefined): AuthorizationData | undefined {
  return data?.map((d) => ({ adType: d.adType, adData: copy(d.adData) }));
}

function rejected(message: string, error?: keyof typeof krbError): AdError {
  return new AdError('REPLY_REJECTED', message, error && { krbError: error });
}
