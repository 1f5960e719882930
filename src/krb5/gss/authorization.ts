/** Authorization data (RFC 4120 5.2.6) and the lists within it that a server may pass over. */
import { fromDer } from '../../asn1.ts';
import { AuthorizationData } from '../messages.ts';
import { adType } from '../numbers.ts';

/**
 * The elements of one type, at the top and inside AD-IF-RELEVANT (RFC 4120 5.2.6.1), where KDCs and clients put what
 * older servers do not know. One level: nobody nests deeper.
 * @throws MalformedError when an AD-IF-RELEVANT is no list
 */
export function authorizationElements(data: AuthorizationData | undefined, type: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (const element of data ?? []) {
    if (element.adType === type) found.push(element.adData);
    if (element.adType !== adType.IF_RELEVANT) continue;
    for (const inner of fromDer(AuthorizationData, element.adData)) if (inner.adType === type) found.push(inner.adData);
  }
  return found;
}
