/**
 * Group key derivation (MS-GKDI 3.1.4.1.2) as far as a domain controller needs it for managed passwords: a root key
 * and a point in time give a key, the key and an account's SID give 256 bytes of password.
 */
import { hmac } from '@noble/hashes/hmac.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { concat, fromHex, wipe } from '../../bytes.ts';

/** A key identifier: how often each level has turned. L1 and L2 run from 0 to 31. */
export interface Gkid {
  readonly l0: number;
  readonly l1: number;
  readonly l2: number;
}

export interface RootKey {
  /** 16 bytes, as stored (first groups little endian). */
  readonly id: Uint8Array;
  /** 64 bytes. */
  readonly value: Uint8Array;
}

/** A key is in use for ten hours (MS-GKDI 3.1.4.1, KeyCycleDuration). */
export const KEY_CYCLE_MS = 10 * 3_600_000;
export const PASSWORD_BYTES = 256;
/** Milliseconds from the start of Windows time, 1601-01-01, to 1970-01-01. */
export const WINDOWS_EPOCH_MS = 11_644_473_600_000;
const LEVEL = 32;
const UNUSED = -1;

/** Number of the key cycle that holds a moment, counted from 1601. */
export function cycleAt(milliseconds: number): number {
  return Math.floor((milliseconds + WINDOWS_EPOCH_MS) / KEY_CYCLE_MS);
}

/** When a key cycle begins, in milliseconds since 1970. */
export function cycleStart(cycle: number): number {
  return cycle * KEY_CYCLE_MS - WINDOWS_EPOCH_MS;
}

export function gkidOf(cycle: number): Gkid {
  return { l0: Math.floor(cycle / LEVEL / LEVEL), l1: Math.floor(cycle / LEVEL) % LEVEL, l2: cycle % LEVEL };
}

/** UTF-16 little endian with the terminating zero, as every label is. */
const label = (text: string): Uint8Array => new Uint8Array(Buffer.from(`${text}\0`, 'utf16le'));
const SERVICE = label('KDS service');
const GMSA = label('GMSA PASSWORD');

/**
 * The security descriptor bound into every gMSA key (self-relative): owner and the one allowed party are SYSTEM and the
 * domain's controllers, S-1-5-18 and S-1-5-9.
 */
const SECURITY_DESCRIPTOR = fromHex(`
  01000480 30000000 00000000 00000000 14000000 02001c00 01000000 00001400 9f011200
  01010000 00000005 09000000 01010000 00000005 12000000`);

/** SP 800-108 in counter mode over HMAC-SHA-512: i ‖ label ‖ 00 ‖ context ‖ output bits, counters big endian. */
function kdf(key: Uint8Array, purpose: Uint8Array, context: Uint8Array, bytes: number): Uint8Array {
  const out = new Uint8Array(Math.ceil(bytes / 64) * 64);
  const input = concat(new Uint8Array(4), purpose, new Uint8Array(1), context, new Uint8Array(4));
  const view = new DataView(input.buffer);
  view.setUint32(input.length - 4, bytes * 8);
  for (let i = 0; i * 64 < bytes; i++) {
    view.setUint32(0, i + 1);
    out.set(hmac(sha512, key, input), i * 64);
  }
  return out.subarray(0, bytes);
}

function contextOf(root: RootKey, l0: number, l1: number, l2: number): Uint8Array {
  const out = new Uint8Array(28);
  out.set(root.id);
  const view = new DataView(out.buffer);
  for (const [i, level] of [l0, l1, l2].entries()) view.setInt32(16 + 4 * i, level, true);
  return out;
}

/** The 64-byte L2 key of a key identifier: L0 from the root, then L1 and L2 counted down from 31. */
function keyOf(root: RootKey, { l0, l1, l2 }: Gkid): Uint8Array {
  let key = root.value;
  const step = (context: Uint8Array): void => {
    const next = kdf(key, SERVICE, context, 64);
    if (key !== root.value) wipe(key);
    key = next;
  };
  step(contextOf(root, l0, UNUSED, UNUSED));
  // Only the first step on level 1 binds the security descriptor.
  step(concat(contextOf(root, l0, LEVEL - 1, UNUSED), SECURITY_DESCRIPTOR));
  for (let i = LEVEL - 2; i >= l1; i--) step(contextOf(root, l0, i, UNUSED));
  for (let i = LEVEL - 1; i >= l2; i--) step(contextOf(root, l0, l1, i));
  return key;
}

/**
 * The managed password of an account for one key identifier: 256 bytes, as UTF-16 free of U+0000.
 * @param sid the account's binary SID
 */
export function managedPassword(root: RootKey, gkid: Gkid, sid: Uint8Array): Uint8Array {
  const key = keyOf(root, gkid);
  try {
    const password = kdf(key, GMSA, sid, PASSWORD_BYTES);
    // A zero code unit would end the string early, so a domain controller turns it into U+0001.
    for (let i = 0; i < password.length; i += 2) {
      if (password[i] === 0 && password[i + 1] === 0) password[i] = 1;
    }
    return password;
  } finally {
    wipe(key);
  }
}
