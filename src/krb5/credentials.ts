/** What a KDC exchange yields and a credential cache keeps: one ticket with everything needed to use it. */
import { copy } from '../bytes.ts';
import type { AuthorizationData, HostAddress } from './messages.ts';
import type { Principal } from './principal.ts';

/**
 * One ticket and its session key. Times are whole seconds; `flags` are the masks of `ticketFlag`; `ticket` is the
 * ticket's exact DER (RFC 4120 5.3). `key.value` is a secret: whoever drops the credentials wipes it.
 */
export interface Credentials {
  client: Principal;
  server: Principal;
  /** The session key; etype 0 and no bytes in the configuration entries of a ccache. */
  key: { etype: number; value: Uint8Array };
  authtime: Date;
  /** Absent when the KDC named none: the ticket is then valid from `authtime`. */
  starttime?: Date;
  endtime: Date;
  renewTill?: Date;
  flags: number;
  /** True when the ticket is sealed with the session key of `secondTicket` (user-to-user). */
  isSkey: boolean;
  /** Empty: usable from any address. */
  addresses: HostAddress[];
  authorizationData: AuthorizationData;
  ticket: Uint8Array;
  /** Empty except for user-to-user tickets. */
  secondTicket: Uint8Array;
}

/** Addresses that outlive the message they were decoded from, whose bytes are wiped. */
export function copyAddresses(addresses: readonly HostAddress[] = []): HostAddress[] {
  return addresses.map(({ addrType, address }) => ({ addrType, address: copy(address) }));
}
