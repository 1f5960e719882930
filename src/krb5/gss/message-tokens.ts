/** The one choice of a context's per-message tokens, by the type of its key. */
import { AdError } from '../../errors.ts';
import type { Key } from '../crypto/index.ts';
import { etype } from '../numbers.ts';
import { CfxContext, type CfxOptions } from './cfx.ts';
import type { MessageTokens } from './context.ts';

/** The key of a context: the acceptor's subkey when it sent one, else the initiator's, else the session key. */
export interface ContextKey {
  readonly key: Key;
  readonly acceptorSubkey: boolean;
}

/**
 * RFC 4121 for the newer types of keys.
 * @throws AdError ETYPE for RC4
 */
export function messageTokens(options: CfxOptions): MessageTokens {
  if (options.key.etype === etype.RC4_HMAC) {
    options.key.destroy();
    throw new AdError('ETYPE', 'message tokens of RC4 (RFC 4757) are not supported; give the service AES keys');
  }
  return new CfxContext(options);
}
