/** Who may read managed passwords: one interface, a file for each source. */
import type { Principal } from '../krb5/principal.ts';
import type { Secret } from '../krb5/secret.ts';

export interface Identity {
  readonly principal: Principal;
  /** Proves the principal; whoever takes the identity destroys it. */
  readonly secret: Secret;
  /**
   * The credential itself, as bytes for a keyed hash: two identities share tickets and connections only when these are
   * equal. Wiped by the caller after use.
   */
  readonly fingerprint: Uint8Array;
}
