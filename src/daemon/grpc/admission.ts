/**
 * The door of gRPC: how many requests are taken in at a time. A request is up to 4 MiB, or a few thousand bytes that
 * unpack to as much, and a connection may begin a thousand: without a door, whoever may connect fills the memory.
 */
import type { Http2Stream } from 'node:http2';
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  status,
} from '@grpc/grpc-js';
import { systemTimers, type Timers } from '../calls/jobs.ts';

export interface AdmissionOptions {
  /** Requests of one method being received at a time; others wait, and HTTP/2 lets their senders wait. */
  readonly most?: number;
  /** Time for a request to arrive in full, in milliseconds. */
  readonly withinMs?: number;
  readonly timers?: Timers;
}

const connections = new WeakMap<Metadata, object>();

/** The connection a call came by, found by the call's metadata; undefined for one that came through no door. */
export const connectionOf = (metadata: Metadata): object | undefined => connections.get(metadata);

/** So many connections share the room at least: no one of them can take all of it. */
const CONNECTIONS = 4;
/** This share of the time for a request is all it has while others wait. Whole ones come over the socket at once. */
const HURRY = 1 / 6;

/** HTTP/2 error code CANCEL, RFC 9113 7. */
const CANCEL = 8;

/** A request that is being received, or waits to be. */
interface Guest {
  /** Its connection. */
  readonly from: unknown;
  readonly begin: () => void;
  /** Called when others wait for its place and it has had its time. */
  readonly end: () => void;
  state: 'waiting' | 'inside' | 'left';
  /** It has been inside for longer than requests take. */
  slow: boolean;
}

/** Counts those inside; those outside wait in a row, each connection in one of its own, and the rows take turns. */
class Gate {
  readonly #most: number;
  readonly #inside = new Set<Guest>();
  /** The connection whose turn is next comes first. */
  readonly #rows = new Map<unknown, Set<Guest>>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Lets `guest` begin as soon as there is room. */
  enter(guest: Guest): void {
    if (guest.state !== 'waiting') return;
    const row = this.#rows.get(guest.from) ?? new Set();
    row.add(guest);
    this.#rows.set(guest.from, row);
    this.#next();
    const slow = [...this.#inside].find((inside) => inside.slow);
    if (guest.state === 'waiting') slow?.end();
  }

  /** To be called, once or more often, for who is through or gives up. */
  leave(guest: Guest): void {
    guest.state = 'left';
    this.#inside.delete(guest);
    const row = this.#rows.get(guest.from);
    row?.delete(guest);
    if (row?.size === 0) this.#rows.delete(guest.from);
    this.#next();
  }

  /** One that has had its time inside; it goes if another connection's could come in its place, now or later. */
  slow(guest: Guest): void {
    guest.slow = true;
    if (guest.state === 'inside' && this.#rows.size > 0) guest.end();
  }

  #next(): void {
    for (const [from, row] of [...this.#rows]) {
      if (this.#inside.size >= this.#most) return;
      // Whoever has its share inside waits for those, not for the others' room.
      if (this.#of(from) >= Math.max(1, this.#most / CONNECTIONS)) continue;
      const [guest] = row;
      if (!guest) continue;
      row.delete(guest);
      this.#rows.delete(from);
      if (row.size > 0) this.#rows.set(from, row); // behind all others
      guest.state = 'inside';
      this.#inside.add(guest);
      guest.begin();
    }
  }

  #of(from: unknown): number {
    let count = 0;
    for (const guest of this.#inside) if (guest.from === from) count++;
    return count;
  }
}

/** Takes requests in a few at a time, and ends those that do not arrive. Those of one method do not hold up another's. */
export function admission(options: AdmissionOptions = {}): ServerInterceptor {
  const { most = 16, withinMs = 3000, timers = systemTimers } = options;
  /** Of the methods there are: for others no call comes this far. */
  const gates = new Map<string, Gate>();
  const gateOf = (path: string): Gate => {
    const gate = gates.get(path) ?? new Gate(most);
    gates.set(path, gate);
    return gate;
  };
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start(next) {
        // A stream of requests never arrives in full.
        const limit = method.requestStream ? withinMs * 20 : withinMs;
        const { stream } = call as { stream?: Http2Stream };
        const gate = gateOf(method.path);
        const stopTimers: (() => void)[] = [];
        const arrived = (): void => {
          for (const stop of stopTimers.splice(0)) stop();
          gate.leave(guest);
        };
        const late = (): void => {
          call.sendStatus({
            code: status.DEADLINE_EXCEEDED,
            details: `ERROR: no whole request within ${limit / 1000} s`,
          });
          // What came of the request is kept for as long as its stream, and only the sender, or this, ends that.
          stream?.close?.(CANCEL);
          arrived();
        };
        let proceed = (): void => undefined;
        const guest: Guest = {
          from: stream?.session ?? call,
          begin() {
            // After what has come meanwhile was read: it may be us who were slow.
            const slow = (): void => void setImmediate(() => gate.slow(guest));
            stopTimers.push(timers.after(limit * HURRY, slow), timers.after(limit, late));
            proceed();
          },
          end: late,
          state: 'waiting',
          slow: false,
        };
        next(
          new ServerListenerBuilder()
            .withOnReceiveMetadata((metadata, receive) => {
              if (stream?.session) connections.set(metadata, stream.session);
              proceed = () => receive(metadata);
              gate.enter(guest);
            })
            .withOnReceiveMessage((message, proceed) => {
              if (!method.requestStream) arrived();
              proceed(message);
            })
            .withOnReceiveHalfClose((proceed) => {
              arrived();
              proceed();
            })
            .withOnCancel(arrived)
            .build(),
        );
      },
    });
}
