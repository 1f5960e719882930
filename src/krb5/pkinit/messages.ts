/**
 * The messages of PKINIT (RFC 4556 3.2, RFC 8636 3, RFC 8062 section 4) and what they borrow: signed data of CMS (RFC 5652
 * section 5) and the parts of X.509 certificates that Node's own decoder does not tell (RFC 5280 4.1).
 */
import {
  boolean,
  context,
  field,
  type Infer,
  int32,
  kerberosString,
  kerberosTime,
  lenientUint32,
  microseconds,
  objectIdentifier,
  octets,
  optional,
  raw,
  sequence,
  sequenceOf,
  uint32,
} from '../../asn1.ts';
import {
  bitString,
  implicit,
  implicitOptional,
  mixedSequence,
  setOf,
  universal,
  unsignedBytes,
  untagged,
  untaggedOptional,
} from '../../asn1-untagged.ts';
import { PrincipalName } from '../messages.ts';

/** Object identifiers, each under its name in the RFC it comes from. */
export const oid = {
  pkinitAuthData: '1.3.6.1.5.2.3.1',
  pkinitDHKeyData: '1.3.6.1.5.2.3.2',
  pkinitKPClientAuth: '1.3.6.1.5.2.3.4',
  pkinitKPKdc: '1.3.6.1.5.2.3.5',
  pkinitSan: '1.3.6.1.5.2.2',
  kdfSha1: '1.3.6.1.5.2.3.6.1',
  kdfSha256: '1.3.6.1.5.2.3.6.2',
  kdfSha512: '1.3.6.1.5.2.3.6.3',
  kdfSha384: '1.3.6.1.5.2.3.6.4',
  dhpublicnumber: '1.2.840.10046.2.1',
  signedData: '1.2.840.113549.1.7.2',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  rsaEncryption: '1.2.840.113549.1.1.1',
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  extKeyUsage: '2.5.29.37',
} as const;

/** RFC 5280 4.1.1.2. The parameters are kept as they stand. */
export const AlgorithmIdentifier = mixedSequence({
  algorithm: untagged(objectIdentifier),
  parameters: untaggedOptional(raw),
});
export type AlgorithmIdentifier = Infer<typeof AlgorithmIdentifier>;
/** RFC 5280 4.1.2.7 */
export const SubjectPublicKeyInfo = mixedSequence({
  algorithm: untagged(AlgorithmIdentifier),
  subjectPublicKey: untagged(bitString),
});
/** RFC 3279 2.3.3. More than the three is for whoever validates the group, and a well-known one needs none. */
export const DomainParameters = mixedSequence({
  p: untagged(unsignedBytes),
  g: untagged(unsignedBytes),
  q: untagged(unsignedBytes),
});

/** RFC 4556 3.2.1, without paChecksum2: `verifyEncPaRep` or the KDF of RFC 8636 bind the reply to all of the request. */
export const PkAuthenticator = sequence({
  cusec: field(0, microseconds),
  ctime: field(1, kerberosTime),
  nonce: field(2, uint32),
  paChecksum: optional(3, octets),
});
/** RFC 8636 section 4 KDFAlgorithmId */
export const KdfAlgorithmId = sequence({ kdfId: field(0, objectIdentifier) });
export const AuthPack = sequence({
  pkAuthenticator: field(0, PkAuthenticator),
  clientPublicValue: optional(1, raw),
  supportedCMSTypes: optional(2, sequenceOf(AlgorithmIdentifier)),
  clientDHNonce: optional(3, octets),
  supportedKDFs: optional(4, sequenceOf(KdfAlgorithmId)),
});
/** RFC 4556 3.2.1 */
export const PaPkAsReq = mixedSequence({
  signedAuthPack: implicit(0, octets, universal.OCTET_STRING),
  trustedCertifiers: optional(1, sequenceOf(raw)),
  kdcPkId: implicitOptional(2, octets, universal.OCTET_STRING),
});
/** RFC 4556 3.2.3.1, RFC 8636 section 4 */
export const DhRepInfo = mixedSequence({
  dhSignedData: implicit(0, octets, universal.OCTET_STRING),
  /** Answers a clientDHNonce, and none is sent. MIT's KDC leaves out its own tag. */
  serverDHNonce: implicitOptional(1, raw, universal.OCTET_STRING),
  kdf: optional(2, KdfAlgorithmId),
});
/** The alternative of PA-PK-AS-REP for Diffie-Hellman; the other one, a key under RSA, is not asked for. */
export const PaPkAsRepDh = context(0, DhRepInfo);
/** RFC 4556 3.2.3.1 */
export const KdcDhKeyInfo = sequence({
  subjectPublicKey: field(0, bitString),
  nonce: field(1, lenientUint32),
  dhKeyExpiration: optional(2, kerberosTime),
});
/** RFC 4556 3.2.2: also the value of id-pkinit-san. */
export const Krb5PrincipalName = sequence({
  realm: field(0, kerberosString),
  principalName: field(1, PrincipalName),
});
/** RFC 8636 section 4 */
export const PkinitSuppPubInfo = sequence({
  enctype: field(0, int32),
  asReq: field(1, octets),
  pkAsRep: field(2, octets),
});
/** RFC 8636 section 4, after NIST SP 800-56A */
export const OtherInfo = mixedSequence({
  algorithmId: untagged(AlgorithmIdentifier),
  partyUInfo: field(0, octets),
  partyVInfo: field(1, octets),
  suppPubInfo: optional(2, octets),
});

