/**
 * Pre-authentication of the AS exchange: which key the KDC's hints ask for, and the proof made with it. What a hint says
 * is unauthenticated: only permitted etypes are used, and iteration counts are bounded (`crypto/iterations.ts`).
 */
import { fromDer, toDer } from '../../asn1.ts';
import { equal } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import { etypeName, type Key } from '../crypto/index.ts';
import { EncryptedData, EtypeInfo2, type PaData, PaEncTsEnc } from '../messages.ts';
import { keyUsage, paType } from '../numbers.ts';
import { formatPrincipal, type Principal } from '../principal.ts';
import type { KeyHint, Secret } from '../secret.ts';
import { type ExchangeContext, newStamp } from './context.ts';
import type { Fast } from './fast.ts';

/** PA-ENC-TIMESTAMP, RFC 4120 5.2.7.2. */
export function encryptedTimestamp(context: ExchangeContext, key: Key): PaData {
  const padataValue = sealedTime(context, key, keyUsage.AS_REQ_PA_ENC_TIMESTAMP);
  return { padataType: paType.ENC_TIMESTAMP, padataValue };
}

/** PA-ENCRYPTED-CHALLENGE, RFC 6113 5.4.6: the timestamp of armored requests. */
export function encryptedChallenge(context: ExchangeContext, fast: Fast, key: Key): PaData {
  return fast.challenge(key, (challengeKey, usage) => sealedTime(context, challengeKey, usage));
}

/** The KDC's time, sealed: EncryptedData of a PA-ENC-TS-ENC. */
function sealedTime(context: ExchangeContext, key: Key, usage: number): Uint8Array {
  const { seconds, microseconds } = newStamp(context);
  const clear = toDer(PaEncTsEnc, { patimestamp: seconds, pausec: microseconds });
  return toDer(EncryptedData, { etype: key.etype, cipher: key.encrypt(usage, clear) });
}

/** The most preferred permitted etype among those in ETYPE-INFO2, with its salt. The KDC's order does not count. */
export function hintFrom(padata: readonly PaData[], etypes: readonly number[]): KeyHint | undefined {
  const entries = etypeInfo2(padata);
  for (const etype of etypes) {
    const entry = entries.find((e) => e.etype === etype);
    if (entry) return { etype, salt: entry.salt, params: entry.s2kparams };
  }
  return undefined;
}

/** The etypes ETYPE-INFO2 offers. */
export function offeredEtypes(padata: readonly PaData[]): number[] {
  return etypeInfo2(padata).map((e) => e.etype);
}

function etypeInfo2(padata: readonly PaData[]): EtypeInfo2 {
  const pa = padata.find((p) => p.padataType === paType.ETYPE_INFO2);
  return pa ? fromDer(EtypeInfo2, pa.padataValue) : [];
}

/** True when the hint makes the same key. */
export async function sameKey(secret: Secret, hint: KeyHint, key: Key | undefined): Promise<boolean> {
  const other = await secret.key(hint);
  return key !== undefined && other !== undefined && equal(key.value, other.value);
}

/** @param wanted the etypes the other side can do, as far as it said */
export function noKey(client: Principal, secret: Secret, wanted: readonly number[]): AdError {
  const list = (etypes: readonly number[]) => etypes.map(etypeName).join(', ');
  const there =
    wanted.length > 0
      ? `${list(wanted)} only`
      : 'none of them (it may have RC4 keys alone: set its password again to give it AES keys, or permit arcfour-hmac)';
  return new AdError(
    'ETYPE',
    `no permitted encryption type in common: asked for ${list(secret.etypes)}, ${formatPrincipal(client)} has ${there}`,
    { realm: client.realm },
  );
}
