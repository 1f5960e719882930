/** The initiator's side of SPNEGO (RFC 4178): Kerberos is all it offers, so there is nothing to be talked down to. */
import { toDer } from '../../asn1.ts';
import { AdError, MalformedError } from '../../errors.ts';
import type { GssContext, Negotiator } from './context.ts';
import { GssInitiator, type InitiatorOptions } from './initiator.ts';
import { decodeResp, encodeInit, encodeResp, isKerberos, MechTypeList, negState, type SpnegoResp } from './spnego.ts';
import { mechanism } from './token.ts';

/** In order of preference; the second is how Windows 2000 knows the first (MS-SPNG 3.1.5.2). */
const OFFER: readonly string[] = [mechanism.KRB5, mechanism.MS_KRB5];

/** The client's side of one context in SPNEGO: what HTTP, SMB and LDAP servers call `Negotiate`. */
export class SpnegoInitiator implements Negotiator {
  readonly #krb5: GssInitiator;
  readonly #mechList = toDer(MechTypeList, [...OFFER]);
  #mechToken: Uint8Array | undefined;
  #state: 'start' | 'first' | 'later' | 'done' = 'start';
  /** Each side must prove that it saw the same list (RFC 4178 section 5). */
  #micRequired = false;
  #micSent = false;
  #micReceived = false;

  constructor(options: InitiatorOptions) {
    this.#krb5 = new GssInitiator(options);
  }

  get context(): GssContext | undefined {
    return this.#state === 'done' ? this.#krb5.context : undefined;
  }

  /**
   * @throws MalformedError; AdError NOT_ALLOWED when the acceptor declines Kerberos or the negotiation; INTEGRITY when
   *   the list of mechanisms is not proven; what `GssInitiator` throws
   */
  step(token?: Uint8Array): Uint8Array | undefined {
    if (this.#state === 'start') {
      if (token) throw new AdError('INVALID_ARGUMENT', 'the initiator of a context speaks first');
      this.#state = 'first';
      this.#mechToken = this.#krb5.step();
      return encodeInit({ mechList: this.#mechList, mechToken: this.#mechToken, mechListMic: undefined });
    }
    if (!token || this.#state === 'done')
      throw new MalformedError('SPNEGO', token ? 'a token after the last' : 'no token where an answer is due');
    return this.#answer(decodeResp(token));
  }

  #answer(resp: SpnegoResp): Uint8Array | undefined {
    const first = this.#state === 'first';
    this.#state = 'later';
    if (resp.negState === negState.REJECT) {
      // Kerberos' own error says more than the refusal of the negotiation.
      if (resp.responseToken) this.#krb5.step(resp.responseToken);
      throw new AdError('NOT_ALLOWED', 'the service rejected the SPNEGO negotiation');
    }
    // Old Samba answers with the second name although the first was offered: both are the mechanism whose token we sent,
    // so that nothing was chosen in its place that would have to be proven.
    if (resp.supportedMech !== undefined && !isKerberos(resp.supportedMech))
      throw new AdError('NOT_ALLOWED', `the service chose mechanism ${resp.supportedMech}, which was not offered`);
    // RFC 4178 4.2.2: "supportedMech ... SHALL only be present in the first reply from the target"; MS-SPNG 3.3.5 has
    // later ones ignored. request-mic "can only be present in the first reply".
    // One that completes at once and names none can only mean the mechanism whose token it answers.
    if (first && resp.supportedMech === undefined && resp.negState !== negState.ACCEPT_COMPLETED)
      throw new MalformedError('SPNEGO', 'the first answer names no mechanism');
    if (resp.negState === negState.REQUEST_MIC) {
      if (!first) throw new MalformedError('SPNEGO', 'request-mic after the first answer');
      this.#micRequired = true;
    }
    if (!this.#krb5.context) {
      // A service that knows the mechanism by its second name only has not read the token that came with the first.
      if (first && !resp.responseToken && resp.negState !== negState.ACCEPT_COMPLETED)
        return encodeResp({ responseToken: this.#mechToken });
      if (!resp.responseToken)
        throw new AdError('NOT_ALLOWED', 'the service went on without proving itself: no AP-REP in its answer');
      this.#krb5.step(resp.responseToken);
    } else if (resp.responseToken?.length) throw new MalformedError('SPNEGO', 'a mechanism token after the last');
    return this.#proveList(resp);
  }

  /** The mechanism is complete: both sides prove the list where one of them asks for it. */
  #proveList(resp: SpnegoResp): Uint8Array | undefined {
    const context = this.#krb5.context!;
    if (resp.mechListMIC) {
      if (this.#micReceived) throw new MalformedError('SPNEGO', 'a second proof of the mechanism list');
      context.verifyMic(this.#mechList, resp.mechListMIC);
      this.#micReceived = true;
    }
    // An absent state in a later answer means as much as accept-incomplete (RFC 4178 4.2.2 leaves it optional there).
    if (resp.negState === negState.ACCEPT_COMPLETED) {
      // RFC 4178 section 5: without the proof somebody may have altered the list.
      if (this.#micRequired && !this.#micReceived) throw unproven();
      this.#state = 'done';
      return undefined;
    }
    if (this.#micSent) throw new MalformedError('SPNEGO', 'the service neither completes nor goes on');
    this.#micSent = true;
    if (this.#micReceived) this.#state = 'done';
    this.#micRequired = true;
    return encodeResp({
      negState: this.#micReceived ? negState.ACCEPT_COMPLETED : negState.ACCEPT_INCOMPLETE,
      mechListMIC: context.getMic(this.#mechList),
    });
  }

  destroy(): void {
    this.#krb5.destroy();
    this.#krb5.context?.destroy();
  }
}

function unproven(): AdError {
  return new AdError('INTEGRITY', 'the service did not prove which list of mechanisms it was offered');
}
