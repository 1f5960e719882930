/** Kerberos V5 for Node in pure TypeScript, `credentials-fetcher/krb5`. */
export { AdError, type ErrorCode, MalformedError } from '../errors.ts';
export { isRenewable, KrbClient, type KrbClientOptions, type TicketOptions } from './client.ts';
export {
  capath,
  type Krb5Config,
  loadKrb5Config,
  parseKrb5Conf,
  realmOfHost,
  realmOfHostByDns,
  realmPath,
} from './config.ts';
export type { Credentials } from './credentials.ts';
export { DEFAULT_ETYPES, etypeByName, etypeName, Key, stringToKey } from './crypto/index.ts';
export { type AsOptions, asExchange } from './exchanges/as.ts';
export {
  type Clock,
  type ContextOptions,
  type ExchangeContext,
  exchangeContext,
  type Random,
} from './exchanges/context.ts';
export { openCredentials, sealCredentials } from './exchanges/cred.ts';
export { askEveryRecipe, askKeyRecipes, type KeyRecipes } from './exchanges/salt.ts';
export { forwardedTicket, renewTicket, type TgsOptions, tgsExchange, validateTicket } from './exchanges/tgs.ts';
export { writeFileAtomic } from './files/atomic.ts';
export { type CCache, readCCache, writeCCache } from './files/ccache.ts';
export { type CacheCollection, cacheOf, MemoryCaches, openCaches } from './files/ccache-collection.ts';
export { type ConfigEntry, configEntryOf, isConfigEntry, makeConfigEntry } from './files/ccache-config.ts';
export type { CacheHandle } from './files/ccache-file.ts';
export { type CacheName, defaultCacheName, formatCacheName, parseCacheName } from './files/ccache-name.ts';
export { findKeys, type KeytabEntry, readKeytab, writeKeytab } from './files/keytab.ts';
export { addEntries, loadKeytab, mergeEntries, removeEntries, saveKeytab } from './files/keytab-edit.ts';
export {
  type AcceptedContext,
  type AcceptorOptions,
  type BindingPolicy,
  GssAcceptor,
  type PacPolicy,
} from './gss/acceptor.ts';
export { channelBindings, tlsServerEndPoint } from './gss/bindings.ts';
export { CfxContext, type CfxOptions } from './gss/cfx.ts';
export { gssFlag } from './gss/checksum.ts';
export type { GssContext, MessageTokens, Negotiator } from './gss/context.ts';
export { GssError, type MajorStatus } from './gss/errors.ts';
export { GssInitiator, type InitiatorOptions } from './gss/initiator.ts';
export { ReplayCache, type ReplayCacheOptions } from './gss/replay-cache.ts';
export { KeytabFileKeys, KeytabKeys, type ServiceKeys } from './gss/service-keys.ts';
export { NegotiateAcceptor, type NegotiateAcceptorOptions } from './gss/spnego-acceptor.ts';
export { SpnegoInitiator } from './gss/spnego-initiator.ts';
export { type Endpoint, Locator, type SiteOf } from './network/locate.ts';
export { NetworkTransport, type NetworkTransportOptions, networkSettings } from './network/network.ts';
export { DnsResolver, type Resolver } from './network/resolver.ts';
export { configuredKdcs, type KdcServer, type KdcService } from './network/servers.ts';
export { TcpTransport, type TcpTransportOptions } from './network/tcp.ts';
export type { KdcReply, KdcTransport } from './network/transport.ts';
export { etype, keyUsage, krbError, nameType, ticketFlag } from './numbers.ts';
export {
  groupSids,
  type LogonInfo,
  type Membership,
  type Pac,
  type PacSignature,
  type PacTicket,
  parsePac,
  type UpnDnsInfo,
  verifyPac,
} from './pac/index.ts';
export {
  activeDirectorySalt,
  enterprisePrincipal,
  formatPrincipal,
  krbtgt,
  type Principal,
  parsePrincipal,
  principal,
  servicePrincipal,
} from './principal.ts';
export { type KeyHint, KeySecret, PasswordSecret, type Secret } from './secret.ts';
