/** The KDC's end of FAST for tests: it opens the tunnel of a request and answers in it, honestly or not. */
import assert from 'node:assert/strict';
import { fromDer, type Infer, toDer } from '../../src/asn1.ts';
import { cf2, Key } from '../../src/krb5/crypto/index.ts';
import {
  ApReq,
  Authenticator,
  EncryptedData,
  KdcReqBody,
  KrbFastReq,
  KrbFastResponse,
  type PaData,
  PaEncTsEnc,
  PaFxFastReply,
  PaFxFastRequest,
} from '../../src/krb5/messages.ts';
import { keyUsage, paType } from '../../src/krb5/numbers.ts';
import { SESSION_KEY, type SeenRequest, subkeyOf } from './fake-kdc.ts';

export interface Tunnel {
  readonly armorKey: Key;
  readonly armored: Infer<typeof PaFxFastRequest>;
  readonly inner: { readonly padata: readonly PaData[]; readonly body: KdcReqBody };
}

/** What is in the tunnel. The armor is a ticket whose session key is `SESSION_KEY`. */
export function openTunnel(request: SeenRequest): Tunnel {
  const session = new Key(SESSION_KEY.keytype, SESSION_KEY.keyvalue);
  const pa = request.padata.find((p) => p.padataType === paType.FX_FAST) ?? assert.fail('no PA-FX-FAST');
  const armored = fromDer(PaFxFastRequest, pa.padataValue);
  let subkey: Key;
  let bound: Uint8Array;
  if (armored.armor) {
    assert.equal(armored.armor.armorType, 1);
    const { authenticator } = fromDer(ApReq, armored.armor.armorValue);
    const clear = session.decrypt(keyUsage.AP_REQ_AUTHENTICATOR, authenticator.cipher);
    const { keytype, keyvalue } = fromDer(Authenticator, clear).subkey!;
    subkey = new Key(keytype, keyvalue);
    bound = toDer(KdcReqBody, request.body);
  } else {
    subkey = subkeyOf(request).key;
    bound = request.padata.find((p) => p.padataType === paType.TGS_REQ)!.padataValue;
  }
  const armorKey = cf2(subkey, session, 'subkeyarmor', 'ticketarmor');
  assert.ok(armorKey.verifyChecksum(keyUsage.FAST_REQ_CHKSUM, bound, armored.reqChecksum.checksum), 'req-checksum');
  const inner = fromDer(KrbFastReq, armorKey.decrypt(keyUsage.FAST_ENC, armored.encFastReq.cipher));
  return { armorKey, armored, inner: { padata: inner.padata, body: fromDer(KdcReqBody, inner.reqBody) } };
}

/** PA-FX-FAST of an answer. */
export function fastAnswer(armorKey: Key, response: KrbFastResponse, usage: number = keyUsage.FAST_REP): PaData {
  const encFastRep = { etype: armorKey.etype, cipher: armorKey.encrypt(usage, toDer(KrbFastResponse, response)) };
  return { padataType: paType.FX_FAST, padataValue: toDer(PaFxFastReply, { encFastRep }) };
}

/** The KDC's challenge. @param key its idea of the client's long-term key */
export function kdcChallenge(
  armorKey: Key,
  key: Key,
  time: number,
  usage: number = keyUsage.ENC_CHALLENGE_KDC,
): PaData {
  const challenge = cf2(armorKey, key, 'kdcchallengearmor', 'challengelongterm');
  const clear = toDer(PaEncTsEnc, { patimestamp: new Date(time), pausec: 0 });
  const padataValue = toDer(EncryptedData, { etype: challenge.etype, cipher: challenge.encrypt(usage, clear) });
  return { padataType: paType.ENCRYPTED_CHALLENGE, padataValue };
}

/** True when the client's challenge opens with this long-term key. */
export function challengeOpens({ armorKey, inner }: Tunnel, key: Key): boolean {
  const pa = inner.padata.find((p) => p.padataType === paType.ENCRYPTED_CHALLENGE);
  if (!pa) return false;
  const challenge = cf2(armorKey, key, 'clientchallengearmor', 'challengelongterm');
  challenge.decrypt(keyUsage.ENC_CHALLENGE_CLIENT, fromDer(EncryptedData, pa.padataValue).cipher);
  return true;
}
