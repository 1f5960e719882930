/** Privilege attribute certificates (MS-PAC): reading them, and what makes them believable. */
export type { DelegationInfo } from './delegation-info.ts';
export type { LogonInfo, Membership } from './logon-info.ts';
export {
  type ClientInfo,
  groupSids,
  type Pac,
  type PacSignature,
  pacBuffer,
  parsePac,
  type UpnDnsInfo,
} from './pac.ts';
export { type PacTicket, verifyPac } from './verify.ts';
