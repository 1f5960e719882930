/** A key of some encryption type, and all that is done with one. */
import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { equal, wipe } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import type { EncryptionProfile, RandomBytes, UsageKeys } from './profile.ts';
import { etypeName, profileOf } from './table.ts';

/** A key and what is done with it (RFC 3961): sealing, checksums, pseudo-random bytes. Hidden from `util.inspect`. */
export class Key {
  readonly etype: number;
  readonly #profile: EncryptionProfile;
  readonly #value: Uint8Array;
  /** Derived once for each usage; a connection uses the same two or three throughout. */
  readonly #usages = new Map<number, UsageKeys>();
  #destroyed = false;

  /**
   * @param value the key's bytes; copied
   * @throws AdError ETYPE when the etype is unknown, INVALID_ARGUMENT when `value` has not its length
   */
  constructor(etype: number, value: Uint8Array) {
    this.#profile = profileOf(etype);
    if (value.length !== this.#profile.keyBytes) {
      throw new AdError(
        'INVALID_ARGUMENT',
        `a key of ${this.#profile.name} has ${this.#profile.keyBytes} bytes, not ${value.length}`,
        { etype },
      );
    }
    this.etype = etype;
    this.#value = Uint8Array.from(value);
  }

  /** A fresh key (RFC 3961 random-to-key, which is the identity for every type here). */
  static generate(etype: number, random: RandomBytes = randomBytes): Key {
    const value = random(profileOf(etype).keyBytes);
    try {
      return new Key(etype, value);
    } finally {
      wipe(value);
    }
  }

  /** The bytes themselves, not a copy: they turn to zeros with `destroy()`. */
  get value(): Uint8Array {
    return this.#value;
  }

  /** True once `destroy()` was called. */
  get destroyed(): boolean {
    return this.#destroyed;
  }

  /**
   * Seals `plaintext` (RFC 3961 section 3 "encrypt").
   * @param usage key usage number (RFC 4120 section 7.5.1)
   * @param random gives the confounder; only a test needs its own
   * @returns confounder, data and checksum: 28 bytes more than `plaintext` for etypes 17 and 18, 32 for 19, 40 for 20, 24 for 23
   */
  encrypt(usage: number, plaintext: Uint8Array, random: RandomBytes = randomBytes): Uint8Array {
    return this.#for(usage).encrypt(plaintext, random);
  }

  /**
   * Opens what `encrypt` sealed under the same usage.
   * @throws AdError INTEGRITY when the key or usage is another, or a bit was changed
   */
  decrypt(usage: number, ciphertext: Uint8Array): Uint8Array {
    const plaintext = this.#for(usage).decrypt(ciphertext);
    if (plaintext === undefined) {
      throw new AdError(
        'INTEGRITY',
        `${ciphertext.length} bytes do not decrypt with this ${etypeName(this.etype)} key under usage ${usage}: another key, or changed on the way`,
        { etype: this.etype, usage },
      );
    }
    return plaintext;
  }

  /** Keyed checksum of the type that goes with the etype (RFC 3961 section 4 "get_mic"). */
  checksum(usage: number, data: Uint8Array): Uint8Array {
    return this.#for(usage).checksum(data);
  }

  /** Compares in constant time; false for a checksum of another length too. */
  verifyChecksum(usage: number, data: Uint8Array, checksum: Uint8Array): boolean {
    return equal(this.checksum(usage, data), checksum);
  }

  /**
   * Pseudo-random bytes of `input` under this key (RFC 3961 section 3 "pseudo-random").
   * @returns 16 bytes for etypes 17 and 18, 32 for 19, 48 for 20, 20 for 23
   */
  prf(input: Uint8Array): Uint8Array {
    this.#mustLive();
    return this.#profile.prf(this.#value, input);
  }

  /** Wipes the key and all derived from it; after that every operation throws. */
  destroy(): void {
    this.#destroyed = true;
    wipe(this.#value);
    for (const keys of this.#usages.values()) keys.destroy();
    this.#usages.clear();
  }

  #for(usage: number): UsageKeys {
    this.#mustLive();
    let keys = this.#usages.get(usage);
    if (keys === undefined) {
      keys = this.#profile.forUsage(this.#value, usage);
      this.#usages.set(usage, keys);
    }
    return keys;
  }

  #mustLive(): void {
    if (this.#destroyed) throw new AdError('INVALID_ARGUMENT', 'the key was destroyed before this use of it');
  }

  [inspect.custom](): string {
    return `Key(${etypeName(this.etype)})`;
  }
}
