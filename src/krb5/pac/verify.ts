/** What makes a PAC believable to a service: the KDC signed it with the service's key, for this client and this logon. */
import { copy, Reader } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import type { Key } from '../crypto/index.ts';
import { keyUsage } from '../numbers.ts';
import type { Principal } from '../principal.ts';
import { profileOfChecksum } from './checksums.ts';
import { type Pac, pacBuffer } from './pac.ts';

/** What the ticket says that the PAC came in. */
export interface PacTicket {
  /** The key that opened the ticket. */
  readonly serviceKey: Key;
  readonly client: Principal;
  readonly authtime: Date;
}

/**
 * Checks the server signature with the service's key (MS-PAC 2.8.2) and that the PAC was made for this ticket
 * (MS-PAC 2.7). The KDC's own signatures can be checked by the KDC alone.
 * @throws AdError INTEGRITY when the signature is missing or another; REPLY_REJECTED when the PAC is another client's
 */
export function verifyPac(pac: Pac, { serviceKey, client, authtime }: PacTicket): void {
  const { serverSignature, kdcSignature } = pac;
  if (!serverSignature || !kdcSignature) throw forged('it lacks a signature');
  const profile = profileOfChecksum(serverSignature.type);
  // One made with a key of another type than the ticket's cannot be the KDC's.
  if (profile?.etype !== serviceKey.etype)
    throw forged(`its signature is of type ${serverSignature.type}, which is not that of the service's key`);
  const signed = withoutSignatures(pac);
  if (!serviceKey.verifyChecksum(keyUsage.PAC_SIGNATURE, signed, serverSignature.signature))
    throw forged('its signature is not of the service key');
  if (!pac.client) throw rejected('it does not name its client');
  // MS-PAC 2.7: ClientId is "the authentication time of the client" and Name "the client's account name".
  if (seconds(pac.client.authtime) !== seconds(authtime)) throw rejected('it is of another logon');
  if (pac.client.name !== client.components.join('/') && pac.client.name !== withRealm(client))
    throw rejected(`it is of the client ${JSON.stringify(pac.client.name)}`);
}

/** MS-PAC 2.8.1: the signatures are made "with the Signature fields of the server and KDC signatures set to zero". */
function withoutSignatures(pac: Pac): Uint8Array {
  const bytes = copy(pac.bytes);
  const r = new Reader(pac.bytes, 'PAC', { littleEndian: true });
  const count = r.u32();
  r.u32();
  for (let i = 0; i < count; i++) {
    const type = r.u32();
    r.u32();
    const offset = Number(r.u64());
    const signature = { [pacBuffer.SERVER_CHECKSUM]: pac.serverSignature, [pacBuffer.KDC_CHECKSUM]: pac.kdcSignature }[
      type
    ];
    if (signature) bytes.fill(0, offset + 4, offset + 4 + signature.signature.length);
  }
  return bytes;
}

/** A ticket's times are whole seconds. */
function seconds(date: Date | undefined): number | undefined {
  return date && Math.floor(date.getTime() / 1000);
}

/** In tickets of S4U2Self across realms the name has its realm. */
function withRealm({ components, realm }: Principal): string {
  return `${components.join('/')}@${realm}`;
}

function forged(why: string): AdError {
  return new AdError('INTEGRITY', `the PAC is not the KDC's: ${why}`, { krbError: 'KRB_AP_ERR_MODIFIED' });
}
function rejected(why: string): AdError {
  return new AdError('REPLY_REJECTED', `the PAC does not belong to the ticket: ${why}`, {
    krbError: 'KRB_AP_ERR_BADMATCH',
  });
}
