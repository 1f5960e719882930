/** Signed data of CMS (RFC 5652 section 5), as far as PKINIT uses it: one signer or none, the content inside. */
import { createHash, type KeyObject, sign, verify, X509Certificate } from 'node:crypto';
import { fromDer, objectIdentifier, octets, toDer } from '../../asn1.ts';
import { setOf, universal } from '../../asn1-untagged.ts';
import { equal } from '../../bytes.ts';
import { AdError, MalformedError } from '../../errors.ts';
import {
  type AlgorithmIdentifier,
  Attribute,
  Certificate,
  ContentInfo,
  IssuerAndSerialNumber,
  oid,
  SignedData,
  type SignerInfo,
  SubjectPublicKeyInfo,
} from './messages.ts';

/** Who signs: a certificate, those that lead to its authority, and its private key. */
export interface Signer {
  /** The signer's own first. */
  readonly certificates: readonly X509Certificate[];
  readonly key: KeyObject;
}

/** Digests that are believed. Domain controllers up to Windows Server 2016 sign with SHA-1. */
const DIGESTS: ReadonlyMap<string, string> = new Map([
  [oid.sha1, 'sha1'],
  [oid.sha256, 'sha256'],
  [oid.sha384, 'sha384'],
  [oid.sha512, 'sha512'],
]);

/** Signatures of RSA (PKCS #1 v1.5) and ECDSA; which of the two the key says. */
const SIGNATURES: ReadonlySet<string> = new Set([
  oid.rsaEncryption,
  ...['5', '11', '12', '13'].map((n) => `1.2.840.113549.1.1.${n}`),
  '1.2.840.10045.4.1',
  ...['2', '3', '4'].map((n) => `1.2.840.10045.4.3.${n}`),
]);

const SIGNING_DIGEST: AlgorithmIdentifier = { algorithm: oid.sha256 };
const ECDSA_SHA256 = '1.2.840.10045.4.3.2';
const NULL = Uint8Array.of(5, 0);

/** More certificates than this in one message are nobody's chain. */
const MAX_CERTIFICATES = 16;

/**
 * Content and the signature over it, DER of a ContentInfo. Without a signer there is none, as in requests of nobody in
 * particular (RFC 8062 section 4.1).
 */
export function signedData(contentType: string, content: Uint8Array, signer?: Signer): Uint8Array {
  const signed = toDer(SignedData, {
    version: 3,
    digestAlgorithms: signer ? [SIGNING_DIGEST] : [],
    encapContentInfo: { eContentType: contentType, eContent: content },
    certificates: signer?.certificates.map((c) => new Uint8Array(c.raw)),
    signerInfos: signer ? [signatureOf(contentType, content, signer)] : [],
  });
  return toDer(ContentInfo, { contentType: oid.signedData, content: signed });
}

function signatureOf(contentType: string, content: Uint8Array, { certificates, key }: Signer): SignerInfo {
  const own = certificates[0];
  if (!own) throw new AdError('INVALID_ARGUMENT', 'a signer without a certificate');
  const { tbsCertificate } = fromDer(Certificate, new Uint8Array(own.raw));
  const signedAttrs = toDer(setOf(Attribute), [
    { attrType: oid.contentType, attrValues: [toDer(objectIdentifier, contentType)] },
    { attrType: oid.messageDigest, attrValues: [toDer(octets, digest('sha256', content))] },
  ]);
  return {
    version: 1,
    sid: toDer(IssuerAndSerialNumber, tbsCertificate),
    digestAlgorithm: SIGNING_DIGEST,
    signedAttrs,
    signatureAlgorithm:
      key.asymmetricKeyType === 'ec' ? { algorithm: ECDSA_SHA256 } : { algorithm: oid.rsaEncryption, parameters: NULL },
    signature: new Uint8Array(sign('sha256', signedAttrs, key)),
  };
}

export interface OpenedSignedData {
  readonly content: Uint8Array;
  /** Whose signature it is. Whether that one is to be trusted is for the caller to find out. */
  readonly signer: X509Certificate;
  /** All that came along, in the sender's order. */
  readonly certificates: readonly X509Certificate[];
}

/**
 * Checks the one signature.
 * @throws AdError INTEGRITY when it is not the content's, MalformedError for what is no signed data of that type
 */
