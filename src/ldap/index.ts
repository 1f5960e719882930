/** Sealed LDAP to Active Directory, `credentials-fetcher/ldap`. */
export {
  connectSealed,
  type LdapEntry,
  SealedConnection,
  type SealedConnectionOptions,
  type SearchRequest,
} from './client.ts';
export { domainBase, LDAP_PORT, locateDomainControllers } from './locate.ts';
