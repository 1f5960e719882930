/** This machine's identity: its account in the keytab that joined it to the domain. */
import { readFile } from 'node:fs/promises';
import { concat, utf8, wipe } from '../bytes.ts';
import { AdError, messageOf } from '../errors.ts';
import { etypeName } from '../krb5/crypto/index.ts';
import { findKeys, type KeytabEntry, machinePrincipal, readKeytab } from '../krb5/files/keytab.ts';
import { formatPrincipal } from '../krb5/principal.ts';
import { KeySecret } from '../krb5/secret.ts';
import type { Identity } from './identity.ts';

export const DEFAULT_KEYTAB = '/etc/krb5.keytab';

/**
 * Reads the keytab afresh: a machine's password changes, and the file with it.
 * @param hostName this host's name; its first label chooses among several accounts
 * @param permitted etypes in order of preference; keys of others are left alone
 * @throws AdError FILE when the keytab cannot be read, MALFORMED when it is none, INVALID_ARGUMENT when it has no
 *   machine account, ETYPE when that has no key of a permitted type
 */
export async function machineIdentity(path: string, hostName: string, permitted: readonly number[]): Promise<Identity> {
  const entries = await load(path);
  try {
    const principal = machinePrincipal(entries, hostName);
    if (!principal) {
      throw new AdError(
        'INVALID_ARGUMENT',
        `keytab ${path} has no machine account (an entry such as ${hostName.split('.')[0]?.toUpperCase()}$@REALM)`,
      );
    }
    const all = findKeys(entries, principal);
    const keys = permitted.flatMap((etype) => all.filter((e) => e.key.etype === etype).map((e) => e.key));
    if (keys.length === 0) {
      const there = all.map((e) => etypeName(e.key.etype)).join(', ');
      throw new AdError(
        'ETYPE',
        `keytab ${path} holds ${formatPrincipal(principal)} with ${there} only, none of it permitted`,
      );
    }
    return {
      principal,
      secret: new KeySecret(keys),
      fingerprint: concat(utf8(`keytab\0${formatPrincipal(principal)}\0`), ...keys.map((k) => k.value)),
    };
  } finally {
    for (const entry of entries) wipe(entry.key.value);
  }
}

async function load(path: string): Promise<KeytabEntry[]> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (e) {
    throw new AdError('FILE', `cannot read the machine keytab ${path}: ${messageOf(e)}`, { path }, e);
  }
  try {
    return readKeytab(bytes);
  } finally {
    wipe(bytes);
  }
}
