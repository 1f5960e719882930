/** What the calls do, without gRPC: a lease added, renewed, deleted. */
import { join } from 'node:path';
import { AdError } from '../../errors.ts';
import { CCACHE } from '../leases/file-policy.ts';
import { WISHES_FIELD } from '../leases/file-wishes.ts';
import type { Lease, LeaseStore, NewLease, NewTicket, StoredTicket } from '../leases/store.ts';
import type { Log } from '../log.ts';
import type { FetchedTicket, LeaseEngine } from '../tickets/engine.ts';
import { Moments } from './moments.ts';
import type { RequestedAccount } from './requests.ts';
import { StatusError, StepError, stepWords } from './status.ts';
import { domainlessUser, fetchWanted, forget, type UserReader, type Wanted, type WantedOutcome } from './wanted.ts';

/** A ticket for a new lease. */
export interface NewWanted extends Wanted {
  /** Where it goes in the lease; the account's name when absent. */
  readonly directory?: string;
  /** The reference its credspec came by; '' when absent. */
  readonly credspecInfo?: string;
}

/** A ticket on disk, and how to get its successor. */
export interface OwnedTicket extends Wanted {
  readonly lease: Lease;
  readonly ticket: StoredTicket;
}

/** Told what became of each ticket that was to be replaced. */
export type Note = (ticket: StoredTicket, outcome: FetchedTicket | { readonly error: unknown }) => void;

export interface Actions {
  /**
   * Tickets for all accounts in a lease, or none.
   * @param leaseId chosen by the caller; a new one when absent
   */
  add(wanted: readonly NewWanted[], signal: AbortSignal, leaseId?: string): Promise<NewLease>;
  /**
   * New tickets for every lease that the user made; the caches replaced, and those that the same credential replaced a
   * moment ago.
   * @param formerName the user's leases are those of this one, or already the user's; they become the user's
   */
  renew(reader: UserReader, signal: AbortSignal, formerName?: string): Promise<string[]>;
  /** New tickets in the place of these; the caches replaced. Throws only when nothing at all was renewed. */
  replace(owned: readonly OwnedTicket[], signal: AbortSignal, note?: Note): Promise<string[]>;
  /** Caches removed; none for an unknown lease. */
  remove(leaseId: string): Promise<string[]>;
}

