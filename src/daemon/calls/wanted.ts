/** Tickets wanted by one call: asked for reader by reader, all at once, with every failure told apart. */
import { secretRegion } from '../../accounts/aws/arn.ts';
import { copy, utf8, wipe } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import {
  type FetchedTicket,
  type FetchOutcome,
  isFailure,
  type LeaseEngine,
  type ReaderIdentity,
} from '../tickets/engine.ts';
import type { RequestedAccount } from './requests.ts';
import { StepError, stepWords } from './status.ts';

export interface UserReader {
  readonly kind: 'password';
  readonly username: string;
  readonly domain: string;
  /** Bytes are UTF-8 and stay the caller's to wipe. */
  readonly password: string | Uint8Array;
}

export type Reader = UserReader | { readonly kind: 'machine' } | { readonly kind: 'secret'; readonly secretId: string };

/** A ticket for one account. Those that share a reader share the object. */
export interface Wanted {
  readonly reader: Reader;
  readonly account: RequestedAccount;
}

export type WantedOutcome = FetchedTicket | { readonly error: StepError };

/** How the metadata names a reader that is a secret, before the secret's ARN or name. */
export const SECRET_PREFIX = 'awsdomainlessusersecret:';

/** Who reads, as the metadata has it. */
export function domainlessUser(reader: Reader): string {
  if (reader.kind === 'secret') return SECRET_PREFIX + reader.secretId;
  return reader.kind === 'password' ? reader.username : '';
}

export const wantedBy = (reader: Reader, accounts: readonly RequestedAccount[]): Wanted[] =>
  accounts.map((account) => ({ reader, account }));

/**
 * Who reads for a machine: the user in the daemon's own secret if it has one, else the one in the credspec's, else the
 * machine itself.
 * @throws AdError INVALID_ARGUMENT when a credspec names something else than a secret
 */
export function machineOrSecret(accounts: readonly RequestedAccount[], secretId: string | undefined): Wanted[] {
  const readers = new Map<string, Reader>();
  return accounts.map((account) => {
    const id = secretId ?? account.credentialArn;
    if (id !== '' && id !== secretId && secretRegion(id) === undefined) {
      const what = `${account.name}: CredentialArn names no secret of the Secrets Manager`;
      throw new AdError('INVALID_ARGUMENT', `invalid secrets manager arn: ${what}`);
    }
    const reader = readers.get(id) ?? (id === '' ? { kind: 'machine' } : { kind: 'secret', secretId: id });
    readers.set(id, reader);
    return { reader, account };
  });
}

const keyOf = (account: { name: string; domain: string }): string => `${account.name}@${account.domain}`.toLowerCase();

/**
 * The outcomes in the order of what is wanted. One account is asked for once by each reader, however often it is wanted.
 * @throws only what is a fault of ours
 */
export async function fetchWanted<W extends Wanted>(
  engine: LeaseEngine,
  wanted: readonly W[],
  signal: AbortSignal,
): Promise<WantedOutcome[]> {
  const readers = new Map<Reader, Map<string, RequestedAccount>>();
  for (const { reader, account } of wanted) {
    const accounts = readers.get(reader) ?? new Map<string, RequestedAccount>();
    const there = accounts.get(keyOf(account));
    // What one of the leases wants beside the ticket comes along for all of them.
    const keytab = there?.keytab || account.keytab;
    const krb5Conf = there?.krb5Conf || account.krb5Conf;
    const { keytab: _, krb5Conf: __, ...rest } = there ?? account;
    accounts.set(keyOf(account), { ...rest, ...(keytab && { keytab }), ...(krb5Conf && { krb5Conf }) });
    readers.set(reader, accounts);
  }
  const asked = await Promise.allSettled(
    [...readers].map(async ([reader, accounts]) => {
      const outcomes = await ask(engine, reader, [...accounts.values()], signal);
      return [reader, new Map([...accounts.keys()].map((key, i) => [key, outcomes[i]!]))] as const;
    }),
  );
  const answered = new Map(asked.flatMap((a) => (a.status === 'fulfilled' ? [a.value] : [])));
  const fault = asked.find((a) => a.status === 'rejected');
  if (fault) {
    for (const outcomes of answered.values()) forget([...outcomes.values()]);
    throw fault.reason;
  }
  return wanted.map(({ reader, account }) => answered.get(reader)!.get(keyOf(account))!);
}

/** One reader's accounts; when it is the reader that fails, none of them has a ticket. */
async function ask(
  engine: LeaseEngine,
  reader: Reader,
  accounts: readonly RequestedAccount[],
  signal: AbortSignal,
): Promise<WantedOutcome[]> {
  const stepFailed = (e: AdError, account: string | null): { error: StepError } => ({
    error: new StepError(stepWords(e, reader.kind, account), e),
  });
  try {
    const outcomes = await askEngine(engine, reader, accounts, signal);
    return outcomes.map((o, i) => (isFailure(o) ? stepFailed(o.error, accounts[i]!.name) : o));
  } catch (e) {
    if (!(e instanceof AdError)) throw e;
    const failed = stepFailed(e, null);
    return accounts.map(() => failed);
  }
}

/** Asks the engine, with a password that lives in wipeable bytes as long as the question does. */
async function askEngine(
  engine: LeaseEngine,
  reader: Reader,
  accounts: readonly RequestedAccount[],
  signal: AbortSignal,
): Promise<FetchOutcome[]> {
  const given = reader.kind === 'password' ? reader.password : '';
  const password = typeof given === 'string' ? utf8(given) : copy(given);
  const identity: ReaderIdentity =
    reader.kind === 'password'
      ? { kind: 'password', username: reader.username, domain: reader.domain, password }
      : reader;
  try {
    const refs = accounts.map(({ credentialArn: _, files: __, ...ref }) => ref);
    const outcomes = await engine.fetch({ identity, accounts: refs, signal });
    if (outcomes.length !== accounts.length)
      throw new Error(`${outcomes.length} outcomes for ${accounts.length} accounts`);
    return outcomes;
  } finally {
    wipe(password);
  }
}

/** Caches and keytabs hold keys: their bytes are wiped once they are on disk, or are not to be. */
export function forget(outcomes: readonly WantedOutcome[]): void {
  wipe(...outcomes.flatMap((o) => ('error' in o ? [] : [o.ccache, o.keytab])));
}
