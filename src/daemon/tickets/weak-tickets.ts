/** RC4 in what the domain hands out. Domains are switching it off: whoever still depends on it is named in time. */
import { fromDer } from '../../asn1.ts';
import type { Credentials } from '../../krb5/credentials.ts';
import { findProfile } from '../../krb5/crypto/index.ts';
import { Ticket } from '../../krb5/messages.ts';
import { formatPrincipal } from '../../krb5/principal.ts';
import type { Log } from '../log.ts';
import type { EngineMetrics } from '../metrics/metrics.ts';

export interface WeakFinding {
  readonly text: string;
  /** The service whose ticket it is, where it is a ticket's. */
  readonly principal?: string;
}

const isWeak = (etype: number): boolean => findProfile(etype)?.weak ?? false;

/**
 * What of a logon rests on a weak encryption type. Three keys are chosen apart from each other: the account's, by what keys
 * it has (an RC4 key has no salt, and every account has one until the domain stops making them); a ticket's, by what keys
 * its service has; the session's, by what client, service and KDC all can do.
 * @param keyEtype of the account's own key, if it is known
 */
export function weakFindings(tickets: Iterable<Credentials>, keyEtype?: number): WeakFinding[] {
  const found: WeakFinding[] = [];
  if (keyEtype !== undefined && isWeak(keyEtype)) {
    found.push({
      text: 'the account logged on with an RC4 key: give it AES keys (msDS-SupportedEncryptionTypes, then a new password)',
    });
  }
  for (const ticket of tickets) {
    const principal = formatPrincipal(ticket.server);
    if (isWeak(ticket.key.etype)) found.push({ text: 'the domain chose RC4 for a session key', principal });
    if (isWeak(fromDer(Ticket, ticket.ticket).encPart.etype)) {
      const text = 'the domain sealed a ticket with an RC4 key: give the service AES keys, new passwords for krbtgt';
      found.push({ text, principal });
    }
  }
  return found;
}

/** Logs and counts them under the account's name. */
export function noteWeakTickets(
  to: { readonly log?: Log | undefined; readonly metrics?: Pick<EngineMetrics, 'rc4'> | undefined },
  account: string,
  tickets: Iterable<Credentials>,
  keyEtype?: number,
): void {
  const found = weakFindings(tickets, keyEtype);
  if (found.length > 0) to.metrics?.rc4.add({ account });
  for (const { text, principal } of found) to.log?.warn(text, { account, ...(principal && { principal }) });
}
