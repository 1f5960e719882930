/** The ARN calls: credspecs and secrets fetched from AWS with the keys of the request, and with no others. */
import { isRegion, parseReference, secretRegion } from '../../accounts/aws/arn.ts';
import type { Aws, AwsKeys, OpenAws } from '../../accounts/aws/types.ts';
import { parseUserSecret, type UserSecret } from '../../accounts/secret.ts';
import { mapLimited } from '../../async.ts';
import { wipe } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import type { LeaseStore, NewLease } from '../leases/store.ts';
import type { Log } from '../log.ts';
import type { Actions, OwnedTicket } from './actions.ts';
import type { Credspec } from './credspec.ts';
import { fetchCredspec, type MountedReference, parseMounted } from './references.ts';
import { checkedSecret } from './requests.ts';
import { StepError } from './status.ts';
import type { UserReader } from './wanted.ts';

/** Whose calls to AWS, and where. */
export interface ArnAccess {
  readonly keys: AwsKeys;
  readonly region: string;
}

export interface ArnActions {
  add(mounted: readonly MountedReference[], access: ArnAccess, signal: AbortSignal): Promise<NewLease>;
  /** @returns the caches that were replaced */
  renew(access: ArnAccess, signal: AbortSignal): Promise<string[]>;
}

const MAX_REFERENCES = 256;
/** Requests to AWS at a time; its services throttle at a few tens a second. */
const AT_A_TIME = 8;
/** Longest of the three keys, in characters; session tokens have about a thousand. */
const MAX_KEY = 16_384;

const refuse = (text: string): never => {
  throw new AdError('INVALID_ARGUMENT', text);
};

/**
 * Takes the keys out of a request, which forgets them.
 * @throws AdError INVALID_ARGUMENT
 */
export function takeAccess(request: {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
  region: string;
}): ArnAccess {
  const { accessKeyId, secretAccessKey, sessionToken, region } = request;
  request.secretAccessKey = '';
  request.sessionToken = '';
  const all = [accessKeyId, secretAccessKey, sessionToken];
  if (all.includes('')) refuse('access credentials should not be empty');
  // They travel in HTTP headers.
  if (!all.every((key) => key.length <= MAX_KEY && /^[\x21-\x7e]+$/.test(key))) {
    refuse('invalid credentials/region: access credentials have characters that no key has, or too many');
  }
  if (!isRegion(region)) refuse('invalid credentials/region: region is not one of AWS');
  return { keys: { accessKeyId, secretAccessKey, sessionToken }, region };
}

/** @throws AdError INVALID_ARGUMENT */
export function parseMounts(texts: readonly string[]): MountedReference[] {
  if (texts.length === 0)
    refuse('credspec_arns is empty: access credentials should not be empty, and neither should this');
  if (texts.length > MAX_REFERENCES) refuse(`credspec_arns has more than ${MAX_REFERENCES} entries`);
  const mounted = texts.map(parseMounted);
  const places = new Set(mounted.map((m) => m.directory));
  if (mounted.some((m) => m.leaseId !== mounted[0]!.leaseId)) {
    refuse('mount path is invalid: all of one request must be of one task');
  }
  if (places.size !== mounted.length) refuse('found duplicate mount paths');
  return mounted;
}

export function createArnActions(parts: {
  actions: Actions;
  store: LeaseStore;
  openAws: OpenAws;
  log: Log;
}): ArnActions {
  const { actions, store, openAws, log } = parts;
  return {
    async add(mounted, access, signal) {
      return withAws(openAws, access, signal, async (sources) => {
        const resolved = await mapLimited(mounted, AT_A_TIME, ({ reference }) => sources.resolve(reference.text));
        const wanted = resolved.map(({ spec, reader, secret }, i) => ({
          reader,
          account: accountOf(spec, secret),
          directory: mounted[i]!.directory,
          credspecInfo: mounted[i]!.reference.text,
        }));
        return actions.add(wanted, signal, mounted[0]!.leaseId);
      });
    },

    async renew(access, signal) {
      const tickets = (await store.list()).flatMap((lease) =>
        lease.tickets.filter((t) => t.record.credspecInfo !== '').map((ticket) => ({ lease, ticket })),
      );
      if (tickets.length === 0) return [];
      return withAws(openAws, access, signal, async (sources) => {
        let failure: unknown;
        const owned = await mapLimited(tickets, AT_A_TIME, async ({ lease, ticket }): Promise<OwnedTicket[]> => {
          const { serviceAccountName } = ticket.record;
          const credspecInfo = ticket.record.credspecInfo.split('#', 1)[0]!;
          try {
            const { spec, reader, secret } = await sources.resolve(credspecInfo);
            checkAccount(credspecInfo, spec, serviceAccountName);
            return [{ lease, ticket, reader, account: accountOf(spec, secret) }];
          } catch (error) {
            if (signal.aborted) throw error;
            log.warn('a ticket was not renewed, the old one stays', {
              lease: lease.id,
              account: serviceAccountName,
              error,
            });
            failure ??= error;
            return [];
          }
        });
        const renewed = await actions.replace(owned.flat(), signal);
        if (failure !== undefined && renewed.length === 0) throw failure;
        return renewed;
      });
    },
  };
}

