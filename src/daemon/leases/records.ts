/** Where the tickets of a lease go, and what its metadata says of them. */
import { join } from 'node:path';
import { AdError } from '../../errors.ts';
import { CCACHE } from './file-policy.ts';
import type { TicketRecord } from './metadata.ts';
import type { NewTicket } from './store.ts';

/** @param lease the directory of the lease */
export const recordOf = (ticket: NewTicket, lease: string): TicketRecord => ({
  ...ticket.record,
  serviceAccountName: ticket.account ?? ticket.name,
  krbFilePath: join(lease, ticket.name, CCACHE),
});

/** Two tasks must not come to share a lease, nor a task a directory with another account. */
export function checkPlaces(id: string, old: ReadonlyMap<string, TicketRecord>, tickets: readonly NewTicket[]): void {
  if ([...old.values()].some((r) => r.credspecInfo === '')) {
    throw new AdError('INVALID_ARGUMENT', `mount path is invalid: lease ${id} is there already, made by another call`);
  }
  for (const { name, account = name, record } of tickets) {
    const there = old.get(name);
    if (!there || (there.credspecInfo === record.credspecInfo && there.serviceAccountName === account)) continue;
    throw new AdError(
      'INVALID_ARGUMENT',
      `found duplicate mount paths: ${id}/${name} holds a ticket for another credentialspec`,
    );
  }
}
