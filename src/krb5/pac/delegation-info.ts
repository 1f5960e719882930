/** S4U_DELEGATION_INFO (MS-PAC 2.9): by way of which services a client's ticket came here. */
import { NdrReader } from './ndr.ts';

/** Which services passed the ticket on in its client's name (S4U2Proxy). */
export interface DelegationInfo {
  /** The service the ticket was asked for. */
  readonly target: string;
  /** The services that acted for the client, the first of them first. */
  readonly transited: readonly string[];
}

/** @throws MalformedError */
export function parseDelegationInfo(bytes: Uint8Array): DelegationInfo {
  const r = new NdrReader(bytes, 'S4U_DELEGATION_INFO');
  r.required('the structure');
  const targetHeader = r.string('S4U2proxyTarget');
  const count = r.u32('TransitedListSize');
  const list = r.pointer('S4UTransitedServices');
  const target = r.characters(targetHeader, 'S4U2proxyTarget');
  if (list === 0) {
    r.end();
    return count === 0 ? { target, transited: [] } : r.fail('S4UTransitedServices lead nowhere');
  }
  r.arraySize(count, 8, 'S4UTransitedServices');
  const headers = Array.from({ length: count }, () => r.string('S4UTransitedServices'));
  const transited = headers.map((header) => r.characters(header, 'S4UTransitedServices'));
  r.end();
  return { target, transited };
}
