/** An established GSS-API context: who is at the other end, and its per-message tokens. */
import type { Principal } from '../principal.ts';
import { gssFlag } from './checksum.ts';
import type { MessageOrder } from './sequence.ts';

/** Per-message tokens (RFC 2743 2.3). */
export interface MessageTokens {
  /** Protects a message, encrypted where `confidential`. */
  wrap(plain: Uint8Array, options: { confidential: boolean }): Uint8Array;
  /** Opens the peer's Wrap token. @throws MalformedError, AdError INTEGRITY */
  unwrap(token: Uint8Array): { plain: Uint8Array; confidential: boolean };
  /** A checksum over a message that travels beside it. */
  getMic(message: Uint8Array): Uint8Array;
  /** Checks the peer's. @throws MalformedError, AdError INTEGRITY */
  verifyMic(message: Uint8Array, token: Uint8Array): void;
  /** Bytes an encrypted Wrap token is longer than its message, at most. */
  readonly sealOverhead: number;
  /** Wipes the keys. */
  destroy(): void;
}

/** An established context: both names, what was agreed, and tokens for messages. */
export interface GssContext extends MessageTokens {
  /** The client. */
  readonly initiator: Principal;
  /** The service. */
  readonly acceptor: Principal;
  /** What was agreed: masks of `gssFlag`. */
  readonly flags: number;
}

/** A mechanism's side of the tokens that make a context. */
export interface Negotiator {
  /**
   * Takes the peer's token and gives the next one to send; an initiator's first call has none.
   * @throws MalformedError, AdError
   */
  step(token?: Uint8Array): Uint8Array | undefined;
  /** The context, once `step` has made it; a token that came with it is still to be sent. */
  readonly context: GssContext | undefined;
  /** Wipes the keys of a negotiation that comes to nothing. */
  destroy(): void;
}

/** RFC 2743 1.2.3: which messages may come depends on the flags of the context. */
export function messageOrder(flags: number): MessageOrder {
  if (flags & gssFlag.SEQUENCE) return 'strict';
  return flags & gssFlag.REPLAY ? 'once' : 'any';
}

/** Per-message tokens with the names they stand for. */
export function describedContext(
  tokens: MessageTokens,
  about: Pick<GssContext, 'initiator' | 'acceptor' | 'flags'>,
): GssContext {
  return {
    ...about,
    sealOverhead: tokens.sealOverhead,
    wrap: (plain, options) => tokens.wrap(plain, options),
    unwrap: (token) => tokens.unwrap(token),
    getMic: (message) => tokens.getMic(message),
    verifyMic: (message, token) => tokens.verifyMic(message, token),
    destroy: () => tokens.destroy(),
  };
}
