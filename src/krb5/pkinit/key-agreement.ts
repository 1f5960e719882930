/**
 * The key that seals a PKINIT reply: Diffie-Hellman in a well-known group, and the ways from the shared secret to a key
 * (RFC 4556 3.2.3.1, RFC 8636 section 6).
 */
import { createHash, type DiffieHellman, type DiffieHellmanGroup, getDiffieHellman } from 'node:crypto';
import { fromDer, toDer } from '../../asn1.ts';
import { unsignedBytes } from '../../asn1-untagged.ts';
import { concat, hex, wipe } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import { Key, profileOf } from '../crypto/index.ts';
import { toPrincipalName } from '../messages.ts';
import type { Principal } from '../principal.ts';
import {
  DomainParameters,
  Krb5PrincipalName,
  OtherInfo,
  oid,
  PkinitSuppPubInfo,
  SubjectPublicKeyInfo,
} from './messages.ts';

/** Groups of RFC 3526 by the length of their prime in bits, all with the generator 2. */
const GROUPS = { 2048: 'modp14', 4096: 'modp16' } as const;
export type DhBits = keyof typeof GROUPS;

/** One side of an agreement: a fresh private value, which Node keeps and nobody else sees. */
export class Agreement {
  readonly #dh: DiffieHellman | DiffieHellmanGroup;
  readonly #bytes: number;

  constructor(bits: DhBits) {
    this.#dh = getDiffieHellman(GROUPS[bits]);
    this.#dh.generateKeys();
    this.#bytes = bits / 8;
  }

  /** DER of the SubjectPublicKeyInfo with our public value (RFC 4556 3.2.1, RFC 3279 2.3.3). */
  get publicKeyInfo(): Uint8Array {
    const p = new Uint8Array(this.#dh.getPrime());
    const g = new Uint8Array(this.#dh.getGenerator());
    return toDer(SubjectPublicKeyInfo, {
      algorithm: { algorithm: oid.dhpublicnumber, parameters: toDer(DomainParameters, { p, g, q: halved(p) }) },
      subjectPublicKey: toDer(unsignedBytes, new Uint8Array(this.#dh.getPublicKey())),
    });
  }

  /**
   * The shared secret, as long as the prime (RFC 4556 3.2.3.1 "padded first with leading zeros").
   * @param theirs DER of the INTEGER that is the other's public value
   * @throws AdError REPLY_REJECTED for a value outside the group; MalformedError
   */
  secret(theirs: Uint8Array): Uint8Array {
    const value = fromDer(unsignedBytes, theirs);
    // In a group of a safe prime 1 and p - 1 are the only values of a small order; Node lets some of these pass.
    const [number, prime] = [toBigInt(value), toBigInt(this.#dh.getPrime())];
    if (number < 2n || number > prime - 2n)
      throw new AdError('REPLY_REJECTED', "the KDC's public value is none of the group");
    const shared = this.#dh.computeSecret(value);
    const out = new Uint8Array(this.#bytes);
    out.set(shared, this.#bytes - shared.length);
    wipe(shared);
    return out;
  }
}

function toBigInt(bytes: Uint8Array): bigint {
  return BigInt(`0x${hex(bytes) || '0'}`);
}

/** (p - 1) / 2, which is prime as well: the order of the subgroup. */
function halved(p: Uint8Array): Uint8Array {
  return p.map((byte, i) => (byte >> 1) | (i > 0 && p[i - 1]! & 1 ? 0x80 : 0));
}

/**
 * octetstring2key, RFC 4556 3.2.3.1: what KDCs without RFC 8636 use. Both nonces are absent here.
 * @param secret the shared one
 */
export function octetString2Key(etype: number, secret: Uint8Array): Key {
  return stretched(etype, (i) => createHash('sha1').update(Uint8Array.of(i)).update(secret).digest());
}

/** The functions of RFC 8636 that are offered, the preferred first. */
export const KDFS: readonly { readonly oid: string; readonly hash: string }[] = [
  { oid: oid.kdfSha256, hash: 'sha256' },
  { oid: oid.kdfSha512, hash: 'sha512' },
  { oid: oid.kdfSha384, hash: 'sha384' },
  { oid: oid.kdfSha1, hash: 'sha1' },
];

/** Who agrees about what: all of it goes into the key, so that a side that saw anything else has another key. */
export interface Agreed {
  readonly client: Principal;
  readonly server: Principal;
  readonly etype: number;
  /** DER of the AS-REQ. */
  readonly asReq: Uint8Array;
  /** The value of the reply's PA-PK-AS-REP. */
  readonly pkAsRep: Uint8Array;
}

/**
 * The KDF of RFC 8636 section 6.
 * @param kdf the one that the KDC chose
 * @throws AdError REPLY_REJECTED for one that was not offered
 */
export function agreedKey(kdf: string, secret: Uint8Array, agreed: Agreed): Key {
  const hash = KDFS.find((k) => k.oid === kdf)?.hash;
  if (!hash) throw new AdError('REPLY_REJECTED', `the KDC derives with ${kdf}, which was not offered`);
  const party = (p: Principal) => toDer(Krb5PrincipalName, { realm: p.realm, principalName: toPrincipalName(p) });
  const { etype, asReq, pkAsRep } = agreed;
  const otherInfo = toDer(OtherInfo, {
    algorithmId: { algorithm: kdf },
    partyUInfo: party(agreed.client),
    partyVInfo: party(agreed.server),
    suppPubInfo: toDer(PkinitSuppPubInfo, { enctype: etype, asReq, pkAsRep }),
  });
  // NIST SP 800-56A 5.8.1: the counter begins with 1.
  return stretched(etype, (i) =>
    createHash(hash)
      .update(Uint8Array.of(0, 0, 0, i + 1))
      .update(secret)
      .update(otherInfo)
      .digest(),
  );
}

/** As many blocks as the key has bytes; random-to-key is the identity for every type here. */
function stretched(etype: number, block: (i: number) => Uint8Array): Key {
  const { keyBytes } = profileOf(etype);
  const blocks: Uint8Array[] = [];
  for (let i = 0, have = 0; have < keyBytes; i++, have += blocks.at(-1)!.length) blocks.push(block(i));
  const all = concat(...blocks);
  try {
    return new Key(etype, all.subarray(0, keyBytes));
  } finally {
    wipe(all, ...blocks);
  }
}
