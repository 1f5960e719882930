/**
 * Per-message tokens of the Kerberos GSS-API mechanism for RC4 keys (RFC 4757 section 7, in the shape of RFC 1964), as pure
 * functions of a key, a direction and two sequence numbers. For services that have no newer key; a context comes to them
 * only where RC4 is permitted by name.
 *
 * Token, in the frame of an initial one: TOK_ID (2), SGN_ALG (2), SEAL_ALG (2), Filler (2), SND_SEQ (8, encrypted),
 * SGN_CKSUM (8), then in a Wrap token confounder (8), data, and one byte of padding.
 */
import { randomBytes } from 'node:crypto';
import { md5 } from '@noble/hashes/legacy.js';
import { concat, equal, Reader, utf8, wipe } from '../../bytes.ts';
import { AdError, MalformedError } from '../../errors.ts';
import type { RandomBytes } from '../crypto/index.ts';
import { hmacMd5, rc4 } from '../crypto/rc4.ts';
import { etype } from '../numbers.ts';
import type { CfxOptions } from './cfx.ts';
import type { MessageTokens } from './context.ts';
import { ReceivedSequence } from './sequence.ts';
import { frameToken, unframeToken } from './token.ts';

const TOK_MIC = 0x0101;
const TOK_WRAP = 0x0201;
/** Section 7.2 and 7.3: SGN_ALG and SEAL_ALG, in the order in which their bytes travel. */
const SIGN_HMAC = 0x1100;
const SEAL_RC4 = 0x1000;
const SEAL_NONE = 0xffff;
const FILLER = 0xffff;
/** The message types T that go into the checksum. */
const MESSAGE_TYPE = { WRAP: 13, MIC: 15 } as const;

const HEADER_BYTES = 8;
const SEQUENCE_BYTES = 8;
const CKSUM_BYTES = 8;
const CONFOUNDER_BYTES = 8;
/** Tag, a length of four bytes at most, and the mechanism. */
const FRAME_BYTES = 1 + 4 + 11;
/** RC4 needs none; RFC 1964 1.2.2.3 has each token padded all the same, with as many bytes as each of them says. */
const PADDING = Uint8Array.of(1);

const SIGNATURE_KEY = utf8('signaturekey\0');
const ZERO = new Uint8Array(4);

export interface Rc4TokenOptions extends Omit<CfxOptions, 'acceptorSubkey'> {
  /** Gives the confounders; only a test needs its own. */
  readonly random?: RandomBytes;
}

/** One established context with an RC4 key. */
export class Rc4Context implements MessageTokens {
  readonly #options: Rc4TokenOptions;
  readonly #random: RandomBytes;
  readonly #signKey: Uint8Array;
  readonly #sequenceKey: Uint8Array;
  readonly #sealKey: Uint8Array;
  readonly #received: ReceivedSequence;
  #sendSeq: number;
  #destroyed = false;

  /**
   * The context takes the key over: `destroy()` wipes it. Sequence numbers count to 32 bits.
   * @throws AdError ETYPE for a key of another type. There is no 40-bit one ("arcfour-hmac-exp", etype 24) among keys here.
   */
  constructor(options: Rc4TokenOptions) {
    const { key } = options;
    if (key.etype !== etype.RC4_HMAC) {
      throw new AdError('ETYPE', `tokens of RFC 4757 need an RC4 key, not one of etype ${key.etype}`, {
        etype: key.etype,
      });
    }
    this.#options = options;
    this.#random = options.random ?? randomBytes;
    this.#signKey = hmacMd5(key.value, SIGNATURE_KEY);
    this.#sequenceKey = hmacMd5(key.value, ZERO);
    // Section 7.3: "Klocal = Kss XOR 0xF0" for each byte.
    const local = key.value.map((byte) => byte ^ 0xf0);
    this.#sealKey = hmacMd5(local, ZERO);
    wipe(local);
    this.#sendSeq = Number(BigInt.asUintN(32, options.sendSeq));
    this.#received = new ReceivedSequence(BigInt.asUintN(32, options.recvSeq), options.order ?? 'strict', 32);
  }

  /** Bytes a sealed token is longer than its plaintext, at most: the frame's length takes one byte to four. */
  get sealOverhead(): number {
    return FRAME_BYTES + HEADER_BYTES + SEQUENCE_BYTES + CKSUM_BYTES + CONFOUNDER_BYTES + PADDING.length;
  }

