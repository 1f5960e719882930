/** What the calls do, without gRPC: a lease added, renewed, deleted. */
import { utf8, wipe } from '../bytes.ts';
import { AdError } from '../errors.ts';
import { type FetchedTicket, type FetchOutcome, isFailure, type LeaseEngine, type ReaderIdentity } from './engine.ts';
import type { Lease, LeaseStore, StoredTicket } from './leases.ts';
import type { Log } from './log.ts';
import type { RequestedAccount } from './requests.ts';
import { StepError, stepWords } from './status.ts';

export interface Actions {
  /** Tickets for all accounts in a new lease, or no lease. */
  add(
    reader: Reader,
    accounts: readonly RequestedAccount[],
    signal: AbortSignal,
  ): Promise<{ id: string; directories: string[] }>;
  /** New tickets for every lease that the user made; the caches replaced. */
  renew(reader: UserReader, signal: AbortSignal): Promise<string[]>;
  /** Caches removed; none for an unknown lease. */
  remove(leaseId: string): Promise<string[]>;
}

export interface UserReader {
  readonly kind: 'password';
  readonly username: string;
  readonly domain: string;
  readonly password: string;
}

export type Reader = UserReader | { readonly kind: 'machine' };

export function createActions(parts: { engine: LeaseEngine; store: LeaseStore; log: Log }): Actions {
  const { engine, store, log } = parts;
  return {
    async add(reader, accounts, signal) {
      const outcomes = await fetchAll(engine, reader, accounts, signal);
      try {
        signal.throwIfAborted();
        const tickets = outcomes.map((outcome, i) => {
          const { name, domain, credentialArn } = accounts[i]!;
          if (isFailure(outcome)) throw new StepError(stepWords(outcome.error, reader.kind, name), outcome.error);
          const record = {
            credspecInfo: '',
            distinguishedName: outcome.account.distinguishedName ?? '',
            domainName: domain,
            domainlessUser: reader.kind === 'password' ? reader.username : '',
            credentialArn,
          };
          return { name, ccache: outcome.ccache, record };
        });
        const lease = await store.create(tickets, signal);
        if (signal.aborted) {
          await store.delete(lease.id);
          signal.throwIfAborted();
        }
        return lease;
      } finally {
        forget(outcomes);
      }
    },

    async renew(reader, signal) {
      const owned = ticketsOf(await store.list(), reader);
      const accounts = distinct(owned);
      if (accounts.length === 0) return [];
      const outcomes = await fetchAll(engine, reader, accounts, signal);
      const renewed: string[] = [];
      let failure: StepError | undefined;
      try {
        const byAccount = new Map(accounts.map((a, i) => [keyOf(a), outcomes[i]!]));
        for (const { lease, ticket, account } of owned) {
          const outcome = byAccount.get(keyOf(account))!;
          try {
            if (isFailure(outcome)) throw outcome.error;
            if (await store.replace(lease.id, ticket, outcome.ccache)) renewed.push(ticket.ccachePath);
          } catch (error) {
            log.warn('a ticket was not renewed, the old one stays', { lease: lease.id, account: account.name, error });
            failure ??= new StepError(stepWords(error, reader.kind, account.name), error);
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

type OwnedTicket = { lease: Lease; ticket: StoredTicket; account: RequestedAccount };

/** User names and domains are case-insensitive; two users of one name in two domains are two users. */
function ticketsOf(leases: readonly Lease[], user: UserReader): OwnedTicket[] {
  const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
  return leases.flatMap((lease) =>
    lease.tickets
      .filter(({ record }) => same(record.domainlessUser, user.username) && same(record.domainName, user.domain))
      .map((ticket) => {
        const { serviceAccountName, domainName, distinguishedName, credentialArn } = ticket.record;
        return {
          lease,
          ticket,
          account: {
            name: serviceAccountName,
            domain: domainName,
            credentialArn,
            ...(distinguishedName ? { distinguishedName } : {}),
          },
        };
      }),
  );
}

const keyOf = (account: { name: string; domain: string }): string => `${account.name}@${account.domain}`.toLowerCase();

const distinct = (owned: readonly OwnedTicket[]): RequestedAccount[] => [
  ...new Map(owned.map(({ account }) => [keyOf(account), account])).values(),
];

/** Asks the engine, with a password that lives in wipeable bytes as long as the question does. */
async function fetchAll(
  engine: LeaseEngine,
  reader: Reader,
  accounts: readonly RequestedAccount[],
  signal: AbortSignal,
): Promise<FetchOutcome[]> {
  const password = reader.kind === 'password' ? utf8(reader.password) : undefined;
  const identity: ReaderIdentity =
    reader.kind === 'password' && password
      ? { kind: 'password', username: reader.username, domain: reader.domain, password }
      : { kind: 'machine' };
  try {
    const refs = accounts.map(({ credentialArn: _, ...ref }) => ref);
    const outcomes = await engine.fetch({ identity, accounts: refs, signal });
    if (outcomes.length !== accounts.length)
      throw new Error(`${outcomes.length} outcomes for ${accounts.length} accounts`);
    return outcomes;
  } catch (e) {
    throw e instanceof AdError ? new StepError(stepWords(e, reader.kind, null), e) : e;
  } finally {
    wipe(password);
  }
}

/** A cache holds a session key: its bytes are wiped once they are on disk, or are not to be. */
function forget(outcomes: readonly FetchOutcome[]): void {
  wipe(...outcomes.filter((o): o is FetchedTicket => !isFailure(o)).map((o) => o.ccache));
}
