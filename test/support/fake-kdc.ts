/**
 * A KDC of a few lines in this process that says whatever a test wants, sealed with the right keys or with others: the
 * attacker who is the KDC, or who sits on the wire.
 */
import assert from 'node:assert/strict';
import { type Codec, fromDer, toDer } from '../../src/asn1.ts';
import { Key } from '../../src/krb5/crypto/index.ts';
import {
  ApReq,
  AsRep,
  AsReq,
  Authenticator,
  EncAsRepPart,
  EncryptedData,
  EncTgsRepPart,
  EtypeInfo2,
  KdcReqBody,
  KrbError,
  MethodData,
  type PaData,
  TgsRep,
  TgsReq,
  Ticket,
} from '../../src/krb5/messages.ts';
import type { KdcReply, KdcTransport } from '../../src/krb5/network/transport.ts';
import { keyUsage, krbError, msgType, paType, ticketFlag } from '../../src/krb5/numbers.ts';

/** What one request asked for. */
export interface SeenRequest {
  readonly realm: string;
  readonly der: Uint8Array;
  readonly kind: 'AS' | 'TGS';
  readonly body: KdcReqBody;
  readonly padata: readonly PaData[];
  readonly signal: AbortSignal | undefined;
}

type Answer = (request: SeenRequest, number: number) => Uint8Array | Promise<Uint8Array>;

export class FakeKdc implements KdcTransport {
  readonly requests: SeenRequest[] = [];
  readonly #answers: readonly Answer[];

  /** The answers in turn; the last is given again and again. */
  constructor(...answers: Answer[]) {
    this.#answers = answers;
  }

  async exchange(realm: string, der: Uint8Array, signal?: AbortSignal): Promise<KdcReply> {
    const kind = der[0] === 0x60 + msgType.AS_REQ ? 'AS' : 'TGS';
    const request = fromDer(kind === 'AS' ? AsReq : TgsReq, der);
    const body = fromDer(KdcReqBody, request.reqBody);
    const seen = { realm, der, kind, body, padata: request.padata ?? [], signal } as const;
    const answer = this.#answers[Math.min(this.requests.length, this.#answers.length - 1)]!;
    this.requests.push(seen);
    return { message: await answer(seen, this.requests.length), server: 'kdc.test:88' };
  }

  close(): void {}

  /** How many requests carried an encrypted timestamp: each is a guess that the KDC counts towards a lockout. */
  get guesses(): number {
    return this.requests.filter((r) => timestampOf(r) !== undefined).length;
  }
}

/** The PA-ENC-TIMESTAMP of a request. */
export function timestampOf(request: SeenRequest): EncryptedData | undefined {
  const pa = request.padata.find((p) => p.padataType === paType.ENC_TIMESTAMP);
  return pa && fromDer(EncryptedData, pa.padataValue);
}

export interface ErrorParts {
  readonly stime?: Date;
  readonly eText?: string;
  readonly eData?: Uint8Array;
  /** The client's realm as the KDC knows it. */
  readonly crealm?: string;
}

export function errorReply(code: keyof typeof krbError | number, now: number, parts: ErrorParts = {}): Uint8Array {
  return toDer(KrbError, {
    pvno: 5,
    msgType: msgType.ERROR,
    stime: new Date(now),
    susec: 0,
    errorCode: typeof code === 'number' ? code : krbError[code],
    realm: 'EXAMPLE.TEST',
    sname: { nameType: 2, nameString: ['krbtgt', 'EXAMPLE.TEST'] },
    ...parts,
  });
}

/** METHOD-DATA with ETYPE-INFO2, as in a PREAUTH_REQUIRED. */
export function hints(...entries: EtypeInfo2): Uint8Array {
  return toDer(MethodData, [
    { padataType: paType.ENC_TIMESTAMP, padataValue: new Uint8Array(0) },
    { padataType: paType.ETYPE_INFO2, padataValue: toDer(EtypeInfo2, entries) },
  ]);
}

type Part = Parameters<typeof toDer<import('../../src/krb5/messages.ts').EncKdcRepPart>>[1];
type Rep = Parameters<typeof toDer<import('../../src/krb5/messages.ts').KdcRep>>[1];

