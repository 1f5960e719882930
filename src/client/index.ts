/**
 * A client of the daemon for other programs: promises, deadlines, typed errors.
 *
 *   const client = createClient();
 *   const { leaseId, paths } = await client.addWithUser({ credspecs: [json], username, password, domain });
 *   await client.delete(leaseId);
 *   client.close();
 */
import {
  type CallOptions,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import {
  type CreateKerberosArnLeaseResponse,
  type CreateKerberosLeaseResponse,
  type CreateNonDomainJoinedKerberosLeaseResponse,
  CredentialsFetcherServiceClient,
  type DeleteKerberosLeaseResponse,
  type HealthCheckResponse,
  type RenewKerberosArnLeaseResponse,
  type RenewNonDomainJoinedKerberosLeaseResponse,
} from '../proto/generated/credentialsfetcher.ts';
import { type GetStatusResponse, StatusClient } from '../proto/generated/status.ts';

export type { Lease, Ticket } from '../proto/generated/status.ts';

/** Where the daemon listens unless told otherwise. */
export const DEFAULT_ADDRESS = 'unix:/var/credentials-fetcher/socket/credentials_fetcher.sock';
/** A little above the time after which the daemon itself gives up. */
const DEFAULT_TIMEOUT_MS = 20_000;
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** gRPC's names for what went wrong. */
export type ClientErrorCode = Exclude<keyof typeof status, 'OK'>;

/** The daemon's answer when it is not a success, or why there is none. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly code: ClientErrorCode;

  constructor(code: ClientErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }

  /** True when the same call may succeed a little later. */
  get temporary(): boolean {
    return ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED', 'ABORTED'].includes(this.code);
  }
}

/** Where the daemon is. */
export interface ClientOptions {
  /** `unix:/path`, or the path of the socket alone. */
  readonly address?: string;
  /** Time for a call, in milliseconds; 20 s when absent. */
  readonly timeoutMs?: number;
}