export function createActions(parts: {
  readonly engine: LeaseEngine;
  readonly store: LeaseStore;
  readonly log: Log;
  /** Milliseconds from anywhere, only ever forwards. */
  readonly clock?: () => number;
  /** Told of each ticket that came into a lease by a call, with the path of its cache. */
  readonly onTicket?: (path: string, ticket: FetchedTicket) => void;
}): Actions {
  const { engine, store, log } = parts;
  const moments = new Moments(parts.clock);
  /** With what the policy puts beside the ticket. */
  const fetch = (wanted: readonly Wanted[], signal: AbortSignal): Promise<WantedOutcome[]> => {
    const complete = wanted.map(({ reader, account }) => {
      const { keytab, krb5Conf } = store.policy(account);
      return { reader, account: { ...account, keytab, krb5Conf } };
    });
    return fetchWanted(engine, complete, signal);
  };
  return {
    async add(wanted, signal, leaseId) {
      for (const { account } of wanted) checkWishes(account, store.policy({}).wishes);
      const outcomes = await fetch(wanted, signal);
      try {
        signal.throwIfAborted();
        const tickets = wanted.map((w, i) => newTicket(w, outcomes[i]!));
        const lease = await (leaseId === undefined
          ? store.create(tickets, signal)
          : store.put(leaseId, tickets, signal));
        if (signal.aborted) {
          await lease.undo();
          signal.throwIfAborted();
        }
        for (const [i, outcome] of outcomes.entries()) {
          if (!('error' in outcome)) parts.onTicket?.(join(lease.directories[i]!, CCACHE), outcome);
        }
        return lease;
      } finally {
        forget(outcomes);
      }
    },

    async renew(reader, signal, formerName) {
      const leases = await store.list();
      if (formerName === undefined) {
        const owned = ticketsOf(leases, reader, reader.username);
        const recent = moments.of(reader);
        const fresh = owned.flatMap(({ ticket }) => (recent.has(ticket.ccachePath) ? [ticket.ccachePath] : []));
        const due = owned.filter(({ ticket }) => !recent.has(ticket.ccachePath));
        const renewed = await this.replace(due, signal);
        moments.note(reader, renewed);
        return [...fresh, ...renewed];
      }
      const former = ticketsOf(leases, reader, formerName);
      const owned = former.length > 0 ? former : ticketsOf(leases, reader, reader.username);
      if (owned.length === 0)
        throw new StatusError('FAILED_PRECONDITION', 'ERROR: failed to renew any Kerberos tickets');
      const renewed = await this.replace(owned, signal);
      // Only what the new user could read becomes the new user's.
      const done = new Set(renewed);
      for (const id of new Set(owned.filter((o) => done.has(o.ticket.ccachePath)).map((o) => o.lease.id))) {
        await store.changeUser(id, done, reader.username);
      }
      return renewed;
    },

    async replace(owned, signal, note) {
      if (owned.length === 0) return [];
      // What a ticket's files are to be was said when its lease was made.
      const wanted = owned.map(({ reader, account, ticket }) => {
        const { files: _, ...rest } = account;
        return { reader, account: { ...rest, ...(ticket.record.files && { files: ticket.record.files }) } };
      });
      const outcomes = await fetch(wanted, signal);
      const renewed: string[] = [];
      let failure: StepError | undefined;
      try {
        for (const [i, { lease, ticket, account, reader }] of owned.entries()) {
          const outcome = outcomes[i]!;
          try {
            if ('error' in outcome) throw outcome.error;
            if (await store.replace(lease.id, ticket, outcome.ccache, outcome)) renewed.push(ticket.ccachePath);
            note?.(ticket, outcome);
          } catch (error) {
            note?.(ticket, { error });
            log.warn('a ticket was not renewed, the old one stays', { lease: lease.id, account: account.name, error });
            failure ??=
              error instanceof StepError ? error : new StepError(stepWords(error, reader.kind, account.name), error);
          }
        }
      } finally {
        forget(outcomes);
      }
      // One account's trouble is not the others': the caller hears of it only when nothing at all was renewed.
      if (failure && renewed.length === 0) throw failure;
      return renewed;
    },

    remove: (leaseId) => store.delete(leaseId),
  };
}

/** A wish that is not granted must not be taken for one that is. */
function checkWishes({ name, files }: RequestedAccount, granted = false): void {
  if (files === undefined || granted) return;
  const what = `${WISHES_FIELD} of ${name}: this daemon lets no credential specification choose the files of its lease`;
  throw new AdError('INVALID_ARGUMENT', `invalid credentialspec fields: ${what}; CF_LEASE_FILES=true would`);
}

function newTicket(wanted: NewWanted, outcome: WantedOutcome): NewTicket {
  if ('error' in outcome) throw outcome.error;
  const { name, domain, credentialArn, files } = wanted.account;
  return {
    name: wanted.directory ?? name,
    account: name,
    ccache: outcome.ccache,
    keytab: outcome.keytab,
    krb5Conf: outcome.krb5Conf,
    record: {
      credspecInfo: wanted.credspecInfo ?? '',
      distinguishedName: outcome.account.distinguishedName ?? '',
      domainName: domain,
      domainlessUser: domainlessUser(wanted.reader),
      credentialArn,
      ...(files && { files }),
    },
  };
}

/** User names and domains are case-insensitive; two users of one name in two domains are two users. */
function ticketsOf(leases: readonly Lease[], user: UserReader, madeBy: string): OwnedTicket[] {
  const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
  return leases.flatMap((lease) =>
    lease.tickets
      .filter(({ record }) => same(record.domainlessUser, madeBy) && same(record.domainName, user.domain))
      .map((ticket) => ({ reader: user, lease, ticket, account: accountOf(ticket) })),
  );
}

/** The account of a ticket on disk. Where the directory had it then is not asked for: it may have been moved. */
export function accountOf({ record }: StoredTicket): RequestedAccount {
  const { serviceAccountName, domainName, credentialArn } = record;
  return { name: serviceAccountName, domain: domainName, credentialArn };
}
