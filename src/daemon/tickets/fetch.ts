/**
 * The lease engine: from an identity and a list of gMSAs to credential caches. One search reads all managed passwords
 * of a domain, then the accounts log on side by side. A failure of one account does not touch the others.
 */
import { hostname } from 'node:os';
import type { Identity } from '../../accounts/identity.ts';
import { machineIdentity } from '../../accounts/keytab.ts';
import { passwordIdentity } from '../../accounts/password.ts';
import { parseUserSecret } from '../../accounts/secret.ts';
import { mapLimited } from '../../async.ts';
import { wipe } from '../../bytes.ts';
import { AdError, isAdError, messageOf } from '../../errors.ts';
import {
  type ManagedAccount,
  type MoreWishes,
  readKeyVersion,
  readManagedAccounts,
  samAccountName,
} from '../../gmsa/account.ts';
import { hintedBases, type PlaceHints } from '../../gmsa/hints.ts';
import { accountId, type EarlyLogin, loginEarly } from '../../gmsa/login.ts';
import type { Credentials } from '../../krb5/credentials.ts';
import { DEFAULT_ETYPES } from '../../krb5/crypto/index.ts';
import { exchangeContext } from '../../krb5/exchanges/context.ts';
import { renewTicket } from '../../krb5/exchanges/tgs.ts';
import { type CCache, readCCache, writeCCache } from '../../krb5/files/ccache.ts';
import { isConfigEntry } from '../../krb5/files/ccache-config.ts';
import { isKrbtgt, samePrincipal } from '../../krb5/principal.ts';
import { checkedSecret } from '../calls/requests.ts';
import type { Log } from '../log.ts';
import { timed } from '../metrics/metrics.ts';
import { type ConfiguredRealm, filesBeside } from './beside.ts';
import { orElsewhere } from './elsewhere.ts';
import type { FetchOutcome, FetchRequest, GmsaRef, LeaseEngine, ReaderIdentity } from './engine.ts';
import { type Reader, Readers, type ReadersOptions } from './readers.ts';
import { forgetAccount, loginBySeveral } from './second-opinion.ts';
import { noteWeakTickets } from './weak-tickets.ts';

export interface EngineOptions extends ReadersOptions {
  readonly keytab: string;
  /** The realm of a DNS domain; by default its name in upper case. */
  readonly realmOf?: (domain: string) => string;
  readonly hostName?: string;
  /** Where gMSAs are looked for before the whole domain. */
  readonly places?: PlaceHints;
  /** For the krb5.conf of containers. */
  readonly configuredRealm?: (realm: string) => ConfiguredRealm;
  readonly log?: Log;
  /** Reads a secret with the instance's role; without it there are no secrets. */
  readonly readSecret?: (id: string, signal: AbortSignal) => Promise<Uint8Array>;
}

/** With the place of the gMSA, when the reader's secret says it. */
type PlacedIdentity = Identity & { readonly place?: string | undefined };

/** What one search found, and where. */
interface Read {
  readonly managed: readonly (ManagedAccount | AdError)[];
  readonly server: string;
}

/** A password is read again after a year at the latest, whatever its blob says, ms. */
const MAX_QUERY_INTERVAL = 365 * 24 * 3_600_000;
/** The next password is shown this long before it is in force (MS-ADTS 2.2.19: five minutes), ms; a minute is in hand. */
const SHOWN_AHEAD = 4 * 60_000;
/** Misplaced accounts that are remembered as told. */
const MAX_NOTED = 1000;
/** Logins of one request that run at a time; a KDC's listen backlog is about ten. */
const LOGINS_AT_A_TIME = 8;

