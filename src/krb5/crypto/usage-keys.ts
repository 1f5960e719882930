/** The three keys that the AES types derive for each usage (RFC 3961 section 5.3, RFC 8009 section 5). */
import { hmac } from '@noble/hashes/hmac.js';
import type { CHash } from '@noble/hashes/utils.js';
import { copy, wipe } from '../../bytes.ts';

/** What the well-known constants end with: the usage and one octet for the purpose of the key. */
const purpose = { checksum: 0x99, encryption: 0xaa, integrity: 0x55 } as const;

type KeyedHash = ReturnType<typeof hmac.create>;

/** Where the types differ. */
export interface UsageKeyRule {
  readonly hash: CHash;
  /** Length of the truncated HMAC. */
  readonly macBytes: number;
  /** @param constant five bytes: the usage, big endian, and the octet for `purpose` */
  derive(key: Uint8Array, constant: Uint8Array, purpose: 'encryption' | 'mac'): Uint8Array;
}

/** Ke, Ki and Kc, each derived when it is first needed. */
export class UsageKeySet {
  readonly #rule: UsageKeyRule;
  readonly #key: Uint8Array;
  readonly #usage: number;
  #encryption: Uint8Array | undefined;
  #integrity: KeyedHash | undefined;
  #checksum: KeyedHash | undefined;

  /** @param key the protocol key; copied */
  constructor(rule: UsageKeyRule, key: Uint8Array, usage: number) {
    this.#rule = rule;
    this.#key = copy(key);
    this.#usage = usage;
  }

  #constant(octet: number): Uint8Array {
    const constant = new Uint8Array(5);
    new DataView(constant.buffer).setUint32(0, this.#usage);
    constant[4] = octet;
    return constant;
  }

  #keyedHash(octet: number): KeyedHash {
    const derived = this.#rule.derive(this.#key, this.#constant(octet), 'mac');
    const keyed = hmac.create(this.#rule.hash, derived);
    wipe(derived);
    return keyed;
  }

  /** Ke, to seal and open with; wiped with the set. */
  get encryption(): Uint8Array {
    this.#encryption ??= this.#rule.derive(this.#key, this.#constant(purpose.encryption), 'encryption');
    return this.#encryption;
  }

  /** HMAC under Ki, cut to its length. */
  integrity(...data: Uint8Array[]): Uint8Array {
    this.#integrity ??= this.#keyedHash(purpose.integrity);
    return this.#mac(this.#integrity, data);
  }

  /** HMAC under Kc, cut to its length. */
  checksum(data: Uint8Array): Uint8Array {
    this.#checksum ??= this.#keyedHash(purpose.checksum);
    return this.#mac(this.#checksum, [data]);
  }

  /** A clone starts with the key already mixed in, which is two of the hash's four or five blocks for a small message. */
  #mac(keyed: KeyedHash, data: readonly Uint8Array[]): Uint8Array {
    const mac = keyed.clone();
    for (const part of data) mac.update(part);
    return mac.digest().slice(0, this.#rule.macBytes);
  }

  destroy(): void {
    wipe(this.#key, this.#encryption);
    this.#integrity?.destroy();
    this.#checksum?.destroy();
  }
}
