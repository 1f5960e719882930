/**
 * Which password of a gMSA is in force when. A domain controller rolls it at multiples of ten hours of absolute time:
 * the password made in key cycle c is replaced in cycle c + n, n being the interval in whole cycles (one day is two,
 * so twenty hours).
 */
import { AdError } from '../../errors.ts';
import { cycleAt, cycleStart, KEY_CYCLE_MS } from './gkdi.ts';

/** Clocks of domain controllers may differ by this much (MS-GKDI, MaxClockSkew). */
export const MAX_SKEW_MS = 5 * 60_000;
/**
 * A controller asked soon after a roll answers without the previous password: seen ten minutes after, no more eight
 * hours after. Where between the two it changes is not documented; one hour is taken here.
 */
const PREVIOUS_HIDDEN_MS = 3_600_000;

export interface Schedule {
  /** The key cycle the account was made in. */
  readonly firstCycle: number;
  /** Key cycles a password lives. */
  readonly cycles: number;
}

/** @param days msDS-ManagedPasswordInterval. @throws AdError INVALID_ARGUMENT when it is not a whole day or more */
export function scheduleOf(createdMs: number, days: number): Schedule {
  if (!Number.isInteger(days) || days < 1) {
    throw new AdError('INVALID_ARGUMENT', `managed password interval must be at least one whole day, not ${days}`);
  }
  return { firstCycle: cycleAt(createdMs), cycles: Math.floor((days * 24 * 3_600_000) / KEY_CYCLE_MS) };
}

/** What holds at one moment. Passwords are named by the key cycle they come from. */
export interface Phase {
  /** The password the KDC issues tickets under. */
  readonly inForce: number;
  /** The one it also accepts, for five minutes after a roll. */
  readonly alsoAccepted: number | undefined;
  /** Key version: 1 for the first password, one more with each roll. */
  readonly kvno: number;
  /** What msDS-ManagedPassword shows, which runs ahead of the KDC in the last five minutes before a roll. */
  readonly shown: {
    readonly current: number;
    readonly previous: number | undefined;
    readonly queryMs: number;
    readonly unchangedMs: number;
  };
}

export function phaseAt({ firstCycle, cycles }: Schedule, nowMs: number): Phase {
  const rolls = Math.max(0, Math.floor((cycleAt(nowMs) - firstCycle) / cycles));
  const inForce = firstCycle + rolls * cycles;
  const previous = rolls > 0 ? inForce - cycles : undefined;
  const age = nowMs - cycleStart(inForce);
  const queryMs = cycleStart(inForce + cycles) - nowMs;
  const soon = queryMs <= MAX_SKEW_MS;
  return {
    inForce,
    alsoAccepted: age < MAX_SKEW_MS ? previous : undefined,
    kvno: rolls + 1,
    shown: soon
      ? {
          current: inForce + cycles,
          previous: inForce,
          queryMs,
          unchangedMs: queryMs + cycles * KEY_CYCLE_MS - MAX_SKEW_MS,
        }
      : {
          current: inForce,
          previous: age < PREVIOUS_HIDDEN_MS ? undefined : previous,
          queryMs,
          unchangedMs: queryMs - MAX_SKEW_MS,
        },
  };
}