export function openSignedData(der: Uint8Array, contentType: string): OpenedSignedData {
  const info = fromDer(ContentInfo, der);
  if (info.contentType !== oid.signedData) throw new MalformedError('CMS', `content of type ${info.contentType}`);
  const { encapContentInfo, certificates: raw = [], signerInfos } = fromDer(SignedData, info.content);
  const content = encapContentInfo.eContent;
  if (encapContentInfo.eContentType !== contentType || !content)
    throw new MalformedError('CMS', `signed content of type ${encapContentInfo.eContentType}, or none`);
  const [info1, more] = signerInfos;
  if (!info1 || more) throw new MalformedError('CMS', `${signerInfos.length} signatures in place of one`);
  if (raw.length > MAX_CERTIFICATES) throw new MalformedError('CMS', `${raw.length} certificates`);
  const certificates = raw.map(certificate);
  const signer = certificates.find((c) => signs(c, info1.sid));
  if (!signer) throw new MalformedError('CMS', "the signer's certificate is missing");
  checkSignature(info1, contentType, content, signer);
  return { content, signer, certificates };
}

function certificate(der: Uint8Array): X509Certificate {
  try {
    const read = new X509Certificate(der);
    // Node reads the key on first use only.
    return read.publicKey && read;
  } catch (e) {
    throw new MalformedError('CMS', 'a certificate that cannot be read', e);
  }
}

/**
 * By issuer and serial number, or by [0] the subject key identifier: that of the extension, else the hash of the key
 * (RFC 5280 4.2.1.2). Heimdal tags it explicitly.
 */
function signs(candidate: X509Certificate, sid: Uint8Array): boolean {
  const { tbsCertificate } = fromDer(Certificate, new Uint8Array(candidate.raw));
  if (sid[0] === universal.SEQUENCE) return equal(sid, toDer(IssuerAndSerialNumber, tbsCertificate));
  const named = sid[0] === 0xa0 ? sid.subarray(2) : Uint8Array.from(sid);
  if (sid[0] === 0x80) named[0] = universal.OCTET_STRING;
  const extension = tbsCertificate.extensions?.find((e) => e.extnId === oid.subjectKeyIdentifier);
  const { subjectPublicKey } = fromDer(SubjectPublicKeyInfo, tbsCertificate.subjectPublicKeyInfo);
  return equal(named, extension ? extension.extnValue : toDer(octets, digest('sha1', subjectPublicKey)));
}

function checkSignature(info: SignerInfo, contentType: string, content: Uint8Array, signer: X509Certificate): void {
  const why = flaw(info, contentType, content, signer);
  if (why) throw new AdError('INTEGRITY', `a signature that does not hold: ${why}`);
}

function flaw(
  { digestAlgorithm, signatureAlgorithm, signedAttrs, signature }: SignerInfo,
  contentType: string,
  content: Uint8Array,
  { publicKey }: X509Certificate,
): string | undefined {
  const hash = DIGESTS.get(digestAlgorithm.algorithm);
  if (!hash || !SIGNATURES.has(signatureAlgorithm.algorithm))
    return `it is by ${digestAlgorithm.algorithm} and ${signatureAlgorithm.algorithm}`;
  // RFC 5652 5.3: signedAttrs "MUST be present if the content type ... is not id-data".
  if (!signedAttrs) return 'it has no signed attributes';
  const attributes = fromDer(setOf(Attribute), signedAttrs);
  const only = (type: string): Uint8Array | undefined => {
    const values = attributes.filter((a) => a.attrType === type).flatMap((a) => a.attrValues);
    return values.length === 1 ? values[0] : undefined;
  };
  const [type, messageDigest] = [only(oid.contentType), only(oid.messageDigest)];
  if (!type || fromDer(objectIdentifier, type) !== contentType) return 'it names another content type';
  if (!messageDigest || !equal(fromDer(octets, messageDigest), digest(hash, content)))
    return 'it is of another content';
  if (publicKey.asymmetricKeyType !== 'rsa' && publicKey.asymmetricKeyType !== 'ec')
    return `it is by a key of type ${publicKey.asymmetricKeyType}`;
  return verify(hash, signedAttrs, publicKey, signature) ? undefined : 'it is not of the key in the certificate';
}

function digest(hash: string, content: Uint8Array): Uint8Array {
  return new Uint8Array(createHash(hash).update(content).digest());
}
