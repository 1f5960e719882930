/** The one choice of a context's per-message tokens, by the type of its key. */
import type { Key } from '../crypto/index.ts';
import { etype } from '../numbers.ts';
import { CfxContext, type CfxOptions } from './cfx.ts';
import type { MessageTokens } from './context.ts';
import { Rc4Context } from './rc4-tokens.ts';

/** The key of a context: the acceptor's subkey when it sent one, else the initiator's, else the session key. */
export interface ContextKey {
  readonly key: Key;
  readonly acceptorSubkey: boolean;
}

/** True for the types of RFC 4121, of whose contexts the acceptor may choose the key. RC4's are older (RFC 4757, RFC 1964). */
export function acceptorChoosesKey(type: number): boolean {
  return type !== etype.RC4_HMAC;
}

/**
 * The key that both sides take (RFC 4121 section 2): the acceptor's subkey where it sent one. An RC4 subkey in answer to an
 * RC4 key is passed over, as MIT does: RFC 1964 knows the initiator's only. The key not taken is wiped.
 */
export function chooseContextKey(initiatorKey: Key, acceptorKey: Key | undefined): ContextKey {
  const acceptorSubkey =
    acceptorKey !== undefined && (acceptorChoosesKey(acceptorKey.etype) || acceptorKey.etype !== initiatorKey.etype);
  const [key, other] = acceptorSubkey ? [acceptorKey, initiatorKey] : [initiatorKey, acceptorKey];
  other?.destroy();
  return { key, acceptorSubkey };
}

/** RFC 4121 for the newer types of keys, RFC 4757 for RC4, of which no key comes here unless it is permitted by name. */
export function messageTokens(options: CfxOptions): MessageTokens {
  return acceptorChoosesKey(options.key.etype) ? new CfxContext(options) : new Rc4Context(options);
}