export class DirectoryEngine implements LeaseEngine {
  readonly #options: EngineOptions;
  readonly #readers: Readers;
  /** Accounts and places where they were not. */
  readonly #lost = new Set<string>();

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#readers = new Readers(options);
  }

  async fetch(request: FetchRequest): Promise<FetchOutcome[]> {
    const identity = await this.#identity(request.identity, request.signal);
    const { reader, done } = this.#readers.acquire(identity);
    try {
      const fetchIn = (accounts: readonly GmsaRef[]) =>
        this.#fetchAll(reader, accounts, request.signal, identity.place);
      return await orElsewhere(request.accounts, fetchIn);
    } finally {
      done();
    }
  }

  /** Domain by domain, side by side. The outcomes come in the order of the accounts. */
  async #fetchAll(
    reader: Reader,
    accounts: readonly GmsaRef[],
    signal: AbortSignal,
    place: string | undefined,
  ): Promise<FetchOutcome[]> {
    const outcomes = new Array<FetchOutcome>(accounts.length);
    const domains = new Map<string, number[]>();
    for (const [i, account] of accounts.entries()) {
      const domain = account.domain.toLowerCase();
      domains.set(domain, [...(domains.get(domain) ?? []), i]);
    }
    const fetchOne = async ([domain, indices]: [string, number[]]): Promise<void> => {
      const there = indices.map((i) => accounts[i]!);
      const fetched = await this.#fetchDomain(reader, domain, there, signal, place);
      for (const [n, i] of indices.entries()) outcomes[i] = fetched[n]!;
    };
    await Promise.all([...domains].map(fetchOne));
    return outcomes;
  }

  #identity(identity: ReaderIdentity, signal: AbortSignal): PlacedIdentity | Promise<PlacedIdentity> {
    switch (identity.kind) {
      case 'password':
        return this.#user(identity);
      case 'secret':
        return this.#userOfSecret(identity.secretId, signal);
      case 'machine':
        return machineIdentity(this.#options.keytab, this.#options.hostName ?? hostname(), this.#permitted);
    }
  }

  get #permitted(): readonly number[] {
    return this.#options.kerberos.permittedEtypes ?? DEFAULT_ETYPES;
  }

  #user(user: { username: string; domain: string; password: Uint8Array }): Identity {
    return passwordIdentity(user.username, this.#realmOf(user.domain), user.password, this.#permitted);
  }

  async #userOfSecret(id: string, signal: AbortSignal): Promise<PlacedIdentity> {
    if (!this.#options.readSecret) throw new AdError('INVALID_ARGUMENT', 'this daemon reads no secrets');
    const bytes = await this.#options.readSecret(id, signal);
    try {
      const user = checkedSecret(id, () => parseUserSecret(bytes));
      try {
        return { ...this.#user(user), place: user.distinguishedName };
      } finally {
        wipe(user.password);
      }
    } finally {
      wipe(bytes);
    }
  }

  #realmOf(domain: string): string {
    return this.#options.realmOf?.(domain) ?? domain.toUpperCase();
  }

  async #fetchDomain(
    reader: Reader,
    domain: string,
    accounts: readonly GmsaRef[],
    signal: AbortSignal,
    place?: string,
  ): Promise<FetchOutcome[]> {
    // The search and the logins of accounts seen before go side by side; no ticket is used before the search confirms it.
    const early =
      accounts.length > LOGINS_AT_A_TIME ? [] : accounts.map((account) => this.#early(reader, account, signal));
    let read: Read = { managed: [], server: '' };
    try {
      read = await this.#read(reader, domain, accounts, signal, place);
      return await mapLimited(accounts, LOGINS_AT_A_TIME, (account, i) =>
        this.#login(reader, account, { managed: read.managed[i]!, server: read.server }, signal, early[i]),
      );
    } catch (e) {
      for (const login of early) login?.discard();
      throw e;
    } finally {
      for (const account of read.managed) if (!(account instanceof AdError)) forgetAccount(account);
    }
  }

  /** One search; a kept connection that turns out dead, or a DC that falls silent, is replaced once. */
  async #read(
    reader: Reader,
    domain: string,
    accounts: readonly GmsaRef[],
    signal: AbortSignal,
    place: string | undefined,
  ): Promise<Read> {
    const names = accounts.map((a) => a.name);
    const { distinguishedName, ou } = this.#options.places ?? {};
    const places = new Map(
      accounts.map(({ name, distinguishedName: own }) => [
        name,
        hintedBases(name, domain, [{ distinguishedName }, { distinguishedName: own ?? place }, { ou }]),
      ]),
    );
    const wishes: MoreWishes = {
      services: accounts.some((a) => a.keytab),
      places: (name) => places.get(name) ?? [],
      notThere: (account, path) => this.#noteLost(account, domain, path),
    };
    for (let attempt = 1; ; attempt++) {
      const connection = await reader.connection(domain, signal);
      try {
        const managed = await timed(this.#options.metrics, 'search', connection.server, () =>
          readManagedAccounts(connection, domain, names, signal, wishes),
        );
        return { managed, server: connection.server };
      } catch (e) {
        if (!isAdError(e, 'UNREACHABLE') || attempt > 1) throw e;
        this.#options.log?.warn('domain controller lost, trying again', {
          server: connection.server,
          error: messageOf(e),
        });
        reader.discard(connection);
      }
    }
  }

  /** Told once: a name that suits one gMSA is wrong for every other one, each time. */
  #noteLost(account: string, domain: string, path: string): void {
    const key = `${account} ${path}`;
    if (this.#lost.has(key)) return;
    if (this.#lost.size >= MAX_NOTED) this.#lost.clear();
    this.#lost.add(key);
    this.#options.log?.warn('the gMSA is not where it was said to be, looking further', { account, domain, path });
  }

  async #login(
    reader: Reader,
    account: GmsaRef,
    { managed, server }: { managed: ManagedAccount | AdError; server: string },
    signal: AbortSignal,
    early?: EarlyLogin,
  ): Promise<FetchOutcome> {
    if (managed instanceof AdError) {
      early?.discard();
      return { account, error: managed };
    }
    const reread: ManagedAccount[] = [];
    try {
      const realm = this.#realmOf(account.domain);
      const { tgt, account: right } = await timed(this.#options.metrics, 'login', realm, async () => {
        const sooner = await early?.confirm(managed.password);
        if (sooner) return { tgt: sooner, account: managed };
        const parts = { reader, domain: account.domain, realm, log: this.#options.log, signal };
        return loginBySeveral({ account: managed, server }, reread, parts);
      });
      const hint = reader.keys.hintOf(accountId(managed.samAccountName, realm));
      noteWeakTickets(this.#options, account.name, [tgt], hint?.etype);
      try {
        const beside = await filesBeside(account, {
          context: reader.client.context,
          keys: reader.keys,
          managed: right,
          tgt,
          directoryKvno: async () =>
            readKeyVersion(await reader.connection(account.domain, signal), right.distinguishedName, signal),
          configured: this.#options.configuredRealm?.(realm) ?? { kdcs: [], hosts: [] },
          log: this.#options.log,
          signal,
        });
        return {
          ...beside,
          account: { ...account, distinguishedName: right.distinguishedName },
          ccache: ccacheOf(tgt, reader.client.context.timeOffset),
          endtime: tgt.endtime,
          ...(tgt.renewTill && { renewTill: tgt.renewTill }),
          passwordQueryAt: this.#queryDate(right.password.queryPasswordInterval, account.keytab),
        };
      } finally {
        wipe(tgt.key.value);
      }
    } catch (e) {
      if (isAdError(e) && !isAdError(e, 'TIMEOUT', 'ABORTED')) return { account, error: e };
      throw e;
    } finally {
      reread.forEach(forgetAccount);
    }
  }

  #early(reader: Reader, account: GmsaRef, signal: AbortSignal): EarlyLogin | undefined {
    const realm = this.#realmOf(account.domain);
    return loginEarly(reader.client.context, samAccountName(account.name), realm, reader.keys, signal);
  }

  /**
   * @param interval counted from now, in 100 ns (MS-ADTS 2.2.19)
   * @param keytab true when the next password is needed before it is in force: a keytab must have its keys by then
   */
  #queryDate(interval: bigint, keytab = false): Date {
    const milliseconds = Number(interval / 10_000n);
    const ahead = keytab && milliseconds > SHOWN_AHEAD ? SHOWN_AHEAD : 0;
    return new Date(this.#options.clock() + Math.min(milliseconds - ahead, MAX_QUERY_INTERVAL));
  }

  async renew(ccache: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const cache = readCCache(ccache);
    // Of the cache's own principal: no ticket of another one comes out under its name.
    const tgt = cache.credentials.find(
      (c) =>
        !isConfigEntry(c) &&
        isKrbtgt(c.server) &&
        c.server.realm === c.client.realm &&
        samePrincipal(c.client, cache.principal),
    );
    const context = exchangeContext(this.#options.kerberos);
    context.timeOffset = (cache.kdcOffset?.seconds ?? 0) * 1000;
    let renewed: Credentials | undefined;
    try {
      if (!tgt) throw new AdError('INVALID_ARGUMENT', 'the cache holds no ticket-granting ticket');
      renewed = await renewTicket(context, tgt, signal);
      noteWeakTickets(this.#options, tgt.client.components.join('/').replace(/\$$/, ''), [renewed]);
      // As kinit -R: what the KDC said about the realm stays, service tickets are fetched anew with the new ticket.
      const config = cache.credentials.filter(isConfigEntry);
      const { kdcOffset: _, ...rest } = cache;
      return writeCCache({ ...rest, ...offsetOf(context.timeOffset), credentials: [...config, renewed] });
    } finally {
      wipe(renewed?.key.value, ...cache.credentials.map((c) => c.key.value));
    }
  }

  async close(): Promise<void> {
    this.#readers.close();
    this.#options.kerberos.transport.close();
  }
}

function ccacheOf(tgt: Credentials, offset: number): Uint8Array {
  return writeCCache({ principal: tgt.client, ...offsetOf(offset), credentials: [tgt] });
}

/** @param offset the KDC's clock minus ours, ms: MIT's library corrects by it (DeltaTime in the header) */
function offsetOf(offset: number): Pick<CCache, 'kdcOffset'> {
  const seconds = Math.trunc(offset / 1000);
  return seconds === 0 ? {} : { kdcOffset: { seconds, microseconds: 0 } };
}
