/** What every exchange needs from outside, in one value, so that tests hand in their own clock, random and network. */
import { randomBytes } from 'node:crypto';
import { DEFAULT_ETYPES } from '../crypto/index.ts';
import type { KdcTransport } from '../network/transport.ts';

/** Milliseconds since the epoch, as Date.now. */
export type Clock = () => number;
/** `n` cryptographically random bytes. */
export type Random = (n: number) => Uint8Array;

/** What all exchanges of a client share, with what they learned of the KDC's clock. */
export interface ExchangeContext {
  readonly transport: KdcTransport;
  readonly clock: Clock;
  readonly random: Random;
  /** Encryption types in order of preference; nothing else is requested or accepted. */
  readonly permittedEtypes: readonly number[];
  /** Those of them that requests for initial tickets list, and those that requests for other tickets list. */
  readonly tktEtypes: readonly number[];
  readonly tgsEtypes: readonly number[];
  /** How far two clocks may differ, ms; RFC 4120 section 10 recommends five minutes. */
  readonly clockSkew: number;
  /** Lifetime and renewable lifetime asked of the KDC, ms; it grants what its policy allows. */
  readonly ticketLifetime: number;
  readonly renewLifetime: number;
  /** False: a KDC's clock that differs by more than `clockSkew` is an error, not learned (krb5.conf kdc_timesync). */
  readonly kdcTimesync: boolean;
  /** The KDC's clock minus ours, ms. Learned from a reply that was verified (MIT calls this kdc_timesync). */
  timeOffset: number;
  readonly stamp: (now: number) => Stamp;
}

/** What an exchange needs from outside; all but the transport has a default. */
export type ContextOptions = { readonly transport: KdcTransport } & Partial<
  Omit<ExchangeContext, 'transport' | 'timeOffset' | 'stamp'>
>;

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** An offset beyond this is not believed: the message that suggests it is not authenticated. */
export const MAX_TIME_OFFSET = 24 * HOUR;

/** A context with the defaults in place of what is not given. */
export function exchangeContext(options: ContextOptions): ExchangeContext {
  const permittedEtypes = options.permittedEtypes ?? DEFAULT_ETYPES;
  const permitted = (etypes: readonly number[]) => etypes.filter((e) => permittedEtypes.includes(e));
  return {
    transport: options.transport,
    clock: options.clock ?? Date.now,
    random: options.random ?? ((n) => new Uint8Array(randomBytes(n))),
    permittedEtypes,
    tktEtypes: permitted(options.tktEtypes ?? permittedEtypes),
    tgsEtypes: permitted(options.tgsEtypes ?? permittedEtypes),
    clockSkew: options.clockSkew ?? 5 * MINUTE,
    ticketLifetime: options.ticketLifetime ?? 24 * HOUR,
    renewLifetime: options.renewLifetime ?? 7 * 24 * HOUR,
    kdcTimesync: options.kdcTimesync ?? true,
    timeOffset: 0,
    stamp: stamper(),
  };
}

/** The KDC's time as far as it is known. */
export function kdcNow(context: ExchangeContext): number {
  return context.clock() + context.timeOffset;
}

/** A nonce below 2^31, since some KDCs treat it as signed (RFC 4120 5.4.1 allows UInt32). */
export function newNonce(random: Random): number {
  const b = random(4);
  return new DataView(b.buffer, b.byteOffset).getUint32(0) & 0x7fffffff;
}

export function hasFlag(flags: number, mask: number): boolean {
  return (flags & mask) !== 0;
}

/** A time as KerberosTime and microseconds. */
export interface Stamp {
  readonly seconds: Date;
  readonly microseconds: number;
}

/**
 * Gives stamps of the KDC's time that never repeat, even within a millisecond: a server's replay cache tells
 * authenticators apart by them (RFC 4120 3.2.3).
 */
function stamper(): (now: number) => Stamp {
  let last = 0;
  return (now) => {
    const micros = Math.floor(now) * 1000;
    last = micros <= last && last - micros < 1_000_000 ? last + 1 : micros;
    return { seconds: new Date(Math.floor(last / 1_000_000) * 1000), microseconds: last % 1_000_000 };
  };
}

/** A fresh stamp of the KDC's time. */
export function newStamp(context: ExchangeContext): Stamp {
  return context.stamp(kdcNow(context));
}
