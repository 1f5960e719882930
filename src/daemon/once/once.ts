/** `--once`: the leases of some credspec files, or one ticket in a file, and no daemon. For init containers and cron. */
import { mkdir, readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { copy, fromUtf8, wipe } from '../../bytes.ts';
import { AdError, type ErrorCode, messageOf } from '../../errors.ts';
import { fileBefore, writeFileAtomic } from '../../krb5/files/atomic.ts';
import { type Actions, createActions } from '../calls/actions.ts';
import { holdLease, readCredspecFiles } from '../calls/credspec-files.ts';
import { CALL_LIMIT_MS } from '../calls/jobs.ts';
import type { RequestedAccount } from '../calls/requests.ts';
import { StepError } from '../calls/status.ts';
import { fetchWanted, forget, machineOrSecret, type UserReader, type Wanted, wantedBy } from '../calls/wanted.ts';
import type { OnceRequest } from '../config/command-line.ts';
import type { DaemonConfig } from '../config/config.ts';
import { withWishes } from '../leases/file-policy.ts';
import { passwordProblem } from '../leases/names.ts';
import { LeaseStore } from '../leases/store.ts';
import type { Log } from '../log.ts';
import type { LeaseEngine } from '../tickets/engine.ts';

/** Exit codes; scripts may rely on them. */
export const exitCode = { OK: 0, CANNOT: 1, USAGE: 2, CREDSPEC: 3, REFUSED: 4, TRY_AGAIN: 5 } as const;

export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

/** What each error means to a script: whether to try again, and who must do something first. */
const exitCodeOf: Record<ErrorCode, ExitCode> = {
  INVALID_ARGUMENT: exitCode.CANNOT,
  FILE: exitCode.CANNOT,
  ABORTED: exitCode.CANNOT,
  ETYPE: exitCode.REFUSED,
  KDC_ERROR: exitCode.REFUSED,
  CLOCK_SKEW: exitCode.REFUSED,
  LDAP: exitCode.REFUSED,
  NO_SUCH_ACCOUNT: exitCode.REFUSED,
  NOT_FOUND: exitCode.REFUSED,
  NOT_SEALED: exitCode.REFUSED,
  NOT_ALLOWED: exitCode.REFUSED,
  ACCOUNT_DISABLED: exitCode.REFUSED,
  PASSWORD_EXPIRED: exitCode.REFUSED,
  UNKNOWN_SERVICE: exitCode.REFUSED,
  WRONG_PASSWORD: exitCode.REFUSED,
  UNKNOWN_PRINCIPAL: exitCode.REFUSED,
  // Another server, or a better moment.
  UNREACHABLE: exitCode.TRY_AGAIN,
  TIMEOUT: exitCode.TRY_AGAIN,
  MALFORMED: exitCode.TRY_AGAIN,
  INTEGRITY: exitCode.TRY_AGAIN,
  REPLY_REJECTED: exitCode.TRY_AGAIN,
};

export interface OnceParts {
  readonly config: Pick<DaemonConfig, 'krbDir' | 'files' | 'secretId'>;
  readonly log: Log;
  readonly openEngine: () => Promise<LeaseEngine>;
  readonly signal: AbortSignal;
  /** Told the path of each ticket. */
  readonly print: (path: string) => void;
  readonly readInput?: () => Promise<Uint8Array>;
}

/** Does what is asked for and says how it went; never throws what an operator can mend. */
export async function once(request: OnceRequest, parts: OnceParts): Promise<ExitCode> {
  const { log } = parts;
  let engine: LeaseEngine | undefined;
  let password: Uint8Array | undefined;
  try {
    const leases = await credspecs(request, parts.signal);
    const output = request.output === undefined ? undefined : resolve(request.output);
    if (output !== undefined) await fileBefore(output);
    password = request.user && (await readPassword(request.user.passwordFile, parts.readInput ?? standardInput));
    const users = new Map<string, UserReader>();
    const wantedOf = (accounts: readonly RequestedAccount[]): Wanted[] => {
      if (!request.user) return machineOrSecret(accounts, parts.config.secretId);
      return accounts.flatMap((account) => {
        const { username, domain = account.domain } = request.user!;
        const reader = users.get(domain) ?? { kind: 'password', username, domain, password: password! };
        users.set(domain, reader);
        return wantedBy(reader, [account]);
      });
    };
    const wanted = [...leases].map(([id, accounts]) => [id, wantedOf(accounts)] as const);
    engine = await parts.openEngine();
    const signal = AbortSignal.any([parts.signal, AbortSignal.timeout(CALL_LIMIT_MS)]);
    if (output !== undefined) {
      await writeTicket(output, wanted[0]![1], engine, parts, signal);
      return exitCode.OK;
    }
    await mkdir(parts.config.krbDir, { recursive: true, mode: 0o755 });
    const store = new LeaseStore({ directory: parts.config.krbDir, log, files: parts.config.files });
    const actions: Actions = createActions({ engine, store, log });
    for (const [id, tickets] of wanted) {
      for (const path of await holdLease({ actions, store, log }, id, tickets, signal)) parts.print(path);
    }
    return exitCode.OK;
  } catch (e) {
    if (e instanceof InvalidCredspec) {
      log.error('not a credspec', { error: e.cause });
      return exitCode.CREDSPEC;
    }
    const error = e instanceof StepError && e.cause instanceof AdError ? e.cause : e;
    log.error(e instanceof StepError ? e.message : 'no ticket', { error });
    return error instanceof AdError ? exitCodeOf[error.code] : exitCode.CANNOT;
  } finally {
    wipe(password);
    await engine?.close();
  }
}

class InvalidCredspec extends Error {
  override readonly name = 'InvalidCredspec';
}

/** The accounts of each lease. */
async function credspecs(request: OnceRequest, signal: AbortSignal): Promise<Map<string, RequestedAccount[]>> {
  const paths = new Map<string, string[]>();
  for (const { path, leaseId } of request.credspecs) paths.set(leaseId, [...(paths.get(leaseId) ?? []), path]);
  const leases = new Map<string, RequestedAccount[]>();
  for (const [id, files] of paths) {
    try {
      leases.set(id, await readCredspecFiles(files, signal));
    } catch (e) {
      if (!(e instanceof AdError) || e.code !== 'INVALID_ARGUMENT') throw e;
      throw new InvalidCredspec(e.message, { cause: e });
    }
  }
  return leases;
}

async function writeTicket(
  path: string,
  wanted: readonly Wanted[],
  engine: LeaseEngine,
  parts: OnceParts,
  signal: AbortSignal,
): Promise<void> {
  const outcomes = await fetchWanted(engine, wanted, signal);
  try {
    const outcome = outcomes[0]!;
    if ('error' in outcome) throw outcome.error;
    await writeFileAtomic(path, outcome.ccache, withWishes(parts.config.files, wanted[0]!.account.files).ccache);
    parts.print(path);
  } finally {
    forget(outcomes);
  }
}

/**
 * One line end is cut off.
 * @param file `-` for standard input
 * @returns UTF-8, the caller's to wipe
 * @throws AdError FILE, INVALID_ARGUMENT
 */
async function readPassword(file: string, readInput: () => Promise<Uint8Array>): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = file === '-' ? await readInput() : await readFile(file);
  } catch (e) {
    const errno = (e as NodeJS.ErrnoException).code;
    throw new AdError('FILE', `cannot read the password file ${file}: ${messageOf(e)}`, { path: file, errno }, e);
  }
  try {
    let end = bytes.length;
    if (bytes[end - 1] === 0x0a) end--;
    if (end < bytes.length && bytes[end - 1] === 0x0d) end--;
    const password = copy(bytes.subarray(0, end));
    const problem = problemOf(password);
    if (problem === undefined) return password;
    wipe(password);
    throw new AdError('INVALID_ARGUMENT', `the password in ${file} ${problem}`, { path: file });
  } finally {
    wipe(bytes);
  }
}

function problemOf(password: Uint8Array): string | undefined {
  try {
    return passwordProblem(fromUtf8(password));
  } catch {
    return 'is not UTF-8';
  }
}

async function standardInput(): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  const all = Buffer.concat(chunks);
  wipe(...chunks);
  return all;
}
