/**
 * What a client proves its identity with: a password, or keys. Keys are derived at most once per etype, salt and
 * parameters and kept until `destroy()`; the last derivation that a KDC accepted is remembered, so that the next login
 * can send its timestamp at once (one round trip instead of two).
 */
import { copy, hex, wipe } from '../bytes.ts';
import { AdError } from '../errors.ts';
import { Key, stringToKey } from './crypto/index.ts';
import type { ExchangeContext } from './exchanges/context.ts';
import type { KdcReqBody, PaData } from './messages.ts';

/** How a key is made from a password: what ETYPE-INFO2 says (RFC 4120 5.2.7.5). */
export interface KeyHint {
  readonly etype: number;
  /** Undefined where the salt is the default one of the realm and name. */
  readonly salt: string | undefined;
  readonly params: Uint8Array | undefined;
}

/** The proof of one request that goes without a long-term key (PKINIT, RFC 4556). */
export interface PublicKeyProof {
  readonly padata: PaData;
  /**
   * The key that seals the reply, once it is the KDC's for certain; the caller destroys it.
   * @param asReq DER of the AS-REQ that was sent
   * @returns bound: true where the key is made of the request too (RFC 8636), so that no answer to another opens with it
   * @throws AdError REPLY_REJECTED, MalformedError
   */
  replyKey(reply: { padata: readonly PaData[]; etype: number; asReq: Uint8Array; server: string }): {
    key: Key;
    bound: boolean;
  };
}

/** What gives a client its long-term keys, or stands in for them. */
export interface Secret {
  /** Encryption types a key can be had for. */
  readonly etypes: readonly number[];
  /**
   * The long-term key for a hint, or undefined when this secret has none of that etype. The secret keeps the key.
   * @throws AdError ETYPE when the parameters are out of bounds
   */
  key(hint: KeyHint): Promise<Key | undefined>;
  /** The hint that worked last, or that is right by rule. */
  remembered: KeyHint | undefined;
  /** Present where a public key is the proof, and no long-term key is known. */
  readonly publicKey?: {
    /** True: nobody in particular asks (RFC 8062). */
    readonly anonymous: boolean;
    /** @param reqBody DER of `body` */
    prove(context: ExchangeContext, body: KdcReqBody, reqBody: Uint8Array): PublicKeyProof;
  };
  /** Wipes the secret and every key made from it. */
  destroy(): void;
}

/** Two hints give the same key of a password when these are equal. */
export const hintId = (hint: KeyHint): string =>
  `${hint.etype}|${hint.salt ?? ''}|${hint.params ? hex(hint.params) : ''}`;

/** Salts come from answers that nobody signed: this many keys are kept, so that forgers cannot fill the memory. */
const MAX_KEYS = 16;

/** Keys made on demand by a derivation; concurrent requests for one key share it. The longest unused goes first. */
class DerivedKeys {
  readonly #keys = new Map<string, Promise<Key>>();
  #destroyed = false;

  get(hint: KeyHint, derive: () => Promise<Key>): Promise<Key> {
    if (this.#destroyed) throw new AdError('ABORTED', 'the password was wiped before this use of it');
    const id = hintId(hint);
    const kept = this.#keys.get(id);
    const key = kept ?? derive();
    this.#keys.delete(id);
    this.#keys.set(id, key);
    if (!kept) {
      key.then(
        (k) => this.#destroyed && k.destroy(),
        () => this.#keys.get(id) === key && this.#keys.delete(id),
      );
      for (const [oldest, unused] of this.#keys) {
        if (this.#keys.size <= MAX_KEYS) break;
        this.#keys.delete(oldest);
        destroyLater(unused);
      }
    }
    return key;
  }

  destroy(): void {
    this.#destroyed = true;
    for (const key of this.#keys.values()) destroyLater(key);
    this.#keys.clear();
  }
}

function destroyLater(key: Promise<Key>): void {
  key.then(
    (k) => k.destroy(),
    () => undefined,
  );
}

/** A password of UTF-8 bytes, copied; the caller wipes its own. */
export class PasswordSecret implements Secret {
  readonly etypes: readonly number[];
  remembered: KeyHint | undefined;
  readonly #password: Uint8Array;
  readonly #defaultSalt: string;
  readonly #keys = new DerivedKeys();

  /**
   * @param defaultSalt used where the KDC names none: realm and name components run together (RFC 4120 4)
   */
  constructor(password: Uint8Array, defaultSalt: string, etypes: readonly number[]) {
    this.#password = copy(password);
    this.#defaultSalt = defaultSalt;
    this.etypes = etypes;
  }

  async key(hint: KeyHint): Promise<Key | undefined> {
    if (!this.etypes.includes(hint.etype)) return undefined;
    const salt = hint.salt ?? this.#defaultSalt;
    return this.#keys.get({ ...hint, salt }, () => stringToKey(hint.etype, this.#password, salt, hint.params));
  }

  destroy(): void {
    wipe(this.#password);
    this.#keys.destroy();
  }
}

/** Ready keys, one for each etype, as a keytab holds them. The bytes are copied. */
export class KeySecret implements Secret {
  readonly etypes: readonly number[];
  remembered: KeyHint | undefined;
  readonly #keys: Map<number, Key>;

  constructor(keys: Iterable<{ readonly etype: number; readonly value: Uint8Array }>) {
    this.#keys = new Map([...keys].map((k) => [k.etype, new Key(k.etype, k.value)]));
    this.etypes = [...this.#keys.keys()];
    // The salt went into the keys already, so nothing the KDC could say is needed for the first message.
    const etype = this.etypes[0];
    if (etype !== undefined) this.remembered = { etype, salt: undefined, params: undefined };
  }

  async key(hint: KeyHint): Promise<Key | undefined> {
    return this.#keys.get(hint.etype);
  }

  destroy(): void {
    for (const key of this.#keys.values()) key.destroy();
    this.#keys.clear();
  }
}

/**
 * A secret whose key for any salt comes from a function: a gMSA's managed password, whose keys are derived by other
 * rules than a typed password's.
 */
export class DerivingSecret implements Secret {
  readonly etypes: readonly number[];
  remembered: KeyHint | undefined;
  readonly #derive: (hint: KeyHint & { salt: string }) => Promise<Key>;
  readonly #defaultSalt: string;
  readonly #wipe: () => void;
  readonly #keys = new DerivedKeys();

  constructor(options: {
    readonly etypes: readonly number[];
    readonly defaultSalt: string;
    readonly derive: (hint: KeyHint & { salt: string }) => Promise<Key>;
    readonly wipe: () => void;
    /** True when the default salt may be tried before the KDC names one. */
    readonly guess: boolean;
  }) {
    this.etypes = options.etypes;
    this.#derive = options.derive;
    this.#defaultSalt = options.defaultSalt;
    this.#wipe = options.wipe;
    const etype = options.etypes[0];
    if (options.guess && etype !== undefined) this.remembered = { etype, salt: options.defaultSalt, params: undefined };
  }

  async key(hint: KeyHint): Promise<Key | undefined> {
    if (!this.etypes.includes(hint.etype)) return undefined;
    const salted = { ...hint, salt: hint.salt ?? this.#defaultSalt };
    return this.#keys.get(salted, () => this.#derive(salted));
  }

  destroy(): void {
    this.#wipe();
    this.#keys.destroy();
  }
}
