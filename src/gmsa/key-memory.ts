/** Keys made from managed passwords, kept for the next login of the account: string-to-key costs more than all else. */
import { createHmac, randomBytes } from 'node:crypto';
import { utf8, wipe } from '../bytes.ts';
import { Key } from '../krb5/crypto/index.ts';
import { hintId, type KeyHint } from '../krb5/secret.ts';

/**
 * A key is found by a keyed hash of the password itself and all that string-to-key takes beside it, so another password
 * is another key, and a password that was read from the directory anew gives the key it gave before.
 */
export class KeyMemory {
  readonly #hashKey = randomBytes(32);
  /** Least recently used first. */
  readonly #keys = new Map<string, Key>();
  /** Which key an account logged on with last. */
  readonly #last = new Map<string, { readonly tag: string; readonly id: string; readonly hint: KeyHint }>();
  readonly #limit: number;
  #destroyed = false;

  /** @param limit keys kept at most */
  constructor(limit = 256) {
    this.#limit = limit;
  }

  /**
   * The key for a password, derived when it is not known.
   * @param password not kept
   * @returns a key of the caller's own, who destroys it
   * @throws what `derive` throws
   */
  async get(password: Uint8Array, hint: KeyHint, derive: () => Promise<Key>): Promise<Key> {
    const id = this.#idOf(password, hint);
    const known = this.#keys.get(id);
    if (known) {
      this.#keep(id, known);
      return ownCopy(known);
    }
    const key = await derive();
    // Another login of the account may have been faster; what was destroyed meanwhile stays empty.
    if (!this.#destroyed && !this.#keys.has(id)) this.#keep(id, ownCopy(key));
    return key;
  }

  #idOf(password: Uint8Array, hint: KeyHint): string {
    const hash = createHmac('sha256', this.#hashKey).update(utf8(`${hintId(hint)}\0`));
    return hash.update(password).digest('base64');
  }

  /** What a password is recognised by, without keeping it. */
  tagOf(password: Uint8Array): string {
    return createHmac('sha256', this.#hashKey).update(password).digest('base64');
  }

  /** Notes that an account logged on with a password, its key made by `hint`. */
  used(account: string, password: Uint8Array, hint: KeyHint): void {
    this.#last.set(account, { tag: this.tagOf(password), id: this.#idOf(password, hint), hint });
    const [oldest] = this.#last.keys();
    if (this.#last.size > this.#limit && oldest !== undefined) this.#last.delete(oldest);
  }

  /** How the key was made that an account logged on with last. */
  hintOf(account: string): KeyHint | undefined {
    return this.#last.get(account)?.hint;
  }

  /** The key an account logged on with last, the caller's own, and the tag of its password. */
  lastOf(account: string): { readonly key: Key; readonly tag: string } | undefined {
    const last = this.#last.get(account);
    const key = last && this.#keys.get(last.id);
    return key && { key: ownCopy(key), tag: last.tag };
  }

  #keep(id: string, key: Key): void {
    this.#keys.delete(id);
    this.#keys.set(id, key);
    for (const [oldest, forgotten] of this.#keys) {
      if (this.#keys.size <= this.#limit) return;
      this.#keys.delete(oldest);
      forgotten.destroy();
    }
  }

  /** Wipes every key. */
  destroy(): void {
    this.#destroyed = true;
    for (const key of this.#keys.values()) key.destroy();
    this.#keys.clear();
    this.#last.clear();
    wipe(this.#hashKey);
  }
}

function ownCopy(key: Key): Key {
  return new Key(key.etype, key.value);
}
