/** The identity in a request: user name, password, domain. */
import { concat, utf8 } from '../bytes.ts';
import { principal } from '../krb5/principal.ts';
import { PasswordSecret } from '../krb5/secret.ts';
import type { Identity } from './identity.ts';

/**
 * @param password UTF-8, copied; the caller wipes its own
 */
export function passwordIdentity(
  username: string,
  realm: string,
  password: Uint8Array,
  etypes: readonly number[],
): Identity {
  return {
    principal: principal(realm, username),
    secret: new PasswordSecret(password, realm + username, etypes),
    // No two triples give the same bytes: names hold no NUL.
    fingerprint: concat(utf8(`password\0${realm}\0${username}\0`), password),
  };
}
