/**
 * FAST, RFC 6113 5.4: a tunnel for pre-authentication, armoured with a ticket that is in hand already. Request and
 * reply are sealed with a key that whoever does not know that ticket's session key cannot have: no password to be guessed from what
 * passes by, and no error or hint that anybody could have made up.
 */
import { fromDer, toDer } from '../../asn1.ts';
import { wipe } from '../../bytes.ts';
import { AdError, isAdError } from '../../errors.ts';
import type { Credentials } from '../credentials.ts';
import { cf2, etypeName, Key, profileOf } from '../crypto/index.ts';
import {
  KrbError,
  KrbFastReq,
  KrbFastResponse,
  type PaData,
  PaEncTsEnc,
  PaFxFastReply,
  PaFxFastRequest,
} from '../messages.ts';
import { fastArmor, keyUsage, paType } from '../numbers.ts';
import { buildApReq, keyFrom } from './ap.ts';
import { type ExchangeContext, newStamp } from './context.ts';
import { methodData } from './errors.ts';

/** The armour of one request. Whoever made it destroys it. */
export class Fast {
  readonly #key: Key;
  /** DER of the AP-REQ; none in a TGS-REQ, which has one of its own ("implicit armor", RFC 6113 5.4.2). */
  readonly #armor: Uint8Array | undefined;

  /** @param key taken over */
  private constructor(key: Key, armor: Uint8Array | undefined) {
    this.#key = key;
    this.#armor = armor;
  }

  /** FX_FAST_ARMOR_AP_REQUEST, RFC 6113 5.4.1.1. @param tgt of the realm that is asked, whoever's it is */
  static with(context: ExchangeContext, tgt: Credentials): Fast {
    const sessionKey = new Key(tgt.key.etype, tgt.key.value);
    const subkey = Key.generate(tgt.key.etype, context.random);
    try {
      const usage = keyUsage.AP_REQ_AUTHENTICATOR;
      const { message } = buildApReq({ credentials: tgt, sessionKey, usage, stamp: newStamp(context), subkey });
      return new Fast(armorKey(subkey, sessionKey), message);
    } finally {
      sessionKey.destroy();
      subkey.destroy();
    }
  }

  /** The armour of a TGS-REQ: the keys of its own AP-REQ (RFC 6113 5.4.2). The two stay the caller's. */
  static implicit(subkey: Key, sessionKey: Key): Fast {
    return new Fast(armorKey(subkey, sessionKey), undefined);
  }

  get key(): Key {
    return this.#key;
  }

