/**
 * The initiator of a Kerberos GSS-API context with mutual authentication (RFC 4121 section 4.1, RFC 2743 3.1): one token
 * out, one token in, then per-message tokens.
 */

import { fromDer } from '../../asn1.ts';
import { concat, equal, fromHex, Reader, wipe } from '../../bytes.ts';
import { AdError, MalformedError } from '../../errors.ts';
import type { Credentials } from '../credentials.ts';
import { Key } from '../crypto/index.ts';
import { buildApReq, openApRep, type SentApRequest } from '../exchanges/ap.ts';
import { type ExchangeContext, newStamp } from '../exchanges/context.ts';
import { krbErrorToAdError } from '../exchanges/errors.ts';
import { KrbError } from '../messages.ts';
import { cksumType, keyUsage } from '../numbers.ts';
import { formatPrincipal } from '../principal.ts';
import { CfxContext } from './cfx.ts';

/** OBJECT IDENTIFIER 1.2.840.113554.1.2.2 with its tag and length. */
const KRB5_MECHANISM = fromHex('06092a864886f712010202');
export const gssTokenId = { AP_REQ: 0x0100, AP_REP: 0x0200, ERROR: 0x0300 } as const;

/** Context flags, RFC 4121 4.1.1.1. */
export const gssFlag = { DELEG: 1, MUTUAL: 2, REPLAY: 4, SEQUENCE: 8, CONF: 16, INTEG: 32 } as const;

/** Frames an inner token as RFC 2743 3.1 demands: tag 60, length, mechanism, TOK_ID, token. */
export function frameToken(tokId: number, inner: Uint8Array): Uint8Array {
  const body = concat(KRB5_MECHANISM, Uint8Array.of(tokId >> 8, tokId & 0xff), inner);
  const n = body.length;
  const length =
    n < 0x80
      ? [n]
      : n < 0x100
        ? [0x81, n]
        : n < 0x10000
          ? [0x82, n >> 8, n & 0xff]
          : [0x83, n >> 16, (n >> 8) & 0xff, n & 0xff];
  return concat(Uint8Array.of(0x60, ...length), body);
}

/** Takes the frame off. @throws MalformedError when it is not a token of this mechanism filling `token` exactly */
export function unframeToken(token: Uint8Array): { tokId: number; inner: Uint8Array } {
  const r = new Reader(token, 'GSS token');
  if (r.u8('tag') !== 0x60) r.fail('not an initial context token');
  const first = r.u8('length');
  let length = first;
  if (first >= 0x80) {
    const bytes = first & 0x7f;
    if (bytes < 1 || bytes > 3) r.fail(`length in ${bytes} bytes`);
    length = 0;
    for (let i = 0; i < bytes; i++) length = length * 256 + r.u8('length');
  }
  if (length !== r.remaining) r.fail(`length ${length}, but ${r.remaining} bytes follow`);
  if (!equal(r.bytes(KRB5_MECHANISM.length, 'mechanism'), KRB5_MECHANISM)) r.fail('another mechanism than Kerberos');
  return { tokId: r.u16('TOK_ID'), inner: r.bytes(r.remaining) };
}

/** The "checksum" of type 0x8003 that carries channel bindings and flags, RFC 4121 4.1.1. */
function gssChecksum(flags: number, bindings: Uint8Array | undefined): Uint8Array {
  const out = new Uint8Array(24);
  const view = new DataView(out.buffer);
  view.setUint32(0, 16, true);
  if (bindings) out.set(bindings, 4);
  view.setUint32(20, flags, true);
  return out;
}

export interface InitiatorOptions {
  readonly context: ExchangeContext;
  /** A ticket for the service. */
  readonly credentials: Credentials;
  /** MD5 of the channel bindings structure, 16 bytes (RFC 4121 4.1.1.2). */
  readonly bindings?: Uint8Array;
  /** Context flags beside MUTUAL; default REPLAY, SEQUENCE, CONF and INTEG. */
  readonly flags?: number;
}

export class GssInitiator {
  readonly #options: InitiatorOptions;
  #sessionKey: Key | undefined;
  #subkey: Key | undefined;
  #sequence = 0;
  #sent: SentApRequest | undefined;

  constructor(options: InitiatorOptions) {
    this.#options = options;
  }

  /** The token that opens the context. */
  start(): Uint8Array {
    const { context, credentials, bindings } = this.#options;
    const defaults = gssFlag.REPLAY | gssFlag.SEQUENCE | gssFlag.CONF | gssFlag.INTEG;
    this.#sessionKey = new Key(credentials.key.etype, credentials.key.value);
    this.#subkey = Key.generate(credentials.key.etype, context.random);
    // MIT keeps initial sequence numbers below 2^30 for the sake of peers that treat them as signed.
    const random = context.random(4);
    this.#sequence = new DataView(random.buffer, random.byteOffset).getUint32(0) & 0x3fffffff;
    this.#sent = buildApReq({
      credentials,
      sessionKey: this.#sessionKey,
      usage: keyUsage.AP_REQ_AUTHENTICATOR,
      stamp: newStamp(context),
      mutual: true,
      subkey: this.#subkey,
      sequence: this.#sequence,
      checksum: {
        cksumtype: cksumType.GSS,
        checksum: gssChecksum(gssFlag.MUTUAL | (this.#options.flags ?? defaults), bindings),
      },
    });
    return frameToken(gssTokenId.AP_REQ, this.#sent.message);
  }

  /**
   * Reads the acceptor's answer and returns the context for messages.
   * @throws MalformedError, AdError INTEGRITY or REPLY_REJECTED when the acceptor could not prove itself; the meaning of
   *   a KRB-ERROR token
   */
  finish(token: Uint8Array): CfxContext {
    const { context, credentials } = this.#options;
    if (!this.#sessionKey || !this.#subkey || !this.#sent)
      throw new AdError('INVALID_ARGUMENT', 'the context was not started');
    const { tokId, inner } = unframeToken(token);
    if (tokId === gssTokenId.ERROR) {
      const what = `the logon to ${formatPrincipal(credentials.server)}`;
      throw krbErrorToAdError(fromDer(KrbError, inner), { what, realm: credentials.server.realm, server: 'service' });
    }
    if (tokId !== gssTokenId.AP_REP)
      throw new MalformedError('GSS token', `TOK_ID ${tokId.toString(16)} where AP-REP is due`);
    const { subkey, sequence } = openApRep(inner, this.#sessionKey, this.#sent);
    if (subkey && !context.permittedEtypes.includes(subkey.etype)) {
      subkey.destroy();
      throw new AdError('ETYPE', `the service chose a subkey of etype ${subkey.etype}, which is not permitted`);
    }
    if (subkey) this.#subkey.destroy();
    const key = subkey ?? this.#subkey;
    this.#subkey = undefined;
    this.#sessionKey.destroy();
    return new CfxContext({
      key,
      initiator: true,
      acceptorSubkey: subkey !== undefined,
      sendSeq: BigInt(this.#sequence),
      recvSeq: BigInt(sequence ?? 0),
    });
  }

  /** Wipes the keys of a context that was not finished. */
  destroy(): void {
    this.#sessionKey?.destroy();
    this.#subkey?.destroy();
    wipe(this.#sent?.message);
  }
}