/** How long one call may take. */
export interface CallLimits {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A lease that was made, and where its tickets are. */
export interface LeaseCreated {
  readonly leaseId: string;
  /** Directories, one a gMSA; the ticket cache in each is named `krb5cc`. */
  readonly paths: readonly string[];
}

/** Keys of an IAM role, and the region of what names none of its own. */
export interface AwsAccess {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly region: string;
}

/** All calls reject with ClientError and nothing else. */
export interface Client {
  health(request?: { service?: string }, limits?: CallLimits): Promise<{ readonly status: string }>;
  /** A lease read by the machine's account. `credspecs` are JSON texts. */
  add(request: { credspecs: readonly string[] }, limits?: CallLimits): Promise<LeaseCreated>;
  /** A lease read by a user. */
  addWithUser(
    request: { credspecs: readonly string[]; username: string; password: string; domain: string },
    limits?: CallLimits,
  ): Promise<LeaseCreated>;
  /**
   * A lease of credspecs that are fetched with these keys. `references` are `arn:aws:s3:::bucket/key#task/directory`,
   * or the ARN of an SSM parameter or a `file://` URL in the ARN's place; the lease's id is the task. The paths are in
   * their order.
   */
  addByArn(request: { references: readonly string[] } & AwsAccess, limits?: CallLimits): Promise<LeaseCreated>;
  /** New tickets for every lease made by reference. */
  renewByArn(access: AwsAccess, limits?: CallLimits): Promise<{ readonly status: string }>;
  /** New tickets for every lease of a user; `paths` are the ticket caches replaced. */
  renew(
    request: { username: string; password: string; domain: string },
    limits?: CallLimits,
  ): Promise<{ readonly paths: readonly string[] }>;
  /** `paths` are the ticket caches removed, none for a lease that does not exist. */
  delete(
    leaseId: string,
    limits?: CallLimits,
  ): Promise<{ readonly leaseId: string; readonly paths: readonly string[] }>;
  /** Every lease with its tickets; times in milliseconds since 1970, 0 for none. */
  status(limits?: CallLimits): Promise<GetStatusResponse>;
  /** Ends the connection; calls under way are cancelled. */
  close(): void;
}

/** A client; it connects at the first call and again whenever it must. */
export function createClient(options: ClientOptions = {}): Client {
  const address = options.address ?? DEFAULT_ADDRESS;
  const stub = new CredentialsFetcherServiceClient(
    address.startsWith('/') ? `unix:${address}` : address,
    credentials.createInsecure(),
    {
      'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
      // A daemon that restarts is back within a moment: do not wait longer than that to look again.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1000,
      'grpc.enable_channelz': 0,
    },
  );
  // The same connection carries both services.
  const statusStub = new StatusClient(address, credentials.createInsecure(), { channelOverride: stub.getChannel() });

  function call<Response>(
    limits: CallLimits | undefined,
    start: (options: CallOptions, done: (e: ServiceError | null, response: Response) => void) => ClientUnaryCall,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const signal = limits?.signal;
      if (signal?.aborted) {
        reject(new ClientError('CANCELLED', 'given up before the call', signal.reason));
        return;
      }
      const deadline = new Date(Date.now() + (limits?.timeoutMs ?? options.timeoutMs ?? DEFAULT_TIMEOUT_MS));
      const cancel = (): void => running.cancel();
      const running = start({ deadline }, (e, response) => {
        signal?.removeEventListener('abort', cancel);
        if (e) reject(toClientError(e, address));
        else resolve(response);
      });
      signal?.addEventListener('abort', cancel, { once: true });
    });
  }

  return {
    health: (request, limits) =>
      call<HealthCheckResponse>(limits, (o, done) =>
        stub.healthCheck({ service: request?.service ?? '' }, new Metadata(), o, done),
      ),
    async add(request, limits) {
      const message = { credspecContents: [...request.credspecs] };
      const r = await call<CreateKerberosLeaseResponse>(limits, (o, done) =>
        stub.addKerberosLease(message, new Metadata(), o, done),
      );
      return { leaseId: r.leaseId, paths: r.createdKerberosFilePaths };
    },
    async addWithUser({ credspecs, ...user }, limits) {
      const message = { credspecContents: [...credspecs], ...user };
      const r = await call<CreateNonDomainJoinedKerberosLeaseResponse>(limits, (o, done) =>
        stub.addNonDomainJoinedKerberosLease(message, new Metadata(), o, done),
      );
      return { leaseId: r.leaseId, paths: r.createdKerberosFilePaths };
    },
    async addByArn({ references, ...access }, limits) {
      const message = { credspecArns: [...references], ...access };
      const r = await call<CreateKerberosArnLeaseResponse>(limits, (o, done) =>
        stub.addKerberosArnLease(message, new Metadata(), o, done),
      );
      return { leaseId: r.leaseId, paths: r.krbTicketResponseMap.map((t) => t.createdKerberosFilePaths) };
    },
    renewByArn: (access, limits) =>
      call<RenewKerberosArnLeaseResponse>(limits, (o, done) =>
        stub.renewKerberosArnLease(access, new Metadata(), o, done),
      ),
    async renew(user, limits) {
      const r = await call<RenewNonDomainJoinedKerberosLeaseResponse>(limits, (o, done) =>
        stub.renewNonDomainJoinedKerberosLease(user, new Metadata(), o, done),
      );
      return { paths: r.renewedKerberosFilePaths };
    },
    async delete(leaseId, limits) {
      const r = await call<DeleteKerberosLeaseResponse>(limits, (o, done) =>
        stub.deleteKerberosLease({ leaseId }, new Metadata(), o, done),
      );
      return { leaseId: r.leaseId, paths: r.deletedKerberosFilePaths };
    },
    status: (limits) => call<GetStatusResponse>(limits, (o, done) => statusStub.getStatus({}, new Metadata(), o, done)),
    close: () => stub.close(),
  };
}

function toClientError(e: ServiceError, address: string): ClientError {
  const name = (status[e.code] ?? 'UNKNOWN') as ClientErrorCode;
  // gRPC's own words for a socket that nobody serves hide the address behind its resolver's view of the world.
  const unreachable = name === 'UNAVAILABLE' && /^(No connection established|Connection dropped)/.test(e.details);
  const why = /connect \w+/.exec(e.details)?.[0] ?? e.details;
  return new ClientError(name, unreachable ? `no daemon answers on ${address}: ${why}` : e.details, e);
}
