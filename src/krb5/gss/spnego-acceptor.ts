/**
 * The acceptor's side of SPNEGO (RFC 4178). Kerberos alone is accepted, in a negotiation or bare: browsers and curl
 * send the one or the other.
 */
import { equal } from '../../bytes.ts';
import { AdError, MalformedError } from '../../errors.ts';
import { printable } from '../exchanges/errors.ts';
import { type AcceptedContext, type AcceptorOptions, GssAcceptor } from './acceptor.ts';
import type { Negotiator } from './context.ts';
import { GssError, refusal } from './errors.ts';
import { decodeInit, decodeResp, encodeResp, isKerberos, negState, type SpnegoResp } from './spnego.ts';
import { mechanismDer, unframeMechanism } from './token.ts';

/** As for `GssAcceptor`, and how strict the negotiation is. */
export interface NegotiateAcceptorOptions extends AcceptorOptions {
  /** Has the client prove its list of mechanisms even where RFC 4178 does not demand it; one more round. */
  readonly requireMic?: boolean;
}

/** The service's side of one context, in SPNEGO or bare Kerberos as the client begins it. */
export class NegotiateAcceptor implements Negotiator {
  readonly #options: NegotiateAcceptorOptions;
  readonly #krb5: GssAcceptor;
  #state: 'start' | 'bare' | 'later' | 'done' = 'start';
  #mechList: Uint8Array = new Uint8Array(0);
  #micRequired: boolean;
  #micSent = false;
  #micReceived = false;

  constructor(options: NegotiateAcceptorOptions) {
    this.#options = options;
    this.#krb5 = new GssAcceptor(options);
    this.#micRequired = options.requireMic ?? false;
  }

  get context(): AcceptedContext | undefined {
    return this.#state === 'done' ? this.#krb5.context : undefined;
  }

  /** @throws GssError, which holds the token to send back */
  step(token?: Uint8Array): Uint8Array | undefined {
    const bare = this.#state === 'start' && token !== undefined && isBareKerberos(token);
    try {
      if (!token || this.#state === 'done')
        throw new MalformedError('SPNEGO', token ? 'a token after the last' : 'no token');
      if (!bare) return this.#state === 'start' ? this.#first(token) : this.#next(decodeResp(token));
      const reply = this.#krb5.step(token);
      this.#state = 'done';
      return reply;
    } catch (e) {
      this.destroy();
      if (bare) throw e;
      throw rejection(e, this.#options.clock?.() ?? Date.now());
    }
  }

  #first(token: Uint8Array): Uint8Array {
    if (isNtlm(token))
      throw new AdError('NOT_ALLOWED', 'the client offers NTLM: it has no ticket for this service or does not try', {
        gssMajor: 'BAD_MECH',
      });
    const init = decodeInit(token);
    this.#mechList = new Uint8Array(init.mechList);
    const chosen = init.mechTypes.find(isKerberos);
    if (chosen === undefined)
      throw new AdError('NOT_ALLOWED', `the client offers ${printable(init.mechTypes.join(', '))} and no Kerberos`, {
        gssMajor: 'BAD_MECH',
      });
    this.#state = 'later';
    // The token is that of the first mechanism. Another one chosen must be proven (RFC 4178 4.2.2, request-mic), or
    // somebody could put mechanisms in front of the client's own.
    if (chosen !== init.mechTypes[0] && !isKerberos(init.mechTypes[0])) {
      this.#micRequired = true;
      return encodeResp({ negState: negState.REQUEST_MIC, supportedMech: chosen });
    }
    if (!init.mechToken?.length) return encodeResp({ negState: this.#asking(), supportedMech: chosen });
    return this.#answer(init.mechToken, init.mechListMic, chosen)!;
  }

  #next(resp: SpnegoResp): Uint8Array | undefined {
    if (resp.negState === negState.REJECT) throw new AdError('NOT_ALLOWED', 'the client rejected the negotiation');
    if (this.#krb5.context && resp.responseToken?.length)
      throw new MalformedError('SPNEGO', 'a mechanism token after the last');
    if (!this.#krb5.context && !resp.responseToken) throw new MalformedError('SPNEGO', 'no mechanism token');
    const clientDone = resp.negState === negState.ACCEPT_COMPLETED;
    return this.#answer(resp.responseToken, resp.mechListMIC, undefined, clientDone);
  }

  #asking(): number {
    return this.#micRequired ? negState.REQUEST_MIC : negState.ACCEPT_INCOMPLETE;
  }

  #answer(
    token: Uint8Array | undefined,
    mic: Uint8Array | undefined,
    supportedMech: string | undefined,
    clientDone = false,
  ): Uint8Array | undefined {
    const responseToken = this.#krb5.context ? undefined : this.#krb5.step(token);
    const context = this.#krb5.context!;
    if (mic) {
      if (this.#micReceived) throw new MalformedError('SPNEGO', 'a second proof of the mechanism list');
      context.verifyMic(this.#mechList, mic);
      this.#micReceived = true;
      this.#micRequired = true;
    } else if (this.#micRequired && this.#micSent) {
      throw new AdError('INTEGRITY', 'the client did not prove its list of mechanisms', { gssMajor: 'BAD_MIC' });
    }
    const complete = !this.#micRequired || this.#micReceived;
    if (complete) this.#state = 'done';
    const proven = this.#micSent;
    const mechListMIC = this.#micRequired && !proven ? context.getMic(this.#mechList) : undefined;
    this.#micSent ||= mechListMIC !== undefined;
    // After the last proof there is nothing more to say to a client that has said that it is complete, as MIT's does;
    // Samba's waits for the word.
    if (complete && proven && clientDone) return undefined;
    const state = complete ? negState.ACCEPT_COMPLETED : supportedMech ? this.#asking() : negState.ACCEPT_INCOMPLETE;
    return encodeResp({ negState: state, supportedMech, responseToken, mechListMIC });
  }

  destroy(): void {
    this.#krb5.destroy();
  }
}

/** RFC 4178 4.2.2: reject, with the mechanism's own word on it. */
function rejection(e: unknown, now: number): unknown {
  const error = refusal(e, undefined, now);
  if (!(error instanceof GssError)) return error;
  const token = encodeResp({ negState: negState.REJECT, responseToken: error.token });
  return new GssError(error, error.major, token);
}

function isBareKerberos(token: Uint8Array): boolean {
  try {
    return equal(unframeMechanism(token).mechanism, mechanismDer.KRB5);
  } catch {
    return false;
  }
}

const NTLM_SIGNATURE = new TextEncoder().encode('NTLMSSP\0');
function isNtlm(token: Uint8Array): boolean {
  return token.length > 8 && equal(token.subarray(0, 8), NTLM_SIGNATURE);
}
