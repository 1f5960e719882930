/** Logging a gMSA on with its managed password: the right one of the two, the right salt, one exchange in the rule. */
import { copy, equal, wipe } from '../bytes.ts';
import { AdError, isAdError } from '../errors.ts';
import type { Credentials } from '../krb5/credentials.ts';
import { Key } from '../krb5/crypto/index.ts';
import { asExchange } from '../krb5/exchanges/as.ts';
import type { ExchangeContext } from '../krb5/exchanges/context.ts';
import { etype } from '../krb5/numbers.ts';
import { activeDirectorySalt, principal } from '../krb5/principal.ts';
import { DerivingSecret, type KeyHint, KeySecret } from '../krb5/secret.ts';
import type { ManagedAccount } from './account.ts';
import type { ManagedPassword } from './blob.ts';
import type { KeyMemory } from './key-memory.ts';
import { deriveKeys, validPasswords } from './keys.ts';

/**
 * A ticket-granting ticket for the account. The salt is assumed by the computer rule (MS-KILE 3.1.1.2), which saves a
 * round trip; when the KDC refuses, its own salt is used. Around a roll of the password both are tried in the order of
 * their validity.
 * @param keys remembers what the passwords are made into, for later logins
 * @param before tried last: passwords that other domain controllers gave
 * @throws as `asExchange`
 */
export async function loginManagedAccount(
  context: ExchangeContext,
  account: ManagedAccount,
  realm: string,
  signal?: AbortSignal,
  keys?: KeyMemory,
  before: readonly ManagedPassword[] = [],
): Promise<Credentials> {
  let refusal: AdError | undefined;
  for (const password of distinct([account.password, ...before].flatMap(validPasswords))) {
    const secret = managedSecret(password, account.samAccountName, realm, context.permittedEtypes, keys);
    try {
      const tgt = await asExchange(context, { client: principal(realm, account.samAccountName), secret, signal });
      if (secret.remembered) keys?.used(accountId(account.samAccountName, realm), password, secret.remembered);
      return tgt;
    } catch (e) {
      if (!isAdError(e, 'WRONG_PASSWORD')) throw e;
      refusal ??= e;
    } finally {
      secret.destroy();
    }
  }
  throw refusal ?? new AdError('WRONG_PASSWORD', `${account.samAccountName} has no managed password that is valid now`);
}

/** A guess that was refused is not repeated: wrong ones count towards the account's lockout. */
const distinct = (passwords: readonly Uint8Array[]): Uint8Array[] =>
  passwords.filter((password, i) => passwords.findIndex((other) => equal(other, password)) === i);

/** What a `KeyMemory` knows an account by. */
export const accountId = (samName: string, realm: string): string => `${samName}@${realm}`.toLowerCase();

/** A login begun with the key that worked last, while the directory is still being asked. */
export interface EarlyLogin {
  /**
   * The ticket, if the password just read is the one it was got with; undefined if not, or if the KDC refused.
   * Without this word of the directory the ticket is not to be used: the reader may have lost its right to the password.
   */
  confirm(password: ManagedPassword): Promise<Credentials | undefined>;
  /** Wipes a ticket that was not confirmed. */
  discard(): void;
}

/** Undefined when the account has not logged on before. */
export function loginEarly(
  context: ExchangeContext,
  samName: string,
  realm: string,
  keys: KeyMemory,
  signal?: AbortSignal,
): EarlyLogin | undefined {
  const last = keys.lastOf(accountId(samName, realm));
  if (!last || !context.permittedEtypes.includes(last.key.etype)) return undefined;
  const secret = new KeySecret([last.key]);
  last.key.destroy();
  const exchange = asExchange(context, { client: principal(realm, samName), secret, signal });
  // Whatever goes wrong here goes wrong again, and is told then, in the login that follows.
  const ticket = exchange.catch(() => undefined).finally(() => secret.destroy());
  const discard = () => void ticket.then((tgt) => wipe(tgt?.key.value));
  return {
    discard,
    async confirm(password) {
      if (keys.tagOf(validPasswords(password)[0]!) === last.tag) return ticket;
      discard();
      return undefined;
    },
  };
}

/** Active Directory makes no keys of RFC 8009's types (MS-KILE 2.2.7): the first guess is at one that it has. */
const guessableFirst = (etypes: readonly number[]): number[] => {
  const unlikely: readonly number[] = [etype.AES256_CTS_HMAC_SHA384_192, etype.AES128_CTS_HMAC_SHA256_128];
  return [...etypes.filter((e) => !unlikely.includes(e)), ...etypes.filter((e) => unlikely.includes(e))];
};

/** @param password raw UTF-16LE bytes; copied */
function managedSecret(
  password: Uint8Array,
  samName: string,
  realm: string,
  etypes: readonly number[],
  keys: KeyMemory | undefined,
): DerivingSecret {
  const own = copy(password);
  return new DerivingSecret({
    etypes: guessableFirst(etypes),
    defaultSalt: activeDirectorySalt('computer', samName, realm),
    guess: true,
    derive: (hint) => accountKey(own, hint, keys),
    wipe: () => wipe(own),
  });
}

/** The key of a managed password, from memory if it is there. The caller destroys it. */
export function accountKey(
  password: Uint8Array,
  hint: KeyHint & { salt: string },
  keys: KeyMemory | undefined,
): Promise<Key> {
  return keys?.get(password, hint, () => deriveKey(password, hint)) ?? deriveKey(password, hint);
}

async function deriveKey(password: Uint8Array, hint: KeyHint & { salt: string }): Promise<Key> {
  const value = (await deriveKeys(password, hint.salt, [hint.etype], hint.params)).get(hint.etype)!;
  try {
    return new Key(hint.etype, value);
  } finally {
    wipe(value);
  }
}