/** A container that mounts the directory of one account must not come to be another one. */
function checkAccount(where: string, spec: Credspec, account: string): void {
  if (spec.accountName.toLowerCase() === account.toLowerCase()) return;
  const what = `${where} is the credentialspec of ${spec.accountName} now: make a new lease for it`;
  throw new StepError('ERROR: invalid credentialspec fields', new AdError('INVALID_ARGUMENT', what));
}

/** The user's domain is the account's: a credspec in S3 may name it in another way. */
const accountOf = (spec: Credspec, secret: UserSecret) => ({
  name: spec.accountName,
  domain: secret.domain,
  credentialArn: spec.credentialArn!,
  ...(spec.files && { files: spec.files }),
  ...(secret.distinguishedName === undefined ? {} : { distinguishedName: secret.distinguishedName }),
});

interface Resolved {
  readonly spec: Credspec;
  readonly secret: UserSecret;
  /** One object for one secret. */
  readonly reader: UserReader;
}

/** Credspecs and secrets of one call, each fetched once. */
class Sources {
  readonly #aws: Aws;
  readonly #signal: AbortSignal;
  readonly #specs = new Map<string, Promise<Resolved>>();
  readonly #secrets = new Map<string, Promise<{ secret: UserSecret; reader: UserReader }>>();

  constructor(aws: Aws, signal: AbortSignal) {
    this.#aws = aws;
    this.#signal = signal;
  }

  /** @throws StepError, or AdError by the signal */
  resolve(reference: string): Promise<Resolved> {
    return kept(this.#specs, reference, async () => {
      const spec = await fetchCredspec(parseReference(reference), this.#aws, this.#signal);
      const arn = spec.credentialArn ?? '';
      if (secretRegion(arn) === undefined) {
        const what = `${reference}: HostAccountConfig.PluginInput.CredentialArn names no secret of the Secrets Manager`;
        throw new StepError('ERROR: invalid secrets manager arn', new AdError('INVALID_ARGUMENT', what));
      }
      return { spec, ...(await kept(this.#secrets, arn, () => this.#secret(arn))) };
    });
  }

  async #secret(arn: string): Promise<{ secret: UserSecret; reader: UserReader }> {
    let bytes: Uint8Array | undefined;
    try {
      bytes = await this.#aws.secret(arn, this.#signal);
      const secret = checkedSecret(arn, () => parseUserSecret(bytes!));
      const { username, domain, password } = secret;
      return { secret, reader: { kind: 'password', username, domain, password } };
    } catch (e) {
      if (this.#signal.aborted || !(e instanceof AdError)) throw e;
      const words =
        bytes === undefined
          ? 'ERROR: credentials cannot be retrieved from secrets manager'
          : 'ERROR: domainless AD user credentials is not valid';
      throw new StepError(words, e);
    } finally {
      wipe(bytes);
    }
  }

  /** Waits for what is under way, which the signal has ended, and wipes every password. */
  async wipe(): Promise<void> {
    await Promise.allSettled(this.#specs.values());
    for (const result of await Promise.allSettled(this.#secrets.values())) {
      if (result.status === 'fulfilled') wipe(result.value.secret.password);
    }
  }
}

/** A value made once for a key. */
function kept<T>(map: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const there = map.get(key);
  if (there) return there;
  const made = make();
  map.set(key, made);
  return made;
}

/** Runs `work` with the keys of a request; when one fetch fails the others are given up. */
async function withAws<T>(
  openAws: OpenAws,
  access: ArnAccess,
  signal: AbortSignal,
  work: (sources: Sources) => Promise<T>,
): Promise<T> {
  const end = new AbortController();
  const aws = openAws(access);
  const sources = new Sources(aws, AbortSignal.any([signal, end.signal]));
  try {
    return await work(sources);
  } catch (e) {
    end.abort();
    throw e;
  } finally {
    await sources.wipe();
    aws.close();
  }
}
