/**
 * Whether a certificate is that of a realm's KDC: it leads to an authority that is trusted for it, and says so itself
 * (RFC 4556 3.2.4). Without this anybody between could answer in the KDC's place.
 */
import type { X509Certificate } from 'node:crypto';
import { boolean, fromDer, int32, kerberosFlags, objectIdentifier, sequenceOf } from '../../asn1.ts';
import { mixedSequence, universal, untaggedOptional } from '../../asn1-untagged.ts';
import { AdError, MalformedError } from '../../errors.ts';
import { printable } from '../exchanges/errors.ts';
import { fromPrincipalName } from '../messages.ts';
import { krbtgt, samePrincipal } from '../principal.ts';
import { AlgorithmIdentifier, Certificate, GeneralNames, Krb5PrincipalName, OtherName, oid } from './messages.ts';

/** What a KDC's certificate must say. */
export interface KdcCertificateRules {
  /** Authorities (or KDCs' own certificates) that are trusted; never empty. */
  readonly anchors: readonly X509Certificate[];
  /**
   * Hosts that a certificate without the realm's name may name instead (krb5.conf pkinit_kdc_hostname). One with a KDC's
   * purpose may name the realm as a host too: domain controllers of Active Directory are certified for their domain.
   */
  readonly kdcHostnames?: readonly string[];
  /** The purpose it must have: that of a KDC unless told otherwise (krb5.conf pkinit_eku_checking). */
  readonly ekuChecking?: 'kpKDC' | 'kpServerAuth' | 'none';
}

/** Certificates between the KDC's and the anchor, at most. */
const MAX_DEPTH = 8;

/**
 * @param others certificates that came along, of which some may lead to the anchor
 * @param now milliseconds since 1970
 * @throws AdError REPLY_REJECTED naming what is wrong with the certificate; MalformedError
 */
export function verifyKdcCertificate(
  kdc: X509Certificate,
  others: readonly X509Certificate[],
  rules: KdcCertificateRules,
  realm: string,
  now: number,
): void {
  const why = chainFlaw(kdc, others, rules.anchors, now) ?? nameFlaw(kdc, rules, realm);
  if (why) {
    // Node has none where it is empty, as in what domain controllers are issued.
    const subject = printable((kdc.subject ?? 'without a subject').replaceAll('\n', ', '));
    throw new AdError('REPLY_REJECTED', `the certificate of the KDC (${subject}) refused: ${why}`, { realm });
  }
}

/**
 * What keeps a certificate from leading to an anchor. Revocation lists are not consulted. Authorities have several
 * certificates of one name and key (renewed, cross-signed), so that all ways are gone, each certificate taken once.
 */
function chainFlaw(
  kdc: X509Certificate,
  others: readonly X509Certificate[],
  anchors: readonly X509Certificate[],
  now: number,
): string | undefined {
  const trusted = new Set(anchors.map((a) => a.fingerprint256));
  const above = new Map([...anchors, ...others].map((c) => [c.fingerprint256, c]));
  above.delete(kdc.fingerprint256);
  if (!isValid(kdc, now)) return 'it has expired or is not yet valid';
  if (trusted.has(kdc.fingerprint256)) return undefined;
  let flaw: string | undefined;
  let reached = [kdc];
  for (let depth = 0; reached.length > 0; depth++) {
    if (depth > MAX_DEPTH) return `more than ${MAX_DEPTH} certificates are between it and an anchor`;
    const issuers: X509Certificate[] = [];
    for (const [fingerprint, issuer] of above) {
      if (!reached.some((below) => isIssuedBy(below, issuer))) continue;
      above.delete(fingerprint);
      const why = isValid(issuer, now)
        ? authorityFlaw(issuer, depth)
        : 'one on its way to an anchor has expired or is not yet valid';
      if (why) flaw ??= why;
      else if (trusted.has(fingerprint)) return undefined;
      else issuers.push(issuer);
    }
    reached = issuers;
  }
  return flaw ?? 'it does not lead to a certificate that is trusted (pkinit_anchors)';
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  const { signature } = fromDer(Certificate, new Uint8Array(certificate.raw)).tbsCertificate;
  if (BROKEN_SIGNATURES.has(fromDer(AlgorithmIdentifier, signature).algorithm)) return false;
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    return false; // Node knows no such key.
  }
}

function isValid({ validFrom, validTo }: X509Certificate, now: number): boolean {
  return Date.parse(validFrom) <= now && now <= Date.parse(validTo);
}

const BasicConstraints = mixedSequence({
  ca: untaggedOptional(boolean, universal.BOOLEAN),
  pathLength: untaggedOptional(int32),
});

/** RSA with MD2, MD4 and MD5: whoever has something signed can make another certificate that has the same signature. */
const BROKEN_SIGNATURES: ReadonlySet<string> = new Set(['2', '3', '4'].map((n) => `1.2.840.113549.1.1.${n}`));

