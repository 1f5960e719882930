/**
 * Channel bindings: what ties a GSS context to the TLS connection it runs in, so that a man in the middle cannot pass
 * it on into his own. The kind used with Kerberos is `tls-server-end-point` (RFC 5929 4): a hash of the server's
 * certificate.
 */
import { createHash } from 'node:crypto';
import { md5 } from '@noble/hashes/legacy.js';
import { concat, hex, Reader, utf8, Writer } from '../../bytes.ts';

/**
 * The hash of a channel bindings structure with application data only (RFC 4121 4.1.1.2): addresses of type 0 and no
 * bytes, as MIT, Windows and Samba take them.
 * @returns 16 bytes, MD5
 */
export function channelBindings(applicationData: Uint8Array): Uint8Array {
  const w = new Writer({ littleEndian: true });
  for (let i = 0; i < 4; i++) w.u32(0);
  w.u32(applicationData.length).bytes(applicationData);
  return md5(w.finish());
}

/**
 * Application data for a server's certificate: `tls-server-end-point:` and its hash (RFC 5929 4.1).
 * @param certificate DER
 * @returns undefined where RFC 5929 defines no binding: the signature has no hash function of its own (Ed25519)
 * @throws MalformedError when it is no certificate
 */
export function tlsServerEndPoint(certificate: Uint8Array): Uint8Array | undefined {
  const hash = signatureHash(certificate);
  if (hash === undefined) return undefined;
  return concat(utf8('tls-server-end-point:'), createHash(hash).update(certificate).digest());
}

/**
 * RFC 5929 4.1: "If the certificate's signatureAlgorithm uses a single hash function, and that hash function is either
 * MD5 or SHA-1, then use SHA-256"; another one is used itself. By the object identifier's DER contents.
 */
const SIGNATURES: ReadonlyMap<string, 'sha256' | 'sha384' | 'sha512' | 'sha224'> = new Map([
  ['2a864886f70d010104', 'sha256'], // md5WithRSAEncryption
  ['2a864886f70d010105', 'sha256'], // sha1WithRSAEncryption
  ['2a864886f70d01010e', 'sha224'],
  ['2a864886f70d01010b', 'sha256'],
  ['2a864886f70d01010c', 'sha384'],
  ['2a864886f70d01010d', 'sha512'],
  ['2a8648ce3d0401', 'sha256'], // ecdsa-with-SHA1
  ['2a8648ce3d040301', 'sha224'],
  ['2a8648ce3d040302', 'sha256'],
  ['2a8648ce3d040303', 'sha384'],
  ['2a8648ce3d040304', 'sha512'],
  ['2a8648ce380403', 'sha256'], // dsa-with-sha1
  ['608648016503040301', 'sha224'], // dsa-with-sha224
  ['608648016503040302', 'sha256'], // dsa-with-sha256
]);
const RSASSA_PSS = '2a864886f70d01010a';
/** Hash functions in the parameters of RSASSA-PSS (RFC 4055 2.1); SHA-1 where there are none. */
const PSS_HASHES: ReadonlyMap<string, 'sha256' | 'sha384' | 'sha512' | 'sha224'> = new Map([
  ['2b0e03021a', 'sha256'], // SHA-1
  ['608648016503040204', 'sha224'],
  ['608648016503040201', 'sha256'],
  ['608648016503040202', 'sha384'],
  ['608648016503040203', 'sha512'],
]);

/** Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, parameters }, signatureValue }. */
function signatureHash(certificate: Uint8Array): 'sha256' | 'sha384' | 'sha512' | 'sha224' | undefined {
  const outer = value(new Reader(certificate, 'certificate'), SEQUENCE);
  const r = new Reader(outer, 'certificate');
  value(r, SEQUENCE); // tbsCertificate
  const algorithm = new Reader(value(r, SEQUENCE), 'certificate');
  const oid = hex(value(algorithm, OID));
  if (oid !== RSASSA_PSS) return SIGNATURES.get(oid);
  // RSASSA-PSS-params ::= SEQUENCE { hashAlgorithm [0] HashAlgorithm DEFAULT sha1Identifier, … }
  const params = new Reader(value(algorithm, SEQUENCE), 'certificate');
  if (params.remaining === 0) return 'sha256';
  const [tag, first] = element(params);
  if (tag !== CONTEXT_0) return 'sha256';
  const hash = new Reader(value(new Reader(first, 'certificate'), SEQUENCE), 'certificate');
  return PSS_HASHES.get(hex(value(hash, OID)));
}

const SEQUENCE = 0x30;
const OID = 0x06;
const CONTEXT_0 = 0xa0;

/** One element's tag and content. Certificates are walked here and not by asn1.ts, whose types are those of Kerberos. */
function element(r: Reader): [tag: number, content: Uint8Array] {
  const tag = r.u8('tag');
  let length = r.u8('length');
  if (length >= 0x80) {
    const bytes = length & 0x7f;
    if (bytes < 1 || bytes > 3) r.fail(`length in ${bytes} bytes`);
    length = 0;
    for (let i = 0; i < bytes; i++) length = length * 256 + r.u8('length');
  }
  return [tag, r.bytes(length, 'element')];
}
function value(r: Reader, expected: number): Uint8Array {
  const [tag, content] = element(r);
  return tag === expected ? content : r.fail(`tag ${tag} where ${expected} is due`);
}
