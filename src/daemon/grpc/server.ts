/** gRPC over connections that somebody else accepts. */
import type net from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import {
  type CredentialsFetcherServiceServer,
  CredentialsFetcherServiceService,
} from '../../proto/generated/credentialsfetcher.ts';
import { CALL_LIMIT_MS } from '../calls/jobs.ts';
import { type AdmissionOptions, admission } from './admission.ts';
import { createHealth, HealthService } from './health.ts';
import { type Overview, StatusService } from './overview.ts';
import { createReflection, reflectionServices } from './reflection.ts';

/** Largest request, in bytes; more is answered RESOURCE_EXHAUSTED. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** Clients connect again by themselves, without a call failing: they are sent away when idle, and now and then. */
const IDLE_MS = 60_000;
const AGE_MS = 15 * 60_000;
/** Connections at a time: each takes a descriptor and some memory, and clients need one each. */
const MAX_CONNECTIONS = 512;
/** Time to read our last words. */
const LAST_WORDS_MS = 1000;

export interface ServerLimits extends AdmissionOptions {
  /** How long a connection without calls is kept, in milliseconds. */
  readonly idleMs?: number;
  /** Connections at a time. */
  readonly maxConnections?: number;
}

export interface GrpcServer {
  /** Serves gRPC on one accepted, still unread connection. */
  serve(connection: net.Socket): void;
  /** Lets calls under way finish, idle clients go, and after `graceMs` ends the rest. */
  close(graceMs: number): Promise<void>;
}

export function createServer(
  service: CredentialsFetcherServiceServer,
  overview: Pick<Overview, 'service'>,
  limits: ServerLimits = {},
): GrpcServer {
  const server = new Server({
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_concurrent_streams': 1024,
    'grpc.enable_channelz': 0,
    // Node stops listening to a connection that broke the protocol, and would never see its client go.
    'grpc.max_connection_idle_ms': limits.idleMs ?? IDLE_MS,
    'grpc.max_connection_age_ms': AGE_MS,
    'grpc.max_connection_age_grace_ms': CALL_LIMIT_MS + 5000,
    interceptors: [admission(limits)],
  });
  const health = createHealth();
  server.addService(CredentialsFetcherServiceService, service);
  server.addService(StatusService, overview.service());
  server.addService(HealthService, health.service);
  for (const definition of reflectionServices) server.addService(definition, createReflection());
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const connections = new Set<net.Socket>();
  return {
    serve(connection) {
      if (connections.size >= (limits.maxConnections ?? MAX_CONNECTIONS)) leastUsed(connections)?.destroy();
      connections.add(connection);
      connection.once('close', () => connections.delete(connection));
      connection.on('error', () => connection.destroy());
      // All is said; who does not hang up now is not waited for.
      connection.once('finish', () => setTimeout(() => connection.destroy(), LAST_WORDS_MS).unref());
      // It came paused, and HTTP/2 takes over a running handle: what arrives from now on goes to it, not to the stream.
      connection.read(0);
      injector.injectConnection(connection);
    },
    close: (graceMs) =>
      new Promise((resolve) => {
        health.stopping();
        const end = (): void => {
          clearTimeout(late);
          server.forceShutdown();
          // HTTP/2 says goodbye and then waits for the client to hang up, which a silent or stopped one never does.
          for (const connection of connections) connection.destroy();
          resolve();
        };
        const late = setTimeout(end, graceMs);
        server.tryShutdown(end);
      }),
  };
}

/**
 * Who has said the least, and of those the one that came first: whoever opens connections to keep others out has to use
 * every one of them more than the others do theirs. A client that is sent away in error connects again by itself.
 */
function leastUsed(connections: ReadonlySet<net.Socket>): net.Socket | undefined {
  let least: net.Socket | undefined;
  for (const connection of connections) {
    if (!connection.destroyed && (!least || connection.bytesRead < least.bytesRead)) least = connection;
  }
  return least;
}
