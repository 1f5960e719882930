/** Who logs on, and with what: a principal with its password, or with its keys from a keytab. */
import { hostname } from 'node:os';
import { AdError } from '../../errors.ts';
import { DEFAULT_ETYPES } from '../crypto/index.ts';
import { findKeys, machinePrincipal } from '../files/keytab.ts';
import { loadKeytab, wipeEntries } from '../files/keytab-edit.ts';
import { defaultSalt, formatPrincipal, type Principal } from '../principal.ts';
import { KeySecret, PasswordSecret, type Secret } from '../secret.ts';

/** A principal, and the secret that proves it. */
export interface Proof {
  readonly principal: Principal;
  /** Whoever has the proof destroys it, or gives it to a client. */
  readonly secret: Secret;
}

/**
 * A principal with its password. The salt is the KDC's word, or by rule where it has none (RFC 4120 4).
 * @param password UTF-8; copied, the caller wipes its own
 * @param permitted encryption types, in order of preference
 */
export function passwordProof(
  principal: Principal,
  password: Uint8Array,
  permitted: readonly number[] = DEFAULT_ETYPES,
): Proof {
  return { principal, secret: new PasswordSecret(password, defaultSalt(principal), permitted) };
}

/**
 * A principal with its keys from a keytab.
 * @param who absent: this machine's account, else the first entry
 * @param permitted encryption types, in order of preference
 * @throws AdError NOT_FOUND, FILE; MalformedError; ETYPE when none of its keys is permitted
 */
export async function keytabProof(
  path: string,
  who?: Principal,
  permitted: readonly number[] = DEFAULT_ETYPES,
): Promise<Proof> {
  const entries = await loadKeytab(path);
  try {
    const principal = who ?? machinePrincipal(entries, hostname()) ?? entries[0]?.principal;
    if (!principal) throw new AdError('NOT_FOUND', `the keytab ${path} is empty`, { path });
    const all = findKeys(entries, principal);
    if (all.length === 0) {
      const names = [...new Set(entries.map((e) => formatPrincipal(e.principal)))].join(', ');
      throw new AdError('NOT_FOUND', `Keytab contains no keys for ${formatPrincipal(principal)}: it has ${names}`, {
        path,
      });
    }
    const keys = permitted.flatMap((etype) => all.filter((e) => e.key.etype === etype).map((e) => e.key));
    if (keys.length === 0)
      throw new AdError(
        'ETYPE',
        `no key of ${formatPrincipal(principal)} in ${path} is of a permitted encryption type`,
      );
    return { principal, secret: new KeySecret(keys) };
  } finally {
    wipeEntries(entries);
  }
}
