/** gRPC on one side, functions on the other, and nothing else: check, run, answer, log. */
import { randomBytes } from 'node:crypto';
import type { handleUnaryCall, ServerUnaryCall, ServiceError } from '@grpc/grpc-js';
import { hex } from '../../bytes.ts';
import type {
  CreateKerberosArnLeaseResponse,
  CredentialsFetcherServiceServer,
} from '../../proto/generated/credentialsfetcher.ts';
import type { DaemonConfig } from '../config/config.ts';
import { connectionOf } from '../grpc/admission.ts';
import type { Log, LogFields } from '../log.ts';
import type { DaemonMetrics } from '../metrics/metrics.ts';
import type { Actions } from './actions.ts';
import { type ArnActions, parseMounts, takeAccess } from './arn.ts';
import type { Jobs } from './jobs.ts';
import { checkReader, parseAccounts, splitRotation } from './requests.ts';
import { causeOf, toStatus } from './status.ts';
import { machineOrSecret, wantedBy } from './wanted.ts';

type AnyCall = ServerUnaryCall<unknown, unknown>;
type Note = (fields: LogFields) => void;

/** The handlers of the service; every one of them answers, whatever happens. */
export function createService(parts: {
  actions: Actions;
  arnActions: ArnActions;
  /** Looked at in each call: its secret's user reads for AddKerberosLease instead of the machine. */
  config: Partial<Pick<DaemonConfig, 'secretId'>>;
  jobs: Jobs;
  log: Log;
  metrics: Pick<DaemonMetrics, 'calls' | 'callSeconds'>;
}): CredentialsFetcherServiceServer {
  const { actions, arnActions, jobs, log, metrics } = parts;

  /** Makes a handler of a function from request to response. `undo` runs when nobody is left to hear the answer. */
  function unary<Request, Response>(
    method: string,
    doing: string,
    run: (request: Request, signal: AbortSignal, note: Note) => Promise<Response>,
    undo?: (response: Response) => Promise<unknown>,
  ): handleUnaryCall<Request, Response> {
    return (call, callback) => {
      const began = performance.now();
      let noted: LogFields = { request: hex(randomBytes(4)), method };
      const note: Note = (fields) => {
        noted = { ...noted, ...fields };
      };
      const finish = (status: string, error?: unknown): void => {
        const ms = performance.now() - began;
        metrics.calls.add({ method, status });
        metrics.callSeconds.observe({ method }, ms / 1000);
        const fields = { ...noted, status, ms: Math.round(ms) };
        if (error === undefined) log.info('call done', fields);
        else log.warn('call failed', { ...fields, error });
      };
      jobs
        .run(
          doing,
          (cancel) => onCancel(call, cancel),
          (signal) => run(call.request, signal, note),
          connectionOf(call.metadata),
        )
        .then(async (response) => {
          if (!call.cancelled) {
            callback(null, response);
            finish('OK');
            return;
          }
          await undo?.(response);
          finish('CANCELLED', new Error('the client was gone when the answer was ready'));
        })
        .catch((e: unknown) => {
          const status = toStatus(e);
          callback({ code: status.code, details: status.text } as ServiceError);
          finish(status.name, causeOf(e));
        });
    };
  }

  /** An ARN lease may join one that is there already, and then only what is new is taken back. */
  const undoOf = new WeakMap<CreateKerberosArnLeaseResponse, () => Promise<unknown>>();

  return {
    healthCheck: (_call, callback) => callback(null, { status: 'OK' }),

    addKerberosLease: unary(
      'AddKerberosLease',
      'adding a lease',
      async (request, signal, note) => {
        const accounts = parseAccounts(request.credspecContents);
        note({ account: accounts[0]!.name, accounts: accounts.length, domain: accounts[0]!.domain });
        const lease = await actions.add(machineOrSecret(accounts, parts.config.secretId), signal);
        note({ lease: lease.id });
        return { leaseId: lease.id, createdKerberosFilePaths: lease.directories };
      },
      (response) => actions.remove(response.leaseId),
    ),

    addNonDomainJoinedKerberosLease: unary(
      'AddNonDomainJoinedKerberosLease',
      'adding a lease',
      async (request, signal, note) => {
        const reader = { kind: 'password' as const, ...takeReader(request) };
        const accounts = parseAccounts(request.credspecContents, reader.domain);
        note({ account: accounts[0]!.name, accounts: accounts.length, domain: reader.domain, user: reader.username });
        const lease = await actions.add(wantedBy(reader, accounts), signal);
        note({ lease: lease.id });
        return { leaseId: lease.id, createdKerberosFilePaths: lease.directories };
      },
      (response) => actions.remove(response.leaseId),
    ),

    renewNonDomainJoinedKerberosLease: unary(
      'RenewNonDomainJoinedKerberosLease',
      'renewing leases',
      async (request, signal, note) => {
        const { formerName, username } = splitRotation(request.username);
        request.username = username;
        const reader = { kind: 'password' as const, ...takeReader(request) };
        note({ domain: reader.domain, user: reader.username });
        const renewed = await actions.renew(reader, signal, formerName);
        note({ count: renewed.length });
        return { renewedKerberosFilePaths: renewed };
      },
    ),

    deleteKerberosLease: unary('DeleteKerberosLease', 'deleting a lease', async (request, _signal, note) => {
      const deleted = await actions.remove(request.leaseId);
      note({ lease: request.leaseId, count: deleted.length });
      return { leaseId: request.leaseId, deletedKerberosFilePaths: deleted };
    }),

    addKerberosArnLease: unary(
      'AddKerberosArnLease',
      'adding a lease',
      async (request, signal, note) => {
        const access = takeAccess(request);
        const mounted = parseMounts(request.credspecArns);
        note({ lease: mounted[0]!.leaseId, accounts: mounted.length });
        const lease = await arnActions.add(mounted, access, signal);
        const response: CreateKerberosArnLeaseResponse = {
          leaseId: lease.id,
          krbTicketResponseMap: mounted.map(({ reference }, i) => ({
            credspecArns: reference.text,
            createdKerberosFilePaths: lease.directories[i]!,
          })),
        };
        undoOf.set(response, lease.undo);
        return response;
      },
      async (response) => undoOf.get(response)?.(),
    ),

    renewKerberosArnLease: unary('RenewKerberosArnLease', 'renewing leases', async (request, signal, note) => {
      const access = takeAccess(request);
      const renewed = await arnActions.renew(access, signal);
      note({ count: renewed.length });
      return { status: 'successful' };
    }),
  };
}

/** Who reads, checked. The request forgets its password at once: the message object may outlive the call. */
function takeReader(request: { username: string; domain: string; password: string }): {
  username: string;
  domain: string;
  password: string;
} {
  const { username, domain, password } = request;
  request.password = '';
  checkReader({ username, domain, password });
  return { username, domain, password };
}

/** gRPC emits 'cancelled' when the client cancels, hangs up or its deadline passes. */
function onCancel(call: AnyCall, cancel: () => void): void {
  if (call.cancelled) cancel();
  else call.once('cancelled', cancel);
}
