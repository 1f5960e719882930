/** Shows the daemon's leases: how long each ticket lives, what went wrong last, what comes next. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client, Lease, Ticket } from '../client/index.ts';
import { UsageError } from '../flags.ts';
import { callDaemon, callFlags } from './call.ts';
import { type Command, text } from './command.ts';
import { CLEAR_SCREEN } from './terminal.ts';

type StatusAnswer = Awaited<ReturnType<Client['status']>>;

export const status: Command = {
  name: 'status',
  summary: "show the daemon's leases and how long their tickets live",
  description: `A line a ticket: the account, a bar of the life that is left of it, who reads its password, what the
daemon does next, and under it what went wrong last.`,
  flags: {
    watch: { type: 'boolean', short: 'w', help: 'show it again and again, until interrupted' },
    interval: { type: 'string', value: 'SECONDS', help: 'how often, with --watch [2]' },
    ...callFlags,
  },
  async run(parsed, terminal) {
    const seconds = Number(text(parsed, 'interval') ?? 2);
    if (!(seconds >= 0.1 && seconds <= 3600)) throw new UsageError('--interval must be from 0.1 to 3600 seconds');
    for (;;) {
      const clear = parsed.flags.watch && !parsed.flags.json ? CLEAR_SCREEN : '';
      await callDaemon(
        parsed,
        terminal,
        (client) => client.status(),
        (answer) => clear + formatStatus(answer),
      );
      if (!parsed.flags.watch) return;
      await delay(seconds * 1000);
    }
  },
};

/** The text of `status`, times relative to the daemon's clock. */
export function formatStatus(answer: StatusAnswer): string {
  const tickets = answer.leases.reduce((n, lease) => n + lease.tickets.length, 0);
  const head =
    `credentials-fetcherd ${answer.version}, up ${duration(answer.now - answer.started)}, ` +
    `${count(answer.leases.length, 'lease')}, ${count(tickets, 'ticket')}\n`;
  return head + answer.leases.map((lease) => formatLease(lease, answer.now)).join('');
}

function formatLease(lease: Lease, now: number): string {
  const width = Math.max(...lease.tickets.map((t) => name(t).length));
  return `\n${lease.id}\n${lease.tickets.map((t) => formatTicket(t, now, width)).join('')}`;
}

function formatTicket(ticket: Ticket, now: number, width: number): string {
  const left = ticket.ends - now;
  const life = ticket.ends === 0 ? 'no ticket' : left > 0 ? `${duration(left)} left` : `expired ${duration(-left)} ago`;
  const reader = ticket.reader === '' ? 'this machine' : ticket.reader;
  const next = ticket.nextAction === '' ? '' : `; ${ticket.nextAction} in ${duration(ticket.nextActionTime - now)}`;
  const line = `  ${name(ticket).padEnd(width)}  ${bar(ticket, now)}  ${life.padEnd(14)} by ${reader}${next}\n`;
  return ticket.lastError === '' ? line : `${line}    ! ${ticket.lastError}\n`;
}

const name = (ticket: Ticket): string => `${ticket.account}@${ticket.domain}`;
const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

const CELLS = 20;

/** The share of its life that a ticket has left. */
function bar(ticket: Ticket, now: number): string {
  const whole = ticket.ends - ticket.starts;
  const share = whole > 0 ? Math.min(1, Math.max(0, (ticket.ends - now) / whole)) : 0;
  const full = Math.round(share * CELLS);
  return `[${'#'.repeat(full)}${'.'.repeat(CELLS - full)}]`;
}

/** The two greatest units: 9h 58m, 2d 3h, 45s. */
export function duration(ms: number): string {
  let rest = Math.max(0, Math.round(ms / 1000));
  const parts: string[] = [];
  for (const [unit, seconds] of [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const n = Math.floor(rest / seconds);
    rest -= n * seconds;
    if (n > 0 || (unit === 's' && parts.length === 0)) parts.push(`${n}${unit}`);
  }
  return parts.slice(0, 2).join(' ');
}