  /**
   * PA-FX-FAST.
   * @param padata and reqBody: what is asked inside
   * @param bound what the checksum ties the outside to: the body of an AS-REQ, the AP-REQ of a TGS-REQ
   */
  request(padata: readonly PaData[], reqBody: Uint8Array, bound: Uint8Array): PaData {
    const { etype } = this.#key;
    const clear = toDer(KrbFastReq, { fastOptions: 0, padata: [...padata], reqBody });
    const padataValue = toDer(PaFxFastRequest, {
      armor: this.#armor && { armorType: fastArmor.AP_REQUEST, armorValue: this.#armor },
      reqChecksum: {
        cksumtype: profileOf(etype).cksumType,
        checksum: this.#key.checksum(keyUsage.FAST_REQ_CHKSUM, bound),
      },
      encFastReq: { etype, cipher: this.#key.encrypt(keyUsage.FAST_ENC, clear) },
    });
    return { padataType: paType.FX_FAST, padataValue };
  }

  /**
   * Opens the KDC's part of the tunnel.
   * @returns undefined where there is none
   * @throws AdError REPLY_REJECTED for one sealed with another key, MalformedError
   */
  open(padata: readonly PaData[], server: string): KrbFastResponse | undefined {
    const pa = padata.find((p) => p.padataType === paType.FX_FAST);
    if (!pa) return undefined;
    const { encFastRep } = fromDer(PaFxFastReply, pa.padataValue);
    let clear: Uint8Array;
    try {
      if (encFastRep.etype !== this.#key.etype)
        throw new AdError('INTEGRITY', `it is of ${etypeName(encFastRep.etype)}`);
      clear = this.#key.decrypt(keyUsage.FAST_REP, encFastRep.cipher);
    } catch (e) {
      if (!isAdError(e, 'INTEGRITY')) throw e;
      throw new AdError(
        'REPLY_REJECTED',
        `the FAST answer of KDC ${server} does not open with our armor`,
        { server },
        e,
      );
    }
    // Not wiped here: the strengthening key in what is returned is a view of it.
    return fromDer(KrbFastResponse, clear);
  }

  /**
   * The error inside the tunnel and what came with it.
   * @param nonce of the request
   * @returns undefined for an error that is not of the tunnel: nobody vouches for it
   * @throws as `open`
   */
  openError(error: KrbError, nonce: number, server: string): { error: KrbError; padata: PaData[] } | undefined {
    const response = this.open(methodData(error), server);
    if (!response) return undefined;
    if (response.nonce !== nonce) throw rejected(server, 'its error answers another request');
    const inner = response.padata.find((p) => p.padataType === paType.FX_ERROR);
    // RFC 6113 5.4.4: "The KDC MUST include a PA-FX-ERROR ... in the KrbFastResponse".
    if (!inner) throw rejected(server, 'no error is in the tunnel');
    return { error: fromDer(KrbError, inner.padataValue), padata: response.padata };
  }

  /** PA-ENCRYPTED-CHALLENGE, RFC 6113 5.4.6: proves the long-term key to the KDC; `seal` makes EncryptedData of the time. */
  challenge(longTerm: Key, seal: (key: Key, usage: number) => Uint8Array): PaData {
    const key = cf2(this.#key, longTerm, 'clientchallengearmor', 'challengelongterm');
    try {
      return { padataType: paType.ENCRYPTED_CHALLENGE, padataValue: seal(key, keyUsage.ENC_CHALLENGE_CLIENT) };
    } finally {
      key.destroy();
    }
  }

  /**
   * The KDC's own challenge: that it has the long-term key too.
   * @returns its time, ms; undefined where it does not open
   */
  openChallenge(longTerm: Key, cipher: Uint8Array): number | undefined {
    const key = cf2(this.#key, longTerm, 'kdcchallengearmor', 'challengelongterm');
    try {
      return fromDer(PaEncTsEnc, key.decrypt(keyUsage.ENC_CHALLENGE_KDC, cipher)).patimestamp.getTime();
    } catch (e) {
      if (isAdError(e, 'INTEGRITY')) return undefined;
      throw e;
    } finally {
      key.destroy();
    }
  }

  destroy(): void {
    this.#key.destroy();
    wipe(this.#armor);
  }
}

/** "KRB-FX-CF2(subkey, ticket_session_key, "subkeyarmor", "ticketarmor")" */
function armorKey(subkey: Key, sessionKey: Key): Key {
  return cf2(subkey, sessionKey, 'subkeyarmor', 'ticketarmor');
}

/**
 * The key that seals the reply (RFC 6113 5.4.3): the KDC's strengthening key joined with the one that would have.
 * @returns a key of the caller's
 * @throws MalformedError for a strengthening key that has not its type's length, AdError ETYPE for an unknown type
 */
export function strengthened(response: KrbFastResponse, replyKey: Key): Key {
  const { strengthenKey } = response;
  if (!strengthenKey) return new Key(replyKey.etype, replyKey.value);
  const key = keyFrom(strengthenKey);
  try {
    return cf2(key, replyKey, 'strengthenkey', 'replykey');
  } finally {
    key.destroy();
    wipe(strengthenKey.keyvalue);
  }
}

function rejected(server: string, why: string): AdError {
  return new AdError('REPLY_REJECTED', `the FAST answer of KDC ${server} refused: ${why}`, { server });
}
