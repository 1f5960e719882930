/**
 * The door of gRPC: how many requests are taken in at a time. A request is up to 4 MiB, or a few thousand bytes that
 * unpack to as much, and a connection may begin a thousand: without a door, whoever may connect fills the memory.
 */
import type { Http2Stream } from 'node:http2';
import { ServerInterceptingCall, type ServerInterceptor, ServerListenerBuilder, status } from '@grpc/grpc-js';
import { systemTimers, type Timers } from '../calls/jobs.ts';

export interface AdmissionOptions {
  /** Requests of one method being received at a time; others wait, and HTTP/2 lets their senders wait. */
  readonly most?: number;
  /** Time for a request to arrive in full, in milliseconds. */
  readonly withinMs?: number;
  readonly timers?: Timers;
}

/** HTTP/2 error code CANCEL, RFC 9113 7. */
const CANCEL = 8;

/** Counts those inside; those outside wait in a row. */
class Gate {
  readonly #most: number;
  readonly #waiting = new Set<() => void>();
  #inside = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /**
   * Calls `go` as soon as there is room.
   * @returns to be called, once or more often, by who leaves or gives up; `go` is handed the same
   */
  enter(go: (leave: () => void) => void): () => void {
    let state: 'waiting' | 'inside' | 'left' = 'waiting';
    const leave = (): void => {
      if (state === 'left') return;
      this.#waiting.delete(begin);
      const wasInside = state === 'inside';
      state = 'left';
      if (!wasInside) return;
      this.#inside--;
      const [next] = this.#waiting;
      if (next) this.#waiting.delete(next);
      next?.();
    };
    const begin = (): void => {
      state = 'inside';
      this.#inside++;
      go(leave);
    };
    if (this.#inside < this.#most) begin();
    else this.#waiting.add(begin);
    return leave;
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
        let stopTimer = (): void => undefined;
        let leave = (): void => undefined;
        const arrived = (): void => {
          stopTimer();
          leave();
        };
        const late = (): void => {
          call.sendStatus({
            code: status.DEADLINE_EXCEEDED,
            details: `ERROR: no whole request within ${limit / 1000} s`,
          });
          // What came of the request is kept for as long as its stream, and only the sender, or this, ends that.
          (call as { stream?: Http2Stream }).stream?.close?.(CANCEL);
          arrived();
        };
        next(
          new ServerListenerBuilder()
            .withOnReceiveMetadata((metadata, proceed) => {
              leave = gateOf(method.path).enter((done) => {
                leave = done;
                stopTimer = timers.after(limit, late);
                proceed(metadata);
              });
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
