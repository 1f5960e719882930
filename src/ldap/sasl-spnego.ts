/**
 * SASL mechanism GSS-SPNEGO as Active Directory has it (MS-ADTS 5.1.1.1.1): the context's own flags say how messages are
 * protected, and no security layer is offered or chosen.
 */
import { AdError, MalformedError } from '../errors.ts';
import { gssFlag } from '../krb5/gss/checksum.ts';
import { SpnegoInitiator } from '../krb5/gss/spnego-initiator.ts';
import { contextFlags, type MechanismOptions, type SaslMechanism, sealedLayer } from './sasl.ts';
import type { SecurityLayer } from './security-layer.ts';

/** No size is agreed; 64 KiB with the seal are within every server's limits. */
const MAX_SEALED = 65_536;

export class SpnegoMechanism implements SaslMechanism {
  readonly name = 'GSS-SPNEGO';
  readonly #initiator: SpnegoInitiator;
  readonly #sealed: boolean;

  constructor({ protection, ...options }: MechanismOptions) {
    this.#sealed = protection === 'seal';
    this.#initiator = new SpnegoInitiator({ ...options, flags: contextFlags(protection) });
  }

  step(serverToken: Uint8Array | undefined): Uint8Array | undefined {
    return this.#initiator.step(serverToken);
  }

  finish(serverToken: Uint8Array | undefined): SecurityLayer | undefined {
    if (!this.#initiator.context) {
      if (!serverToken?.length) throw notProven();
      if (this.#initiator.step(serverToken)) throw new MalformedError('SASL', 'success where a token is due from us');
    }
    const { context } = this.#initiator;
    if (!context) throw notProven();
    if (!this.#sealed) {
      context.destroy();
      return undefined;
    }
    if (!(context.flags & gssFlag.CONF)) throw new AdError('NOT_SEALED', 'no confidentiality was agreed');
    return sealedLayer(context, MAX_SEALED - context.sealOverhead);
  }

  destroy(): void {
    this.#initiator.destroy();
  }
}

function notProven(): AdError {
  return new AdError('NOT_SEALED', 'the server reported success before it proved itself');
}
