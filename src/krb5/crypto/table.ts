/** The one table of encryption types. A new one is a file with its record and one line here. */
import { AdError } from '../../errors.ts';
import { aes128Sha1, aes256Sha1 } from './aes-sha1.ts';
import { aes128Sha2, aes256Sha2 } from './aes-sha2.ts';
import type { EncryptionProfile } from './profile.ts';
import { rc4Hmac } from './rc4.ts';

/**
 * In the order of MIT's default list: what every domain has comes first, since Active Directory knows no type of RFC 8009
 * and a key for a type the KDC lacks costs a round trip. A KDC that prefers those chooses them all the same.
 */
const PROFILES: readonly EncryptionProfile[] = [aes256Sha1, aes128Sha1, aes256Sha2, aes128Sha2, rc4Hmac];

const byNumber: ReadonlyMap<number, EncryptionProfile> = new Map(PROFILES.map((p) => [p.etype, p]));
const byName: ReadonlyMap<string, number> = new Map(
  PROFILES.flatMap((p) => [p.name, ...p.aliases].map((name) => [name, p.etype] as const)),
);

/** What is asked for unless the caller says otherwise: every type that is not weak, in MIT's order. */
export const DEFAULT_ETYPES: readonly number[] = PROFILES.filter((p) => !p.weak).map((p) => p.etype);

export function findProfile(etype: number): EncryptionProfile | undefined {
  return byNumber.get(etype);
}

/** @throws AdError ETYPE when the etype is not in the table */
export function profileOf(etype: number): EncryptionProfile {
  const profile = byNumber.get(etype);
  if (profile === undefined) throw new AdError('ETYPE', `encryption type ${etype} is not supported`, { etype });
  return profile;
}

/** The type whose keys make checksums of this type (RFC 3961 section 4 has one for each). */
export function findProfileOfChecksum(cksumType: number): EncryptionProfile | undefined {
  return PROFILES.find((p) => p.cksumType === cksumType);
}

/** The number for a name of krb5.conf, in any case: MIT's full name or one of its short ones. */
export function etypeByName(name: string): number | undefined {
  return byName.get(name.toLowerCase());
}

/** The name as klist prints it: 'DEPRECATED:arcfour-hmac' for a weak type, 'etype 99' for an unknown one. */
export function etypeName(etype: number): string {
  const profile = byNumber.get(etype);
  if (profile === undefined) return `etype ${etype}`;
  return profile.weak ? `DEPRECATED:${profile.name}` : profile.name;
}
