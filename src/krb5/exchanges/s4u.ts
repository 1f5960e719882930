/**
 * MS-SFU: tickets in a user's name, for a service that did not get one from the user. S4U2Self asks for a ticket to the
 * service itself, S4U2Proxy turns such a ticket (or one the user did bring) into one for the next service.
 */
import { fromDer, toDer } from '../../asn1.ts';
import { concat, utf8, Writer } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import type { Credentials } from '../credentials.ts';
import { checksumByType, type Key, profileOf } from '../crypto/index.ts';
import {
  type KdcRep,
  type PaData,
  PaForUser,
  PaPacOptions,
  PaS4uX509User,
  S4uUserId,
  Ticket,
  toPrincipalName,
} from '../messages.ts';
import { cksumType, kdcOption, keyUsage, pacOption, paType, s4uOption, ticketFlag } from '../numbers.ts';
import { formatPrincipal, isKrbtgt, type Principal } from '../principal.ts';
import { type ExchangeContext, hasFlag } from './context.ts';
import { type TgsRequestKeys, tgsExchange } from './tgs.ts';
import { verifyS4uReply, verifyS4uTicket } from './verify.ts';

export interface S4uSelfOptions {
  /** The service's own ticket-granting ticket. */
  readonly tgt: Credentials;
  /** The user, of the service's own realm. */
  readonly user: Principal;
  /**
   * The service's own key of a type, where it has one: it opens the ticket and shows whom it names. The key stays the
   * giver's. Not every KDC seals the user's name in its answer, and what is in the clear can be changed on the way.
   */
  readonly ownKey?: (etype: number) => Promise<Key | undefined>;
  /** As in `TgsOptions`. */
  readonly armored?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * S4U2Self (MS-SFU 3.1.5.1.1): a ticket for the service that asks, in the name of `user`. It is forwardable, and fit for
 * `s4uProxy`, where the domain lets the service do that for any protocol.
 * @throws as `tgsExchange`; REPLY_REJECTED when it is for another user; INVALID_ARGUMENT for a user of another realm
 */
export async function s4uSelf(context: ExchangeContext, options: S4uSelfOptions): Promise<Credentials> {
  const { tgt, user, ownKey, armored = false, signal } = options;
  if (user.realm.toLowerCase() !== tgt.client.realm.toLowerCase()) {
    throw new AdError('INVALID_ARGUMENT', `${formatPrincipal(user)} is not of the realm ${tgt.client.realm}`);
  }
  let sent: Uint8Array | undefined;
  const got = await tgsExchange(context, {
    tgt,
    server: tgt.client,
    subject: {
      client: user,
      // What the user is called is the KDC's word then, which `check` wants to have sealed.
      mayRename: true,
      check: (rep, padata, keys, server) => checkSelf(rep, padata, user, sent!, keys, server),
    },
    padata: (keys) => {
      sent = userId(user, keys);
      return [s4uX509User(sent, keys.subkey), forUser(user, keys.sessionKey)];
    },
    armored,
    signal,
  });
  const { etype, cipher } = fromDer(Ticket, got.ticket).encPart;
  const key = await ownKey?.(etype);
  if (key) verifyS4uTicket(got.client, key, cipher);
  return got;
}

export interface S4uProxyOptions {
  /** The service's own ticket-granting ticket, forwardable. */
  readonly tgt: Credentials;
  /** A ticket for the service in the user's name: from the user, or from `s4uSelf`. */
  readonly evidence: Credentials;
  readonly server: Principal;
  /** As in `TgsOptions`. */
  readonly armored?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * S4U2Proxy (MS-SFU 3.1.5.2.1): a ticket for `server` in the name of the evidence's client, where the domain allows it,
 * by the service's own list or by the server's (resource-based constrained delegation).
 * @throws as `tgsExchange`; INVALID_ARGUMENT when the ticket-granting ticket is not forwardable
 */
export async function s4uProxy(context: ExchangeContext, options: S4uProxyOptions): Promise<Credentials> {
  const { tgt, evidence, server, armored = false, signal } = options;
  if (!hasFlag(tgt.flags, ticketFlag.FORWARDABLE)) {
    throw new AdError('INVALID_ARGUMENT', `the ticket of ${formatPrincipal(tgt.client)} is not forwardable`);
  }
  const flags = pacOption.RESOURCE_BASED_CONSTRAINED_DELEGATION;
  const got = await tgsExchange(context, {
    tgt,
    server,
    kdcOptions: kdcOption.CNAME_IN_ADDL_TKT,
    additionalTicket: evidence.ticket,
    subject: { client: evidence.client },
    padata: () => [{ padataType: paType.PAC_OPTIONS, padataValue: toDer(PaPacOptions, { flags }) }],
    armored,
    signal,
  });
  if (isKrbtgt(got.server) && !isKrbtgt(server)) {
    throw new AdError(
      'UNKNOWN_SERVICE',
      `${formatPrincipal(server)} is of another realm, where nobody can be delegated to`,
    );
  }
  return got;
}

const AUTH_PACKAGE = 'Kerberos';

/**
 * PA-FOR-USER, MS-SFU 2.2.1: the checksum is "HMAC-MD5 ... key usage number 17" whatever type the session key has, over
 * the name type (little endian), the name's parts, the realm and the package.
 */
function forUser(user: Principal, sessionKey: Key): PaData {
  const type = new Writer({ littleEndian: true, capacity: 4 }).u32(user.nameType >>> 0).finish();
  const bytes = concat(type, ...user.components.map(utf8), utf8(user.realm), utf8(AUTH_PACKAGE));
  const checksum = checksumByType(cksumType.HMAC_MD5, sessionKey, keyUsage.PAC_SIGNATURE, bytes);
  const padataValue = toDer(PaForUser, {
    userName: toPrincipalName(user),
    userRealm: user.realm,
    cksum: { cksumtype: cksumType.HMAC_MD5, checksum },
    authPackage: AUTH_PACKAGE,
  });
  return { padataType: paType.FOR_USER, padataValue };
}

/** DER of the S4UUserID that the checksum covers. */
function userId(user: Principal, { nonce }: TgsRequestKeys): Uint8Array {
  const options = s4uOption.USE_REPLY_KEY_USAGE;
  return toDer(S4uUserId, { nonce, cname: toPrincipalName(user), crealm: user.realm, options });
}

/** PA-S4U-X509-USER, MS-SFU 2.2.2: KDCs that know it answer with one of their own, so that the user's name is sealed. */
function s4uX509User(id: Uint8Array, subkey: Key): PaData {
  const { cksumType: cksumtype } = profileOf(subkey.etype);
  const checksum = { cksumtype, checksum: subkey.checksum(keyUsage.PA_S4U_X509_USER_REQUEST, id) };
  return { padataType: paType.S4U_X509_USER, padataValue: toDer(PaS4uX509User, { userId: id, checksum }) };
}

function checkSelf(
  rep: KdcRep,
  padata: readonly PaData[],
  user: Principal,
  sent: Uint8Array,
  keys: TgsRequestKeys,
  server: string,
): void {
  const pa = padata.find((p) => p.padataType === paType.S4U_X509_USER);
  const answer = pa && fromDer(PaS4uX509User, pa.padataValue);
  verifyS4uReply({ rep, user, answer, asked: fromDer(S4uUserId, sent), subkey: keys.subkey, server });
}
