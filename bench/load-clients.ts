/** The clients of the load bench, in a process of their own: their work must not delay the measuring one. */
import { promisify } from 'node:util';
import { credentials } from '@grpc/grpc-js';
import { CredentialsFetcherServiceClient } from '../src/proto/generated/credentialsfetcher.ts';
import { leaseRequest } from './daemon.ts';
import type { Scene } from './scene.ts';

export interface Work {
  readonly socket: string;
  readonly clients: number;
  /** Leases each client asks for, one after another. */
  readonly leases: number;
  readonly scene: Omit<Scene, 'close'>;
}

const stubs: CredentialsFetcherServiceClient[] = [];

/** Answers with the milliseconds from the first request to the last answer; the leases are deleted after that. */
async function perform({ socket, clients, leases, scene }: Work): Promise<number> {
  while (stubs.length < clients) {
    const options = { 'grpc.use_local_subchannel_pool': 1 };
    stubs.push(new CredentialsFetcherServiceClient(`unix:${socket}`, credentials.createInsecure(), options));
  }
  const added: string[] = [];
  const client = async (stub: CredentialsFetcherServiceClient, index: number): Promise<void> => {
    const own = scene.gmsas.filter((_, i) => i % clients === index);
    for (let n = 0; n < leases; n++) {
      const { credspecs, ...user } = leaseRequest(
        { ...scene, close: async () => {} },
        scene.reader,
        own[n % own.length]!,
      );
      added.push(await add(stub, { credspecContents: credspecs, ...user }));
    }
  };
  const began = performance.now();
  await Promise.all(stubs.slice(0, clients).map(client));
  const ms = performance.now() - began;
  for (const leaseId of added) await remove(stubs[0]!, leaseId);
  return ms;
}

function add(
  stub: CredentialsFetcherServiceClient,
  request: { credspecContents: string[]; username: string; password: string; domain: string },
): Promise<string> {
  return new Promise((resolve, reject) => {
    stub.addNonDomainJoinedKerberosLease(request, (e, response) => (e ? reject(e) : resolve(response.leaseId)));
  });
}

function remove(stub: CredentialsFetcherServiceClient, leaseId: string): Promise<unknown> {
  return promisify((done: (e: Error | null) => void) => stub.deleteKerberosLease({ leaseId }, done))();
}

process.on('message', (work: Work) => {
  perform(work).then(
    (ms) => process.send!(ms),
    (e: unknown) => {
      console.error(e);
      process.exit(1);
    },
  );
});
