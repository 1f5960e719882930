/** From a password, a keytab or a ticket cache to a working client in one call. */
import { utf8, wipe } from '../../bytes.ts';
import { AdError, isAdError } from '../../errors.ts';
import { KrbClient, type KrbClientOptions } from '../client.ts';
import type { Credentials } from '../credentials.ts';
import { MAX_TIME_OFFSET } from '../exchanges/context.ts';
import { cacheOf } from '../files/ccache-collection.ts';
import type { CacheHandle } from '../files/ccache-file.ts';
import { formatPrincipal, type Principal, parsePrincipal, samePrincipal } from '../principal.ts';
import { noSecret, offsetOf, ticketsOf, usableTgt, wipeCache } from './cached.ts';
import {
  cachesOf,
  type Environment,
  exchangeSettings,
  keytabPath,
  loadEnvironment,
  permittedEtypes,
} from './environment.ts';
import { keytabProof, type Proof, passwordProof } from './proof.ts';

/** Who the client is, and by what; at most one of `password`, `keytab`, `cache`, `tickets` and `proof`. */
export interface OpenClientOptions
  extends Partial<Omit<KrbClientOptions, 'client' | 'secret' | 'tickets' | 'config' | 'reload' | 'closed'>> {
  /**
   * `alice@CORP.EXAMPLE`, `alice` in the default realm, or a principal such as `enterprisePrincipal` makes. Needed with a
   * password; with a keytab it is this machine's account, else the first entry, unless told otherwise; with a cache the
   * cache's own.
   */
  readonly principal?: Principal | string;
  /** UTF-8 bytes, copied; a string cannot be wiped and stays in memory for a while. */
  readonly password?: Uint8Array | string;
  /** Path of a keytab; true: that of KRB5_KTNAME, krb5.conf or /etc/krb5.keytab. */
  readonly keytab?: string | true;
  /**
   * Name of a ticket cache (`FILE:/path`, a bare path, `DIR:/path`); true: that of KRB5CCNAME, krb5.conf or this user. Of
   * several in a directory it is the one of `principal`, else the primary. It is read again when the tickets have ended.
   */
  readonly cache?: string | true;
  /** Tickets at hand, such as those that a client delegated; the new client takes them over. */
  readonly tickets?: readonly Credentials[];
  /** Who and by what in one, such as `certificateProof` and `anonymousProof` make; the client takes it over. */
  readonly proof?: Proof;
  /** Shared with other clients, and closed by the caller; one of its own unless told otherwise. */
  readonly environment?: Environment;
}

/**
 * A client of this host's Kerberos. With neither password, keytab nor cache it is the one of the default ticket cache
 * and, where there is no ticket in it, of the keytab that KRB5_CLIENT_KTNAME names, as MIT's library has it. Nothing is
 * asked of a KDC until a ticket is needed; `client.login()` proves the secret at once. The caller closes the client.
 * @throws AdError INVALID_ARGUMENT, FILE, NOT_FOUND, ETYPE; MalformedError for a keytab or cache that is none
 */
export async function openClient(options: OpenClientOptions = {}): Promise<KrbClient> {
  const { principal, password, keytab, cache, tickets, proof, environment: shared, ...clientOptions } = options;
  if ([password, keytab, cache, tickets, proof].filter((source) => source !== undefined).length > 1)
    throw new AdError('INVALID_ARGUMENT', 'password, keytab, cache, tickets and proof exclude each other');
  const environment = shared ?? (await loadEnvironment());
  const { config, env, transport, clock } = environment;
  const who = typeof principal === 'string' ? parsePrincipal(principal, config.defaultRealm) : principal;
  const permitted = options.permittedEtypes ?? permittedEtypes(config);
  const open = ({ principal: client, secret, tickets: held = [], reload, timeOffset = 0 }: Identity): KrbClient => {
    const opened = new KrbClient({
      transport,
      clock,
      ...exchangeSettings(config),
      ...clientOptions,
      config,
      client,
      secret,
      tickets: held,
      ...(reload && { reload }),
      ...(!shared && { closed: () => environment.close() }),
    });
    if (config.kdcTimesync && Math.abs(timeOffset) <= MAX_TIME_OFFSET) opened.context.timeOffset = timeOffset;
    return opened;
  };
  try {
    if (password !== undefined) return open(byPassword(who, password, permitted));
    if (keytab !== undefined)
      return open(await keytabProof(keytabPath(keytab === true ? undefined : keytab, config, env), who, permitted));
    if (tickets !== undefined) return open(byTickets(tickets));
    if (proof !== undefined) return open(proof);
    try {
      return open(await byCache(environment, cache === true ? undefined : cache, who));
    } catch (e) {
      const clientKeytab = env.KRB5_CLIENT_KTNAME;
      if (cache !== undefined || !clientKeytab || !isAdError(e, 'NOT_FOUND')) throw e;
      return open(await keytabProof(keytabPath(clientKeytab, config, env), who, permitted));
    }
  } catch (e) {
    if (!shared) environment.close();
    throw e;
  }
}

interface Identity extends Proof, Pick<KrbClientOptions, 'tickets' | 'reload'> {
  /** The KDC's clock minus ours, ms, as a cache tells it. */
  readonly timeOffset?: number;
}

function byPassword(who: Principal | undefined, password: Uint8Array | string, permitted: readonly number[]): Identity {
  if (!who) throw new AdError('INVALID_ARGUMENT', 'a password goes with a principal');
  if (typeof password !== 'string') return passwordProof(who, password, permitted);
  const bytes = utf8(password);
  try {
    return passwordProof(who, bytes, permitted);
  } finally {
    wipe(bytes);
  }
}

function byTickets(tickets: readonly Credentials[]): Identity {
  const [first] = tickets;
  if (!first) throw new AdError('INVALID_ARGUMENT', 'a client that is to live on tickets needs one');
  return { principal: first.client, secret: noSecret, tickets };
}

/** @throws AdError NOT_FOUND when there is no cache, no ticket in it that lasts, or it is another's */
async function byCache(environment: Environment, name: string | undefined, who?: Principal): Promise<Identity> {
  const caches = cachesOf(environment, name);
  const handle = (who && (await cacheOf(caches, who))) ?? (await caches.primary());
  const first = await readCache(handle, environment, who);
  const { principal } = first;
  // Whoever fills the cache, kinit or a daemon, goes on doing so; of another principal no ticket is taken.
  const reload = async (): Promise<readonly Credentials[]> => (await readCache(handle, environment, principal)).tickets;
  return { ...first, secret: noSecret, reload };
}

async function readCache(handle: CacheHandle, { clock }: Environment, who: Principal | undefined) {
  const content = await handle.read();
  try {
    const { principal } = content;
    if (who && !samePrincipal(who, principal))
      throw new AdError(
        'NOT_FOUND',
        `${handle.name} is of ${formatPrincipal(principal)}, not of ${formatPrincipal(who)}`,
      );
    const timeOffset = offsetOf(content);
    usableTgt(content, clock() + timeOffset);
    return { principal, tickets: ticketsOf(content), timeOffset };
  } finally {
    wipeCache(content);
  }
}
