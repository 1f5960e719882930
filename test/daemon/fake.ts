/** A daemon in this process with an engine that answers as it is told, in a directory that goes away. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Client, createClient } from '../../src/client/index.ts';
import { type Daemon, type DaemonParts, startDaemon } from '../../src/daemon/daemon.ts';
import { createLog, type Log, silentLog } from '../../src/daemon/log.ts';
import type { FetchOutcome, FetchRequest, LeaseEngine } from '../../src/daemon/tickets/engine.ts';
import { AdError } from '../../src/errors.ts';

export async function scratchDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'cf-test-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A credspec as Docker and ECS carry it. */
export function credspec(name: string, domain = 'example.com', more: object = {}): string {
  return JSON.stringify({
    CmsPlugins: ['ActiveDirectory'],
    DomainJoinConfig: { Sid: 'S-1-5-21-1-2-3', MachineAccountName: name, DnsName: domain, NetBiosName: 'EXAMPLE' },
    ActiveDirectoryConfig: {
      GroupManagedServiceAccounts: [
        { Name: name, Scope: domain },
        { Name: name, Scope: 'EXAMPLE' },
      ],
      ...more,
    },
  });
}

export const user = { username: 'reader', password: 'pa$$ word', domain: 'example.com' };

export type Answer = (request: FetchRequest) => Promise<FetchOutcome[]> | FetchOutcome[];

/** What a ticket cache of the fake engine holds: enough to tell whose it is. */
export const ticketFor = (request: FetchRequest): FetchOutcome[] =>
  request.accounts.map((account) => ({
    account: { ...account, distinguishedName: `CN=${account.name},DC=example,DC=com` },
    ccache: Buffer.from(`ticket of ${account.name}@${account.domain}`),
    endtime: new Date('2030-01-01T00:00:00Z'),
  }));

export class FakeEngine implements LeaseEngine {
  answer: Answer;
  /** The requests, with the password as text: the daemon wipes the bytes afterwards. */
  readonly seen: { request: FetchRequest; password: string | undefined }[] = [];
  closed = 0;

  constructor(answer: Answer = ticketFor) {
    this.answer = answer;
  }

  async fetch(request: FetchRequest): Promise<FetchOutcome[]> {
    const { identity } = request;
    const password = identity.kind === 'password' ? Buffer.from(identity.password).toString() : undefined;
    this.seen.push({ request, password });
    return this.answer(request);
  }

  /** What `renew` gives for a cache. */
  renewed: (ccache: Uint8Array) => Uint8Array = () => {
    throw new AdError('KDC_ERROR', 'not renewable here');
  };

  async renew(ccache: Uint8Array): Promise<Uint8Array> {
    return this.renewed(ccache);
  }

  async close(): Promise<void> {
    this.closed++;
  }
}

export interface Running {
  readonly directory: string;
  readonly krbDir: string;
  readonly daemon: Daemon;
  readonly engine: FakeEngine;
  readonly client: Client;
}

export async function run(
  t: TestContext,
  options: { answer?: Answer; log?: Log; secretId?: string } & Partial<
    Omit<DaemonParts, 'engine' | 'config' | 'log'>
  > = {},
): Promise<Running> {
  const { answer, log = silentLog, secretId, ...parts } = options;
  const directory = await scratchDirectory(t);
  const engine = new FakeEngine(answer);
  const krbDir = join(directory, 'krbdir');
  const config = { krbDir, socketDir: join(directory, 'socket'), secretId };
  const daemon = await startDaemon({ config, engine, log, graceMs: 200, lingerMs: 0, ...parts });
  const client = createClient({ address: daemon.address });
  t.after(async () => {
    client.close();
    await daemon.close();
  });
  return { directory, krbDir, daemon, engine, client };
}

/** Everything below a directory, sorted. */
export async function tree(directory: string): Promise<string[]> {
  return (await readdir(directory, { recursive: true })).sort();
}

/** A log whose lines are kept. */
export function keptLog(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  return { lines, log: createLog({ level: 'debug', sinks: [{ write: (l) => lines.push(l), format: 'json' }] }) };
}

/** Waits until `condition` holds, looking again at every turn of the event loop and failing after five seconds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 5000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error('it did not come to pass');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A promise for an answer that never comes, except by the signal. */
export const never = (request: FetchRequest): Promise<never> =>
  new Promise((_, reject) => request.signal.addEventListener('abort', () => reject(request.signal.reason)));
