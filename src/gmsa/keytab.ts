/**
 * The keytab of a gMSA: its keys of now and before, for itself and for its services, under the key version numbers that
 * the KDC puts into tickets.
 *
 * The number comes with a ticket of the account to itself, and the password whose key opens that ticket is the one the
 * number belongs to. That holds in the five minutes before a roll too, when the directory shows the next password first
 * (MS-ADTS 2.2.19), and just after one, when msDS-KeyVersionNumber still shows the number before.
 */
import { fromDer } from '../asn1.ts';
import { wipe } from '../bytes.ts';
import { AdError, isAdError } from '../errors.ts';
import type { Credentials } from '../krb5/credentials.ts';
import { etypeName, type Key } from '../krb5/crypto/index.ts';
import type { ExchangeContext } from '../krb5/exchanges/context.ts';
import { tgsExchange } from '../krb5/exchanges/tgs.ts';
import { writeKeytab } from '../krb5/files/keytab.ts';
import { type EncryptedData, Ticket } from '../krb5/messages.ts';
import { etype as etypes, keyUsage } from '../krb5/numbers.ts';
import { activeDirectorySalt, principal } from '../krb5/principal.ts';
import type { ManagedAccount } from './account.ts';
import type { KeyMemory } from './key-memory.ts';
import { validPasswords } from './keys.ts';
import { accountId, accountKey } from './login.ts';

/** The types Active Directory makes keys of (MS-KILE 2.2.7), the most wanted first. */
const DIRECTORY_ETYPES = [etypes.AES256_CTS_HMAC_SHA1_96, etypes.AES128_CTS_HMAC_SHA1_96, etypes.RC4_HMAC];

/** Whose keytab, and where its key version number comes from. */
export interface ManagedKeytabOptions {
  readonly account: ManagedAccount;
  /** The account's ticket-granting ticket. */
  readonly tgt: Credentials;
  /** msDS-KeyVersionNumber, asked for where the KDC gives no ticket for the account itself. */
  readonly directoryKvno: () => Promise<number | undefined>;
  readonly keys?: KeyMemory;
  readonly signal?: AbortSignal;
}

/** The keytab of a gMSA, and what it lacks. */
export interface ManagedKeytab {
  /** A whole file, version 2. The caller wipes it. */
  readonly bytes: Uint8Array;
  /** Tickets for the account are sealed with this encryption type, by name, and the keytab has no key of it. */
  readonly missing?: string;
}

/**
 * One exchange with the KDC. Keys are made of the directory's encryption types that are permitted, with the salt that the last logon used.
 * @throws as `tgsExchange`; KDC_ERROR when nobody knows the key version number
 */
export async function managedKeytab(context: ExchangeContext, options: ManagedKeytabOptions): Promise<ManagedKeytab> {
  const { account, tgt, keys } = options;
  const { current, previous } = account.password;
  const passwords = previous ? [current, previous] : [current];
  const { realm } = tgt.client;
  const sealed = await ticketToItself(context, options);
  const generations: Key[][] = [];
  try {
    const known = keys?.hintOf(accountId(account.samAccountName, realm));
    const salt = known?.salt ?? activeDirectorySalt('computer', account.samAccountName, realm);
    for (const password of passwords) {
      const made: Key[] = [];
      generations.push(made);
      for (const etype of DIRECTORY_ETYPES.filter((e) => context.permittedEtypes.includes(e))) {
        made.push(await accountKey(password, { etype, salt, params: known?.params }, keys));
      }
    }
    const opened = sealed ? generations.findIndex((made) => made.some((key) => opens(key, sealed))) : -1;
    const inForce = opened >= 0 ? opened : passwords.indexOf(validPasswords(account.password)[0]!);
    const kvno = sealed?.kvno ?? (await options.directoryKvno());
    if (kvno === undefined) {
      throw new AdError('KDC_ERROR', `nobody says the key version number of ${account.samAccountName}`);
    }
    const names = [account.samAccountName, ...(account.services ?? [])];
    const timestamp = new Date(context.clock());
    const entries = names.flatMap((name) =>
      generations.flatMap((made, generation) =>
        made.map(({ etype, value }) => ({
          principal: principal(realm, ...name.split('/')),
          timestamp,
          kvno: kvno + inForce - generation,
          key: { etype, value },
        })),
      ),
    );
    // A version before the first would be 0, which stands for "any" in keytabs.
    const bytes = writeKeytab(entries.filter((entry) => entry.kvno > 0));
    return { bytes, ...(sealed && opened < 0 && { missing: etypeName(sealed.etype) }) };
  } finally {
    for (const key of generations.flat()) key.destroy();
  }
}

/** The sealed part of a ticket of the account for itself; undefined where the KDC makes none, or does not number it. */
async function ticketToItself(
  context: ExchangeContext,
  { account, tgt, signal }: ManagedKeytabOptions,
): Promise<EncryptedData | undefined> {
  try {
    const server = principal(tgt.client.realm, account.samAccountName);
    const ticket = await tgsExchange(context, { tgt, server, signal });
    wipe(ticket.key.value);
    const { encPart } = fromDer(Ticket, ticket.ticket);
    return encPart.kvno === undefined ? undefined : encPart;
  } catch (e) {
    // Windows gives none for an account without a service name to whoever is not the account by user-to-user.
    if (isAdError(e, 'UNKNOWN_SERVICE', 'KDC_ERROR', 'ETYPE')) return undefined;
    throw e;
  }
}

function opens(key: Key, { etype, cipher }: EncryptedData): boolean {
  if (key.etype !== etype) return false;
  try {
    wipe(key.decrypt(keyUsage.KDC_REP_TICKET, cipher));
    return true;
  } catch (e) {
    if (isAdError(e, 'INTEGRITY')) return false;
    throw e;
  }
}