/** Extensions of an authority that are understood here: key usage, which Node looks at, and basic constraints. */
const UNDERSTOOD: ReadonlySet<string> = new Set([oid.keyUsage, oid.basicConstraints]);
/** And of a KDC. */
const UNDERSTOOD_OF_KDC: ReadonlySet<string> = new Set([...UNDERSTOOD, oid.subjectAltName, oid.extKeyUsage]);

/** RFC 5280 6.1.4. @param below authorities between this one and the KDC's certificate */
function authorityFlaw(authority: X509Certificate, below: number): string | undefined {
  const extensions = extensionsOf(authority);
  const constraints = extensions.find((e) => e.extnId === oid.basicConstraints);
  const { ca, pathLength } = constraints ? fromDer(BasicConstraints, constraints.extnValue) : {};
  if (!authority.ca || !ca) return 'it was issued by one that is no authority';
  if (pathLength !== undefined && below > pathLength) return 'its authority may not have others below it';
  // RFC 5280 4.2: "MUST reject the certificate if it encounters a critical extension it does not recognize". Bounds of
  // names are meant even where they are not critical, since old programs could not have them so.
  const strange = extensions.find((e) => (e.critical && !UNDERSTOOD.has(e.extnId)) || e.extnId === oid.nameConstraints);
  return strange && `its authority has an extension that is not understood (${strange.extnId})`;
}

function extensionsOf(certificate: X509Certificate) {
  const { extensions = [] } = fromDer(Certificate, new Uint8Array(certificate.raw)).tbsCertificate;
  // RFC 5280 4.2: one "MUST NOT include more than one instance of a particular extension": which of them would count?
  if (new Set(extensions.map((e) => e.extnId)).size < extensions.length)
    throw new MalformedError('X.509', 'a certificate with two extensions of one kind');
  return extensions;
}

/** RFC 5280 4.2.1.3 */
const DIGITAL_SIGNATURE = 0x80000000;

/** Who and what for, in the certificate's own words. */
function nameFlaw(kdc: X509Certificate, rules: KdcCertificateRules, realm: string): string | undefined {
  const extensions = extensionsOf(kdc);
  const value = (id: string) => extensions.find((e) => e.extnId === id)?.extnValue;
  const strange = extensions.find((e) => e.critical && !UNDERSTOOD_OF_KDC.has(e.extnId));
  if (strange) return `it has a critical extension that is not understood (${strange.extnId})`;
  const usage = value(oid.keyUsage);
  if (usage && !(fromDer(kerberosFlags, usage) & DIGITAL_SIGNATURE)) return 'its key is not for signatures (key usage)';
  const names = fromDer(GeneralNames, value(oid.subjectAltName) ?? Uint8Array.of(0x30, 0));
  const eku = value(oid.extKeyUsage);
  const purposes = eku && fromDer(sequenceOf(objectIdentifier), eku);
  const namesRealm = names.some((name) => isRealmsKdc(name, realm));
  const isKdc = purposes?.includes(oid.pkinitKPKdc) ?? false;
  // The domain's name alone is also its web server's: only a KDC's purpose makes it a KDC's.
  const hosts = [...(rules.kdcHostnames ?? []), ...(isKdc ? [realm] : [])].map((host) => host.toLowerCase());
  const namesHost = names.map((name) => dnsName(name)?.toLowerCase()).some((name) => name && hosts.includes(name));
  const checking = rules.ekuChecking ?? 'kpKDC';
  // The name of the realm's ticket-granting service is a KDC's already, where no purposes are told at all.
  const fits =
    isKdc ||
    checking === 'none' ||
    (namesRealm && !purposes) ||
    (checking === 'kpServerAuth' && purposes?.includes(oid.serverAuth));
  if (!fits) return 'it is not for a KDC (extended key usage)';
  if (namesRealm || namesHost) return undefined;
  return `it names neither krbtgt/${realm}@${realm} nor ${hosts.length > 0 ? `the host ${hosts.join(' or ')}` : 'a host that is known for its KDC (pkinit_kdc_hostname)'}`;
}

/** id-pkinit-san, RFC 4556 3.2.2: an otherName, which is [0] IMPLICIT. */
function isRealmsKdc(name: Uint8Array, realm: string): boolean {
  if (name[0] !== 0xa0) return false;
  const sequence = Uint8Array.from(name);
  sequence[0] = universal.SEQUENCE;
  const { typeId, value } = fromDer(OtherName, sequence);
  if (typeId !== oid.pkinitSan) return false;
  const named = fromDer(Krb5PrincipalName, value);
  return samePrincipal(fromPrincipalName(named.principalName, named.realm), krbtgt(realm));
}

/** dNSName, which is [2] IMPLICIT IA5String. */
function dnsName(name: Uint8Array): string | undefined {
  if (name[0] !== 0x82) return undefined;
  // A name that is longer than lengths of one octet tell is none of a host.
  return name[1]! < 0x80 ? Buffer.from(name.subarray(2)).toString('latin1') : undefined;
}