/** RFC 5652 section 3 */
export const ContentInfo = mixedSequence({ contentType: untagged(objectIdentifier), content: field(0, raw) });
/** RFC 5652 5.3 */
export const Attribute = mixedSequence({
  attrType: untagged(objectIdentifier),
  attrValues: untagged(setOf(raw)),
});
export const IssuerAndSerialNumber = mixedSequence({ issuer: untagged(raw), serialNumber: untagged(raw) });
export const SignerInfo = mixedSequence({
  version: untagged(int32),
  /** SignerIdentifier: IssuerAndSerialNumber, or [0] the subject key identifier. */
  sid: untagged(raw),
  digestAlgorithm: untagged(AlgorithmIdentifier),
  /** DER of the SET OF Attribute, which is what is signed (RFC 5652 5.4). */
  signedAttrs: implicitOptional(0, raw, universal.SET),
  signatureAlgorithm: untagged(AlgorithmIdentifier),
  signature: untagged(octets),
  unsignedAttrs: implicitOptional(1, raw, universal.SET),
});
export type SignerInfo = Infer<typeof SignerInfo>;
/** RFC 5652 5.1 */
export const SignedData = mixedSequence({
  version: untagged(int32),
  digestAlgorithms: untagged(setOf(AlgorithmIdentifier)),
  encapContentInfo: untagged(
    mixedSequence({ eContentType: untagged(objectIdentifier), eContent: optional(0, octets) }),
  ),
  certificates: implicitOptional(0, setOf(raw), universal.SET),
  crls: implicitOptional(1, raw, universal.SET),
  signerInfos: untagged(setOf(SignerInfo)),
});

/** RFC 5280 4.1, as far as its names and extensions. */
export const TbsCertificate = mixedSequence({
  version: optional(0, int32),
  serialNumber: untagged(raw),
  signature: untagged(raw),
  issuer: untagged(raw),
  validity: untagged(raw),
  subject: untagged(raw),
  subjectPublicKeyInfo: untagged(raw),
  issuerUniqueId: implicitOptional(1, raw, universal.BIT_STRING),
  subjectUniqueId: implicitOptional(2, raw, universal.BIT_STRING),
  extensions: optional(
    3,
    sequenceOf(
      mixedSequence({
        extnId: untagged(objectIdentifier),
        critical: untaggedOptional(boolean, universal.BOOLEAN),
        extnValue: untagged(octets),
      }),
    ),
  ),
});
export const Certificate = mixedSequence({
  tbsCertificate: untagged(TbsCertificate),
  signatureAlgorithm: untagged(raw),
  signature: untagged(raw),
});
/** RFC 5280 4.2.1.6 */
export const GeneralNames = sequenceOf(raw);
export const OtherName = mixedSequence({ typeId: untagged(objectIdentifier), value: field(0, raw) });
