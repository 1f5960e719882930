/** Long-term keys of accounts, derived when first asked for: one PBKDF2 costs more than the rest of an exchange. */
import { utf8 } from '../bytes.ts';
import { Key, md4, stringToKey } from '../krb5/crypto/index.ts';
import { etype as etypes } from '../krb5/numbers.ts';

/** The keys of one password, one for each encryption type. */
export class AccountKeys {
  readonly #derive: (etype: number) => Promise<Key>;
  readonly #keys = new Map<number, Promise<Key>>();

  constructor(derive: (etype: number) => Promise<Key>) {
    this.#derive = derive;
  }

  static fromPassword(password: string, salt: string): AccountKeys {
    const bytes = utf8(password);
    return new AccountKeys((etype) => stringToKey(etype, bytes, salt));
  }

  /**
   * A gMSA's keys, made without src/gmsa/keys.ts so that each checks the other: RC4 takes the bytes as they are
   * (MS-KILE 3.1.1.2 and RFC 4757 2), AES the text, where a lone surrogate has become U+FFFD.
   * @param password UTF-16 little endian without U+0000, as in the managed password blob
   */
  static fromManagedPassword(password: Uint8Array, salt: string): AccountKeys {
    const text = Buffer.from(password).toString('utf16le');
    return new AccountKeys(async (etype) =>
      etype === etypes.RC4_HMAC ? new Key(etype, md4(password)) : stringToKey(etype, Buffer.from(text, 'utf8'), salt),
    );
  }

  static random(): AccountKeys {
    return new AccountKeys(async (etype) => Key.generate(etype));
  }

  /** @throws what `missing` gives for an encryption type that is not among the keys */
  static fixed(keys: readonly { readonly etype: number; readonly value: Uint8Array }[]): AccountKeys {
    const copies = new Map(keys.map((k) => [k.etype, new Key(k.etype, k.value)]));
    return new AccountKeys(
      async (etype) => copies.get(etype) ?? Promise.reject(new RangeError(`no key of etype ${etype}`)),
    );
  }

  get(etype: number): Promise<Key> {
    let key = this.#keys.get(etype);
    if (key === undefined) {
      key = this.#derive(etype);
      this.#keys.set(etype, key);
    }
    return key;
  }
}

/** What an account's tickets and pre-authentication go by at one moment. */
export interface KeySet {
  readonly kvno: number;
  readonly current: AccountKeys;
  /** Accepted in pre-authentication beside the current ones, for a while after a roll. */
  readonly alsoAccepted: readonly AccountKeys[];
}
