/**
 * PKINIT, RFC 4556: a logon by certificate in place of a password, or by nobody in particular (RFC 8062), whose ticket
 * armors other logons. The reply is sealed by a Diffie-Hellman agreement that the KDC signs.
 */
import { createHash } from 'node:crypto';
import { fromDer, toDer } from '../../asn1.ts';
import { wipe } from '../../bytes.ts';
import { AdError, isAdError } from '../../errors.ts';
import { DEFAULT_ETYPES } from '../crypto/index.ts';
import { type ExchangeContext, newStamp } from '../exchanges/context.ts';
import { fromPrincipalName, type KdcReqBody, type PaData, type PrincipalName } from '../messages.ts';
import { paType } from '../numbers.ts';
import { anonymousPrincipal } from '../principal.ts';
import type { PublicKeyProof, Secret } from '../secret.ts';
import { type KdcCertificateRules, verifyKdcCertificate } from './kdc-certificate.ts';
import { Agreement, agreedKey, type DhBits, KDFS, octetString2Key } from './key-agreement.ts';
import { AuthPack, KdcDhKeyInfo, oid, PaPkAsRepDh, PaPkAsReq } from './messages.ts';
import { type OpenedSignedData, openSignedData, type Signer, signedData } from './signed-data.ts';

/** How a KDC is known, and who the client is. */
export interface PkinitOptions extends KdcCertificateRules {
  /** Absent: nobody in particular. */
  readonly signer?: Signer;
  /** Encryption types for the reply, in order of preference. */
  readonly etypes?: readonly number[];
  /** Length of the group's prime; KDCs may want more than the 2048 bits of default. */
  readonly dhBits?: DhBits;
}

/** A certificate with its private key, or the lack of one, in the place of a long-term key. */
export class PkinitSecret implements Secret {
  readonly etypes: readonly number[];
  readonly publicKey: NonNullable<Secret['publicKey']>;
  remembered: undefined;

  /** @throws AdError INVALID_ARGUMENT without anchors: a KDC that anybody could be is no KDC */
  constructor(options: PkinitOptions) {
    if (options.anchors.length === 0)
      throw new AdError('INVALID_ARGUMENT', 'PKINIT needs certificates that the KDC is known by (pkinit_anchors)');
    this.etypes = options.etypes ?? DEFAULT_ETYPES;
    this.publicKey = {
      anonymous: options.signer === undefined,
      prove: (context, body, reqBody) => new PkinitExchange(context, options, body, reqBody),
    };
  }

  async key(): Promise<undefined> {
    return undefined;
  }

  /** Private keys and what is agreed stay in Node's keeping, which wipes them. */
  destroy(): void {}
}

class PkinitExchange implements PublicKeyProof {
  readonly padata: PaData;
  readonly #context: ExchangeContext;
  readonly #options: PkinitOptions;
  readonly #body: KdcReqBody;
  readonly #agreement: Agreement;

  constructor(context: ExchangeContext, options: PkinitOptions, body: KdcReqBody, reqBody: Uint8Array) {
    this.#context = context;
    this.#options = options;
    this.#body = body;
    this.#agreement = new Agreement(options.dhBits ?? 2048);
    const { seconds, microseconds } = newStamp(context);
    const authPack = toDer(AuthPack, {
      pkAuthenticator: {
        cusec: microseconds,
        ctime: seconds,
        // MIT's KDC repeats the request's nonce where the RFC has this one repeated: so they are the same.
        nonce: body.nonce,
        // RFC 4556 3.2.1: SHA-1 of the KDC-REQ-BODY. It is for the KDC; what we go by is in the reply.
        paChecksum: new Uint8Array(createHash('sha1').update(reqBody).digest()),
      },
      clientPublicValue: this.#agreement.publicKeyInfo,
      supportedKDFs: KDFS.map((kdf) => ({ kdfId: kdf.oid })),
    });
    const signedAuthPack = signedData(oid.pkinitAuthData, authPack, options.signer);
    this.padata = { padataType: paType.PK_AS_REQ, padataValue: toDer(PaPkAsReq, { signedAuthPack }) };
  }

  replyKey({
    padata,
    etype,
    asReq,
    server,
  }: Parameters<PublicKeyProof['replyKey']>[0]): ReturnType<PublicKeyProof['replyKey']> {
    const pa = padata.find((p) => p.padataType === paType.PK_AS_REP);
    if (!pa) throw refused(server, 'it has no PKINIT answer');
    if (pa.padataValue[0] === ENC_KEY_PACK)
      throw refused(server, 'it has a key under RSA, not the agreement asked for');
    const answer = fromDer(PaPkAsRepDh, pa.padataValue);
    // RFC 4556 3.2.3.1: the KDC has a nonce only where the client sent one, to agree without a fresh key.
    if (answer.serverDHNonce) throw refused(server, 'it has a nonce, though none was sent');
    const secret = this.#agreement.secret(this.#theirs(answer.dhSignedData, server));
    try {
      if (!answer.kdf) return { key: octetString2Key(etype, secret), bound: false };
      const { realm, cname, sname } = this.#body;
      const named = (name: PrincipalName = { nameType: 0, nameString: [] }) => fromPrincipalName(name, realm);
      // Of nobody in particular MIT's sides take the name in the ticket, not the one that was asked for.
      const client = this.#options.signer ? named(cname) : anonymousPrincipal();
      const agreed = { client, server: named(sname), etype, asReq, pkAsRep: pa.padataValue };
      return { key: agreedKey(answer.kdf.kdfId, secret, agreed), bound: true };
    } finally {
      wipe(secret);
    }
  }

  /** The KDC's public value, once it is certain that it is the KDC's, and for this request. */
  #theirs(signed: Uint8Array, server: string): Uint8Array {
    const { content, signer, certificates } = openKdcData(signed, server);
    // By our own clock: that of the KDC is what somebody said who has yet to prove that he is one.
    verifyKdcCertificate(signer, certificates, this.#options, this.#body.realm, this.#context.clock());
    const info = fromDer(KdcDhKeyInfo, content);
    if (info.nonce !== this.#body.nonce) throw refused(server, 'its agreement is of another request');
    return info.subjectPublicKey;
  }
}

/** The tag of the other alternative of PA-PK-AS-REP. */
const ENC_KEY_PACK = 0x81;

function openKdcData(signed: Uint8Array, server: string): OpenedSignedData {
  try {
    return openSignedData(signed, oid.pkinitDHKeyData);
  } catch (e) {
    if (!isAdError(e, 'INTEGRITY')) throw e;
    throw refused(server, `the KDC's part has ${e.message}`, e);
  }
}

function refused(server: string, why: string, cause?: unknown): AdError {
  return new AdError('REPLY_REJECTED', `AS-REP from ${server} refused: ${why}`, { server }, cause);
}
