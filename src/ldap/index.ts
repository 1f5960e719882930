/** Sealed LDAP to Active Directory, `credentials-fetcher/ldap`. */

// The filters a search takes; values in them are data, whatever characters they hold.
export {
  AndFilter,
  EqualityFilter,
  ExtensibleFilter,
  type Filter,
  GreaterThanEqualsFilter,
  LessThanEqualsFilter,
  NotFilter,
  OrFilter,
  PresenceFilter,
  SubstringFilter,
} from 'ldapts';
export { AdError, type ErrorCode, MalformedError } from '../errors.ts';
export { connectSealed, SealedConnection, type SealedConnectionOptions } from './client.ts';
export { connectDomain, type DomainConnectionOptions } from './domain.ts';
export { domainBase, LDAP_PORT, LDAPS_PORT, locateDomainControllers } from './locate.ts';
export type { LdapEntry, SearchRequest, SearchResult } from './search.ts';
export { Sites, type SitesOptions } from './sites.ts';
export type { TlsOptions } from './tls.ts';
