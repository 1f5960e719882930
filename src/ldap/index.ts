/** Sealed LDAP to Active Directory, `credentials-fetcher/ldap`. */

// The filters a search takes; values in them are data, whatever characters they hold.
export { AndFilter, EqualityFilter, NotFilter, OrFilter, PresenceFilter } from 'ldapts';
export {
  connectSealed,
  type LdapEntry,
  SealedConnection,
  type SealedConnectionOptions,
  type SearchRequest,
} from './client.ts';
export { domainBase, LDAP_PORT, locateDomainControllers } from './locate.ts';
