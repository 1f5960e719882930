/** What the Kerberos commands share: this host's Kerberos by the terminal's variables, its ticket cache and keytab. */
import { wipe } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import { type ParsedFlags, UsageError } from '../../flags.ts';
import { KrbClient } from '../../krb5/client.ts';
import { type Krb5Config, parseDuration } from '../../krb5/config.ts';
import type { Credentials } from '../../krb5/credentials.ts';
import {
  cacheNameOf,
  type Environment,
  exchangeSettings,
  keytabPath as keytabPathOf,
  loadEnvironment,
} from '../../krb5/environment/environment.ts';
import { type Proof, passwordProof as proofOf } from '../../krb5/environment/proof.ts';
import { type ContextOptions, type ExchangeContext, exchangeContext } from '../../krb5/exchanges/context.ts';
import { type CacheCollection, openCaches } from '../../krb5/files/ccache-collection.ts';
import type { CacheName } from '../../krb5/files/ccache-name.ts';
import { DnsResolver } from '../../krb5/network/resolver.ts';
import { enterprisePrincipal, formatPrincipal, type Principal, parsePrincipal } from '../../krb5/principal.ts';
import { Sites } from '../../ldap/sites.ts';
import { text } from '../command.ts';
import { readPassword, type Terminal } from '../terminal.ts';

export {
  kdcOffset,
  noSecret,
  TGT_MARGIN,
  tgtOf,
  ticketsOf,
  usableTgt,
  wipeCache,
} from '../../krb5/environment/cached.ts';
export { DEFAULT_KEYTAB, permittedEtypes } from '../../krb5/environment/environment.ts';
export { keytabProof, type Proof } from '../../krb5/environment/proof.ts';

export type Session = Environment;

/** How commands that speak LDAP find servers. */
export interface SessionOptions {
  /** Servers of this host's Active Directory site go first; a datagram to a domain controller asks for the site. */
  readonly sites?: boolean;
  /** In place of the files of krb5.conf. */
  readonly config?: Krb5Config;
}

/** @throws AdError INVALID_ARGUMENT or FILE when krb5.conf cannot be used */
export function openSession(terminal: Terminal, options: SessionOptions = {}): Promise<Session> {
  const resolver = new DnsResolver();
  return loadEnvironment({
    env: terminal.env,
    resolver,
    ...(options.config && { config: options.config }),
    ...(options.sites && { siteOf: new Sites({ resolver, clock: Date.now }).siteOf }),
  });
}

/** Runs work with a session that is closed in the end. */
export async function withSession<T>(
  terminal: Terminal,
  work: (session: Session) => Promise<T>,
  options: SessionOptions = {},
): Promise<T> {
  const session = await openSession(terminal, options);
  try {
    return await work(session);
  } finally {
    session.close();
  }
}

/** What krb5.conf says about exchanges. */
export function contextOptions(session: Session, times: { life?: number; renew?: number } = {}): ContextOptions {
  return {
    transport: session.transport,
    ...exchangeSettings(session.config),
    ...(times.life !== undefined && { ticketLifetime: times.life * 1000 }),
    ...(times.renew !== undefined && times.renew > 0 && { renewLifetime: times.renew * 1000 }),
  };
}

export function sessionContext(session: Session, times: { life?: number; renew?: number } = {}): ExchangeContext {
  return exchangeContext(contextOptions(session, times));
}

/** A Kerberos client of the session. It takes the secret and the tickets over. */
export function sessionClient(
  session: Session,
  proof: Proof,
  tickets: readonly Credentials[] = [],
  armor?: Credentials,
): KrbClient {
  return new KrbClient({
    ...contextOptions(session),
    config: session.config,
    client: proof.principal,
    secret: proof.secret,
    tickets,
    ...(armor && { armor }),
  });
}

/** A flag with a time such as `10h`, in seconds. */
export function duration(parsed: ParsedFlags, flag: string): number | undefined {
  const given = text(parsed, flag);
  if (given === undefined) return undefined;
  const seconds = parseDuration(given);
  if (!seconds) throw new UsageError(`--${flag} must be a time such as 10h, 1d12h or 08:30, not ${given}`);
  return seconds;
}

/** The cache that a flag names, else that of KRB5CCNAME, krb5.conf or the user. */
export function cacheName(given: string | undefined, config: Krb5Config | undefined, terminal: Terminal): CacheName {
  return cacheNameOf(given, config, terminal.env);
}

export function caches(given: string | undefined, config: Krb5Config, terminal: Terminal): CacheCollection {
  return openCaches(cacheName(given, config, terminal));
}

/** Path of the keytab that a flag names, else that of KRB5_KTNAME or krb5.conf. */
export function keytabPath(given: string | undefined, config: Krb5Config | undefined, terminal: Terminal): string {
  return keytabPathOf(given, config, terminal.env);
}

/** @throws AdError INVALID_ARGUMENT; the message says that a realm is missing */
export function principalOf(name: string, config: Krb5Config): Principal {
  return parsePrincipal(name, config.defaultRealm);
}

/** An enterprise name (UPN) whose KDC is that of the default realm. */
export function enterpriseOf(name: string, config: Krb5Config): Principal {
  if (!config.defaultRealm)
    throw new AdError('INVALID_ARGUMENT', 'an enterprise name needs default_realm in krb5.conf: whose KDC is asked?');
  return enterprisePrincipal(name, config.defaultRealm);
}

/** A principal with the password that a file, a prompt or standard input gives. */
export async function passwordProof(
  principal: Principal,
  file: string | undefined,
  terminal: Terminal,
  permitted: readonly number[],
): Promise<Proof> {
  const typed = await readPassword(file, terminal, `Password for ${formatPrincipal(principal)}: `);
  const password = Buffer.from(typed, 'utf8');
  try {
    return proofOf(principal, password, permitted);
  } finally {
    wipe(password);
  }
}
