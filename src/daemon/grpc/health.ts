/** grpc.health.v1, which Kubernetes, load balancers and grpc_health_probe ask (gRPC health checking protocol). */
import type { ServerWritableStream } from '@grpc/grpc-js';
import { protoFiles } from '../../proto/generated/descriptors.ts';
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  type HealthServer,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../proto/generated/grpc/health/v1/health.ts';

export { HealthService } from '../../proto/generated/grpc/health/v1/health.ts';

const NOT_FOUND = 5;
const known = new Set(['', ...protoFiles.flatMap((file) => file.services)]);

/** The service, and the word that the daemon stops: watchers hear of it and their streams end. */
export function createHealth(): { service: HealthServer; stopping(): void } {
  const watchers = new Set<ServerWritableStream<HealthCheckRequest, HealthCheckResponse>>();
  let status: HealthCheckResponse['status'] = ServingStatus.SERVING;
  return {
    service: {
      check(call, callback) {
        if (known.has(call.request.service)) callback(null, { status });
        else callback({ code: NOT_FOUND, details: 'unknown service' });
      },
      watch(call) {
        const forget = () => watchers.delete(call);
        watchers.add(call);
        call.on('cancelled', forget).on('close', forget).on('error', forget);
        call.write({ status: known.has(call.request.service) ? status : ServingStatus.SERVICE_UNKNOWN });
      },
    },
    stopping() {
      status = ServingStatus.NOT_SERVING;
      for (const call of watchers) {
        call.write({ status });
        call.end();
      }
      watchers.clear();
    },
  };
}