export interface ReplyParts {
  /** Fields of the sealed part that differ from an honest KDC's. */
  readonly part?: Partial<Part>;
  /** Fields in the clear. */
  readonly rep?: Partial<Rep>;
  /** Fields of the ticket; its server follows that of the sealed part unless told otherwise. */
  readonly ticket?: Partial<Ticket>;
  readonly usage?: number;
  /** Seals with this key instead. */
  readonly key?: Key;
  /** Declares this etype for the sealed part. */
  readonly etype?: number;
  /** The sealed part is written with the tag of the other exchange. */
  readonly otherTag?: boolean;
  /** Replaces the clear text that is sealed. */
  readonly clear?: (clear: Uint8Array) => Uint8Array;
}

const HOUR = 3_600_000;
export const SESSION_KEY = { keytype: 18, keyvalue: new Uint8Array(32).fill(0x5e) };

/** An AS-REP for `request`, honest but for `parts`. */
export function asReply(request: SeenRequest, key: Key, now: number, parts: ReplyParts = {}): Uint8Array {
  const flags = ticketFlag.INITIAL | ticketFlag.PRE_AUTHENT | ticketFlag.RENEWABLE | ticketFlag.FORWARDABLE;
  const codecs = parts.otherTag ? [AsRep, EncTgsRepPart] : [AsRep, EncAsRepPart];
  const { body } = request;
  const client = { crealm: body.realm, cname: body.cname! };
  const part = { flags, renewTill: body.rtime, ...parts.part };
  return reply(codecs, msgType.AS_REP, keyUsage.AS_REP_ENC_PART, client, request, key, now, { ...parts, part });
}

/** The subkey in a TGS-REQ. @param session key of the ticket presented */
export function subkeyOf(request: SeenRequest, session = SESSION_KEY): { key: Key; authenticator: Authenticator } {
  const pa = request.padata.find((p) => p.padataType === paType.TGS_REQ) ?? assert.fail('no PA-TGS-REQ');
  const apReq = fromDer(ApReq, pa.padataValue);
  const sessionKey = new Key(session.keytype, session.keyvalue);
  const clear = sessionKey.decrypt(keyUsage.TGS_REQ_AUTHENTICATOR, apReq.authenticator.cipher);
  const authenticator = fromDer(Authenticator, clear);
  return { key: new Key(authenticator.subkey!.keytype, authenticator.subkey!.keyvalue), authenticator };
}

/** A TGS-REP for `request`, honest but for `parts`. */
export function tgsReply(request: SeenRequest, now: number, parts: ReplyParts = {}): Uint8Array {
  const { key, authenticator } = subkeyOf(request);
  const client = { crealm: authenticator.crealm, cname: authenticator.cname };
  const codecs = parts.otherTag ? [TgsRep, EncAsRepPart] : [TgsRep, EncTgsRepPart];
  const usage = keyUsage.TGS_REP_ENC_PART_SUBKEY;
  return reply(codecs, msgType.TGS_REP, usage, client, request, key, now, parts);
}

function reply(
  // biome-ignore lint/suspicious/noExplicitAny: the two exchanges' codecs have the same types
  [repCodec, partCodec]: readonly Codec<any>[],
  type: number,
  usage: number,
  client: Pick<Rep, 'crealm' | 'cname'>,
  { body }: SeenRequest,
  key: Key,
  now: number,
  parts: ReplyParts,
): Uint8Array {
  const time = new Date(Math.floor(now / 1000) * 1000);
  const part: Part = {
    key: SESSION_KEY,
    lastReq: [{ lrType: 0, lrValue: time }],
    nonce: body.nonce,
    flags: ticketFlag.FORWARDABLE,
    authtime: time,
    starttime: time,
    endtime: new Date(Math.min(body.till.getTime(), time.getTime() + 10 * HOUR)),
    srealm: body.realm,
    sname: body.sname!,
    ...parts.part,
  };
  const ticket = { tktVno: 5, realm: part.srealm, sname: part.sname, ...parts.ticket };
  const clear = toDer(partCodec!, part);
  const sealed = (parts.key ?? key).encrypt(parts.usage ?? usage, parts.clear?.(clear) ?? clear);
  return toDer(repCodec!, {
    pvno: 5,
    msgType: type,
    ...client,
    ticket: toDer(Ticket, { encPart: { etype: 18, kvno: 2, cipher: new Uint8Array(80).fill(1) }, ...ticket }),
    encPart: { etype: parts.etype ?? (parts.key ?? key).etype, kvno: 3, cipher: sealed },
    ...parts.rep,
  });
}
