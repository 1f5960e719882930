/** What the SASL mechanisms of a bind have in common (RFC 4422). */
import { AdError } from '../errors.ts';
import { gssFlag } from '../krb5/gss/checksum.ts';
import type { MessageTokens } from '../krb5/gss/context.ts';
import type { InitiatorOptions } from '../krb5/gss/initiator.ts';
import type { SecurityLayer } from './security-layer.ts';

/** Sealed bytes we are ready to receive in one buffer; the field of RFC 4752 holds 24 bits. */
export const MAX_RECEIVE = 1 << 20;

/**
 * What protects the connection after the bind: a layer of the mechanism's that encrypts, or TLS underneath. Never both:
 * Active Directory refuses a layer inside TLS (MS-ADTS 5.1.1.1.2).
 */
export type Protection = 'seal' | 'tls';

export interface MechanismOptions extends Omit<InitiatorOptions, 'flags' | 'mutual' | 'delegation'> {
  readonly protection: Protection;
}

export interface SaslMechanism {
  readonly name: string;
  /** The next token to send for a server token; none comes with the first call. */
  step(serverToken: Uint8Array | undefined): Uint8Array | undefined;
  /**
   * Called when the server reports success, with the token that came along if any.
   * @returns the layer, or undefined when TLS protects the connection
   * @throws AdError when the exchange is not complete on our side
   */
  finish(serverToken: Uint8Array | undefined): SecurityLayer | undefined;
  /** Wipes keys of an exchange that failed. */
  destroy(): void;
}

/** Context flags for a protection: what is not asked for is not agreed, and a domain controller counts on that. */
export function contextFlags(protection: Protection): number {
  const order = gssFlag.REPLAY | gssFlag.SEQUENCE;
  return protection === 'seal' ? order | gssFlag.CONF | gssFlag.INTEG : 0;
}

/** A layer that encrypts every buffer, and takes none that is not encrypted. */
export function sealedLayer(context: MessageTokens, maxSend: number): SecurityLayer {
  return {
    maxSend,
    maxReceive: MAX_RECEIVE,
    wrap: (plain) => context.wrap(plain, { confidential: true }),
    unwrap: (sealed) => {
      const { plain, confidential } = context.unwrap(sealed);
      if (!confidential)
        throw new AdError('NOT_SEALED', 'the server sent a buffer in the clear on a sealed connection');
      return plain;
    },
    destroy: () => context.destroy(),
  };
}
