/** KRB-CRED, RFC 4120 3.6 and 5.8: tickets with their session keys, on the way to another host. */
import { fromDer, toDer } from '../../asn1.ts';
import { copy, wipe } from '../../bytes.ts';
import { AdError, isAdError, MalformedError } from '../../errors.ts';
import { type Credentials, copyAddresses } from '../credentials.ts';
import { type Key, profileOf } from '../crypto/index.ts';
import { EncKrbCredPart, fromPrincipalName, KrbCred, type KrbCredInfo, Ticket, toPrincipalName } from '../messages.ts';
import { keyUsage, msgType } from '../numbers.ts';
import { samePrincipal } from '../principal.ts';
import type { Stamp } from './context.ts';

/**
 * Seals tickets for whoever shares `key`: the session key of a ticket for the service that shall have them, where GSS
 * delegation carries the message (RFC 4121 4.1.1).
 * @returns DER of the KRB-CRED, which holds session keys, though sealed
 */
export function sealCredentials(credentials: readonly Credentials[], key: Key, stamp: Stamp): Uint8Array {
  const ticketInfo = credentials.map(
    (c): KrbCredInfo => ({
      key: { keytype: c.key.etype, keyvalue: c.key.value },
      prealm: c.client.realm,
      pname: toPrincipalName(c.client),
      flags: c.flags,
      authtime: c.authtime,
      starttime: c.starttime,
      endtime: c.endtime,
      renewTill: c.renewTill,
      srealm: c.server.realm,
      sname: toPrincipalName(c.server),
      caddr: c.addresses.length > 0 ? c.addresses : undefined,
    }),
  );
  const clear = toDer(EncKrbCredPart, { ticketInfo, timestamp: stamp.seconds, usec: stamp.microseconds });
  try {
    return toDer(KrbCred, {
      pvno: 5,
      msgType: msgType.CRED,
      tickets: credentials.map((c) => c.ticket),
      encPart: { etype: key.etype, cipher: key.encrypt(keyUsage.KRB_CRED, clear) },
    });
  } finally {
    wipe(clear);
  }
}

/**
 * Opens a KRB-CRED. One in the clear (etype 0) is refused: anybody could have made it.
 * @param keys that may have sealed it: the authenticator's subkey, then the session key (RFC 4120 3.6.2 leaves it open)
 * @returns one credential for each ticket; whoever drops them wipes their keys
 * @throws MalformedError, AdError INTEGRITY when none of the keys fits, REPLY_REJECTED when tickets and descriptions
 *   contradict each other, ETYPE for a session key of an unknown type
 */
export function openCredentials(message: Uint8Array, keys: readonly Key[]): Credentials[] {
  const cred = fromDer(KrbCred, message);
  if (cred.pvno !== 5 || cred.msgType !== msgType.CRED) throw rejected('it has another version or type');
  const clear = unseal(cred.encPart.etype, cred.encPart.cipher, keys);
  const found: Credentials[] = [];
  try {
    const { ticketInfo } = fromDer(EncKrbCredPart, clear);
    // RFC 4120 5.8.1: the infos correspond to the tickets "in the same order".
    if (ticketInfo.length !== cred.tickets.length) throw rejected('it does not describe each of its tickets');
    for (const [i, info] of ticketInfo.entries()) found.push(credentialsOf(info, cred.tickets[i]!));
    return found;
  } catch (e) {
    for (const { key } of found) wipe(key.value);
    throw e;
  } finally {
    wipe(clear);
  }
}

function unseal(etype: number, cipher: Uint8Array, keys: readonly Key[]): Uint8Array {
  for (const key of keys) {
    if (key.etype !== etype) continue;
    try {
      return key.decrypt(keyUsage.KRB_CRED, cipher);
    } catch (e) {
      if (!isAdError(e, 'INTEGRITY')) throw e;
    }
  }
  throw new AdError('INTEGRITY', `the KRB-CRED, of etype ${etype}, does not open with the keys of this context`);
}

function credentialsOf(info: KrbCredInfo, der: Uint8Array): Credentials {
  const { prealm, pname, srealm, sname, endtime, authtime = info.starttime, flags = 0 } = info;
  if (!prealm || !pname || !srealm || !sname || !endtime || !authtime) {
    throw new MalformedError('KRB-CRED', 'a ticket without the names or times it is used by');
  }
  const ticket = fromDer(Ticket, der);
  const server = fromPrincipalName(sname, srealm);
  if (!samePrincipal(server, fromPrincipalName(ticket.sname, ticket.realm))) {
    throw rejected('a ticket and its description name different servers');
  }
  const { keytype, keyvalue } = info.key;
  if (keyvalue.length !== profileOf(keytype).keyBytes) throw rejected(`a session key has ${keyvalue.length} bytes`);
  return {
    client: fromPrincipalName(pname, prealm),
    server,
    key: { etype: keytype, value: copy(keyvalue) },
    authtime,
    ...(info.starttime && { starttime: info.starttime }),
    endtime,
    ...(info.renewTill && { renewTill: info.renewTill }),
    flags,
    isSkey: false,
    addresses: copyAddresses(info.caddr),
    authorizationData: [],
    ticket: copy(der),
    secondTicket: new Uint8Array(0),
  };
}

function rejected(why: string): AdError {
  return new AdError('REPLY_REJECTED', `KRB-CRED refused: ${why}`);
}
