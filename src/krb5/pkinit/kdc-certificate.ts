/**
 * Whether a certificate is that of a realm's KDC: it leads to an authority that is trusted for it, and says so itself
 * (RFC 4556 3.2.4). Without this anybody between could answer in the KDC's place.
 */
import type { X509Certificate } from 'node:crypto';
import { boolean, fromDer, int32, objectIdentifier, sequenceOf } from '../../asn1.ts';
import { mixedSequence, universal, untaggedOptional } from '../../asn1-untagged.ts';
import { AdError } from '../../errors.ts';
import { fromPrincipalName } from '../messages.ts';
import { krbtgt, samePrincipal } from '../principal.ts';
import { Certificate, GeneralNames, Krb5PrincipalName, OtherName, oid } from './messages.ts';

/** What a KDC's certificate must say. */
export interface KdcCertificateRules {
  /** Authorities (or KDCs' own certificates) that are trusted; never empty. */
  readonly anchors: readonly X509Certificate[];
  /**
   * Hosts that a certificate without the realm's name may name instead (krb5.conf pkinit_kdc_hostname). The realm in
   * small letters always may: domain controllers of Active Directory are certified for their domain.
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
    const subject = kdc.subject.replaceAll('\n', ', ');
    throw new AdError('REPLY_REJECTED', `the certificate of the KDC (${subject}) refused: ${why}`, { realm });
  }
}

/** What keeps a certificate from leading to an anchor. Revocation lists are not consulted. */
function chainFlaw(
  kdc: X509Certificate,
  others: readonly X509Certificate[],
  anchors: readonly X509Certificate[],
  now: number,
): string | undefined {
  let current = kdc;
  for (let depth = 0; depth <= MAX_DEPTH; depth++) {
    if (!isValid(current, now))
      return `${depth === 0 ? 'it' : 'one on its way to an anchor'} has expired or is not yet valid`;
    if (anchors.some((a) => a.fingerprint256 === current.fingerprint256)) return undefined;
    const issuer = issuerOf(current, anchors) ?? issuerOf(current, others);
    if (!issuer) return 'it does not lead to a certificate that is trusted (pkinit_anchors)';
    const flaw = authorityFlaw(issuer, depth);
    if (flaw) return flaw;
    current = issuer;
  }
  return `more than ${MAX_DEPTH} certificates are between it and an anchor`;
}

function issuerOf(certificate: X509Certificate, candidates: readonly X509Certificate[]): X509Certificate | undefined {
  return candidates.find((c) => c !== certificate && certificate.checkIssued(c) && certificate.verify(c.publicKey));
}

function isValid({ validFrom, validTo }: X509Certificate, now: number): boolean {
  return Date.parse(validFrom) <= now && now <= Date.parse(validTo);
}

const BasicConstraints = mixedSequence({
  ca: untaggedOptional(boolean, universal.BOOLEAN),
  pathLength: untaggedOptional(int32),
});

/** Extensions of an authority that are understood here: key usage, which Node looks at, and basic constraints. */
const UNDERSTOOD: ReadonlySet<string> = new Set([oid.keyUsage, oid.basicConstraints]);

/** RFC 5280 6.1.4. @param below authorities between this one and the KDC's certificate */
function authorityFlaw(authority: X509Certificate, below: number): string | undefined {
  const extensions = extensionsOf(authority);
  const constraints = extensions.find((e) => e.extnId === oid.basicConstraints);
  const { ca, pathLength } = constraints ? fromDer(BasicConstraints, constraints.extnValue) : {};
  if (!authority.ca || !ca) return 'it was issued by one that is no authority';
  if (pathLength !== undefined && below > pathLength) return 'its authority may not have others below it';
  // RFC 5280 4.2: "MUST reject the certificate if it encounters a critical extension it does not recognize".
  const strange = extensions.find((e) => e.critical && !UNDERSTOOD.has(e.extnId));
  return strange && `its authority has a critical extension that is not understood (${strange.extnId})`;
}

function extensionsOf(certificate: X509Certificate) {
  return fromDer(Certificate, new Uint8Array(certificate.raw)).tbsCertificate.extensions ?? [];
}

/** Who and what for, in the certificate's own words. */
function nameFlaw(kdc: X509Certificate, rules: KdcCertificateRules, realm: string): string | undefined {
  const extensions = extensionsOf(kdc);
  const value = (id: string) => extensions.find((e) => e.extnId === id)?.extnValue;
  const names = fromDer(GeneralNames, value(oid.subjectAltName) ?? Uint8Array.of(0x30, 0));
  const eku = value(oid.extKeyUsage);
  const purposes = eku && fromDer(sequenceOf(objectIdentifier), eku);
  const namesRealm = names.some((name) => isRealmsKdc(name, realm));
  const hosts = [...(rules.kdcHostnames ?? []), realm].map((host) => host.toLowerCase());
  if (!namesRealm && !names.some((name) => hosts.includes(dnsName(name)?.toLowerCase() ?? '')))
    return `it names neither krbtgt/${realm}@${realm} nor the host ${hosts.join(' or ')}`;
  const checking = rules.ekuChecking ?? 'kpKDC';
  // The name of the realm's ticket-granting service is a KDC's already, where no purposes are told at all.
  if (checking === 'none' || (namesRealm && !purposes) || purposes?.includes(oid.pkinitKPKdc)) return undefined;
  if (checking === 'kpServerAuth' && purposes?.includes(oid.serverAuth)) return undefined;
  return 'it is not for a KDC (extended key usage)';
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
