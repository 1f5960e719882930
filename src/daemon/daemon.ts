/** The daemon as a function: everything it needs is handed in, and `close` ends all of it. */
import type net from 'node:net';
import { join } from 'node:path';
import type { OpenAws } from '../accounts/aws/types.ts';
import { version } from '../version.ts';
import { lazyAws } from './calls/aws.ts';
import { Jobs, type Timers } from './calls/jobs.ts';
import type { DaemonConfig } from './config/config.ts';
import type { Overview } from './grpc/overview.ts';
import { listenOnDescriptor, listenOnSocket } from './grpc/socket.ts';
import type { Log } from './log.ts';
import { type DaemonMetrics, daemonMetrics, renderMetrics } from './metrics/metrics.ts';
import type { MetricsServer } from './metrics/server.ts';
import type { RenewerParts } from './renewal/renewer.ts';
import type { LeaseEngine } from './tickets/engine.ts';

export interface Daemon {
  /** For gRPC clients: `unix:` and the path of the socket. */
  readonly address: string;
  /** Its `config` shows other values by now: what is made at a start is made again. */
  reloaded(): void;
  /** Stops accepting, lets running calls finish (at most about twice `graceMs`), closes the engine. */
  close(): Promise<void>;
}

export interface DaemonParts {
  /** May show other values in time: all are looked at when they are needed, but for those of the socket and `krbDir`. */
  readonly config: Pick<DaemonConfig, 'krbDir' | 'socketDir'> &
    Partial<
      Pick<
        DaemonConfig,
        | 'socketPath'
        | 'socketMode'
        | 'socketGid'
        | 'files'
        | 'metrics'
        | 'secretId'
        | 'credspecFile'
        | 'renewUserTickets'
      >
    >;
  readonly engine: LeaseEngine;
  readonly log: Log;
  /** A descriptor that listens already, in place of the socket in `config.socketDir`. */
  readonly socketFd?: number | undefined;
  /** How the ARN calls reach AWS; the SDK when absent. */
  readonly openAws?: OpenAws;
  /** Shared with the engine; made here when absent. */
  readonly metrics?: DaemonMetrics;
  /** Keeps tickets fresh, by this clock and these timers; absent: nobody does. */
  readonly renewal?: Pick<RenewerParts, 'clock' | 'timers'>;
  readonly timers?: Timers;
  /** How long running calls may take to finish when the daemon stops, in milliseconds. */
  readonly graceMs?: number;
  /** Longest time for a call, in milliseconds. */
  readonly callLimitMs?: number;
  /** Calls under way at once. */
  readonly maxCalls?: number;
  /** How long a fetch goes on that nobody waits for any more, for a client that repeats itself, in milliseconds. */
  readonly lingerMs?: number;
}

export const SOCKET_NAME = 'credentials_fetcher.sock';

/**
 * Starts a daemon in this process.
 * @throws AdError FILE when the socket or the lease directory cannot be used
 */
export async function startDaemon(parts: DaemonParts): Promise<Daemon> {
  const { config, log, graceMs = 5000 } = parts;
  const path = config.socketPath ?? join(config.socketDir, SOCKET_NAME);
  // The socket comes first: it says whether another daemon is at work here, and clients may already connect while
  // gRPC, the greater part of the code, is still being loaded. They are served as soon as it is.
  const listener = await (parts.socketFd === undefined
    ? listenOnSocket(path, config.socketMode, config.socketGid)
    : listenOnDescriptor(parts.socketFd));
  try {
    const waiting: net.Socket[] = [];
    let serve = (connection: net.Socket): void => void waiting.push(connection);
    listener.on('connection', (connection) => serve(connection));
    const [
      { createServer },
      { createService },
      { createActions },
      { createArnActions },
      { LeaseStore },
      { Orphans },
      { Overview },
      { Renewer },
      { SharedFetches },
      { StandingLease },
    ] = await Promise.all([
      import('./grpc/server.ts'),
      import('./calls/service.ts'),
      import('./calls/actions.ts'),
      import('./calls/arn.ts'),
      import('./leases/store.ts'),
      import('./leases/orphans.ts'),
      import('./grpc/overview.ts'),
      import('./renewal/renewer.ts'),
      import('./tickets/shared-fetches.ts'),
      import('./leases/standing-lease.ts'),
    ]);
    const engine = new SharedFetches(parts.engine, {
      ...(parts.timers ? { timers: parts.timers } : {}),
      ...(parts.lingerMs === undefined ? {} : { lingerMs: parts.lingerMs }),
    });
    const { krbDir: directory, files } = config;
    const store = new LeaseStore({ directory, log, ...(files && { files }) });
    await store.open();
    const jobs = new Jobs({
      ...(parts.timers ? { timers: parts.timers } : {}),
      ...(parts.callLimitMs ? { limitMs: parts.callLimitMs } : {}),
      ...(parts.maxCalls ? { most: parts.maxCalls } : {}),
    });
    const metrics = parts.metrics ?? daemonMetrics();
    const renewer = parts.renewal && new Renewer({ store, engine, log, metrics, config, ...parts.renewal });
    const plan = (path: string) => renewer?.plan(path);
    const overview = new Overview({ store, version: version(), clock: Date.now, plan });
    const actions = createActions({ engine, store, log, onTicket: (path, ticket) => renewer?.fetched(path, ticket) });
    const arnActions = createArnActions({ actions, store, openAws: parts.openAws ?? lazyAws, log });
    const server = createServer(createService({ actions, arnActions, jobs, log, metrics, config }), overview);
    serve = server.serve;
    for (const connection of waiting) server.serve(connection);

    const metricsServer = config.metrics ? await startMetrics(config.metrics, metrics, overview) : undefined;
    if (metricsServer) log.info('serving metrics', { address: metricsServer.address });

    renewer?.start(actions);
    const standing = new StandingLease({ actions, store, log, config });
    standing.start();
    const orphans = parts.renewal && new Orphans({ store, log, ...parts.renewal });
    orphans?.start();

    let closing: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      await Promise.all([jobs.drain(graceMs), renewer?.close(), standing.close(), orphans?.close()]);
      await server.close(1000);
      await closed;
      await metricsServer?.close();
      await engine.close();
    };
    return {
      address: `unix:${path}`,
      reloaded: () => standing.start(),
      close() {
        closing ??= stop();
        return closing;
      },
    };
  } catch (e) {
    listener.close();
    throw e;
  }
}

/** Serves the metrics; those about leases are read from disk when somebody looks. */
async function startMetrics(address: string, metrics: DaemonMetrics, overview: Overview): Promise<MetricsServer> {
  const { parseMetricsAddress, serveMetrics } = await import('./metrics/server.ts');
  return serveMetrics(parseMetricsAddress(address), async () => {
    const leases = await overview.leases();
    const now = Date.now();
    const shortest = new Map<string, readonly [{ account: string; domain: string }, number]>();
    for (const { account, domain, ends } of leases.flatMap((lease) => lease.tickets)) {
      const key = `${account}@${domain}`.toLowerCase();
      const left = ends === 0 ? 0 : (ends - now) / 1000;
      if (left < (shortest.get(key)?.[1] ?? Number.POSITIVE_INFINITY)) shortest.set(key, [{ account, domain }, left]);
    }
    metrics.build.from(() => [[{ version: version() }, 1]]);
    metrics.leases.from(() => [[{}, leases.length]]);
    metrics.ticketSeconds.from(() => shortest.values());
    return renderMetrics(metrics);
  });
}
