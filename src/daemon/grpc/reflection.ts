/**
 * Server reflection (gRPC server reflection protocol, v1 and v1alpha): tools such as grpc_cli and grpcurl learn the
 * daemon's calls from the daemon itself. The files' descriptors are generated beside the code.
 */
import type { handleBidiStreamingCall } from '@grpc/grpc-js';
import { protoFiles } from '../../proto/generated/descriptors.ts';
import {
  type ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionService as V1,
} from '../../proto/generated/grpc/reflection/v1/reflection.ts';
import { ServerReflectionService as V1Alpha } from '../../proto/generated/grpc/reflection/v1alpha/reflection.ts';
import { grpcCode } from '../calls/status.ts';

/** Both versions carry the same messages under two names. */
export const reflectionServices = [V1, V1Alpha] as const;

type Answer = Omit<ServerReflectionResponse, 'validHost' | 'originalRequest'>;
type ProtoFile = (typeof protoFiles)[number];

const NOT_FOUND = 5;

export function createReflection(): {
  serverReflectionInfo: handleBidiStreamingCall<ServerReflectionRequest, ServerReflectionResponse>;
} {
  return {
    serverReflectionInfo(call) {
      call.on('data', (request: ServerReflectionRequest) => {
        call.write({ ...answer(request), validHost: request.host, originalRequest: request });
      });
      call.on('end', () => call.end());
      call.on('error', () => call.end());
    },
  };
}

function answer(request: ServerReflectionRequest): Answer {
  if (request.listServices !== undefined) {
    const service = protoFiles.flatMap((file) => file.services).map((name) => ({ name }));
    return { listServicesResponse: { service } };
  }
  if (request.fileByFilename !== undefined) {
    return describe(request.fileByFilename, (file) => file.name === request.fileByFilename);
  }
  if (request.fileContainingSymbol !== undefined) {
    return describe(request.fileContainingSymbol, (file) => file.symbols.includes(request.fileContainingSymbol!));
  }
  const type = request.fileContainingExtension?.containingType ?? request.allExtensionNumbersOfType;
  if (type !== undefined) return failure(NOT_FOUND, `no extensions of ${type.slice(0, 200)}`);
  return failure(grpcCode.UNIMPLEMENTED, 'unknown request');
}

/** No file of ours imports another, so one descriptor is the whole answer. */
function describe(what: string, fits: (file: ProtoFile) => boolean): Answer {
  const file = protoFiles.find(fits);
  if (!file) return failure(NOT_FOUND, `not found: ${what.slice(0, 200)}`);
  return { fileDescriptorResponse: { fileDescriptorProto: [Buffer.from(file.descriptor, 'base64')] } };
}

function failure(errorCode: number, errorMessage: string): Answer {
  return { errorResponse: { errorCode, errorMessage } };
}
