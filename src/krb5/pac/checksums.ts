/** Checksum types of PAC signatures, by way of the encryption types whose keys make them (MS-PAC 2.8). */
import { type EncryptionProfile, findProfile } from '../crypto/index.ts';
import { etype } from '../numbers.ts';

/** The encryption type of a checksum type; undefined for one that is not supported. */
export function profileOfChecksum(type: number): EncryptionProfile | undefined {
  for (const number of Object.values(etype)) {
    const profile = findProfile(number);
    if (profile?.cksumType === type) return profile;
  }
  return undefined;
}
