/** What operators ask for: every lease, how long its tickets live, what went wrong last, what comes next. */
import { inTurns, mapLimited } from '../../async.ts';
import { messageOf } from '../../errors.ts';
import type { Lease as LeaseOverview, StatusServer, Ticket as TicketOverview } from '../../proto/generated/status.ts';
import type { LeaseStore, StoredTicket } from '../leases/store.ts';
import { ticketTimes } from '../renewal/ticket-times.ts';

export { StatusService } from '../../proto/generated/status.ts';

const FILES_AT_A_TIME = 16;
const NO_TIMES = { starts: 0, ends: 0, renewUntil: 0 };

/** What whoever renews tickets knows of one. */
export interface TicketPlan {
  /** In words, such as 'read the managed password again'; empty when nothing is planned. */
  readonly action: string;
  /** Milliseconds since 1970. */
  readonly at?: number;
  /** Why the last attempt failed. */
  readonly lastError?: string;
}

export interface OverviewParts {
  readonly store: Pick<LeaseStore, 'list'>;
  readonly version: string;
  readonly clock: () => number;
  /** The plan for the ticket in a file. */
  readonly plan?: (ccachePath: string) => TicketPlan | undefined;
}

export class Overview {
  readonly #parts: OverviewParts;
  readonly #started: number;

  constructor(parts: OverviewParts) {
    this.#parts = parts;
    this.#started = parts.clock();
  }

  /** However many ask, the disk is read by one at a time, a few files at once. */
  readonly leases = inTurns(async (): Promise<LeaseOverview[]> => {
    const leases = await this.#parts.store.list();
    return mapLimited(leases, FILES_AT_A_TIME, async ({ id, tickets }) => ({
      id,
      tickets: await mapLimited(tickets, 1, (t) => this.#ticket(t)),
    }));
  });

  async #ticket(ticket: StoredTicket): Promise<TicketOverview> {
    const times = await ticketTimes(ticket.ccachePath).catch((e: unknown) => ({ ...NO_TIMES, error: messageOf(e) }));
    const plan = this.#parts.plan?.(ticket.ccachePath);
    return {
      account: ticket.record.serviceAccountName,
      domain: ticket.record.domainName,
      reader: ticket.record.domainlessUser,
      path: ticket.ccachePath,
      starts: times.starts,
      ends: times.ends,
      renewUntil: times.renewUntil,
      lastError: plan?.lastError ?? ('error' in times ? times.error : ''),
      nextAction: plan?.action ?? '',
      nextActionTime: plan?.at ?? 0,
    };
  }

  /** The gRPC service. */
  service(): StatusServer {
    return {
      getStatus: (_call, callback) => {
        this.leases().then(
          (leases) => {
            const { version, clock } = this.#parts;
            callback(null, { version, started: this.#started, now: clock(), leases });
          },
          (e: unknown) => callback({ code: 13, details: `ERROR: the leases cannot be listed: ${messageOf(e)}` }),
        );
      },
    };
  }
}
