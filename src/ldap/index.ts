/** Sealed LDAP to Active Directory, `credentials-fetcher/ldap`. */

// The filters a search takes; values in them are data, whatever characters they hold.
export { AndFilter, EqualityFilter, NotFilter, OrFilter, PresenceFilter } from 'ldapts';
export { connectSealed, SealedConnection, type SealedConnectionOptions } from './client.ts';
export { domainBase, LDAP_PORT, locateDomainControllers } from './locate.ts';
export type { LdapEntry, SearchRequest, SearchResult } from './search.ts';
export type { TlsOptions } from './tls.ts';
