/**
 * Per-message tokens of the Kerberos GSS-API mechanism for the newer encryption types (RFC 4121 section 4.2), as pure
 * functions of a key, a direction and two sequence numbers. Nothing here reads a socket or a clock.
 *
 * Token, big endian: TOK_ID (2), Flags (1), Filler 0xFF (1), EC (2), RRC (2), SND_SEQ (8), then the payload.
 */
import { concat, equal, Reader, wipe } from '../../bytes.ts';
import { AdError, MalformedError } from '../../errors.ts';
import { type Key, profileOf } from '../crypto/index.ts';
import { keyUsage } from '../numbers.ts';
import type { MessageTokens } from './context.ts';
import { type MessageOrder, ReceivedSequence } from './sequence.ts';

const HEADER_BYTES = 16;
const TOK_WRAP = 0x0504;
const TOK_MIC = 0x0404;
const FLAG = { SENT_BY_ACCEPTOR: 0x01, SEALED: 0x02, ACCEPTOR_SUBKEY: 0x04 } as const;

export interface CfxOptions {
  /** The context key: the acceptor's subkey when it sent one, else the initiator's, else the session key. */
  readonly key: Key;
  /** True on the side that sent the AP-REQ. */
  readonly initiator: boolean;
  /** True when `key` came from the AP-REP (RFC 4121 4.2.2, AcceptorSubkey). */
  readonly acceptorSubkey: boolean;
  /** The first sequence number of this side: the AP-REQ's for an initiator, the AP-REP's for an acceptor. */
  readonly sendSeq: bigint;
  /** The first sequence number expected from the peer. */
  readonly recvSeq: bigint;
  /** What is asked of the order of the peer's messages; `strict`, as on any SASL stream, unless told otherwise. */
  readonly order?: MessageOrder;
}

interface Header {
  readonly flags: number;
  readonly extraCount: number;
  readonly rotation: number;
  readonly sequence: bigint;
}

/** One established context. */
export class CfxContext implements MessageTokens {
  readonly #key: Key;
  readonly #sendFlags: number;
  readonly #receiveFlags: number;
  readonly #usage: { readonly seal: number; readonly sign: number };
  readonly #peerUsage: { readonly seal: number; readonly sign: number };
  #sendSeq: bigint;
  readonly #received: ReceivedSequence;
  readonly #cksumBytes: number;

  /** The context takes the key over: `destroy()` wipes it. */
  constructor(options: CfxOptions) {
    const initiator = { seal: keyUsage.GSS_INITIATOR_SEAL, sign: keyUsage.GSS_INITIATOR_SIGN };
    const acceptor = { seal: keyUsage.GSS_ACCEPTOR_SEAL, sign: keyUsage.GSS_ACCEPTOR_SIGN };
    const subkey = options.acceptorSubkey ? FLAG.ACCEPTOR_SUBKEY : 0;
    this.#key = options.key;
    this.#usage = options.initiator ? initiator : acceptor;
    this.#peerUsage = options.initiator ? acceptor : initiator;
    this.#sendFlags = subkey | (options.initiator ? 0 : FLAG.SENT_BY_ACCEPTOR);
    this.#receiveFlags = subkey | (options.initiator ? FLAG.SENT_BY_ACCEPTOR : 0);
    this.#sendSeq = options.sendSeq;
    this.#received = new ReceivedSequence(options.recvSeq, options.order ?? 'strict');
    this.#cksumBytes = profileOf(options.key.etype).cksumBytes;
  }

  /** Bytes a sealed token is longer than its plaintext: header twice, confounder (one block of 16) and checksum. */
  get sealOverhead(): number {
    return HEADER_BYTES + 16 + HEADER_BYTES + this.#cksumBytes;
  }

