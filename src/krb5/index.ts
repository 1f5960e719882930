/**
 * Kerberos V5 for Node in pure TypeScript, `credentials-fetcher/krb5`: docs/krb5.md. Each name stands in a module that
 * brings in no more than it needs, so bundlers leave the rest out.
 */
export { AdError, type ErrorCode, type ErrorDetails, isAdError, MalformedError } from '../errors.ts';
export { isRenewable, KrbClient, type KrbClientOptions, type TicketOptions } from './client.ts';
export type { ProfileNode } from './config/profile.ts';
export {
  capath,
  configValues,
  type KdcAddress,
  type Krb5Config,
  loadKrb5Config,
  parseDuration,
  parseKdcAddress,
  parseKrb5Conf,
  type RealmConfig,
  realmOfHost,
  realmOfHostByDns,
  realmPath,
} from './config.ts';
export type { Credentials } from './credentials.ts';
export {
  cf2,
  checksumByType,
  checksumBytes,
  DEFAULT_ETYPES,
  etypeByName,
  etypeName,
  Key,
  MAX_ITERATIONS,
  MIN_ITERATIONS,
  prfPlus,
  type StringToKeyPolicy,
  stringToKey,
  verifyChecksumByType,
} from './crypto/index.ts';
export { cacheContent, tgtOf, ticketsOf, wipeCache } from './environment/cached.ts';
export { anonymousProof, type CertificateOptions, certificateProof } from './environment/certificate.ts';
export {
  cachesOf,
  DEFAULT_KEYTAB,
  type Environment,
  type EnvironmentOptions,
  exchangeSettings,
  loadEnvironment,
  type Variables,
} from './environment/environment.ts';
export { type OpenClientOptions, openClient } from './environment/open.ts';
export { keytabProof, type Proof, passwordProof } from './environment/proof.ts';
export { type AsOptions, asExchange } from './exchanges/as.ts';
export {
  type Clock,
  type ContextOptions,
  type ExchangeContext,
  exchangeContext,
  newStamp,
  type Random,
  type Stamp,
} from './exchanges/context.ts';
export { openCredentials, sealCredentials } from './exchanges/cred.ts';
export { askEveryRecipe, askKeyRecipes, type KeyRecipes } from './exchanges/salt.ts';
export {
  forwardedTicket,
  renewTicket,
  type Subject,
  type TgsOptions,
  type TgsRequestKeys,
  tgsExchange,
  validateTicket,
} from './exchanges/tgs.ts';
export { writeFileAtomic } from './files/atomic.ts';
export { type CCache, readCCache, writeCCache } from './files/ccache.ts';
export { type CacheCollection, cacheOf, MemoryCaches, openCaches } from './files/ccache-collection.ts';
export { type ConfigEntry, configEntryOf, configKey, isConfigEntry, makeConfigEntry } from './files/ccache-config.ts';
export type { CacheHandle } from './files/ccache-file.ts';
export {
  type CacheName,
  type DefaultNameSources,
  defaultCacheName,
  formatCacheName,
  parseCacheName,
} from './files/ccache-name.ts';
export { findKeys, type KeytabEntry, machinePrincipal, readKeytab, writeKeytab } from './files/keytab.ts';
export {
  addEntries,
  loadKeytab,
  mergeEntries,
  type RemoveChoice,
  removeEntries,
  saveKeytab,
  wipeEntries,
} from './files/keytab-edit.ts';
export {
  type AcceptedContext,
  type AcceptorOptions,
  type BindingPolicy,
  GssAcceptor,
  type PacPolicy,
} from './gss/acceptor.ts';
export { channelBindings, tlsServerEndPoint } from './gss/bindings.ts';
export { gssFlag } from './gss/checksum.ts';
export type { GssContext, MessageTokens, Negotiator } from './gss/context.ts';
export { GssError, type MajorStatus } from './gss/errors.ts';
export { GssInitiator, type InitiatorOptions } from './gss/initiator.ts';
export { ReplayCache, type ReplayCacheOptions } from './gss/replay-cache.ts';
export { KeytabFileKeys, KeytabKeys, type ServiceKeys } from './gss/service-keys.ts';
export { NegotiateAcceptor, type NegotiateAcceptorOptions } from './gss/spnego-acceptor.ts';
export { SpnegoInitiator } from './gss/spnego-initiator.ts';
export type { AuthorizationData, HostAddress, KdcRep, PaData } from './messages.ts';
export { type Endpoint, Locator, type LocatorOptions, type SiteOf } from './network/locate.ts';
export { NetworkTransport, type NetworkTransportOptions, networkSettings } from './network/network.ts';
export { DnsResolver, type Resolver, type SrvRecord, type UriRecord } from './network/resolver.ts';
export { configuredKdcs, type KdcServer, type KdcService } from './network/servers.ts';
export type { KdcReply, KdcTransport } from './network/transport.ts';
export { addrType, cksumType, etype, kdcOption, keyUsage, krbError, nameType, ticketFlag } from './numbers.ts';
export {
  type ClientInfo,
  type DelegationInfo,
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
export type { KdcCertificateRules } from './pkinit/kdc-certificate.ts';
export { type PkinitOptions, PkinitSecret } from './pkinit/secret.ts';
export type { Signer } from './pkinit/signed-data.ts';
export {
  activeDirectorySalt,
  anonymousPrincipal,
  defaultSalt,
  enterprisePrincipal,
  formatPrincipal,
  krbtgt,
  type Principal,
  parsePrincipal,
  principal,
  samePrincipal,
  servicePrincipal,
} from './principal.ts';
export { type KeyHint, KeySecret, PasswordSecret, type PublicKeyProof, type Secret } from './secret.ts';
