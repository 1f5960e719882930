/** SASL mechanism GSSAPI (RFC 4752): the client's side of context, security layer offer and choice. */
import { AdError, MalformedError } from '../errors.ts';
import type { MessageTokens } from '../krb5/gss/context.ts';
import { GssInitiator } from '../krb5/gss/initiator.ts';
import { contextFlags, MAX_RECEIVE, type MechanismOptions, type SaslMechanism, sealedLayer } from './sasl.ts';
import type { SecurityLayer } from './security-layer.ts';

/** Security layers, RFC 4752 3.3. */
const LAYER = { NONE: 1, INTEGRITY: 2, CONFIDENTIALITY: 4 } as const;
export class GssapiMechanism implements SaslMechanism {
  readonly name = 'GSSAPI';
  readonly #initiator: GssInitiator;
  readonly #sealed: boolean;
  #context: MessageTokens | undefined;
  #maxSend = 0;
  #state: 'start' | 'context' | 'offer' | 'chosen' = 'start';

  constructor({ protection, ...options }: MechanismOptions) {
    this.#sealed = protection === 'seal';
    this.#initiator = new GssInitiator({ ...options, flags: contextFlags(protection) });
  }

  step(serverToken: Uint8Array | undefined): Uint8Array | undefined {
    switch (this.#state) {
      case 'start':
        this.#state = 'context';
        return this.#initiator.start();
      case 'context':
        if (!serverToken) throw new MalformedError('SASL', 'the server sent no token for the security context');
        this.#context = this.#initiator.finish(serverToken);
        this.#state = 'offer';
        // RFC 4752 3.1: when the context is complete "the client SHOULD respond with an empty" message.
        return new Uint8Array(0);
      case 'offer': {
        if (!serverToken) throw new MalformedError('SASL', 'the server offered no security layers');
        const choice = this.#choose(serverToken);
        this.#state = 'chosen';
        return choice;
      }
      default:
        throw new MalformedError('SASL', 'the server goes on after the security layer was chosen');
    }
  }

  /** RFC 4752 3.1: the offer is a wrapped token of four octets: a bit mask of layers and the server's buffer size. */
  #choose(offer: Uint8Array): Uint8Array {
    const { plain } = this.#context!.unwrap(offer);
    if (plain.length !== 4) throw new MalformedError('SASL', `security layer offer of ${plain.length} bytes`);
    const view = new DataView(plain.buffer, plain.byteOffset);
    const layers = plain[0]!;
    if (!this.#sealed) {
      if (!(layers & LAYER.NONE)) throw new AdError('LDAP', 'the server insists on a security layer inside TLS');
      // RFC 4752 3.1: the size "MUST be zero if the client selected no security layer".
      return this.#context!.wrap(Uint8Array.of(LAYER.NONE, 0, 0, 0), { confidential: false });
    }
    if (!(layers & LAYER.CONFIDENTIALITY)) {
      throw new AdError(
        'NOT_SEALED',
        `the server offers no confidentiality (layers ${layers}); nothing weaker is used`,
      );
    }
    this.#maxSend = (view.getUint32(0) & 0xffffff) - this.#context!.sealOverhead;
    if (this.#maxSend < 1) throw new MalformedError('SASL', 'the server cannot receive a sealed buffer of any use');
    const choice = new Uint8Array(4);
    new DataView(choice.buffer).setUint32(0, MAX_RECEIVE);
    choice[0] = LAYER.CONFIDENTIALITY;
    // Wrapped without confidentiality even though it asks for it: some acceptors insist (RFC 4752 3.1).
    return this.#context!.wrap(choice, { confidential: false });
  }

  finish(): SecurityLayer | undefined {
    const context = this.#context;
    if (this.#state !== 'chosen' || !context) {
      throw new AdError('NOT_SEALED', 'the server reported success before a security layer was agreed');
    }
    if (this.#sealed) return sealedLayer(context, this.#maxSend);
    context.destroy();
    return undefined;
  }

  destroy(): void {
    this.#initiator.destroy();
    this.#context?.destroy();
  }
}