  /**
   * A Wrap token. Sealed: the plaintext is encrypted together with a copy of the header (RFC 4121 4.2.4).
   * Unsealed: the plaintext travels in the clear with a checksum over it and the header.
   */
  wrap(plain: Uint8Array, options: { confidential: boolean }): Uint8Array {
    const sequence = this.#sendSeq++;
    if (options.confidential) {
      const header = encodeHeader(TOK_WRAP, this.#sendFlags | FLAG.SEALED, 0, 0, sequence);
      const sealed = concat(plain, header);
      try {
        return concat(header, this.#key.encrypt(this.#usage.seal, sealed));
      } finally {
        wipe(sealed);
      }
    }
    // RFC 4121 4.2.4: the checksum is computed with EC and RRC zero; EC then holds its length.
    const signed = encodeHeader(TOK_WRAP, this.#sendFlags, 0, 0, sequence);
    const checksum = this.#key.checksum(this.#usage.seal, concat(plain, signed));
    return concat(encodeHeader(TOK_WRAP, this.#sendFlags, checksum.length, 0, sequence), plain, checksum);
  }

  /**
   * Opens the peer's Wrap token and moves the expected sequence number on.
   * @throws MalformedError for a token of the wrong shape, AdError INTEGRITY when it was altered, replayed, reordered,
   *   reflected, or protected with another key than the context's
   */
  unwrap(token: Uint8Array): { plain: Uint8Array; confidential: boolean } {
    const header = decodeHeader(token, TOK_WRAP);
    this.#checkFlags(header.flags & ~FLAG.SEALED);
    const confidential = (header.flags & FLAG.SEALED) !== 0;
    const plain = confidential ? this.#open(header, token) : this.#verify(header, token);
    this.#received.accept(header.sequence);
    return { plain, confidential };
  }

  #open(header: Header, token: Uint8Array): Uint8Array {
    // MS-KILE 3.4.5.4.1: with EC set the sender rotates by RRC + EC; here EC counts filler inside, so only RRC turns.
    const body = unrotate(token.subarray(HEADER_BYTES), header.rotation);
    const clear = this.#key.decrypt(this.#peerUsage.seal, body);
    // RFC 4121 4.2.4: the plaintext is data, EC bytes of filler, and the header as sent but with RRC zero.
    const end = clear.length - HEADER_BYTES - header.extraCount;
    if (end < 0)
      throw malformed(
        `sealed token of ${clear.length} bytes cannot hold ${header.extraCount} bytes of filler and the header`,
      );
    const inner = clear.subarray(clear.length - HEADER_BYTES);
    if (!equal(inner, encodeHeader(TOK_WRAP, header.flags, header.extraCount, 0, header.sequence))) {
      throw refused('the sealed copy of the header differs from the header');
    }
    return clear.subarray(0, end);
  }

  #verify(header: Header, token: Uint8Array): Uint8Array {
    if (header.extraCount !== this.#cksumBytes) {
      throw malformed(`checksum of ${header.extraCount} bytes where ${this.#cksumBytes} are due`);
    }
    const body = unrotate(token.subarray(HEADER_BYTES), header.rotation);
    if (body.length < header.extraCount) throw malformed('token is shorter than its checksum');
    const plain = body.slice(0, body.length - header.extraCount);
    const signed = concat(plain, encodeHeader(TOK_WRAP, header.flags, 0, 0, header.sequence));
    if (!this.#key.verifyChecksum(this.#peerUsage.seal, signed, body.subarray(plain.length))) {
      throw refused('checksum does not match');
    }
    return plain;
  }

  /** A MIC token over `message` (RFC 4121 4.2.6.1). */
  getMic(message: Uint8Array): Uint8Array {
    const header = encodeHeader(TOK_MIC, this.#sendFlags, 0xffff, 0xffff, this.#sendSeq++);
    return concat(header, this.#key.checksum(this.#usage.sign, concat(message, header)));
  }

  /** Checks the peer's MIC token over `message`; errors as `unwrap`. */
  verifyMic(message: Uint8Array, token: Uint8Array): void {
    const header = decodeHeader(token, TOK_MIC);
    this.#checkFlags(header.flags);
    const signed = concat(message, token.subarray(0, HEADER_BYTES));
    if (!this.#key.verifyChecksum(this.#peerUsage.sign, signed, token.subarray(HEADER_BYTES))) {
      throw refused('checksum does not match');
    }
    this.#received.accept(header.sequence);
  }

  /** Wipes the key. */
  destroy(): void {
    this.#key.destroy();
  }

  /** RFC 4121 4.2.2: direction and key must be the peer's; a reflected token carries ours. Unknown bits are refused. */
  #checkFlags(flags: number): void {
    if ((flags ^ this.#receiveFlags) & FLAG.SENT_BY_ACCEPTOR) throw refused('token was sent in our own direction');
    if ((flags ^ this.#receiveFlags) & FLAG.ACCEPTOR_SUBKEY) throw refused('token is protected with another subkey');
    if (flags !== this.#receiveFlags) throw malformed(`unknown flags 0x${flags.toString(16)}`);
  }
}

function encodeHeader(
  tokId: number,
  flags: number,
  extraCount: number,
  rotation: number,
  sequence: bigint,
): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint16(0, tokId);
  header[2] = flags;
  header[3] = 0xff;
  view.setUint16(4, extraCount);
  view.setUint16(6, rotation);
  view.setBigUint64(8, sequence);
  return header;
}

function decodeHeader(token: Uint8Array, tokId: number): Header {
  const r = new Reader(token, 'CFX');
  if (r.u16('TOK_ID') !== tokId) r.fail(`not a ${tokId === TOK_WRAP ? 'Wrap' : 'MIC'} token`);
  const flags = r.u8('Flags');
  // RFC 4121 4.2.6.2: Filler "contains the hex value FF".
  if (r.u8('Filler') !== 0xff) r.fail('filler is not FF');
  const extraCount = r.u16('EC');
  const rotation = r.u16('RRC');
  // RFC 4121 4.2.6.1: a MIC token has five bytes of filler.
  if (tokId === TOK_MIC && (extraCount !== 0xffff || rotation !== 0xffff)) r.fail('filler is not FF');
  return { flags, extraCount, rotation, sequence: r.u64('SND_SEQ') };
}

/** Undoes a right rotation by `count` bytes (RFC 4121 4.2.5), always into a copy. */
function unrotate(body: Uint8Array, count: number): Uint8Array {
  if (body.length === 0) throw malformed('token holds nothing but a header');
  const turn = count % body.length;
  return concat(body.subarray(turn), body.subarray(0, turn));
}

function malformed(message: string): MalformedError {
  return new MalformedError('CFX', message);
}
function refused(message: string): AdError {
  return new AdError('INTEGRITY', `GSS token refused: ${message}`);
}