  /** A Wrap token (section 7.3). Unsealed it carries confounder and padding too, in the clear. */
  wrap(plain: Uint8Array, { confidential }: { confidential: boolean }): Uint8Array {
    const header = encodeHeader(TOK_WRAP, confidential ? SEAL_RC4 : SEAL_NONE);
    const number = this.#nextNumber();
    const clear = concat(this.#random(CONFOUNDER_BYTES), plain, PADDING);
    const checksum = this.#checksum(MESSAGE_TYPE.WRAP, header, clear);
    const body = confidential ? this.#crypt(this.#sealKey, number, clear) : clear;
    const token = this.#token(header, number, checksum, body);
    wipe(clear);
    return token;
  }

  /**
   * Opens the peer's Wrap token and moves the expected sequence number on.
   * @throws MalformedError for a token of the wrong shape, AdError INTEGRITY when it was altered, replayed, reordered,
   *   reflected, or protected with another key than the context's
   */
  unwrap(token: Uint8Array): { plain: Uint8Array; confidential: boolean } {
    const { header, sealAlg, sealedNumber, checksum, body } = decodeToken(token, TOK_WRAP);
    if (body.length < CONFOUNDER_BYTES + PADDING.length) throw malformed(`${body.length} bytes hold no confounder`);
    const number = this.#crypt(this.#sequenceKey, checksum, sealedNumber);
    const confidential = sealAlg === SEAL_RC4;
    const clear = confidential ? this.#crypt(this.#sealKey, number.subarray(0, 4), body) : body.slice();
    if (!equal(this.#checksum(MESSAGE_TYPE.WRAP, header, clear), checksum)) {
      wipe(clear);
      throw refused('checksum does not match');
    }
    this.#accept(number);
    const end = clear.length - PADDING.length;
    if (clear[end] !== PADDING[0]) throw malformed('padding is not one byte of 01');
    return { plain: clear.subarray(CONFOUNDER_BYTES, end), confidential };
  }

  /** A MIC token over `message` (section 7.2). */
  getMic(message: Uint8Array): Uint8Array {
    const header = encodeHeader(TOK_MIC, FILLER);
    return this.#token(header, this.#nextNumber(), this.#checksum(MESSAGE_TYPE.MIC, header, message), new Uint8Array());
  }

  /** Checks the peer's MIC token over `message`; errors as `unwrap`. */
  verifyMic(message: Uint8Array, token: Uint8Array): void {
    const { header, sealedNumber, checksum, body } = decodeToken(token, TOK_MIC);
    if (body.length > 0) throw malformed(`${body.length} bytes follow the checksum`);
    if (!equal(this.#checksum(MESSAGE_TYPE.MIC, header, message), checksum)) throw refused('checksum does not match');
    this.#accept(this.#crypt(this.#sequenceKey, checksum, sealedNumber));
  }

  /** Wipes the key and all made from it. */
  destroy(): void {
    this.#destroyed = true;
    this.#options.key.destroy();
    wipe(this.#signKey, this.#sequenceKey, this.#sealKey);
  }

  /** Our next sequence number, big endian. */
  #nextNumber(): Uint8Array {
    if (this.#destroyed) throw new AdError('INVALID_ARGUMENT', 'the context was destroyed before this use of it');
    const number = new Uint8Array(4);
    new DataView(number.buffer).setUint32(0, this.#sendSeq);
    this.#sendSeq = (this.#sendSeq + 1) >>> 0;
    return number;
  }

  /** The first eight bytes of HMAC(Ksign, MD5(T | header | data)). */
  #checksum(messageType: number, header: Uint8Array, data: Uint8Array): Uint8Array {
    if (this.#destroyed) throw new AdError('INVALID_ARGUMENT', 'the context was destroyed before this use of it');
    const type = Uint8Array.of(messageType, 0, 0, 0);
    return hmacMd5(this.#signKey, md5(concat(type, header, data))).subarray(0, CKSUM_BYTES);
  }

  /** RC4 under a key that is made for one token: of its checksum for the number, of its number for the data. */
  #crypt(base: Uint8Array, salt: Uint8Array, data: Uint8Array): Uint8Array {
    const key = hmacMd5(base, salt);
    try {
      return rc4(key, data);
    } finally {
      wipe(key);
    }
  }

  #token(header: Uint8Array, number: Uint8Array, checksum: Uint8Array, body: Uint8Array): Uint8Array {
    const sealedNumber = this.#crypt(this.#sequenceKey, checksum, concat(number, direction(this.#options.initiator)));
    const tokId = (header[0]! << 8) | header[1]!;
    return frameToken(tokId, concat(header.subarray(2), sealedNumber, checksum, body));
  }

  /** The number and direction of a token whose checksum was right. The checksum covers neither, but keys their cipher. */
  #accept(number: Uint8Array): void {
    const from = number.subarray(4);
    if (equal(from, direction(this.#options.initiator))) throw refused('token was sent in our own direction');
    if (!equal(from, direction(!this.#options.initiator))) throw refused('its sequence number does not decrypt');
    this.#received.accept(BigInt(new DataView(number.buffer, number.byteOffset).getUint32(0)));
  }
}

/** Section 7.2: four bytes after the number, "0" from the initiator, "0xff" from the acceptor. */
function direction(initiator: boolean): Uint8Array {
  return new Uint8Array(4).fill(initiator ? 0 : 0xff);
}

function encodeHeader(tokId: number, sealAlg: number): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  [tokId, SIGN_HMAC, sealAlg, FILLER].forEach((value, i) => {
    view.setUint16(2 * i, value);
  });
  return header;
}

function decodeToken(token: Uint8Array, wanted: typeof TOK_MIC | typeof TOK_WRAP) {
  const { tokId, inner } = unframeToken(token);
  if (tokId !== wanted) throw malformed(`not a ${wanted === TOK_WRAP ? 'Wrap' : 'MIC'} token`);
  const r = new Reader(inner, 'RC4 token');
  // Other algorithms of RFC 1964 are DES; none is accepted in their place.
  const signAlg = r.u16('SGN_ALG');
  if (signAlg !== SIGN_HMAC) r.fail(`unknown SGN_ALG ${signAlg.toString(16)}`);
  const sealAlg = r.u16('SEAL_ALG');
  if (sealAlg !== SEAL_NONE && (wanted === TOK_MIC || sealAlg !== SEAL_RC4)) {
    r.fail(`unknown SEAL_ALG ${sealAlg.toString(16)}`);
  }
  if (r.u16('Filler') !== FILLER) r.fail('filler is not FF');
  const sealedNumber = r.bytes(SEQUENCE_BYTES, 'SND_SEQ');
  const checksum = r.bytes(CKSUM_BYTES, 'SGN_CKSUM');
  return { header: encodeHeader(tokId, sealAlg), sealAlg, sealedNumber, checksum, body: r.bytes(r.remaining) };
}

function malformed(message: string): MalformedError {
  return new MalformedError('RC4 token', message);
}

function refused(message: string): AdError {
  return new AdError('INTEGRITY', `GSS token refused: ${message}`);
}
