/**
 * The initiator of a Kerberos GSS-API context (RFC 4121 section 4.1, RFC 2743 3.1): one token out and, with mutual
 * authentication, one token in; then per-message tokens.
 */

import { fromDer } from '../../asn1.ts';
import { wipe } from '../../bytes.ts';
import { AdError, MalformedError } from '../../errors.ts';
import type { Credentials } from '../credentials.ts';
import { Key } from '../crypto/index.ts';
import { buildApReq, openApRep, type SentApRequest } from '../exchanges/ap.ts';
import { type ExchangeContext, newStamp } from '../exchanges/context.ts';
import { sealCredentials } from '../exchanges/cred.ts';
import { krbErrorToAdError } from '../exchanges/errors.ts';
import { KrbError } from '../messages.ts';
import { cksumType, keyUsage } from '../numbers.ts';
import { formatPrincipal } from '../principal.ts';
import { encodeGssChecksum, gssFlag } from './checksum.ts';
import { describedContext, type GssContext, messageOrder, type Negotiator } from './context.ts';
import { type ContextKey, chooseContextKey, messageTokens } from './message-tokens.ts';
import { frameToken, gssTokenId, unframeToken } from './token.ts';

/** A ticket, and what the context shall be. */
export interface InitiatorOptions {
  readonly context: ExchangeContext;
  /** A ticket for the service. */
  readonly credentials: Credentials;
  /** MD5 of the channel bindings structure, 16 bytes (`channelBindings`; RFC 4121 4.1.1.2). */
  readonly bindings?: Uint8Array;
  /** Context flags beside MUTUAL; default REPLAY, SEQUENCE, CONF and INTEG. */
  readonly flags?: number;
  /** False: the service does not prove itself, and the context is there with the first token. True unless told otherwise. */
  readonly mutual?: boolean;
  /**
   * A forwarded ticket-granting ticket (`KrbClient.forward`) that the service gets, session key and all, and can do with
   * whatever its client could; sets DELEG.
   */
  readonly delegate?: Credentials;
}

const DEFAULT_FLAGS = gssFlag.REPLAY | gssFlag.SEQUENCE | gssFlag.CONF | gssFlag.INTEG;

/** The client's side of one context, bare Kerberos; `SpnegoInitiator` negotiates. */
export class GssInitiator implements Negotiator {
  readonly #options: InitiatorOptions;
  readonly #flags: number;
  #sessionKey: Key | undefined;
  #subkey: Key | undefined;
  #sequence = 0;
  #sent: SentApRequest | undefined;
  #established: GssContext | undefined;

  constructor(options: InitiatorOptions) {
    this.#options = options;
    const mutual = options.mutual === false ? 0 : gssFlag.MUTUAL;
    const delegated = options.delegate ? gssFlag.DELEG : 0;
    this.#flags = ((options.flags ?? DEFAULT_FLAGS) & ~(gssFlag.MUTUAL | gssFlag.DELEG)) | mutual | delegated;
  }

  get context(): GssContext | undefined {
    return this.#established;
  }

  /** The token that opens the context. Without mutual authentication `context` is there afterwards. */
  start(): Uint8Array {
    const { context, credentials, bindings, delegate } = this.#options;
    this.#sessionKey = new Key(credentials.key.etype, credentials.key.value);
    this.#subkey = Key.generate(credentials.key.etype, context.random);
    // MIT keeps initial sequence numbers below 2^30 for the sake of peers that treat them as signed.
    const random = context.random(4);
    this.#sequence = new DataView(random.buffer, random.byteOffset).getUint32(0) & 0x3fffffff;
    const mutual = (this.#flags & gssFlag.MUTUAL) !== 0;
    const delegation = delegate && sealCredentials([delegate], this.#sessionKey, newStamp(context));
    this.#sent = buildApReq({
      credentials,
      sessionKey: this.#sessionKey,
      usage: keyUsage.AP_REQ_AUTHENTICATOR,
      stamp: newStamp(context),
      mutual,
      subkey: this.#subkey,
      sequence: this.#sequence,
      checksum: {
        cksumtype: cksumType.GSS,
        checksum: encodeGssChecksum({ flags: this.#flags, bindings, delegation }),
      },
    });
    const token = frameToken(gssTokenId.AP_REQ, this.#sent.message);
    // With no word from the acceptor both sides count from the initiator's number, as MIT and Windows do.
    if (!mutual) this.#establish({ key: this.#subkey, acceptorSubkey: false }, this.#sequence);
    return token;
  }

  /**
   * Reads the acceptor's answer and returns the context for messages.
   * @throws MalformedError, AdError INTEGRITY or REPLY_REJECTED when the acceptor could not prove itself; the meaning of
   *   a KRB-ERROR token
   */
  finish(token: Uint8Array): GssContext {
    const { context } = this.#options;
    if (!this.#sent) throw new AdError('INVALID_ARGUMENT', 'the context was not started');
    const { tokId, inner } = unframeToken(token);
    if (tokId === gssTokenId.ERROR) throw this.#refusal(inner);
    if (!this.#sessionKey || !this.#subkey) throw new MalformedError('GSS token', 'a token after the last');
    if (tokId !== gssTokenId.AP_REP)
      throw new MalformedError('GSS token', `TOK_ID ${tokId.toString(16)} where AP-REP is due`);
    const { subkey, sequence } = openApRep(inner, this.#sessionKey, this.#sent);
    if (subkey && !context.permittedEtypes.includes(subkey.etype)) {
      subkey.destroy();
      throw new AdError('ETYPE', `the service chose a subkey of etype ${subkey.etype}, which is not permitted`);
    }
    return this.#establish(chooseContextKey(this.#subkey, subkey), sequence ?? 0);
  }

  step(token?: Uint8Array): Uint8Array | undefined {
    if (!this.#sent) {
      if (token) throw new AdError('INVALID_ARGUMENT', 'the initiator of a context speaks first');
      return this.start();
    }
    if (!token) throw new MalformedError('GSS token', 'no token where AP-REP is due');
    this.finish(token);
    return undefined;
  }

  /** Wipes the keys of a context that was not finished. */
  destroy(): void {
    this.#sessionKey?.destroy();
    this.#subkey?.destroy();
    wipe(this.#sent?.message);
  }

  #establish(contextKey: ContextKey, recvSeq: number): GssContext {
    this.#subkey = undefined;
    this.#sessionKey?.destroy();
    this.#sessionKey = undefined;
    const { client, server } = this.#options.credentials;
    const tokens = messageTokens({
      ...contextKey,
      initiator: true,
      sendSeq: BigInt(this.#sequence),
      recvSeq: BigInt(recvSeq),
      order: messageOrder(this.#flags),
    });
    this.#established = describedContext(tokens, { initiator: client, acceptor: server, flags: this.#flags });
    return this.#established;
  }

  #refusal(message: Uint8Array): AdError {
    const { server } = this.#options.credentials;
    const what = `the logon to ${formatPrincipal(server)}`;
    return krbErrorToAdError(fromDer(KrbError, message), {
      what,
      realm: server.realm,
      server: 'service',
      by: 'ticket',
    });
  }
}
