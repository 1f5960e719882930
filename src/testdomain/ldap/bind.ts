/** Binding: anonymous, by password, and GSSAPI with the negotiation of a security layer (RFC 4752 3.2). */
import { equal, fromUtf8 } from '../../bytes.ts';
import { isAdError } from '../../errors.ts';
import type { CfxContext } from '../../krb5/gss/cfx.ts';
import type { Account } from '../accounts.ts';
import type { KdcContext } from '../kdc/tickets.ts';
import { AccountKeys } from '../keys.ts';
import { acceptContext } from './gss-acceptor.ts';
import { type BindRequest, resultCode } from './messages.ts';

/** RFC 4752 3.3 */
export const layer = { none: 1, integrity: 2, confidentiality: 4 } as const;

export interface SecurityLayer {
  readonly context: CfxContext;
  readonly confidential: boolean;
  /** The longest token the client takes. */
  readonly maxToken: number;
}

export interface BindOutcome {
  readonly code: number;
  readonly text?: string;
  readonly credentials?: Uint8Array;
  /** Set on success; the account is undefined for an anonymous bind. */
  readonly bound?: { readonly account: Account | undefined; readonly layer: SecurityLayer | undefined };
}

/** The longest token this server takes, as Active Directory says it: 10 MiB. */
const MAX_TOKEN = 0xa00000;
export const MAX_FRAME = MAX_TOKEN;

/** Active Directory's words for a refused bind; `data` is a Win32 error in hexadecimal. */
const refused = (data: string): BindOutcome => ({
  code: resultCode.invalidCredentials,
  text: `80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data ${data}, v4f7c`,
});

/** One connection's binding; a GSSAPI bind runs over several requests. */
export class Binder {
  readonly #context: KdcContext;
  readonly #offered: number;
  #pending: { readonly account: Account; readonly gss: CfxContext; readonly step: 'offer' | 'choice' } | undefined;

  constructor(context: KdcContext, offeredLayers: number) {
    this.#context = context;
    this.#offered = offeredLayers;
  }

  async bind(request: BindRequest): Promise<BindOutcome> {
    if (request.version !== 3) return { code: resultCode.protocolError, text: 'only LDAPv3' };
    if (request.sasl === undefined) {
      this.#pending = undefined;
      return this.#simple(request.name, request.simple ?? Buffer.alloc(0));
    }
    if (request.sasl.mechanism.toUpperCase() !== 'GSSAPI') {
      return {
        code: resultCode.authMethodNotSupported,
        text: `00002027: LdapErr: DSID-0C090577, comment: Invalid Authentication method, data 0, v4f7c`,
      };
    }
    try {
      return await this.#gssapi(request.sasl.credentials ?? Buffer.alloc(0));
    } catch (e) {
      this.#pending = undefined;
      if (isAdError(e)) return { ...refused('57'), text: `${refused('57').text} (${e.message})` };
      throw e;
    }
  }

  async #simple(name: string, password: Buffer): Promise<BindOutcome> {
    if (password.length === 0) {
      // RFC 4513 5.1.2: a name without a password must not look like a success.
      if (name !== '') return { code: resultCode.unwillingToPerform, text: '00002035: LdapErr: no password' };
      return { code: resultCode.success, bound: { account: undefined, layer: undefined } };
    }
    const { directory } = this.#context;
    const wanted = name.toLowerCase();
    const account = directory.accounts.find((a) => a.dn.toLowerCase() === wanted) ?? directory.findByUserName(name);
    if (account === undefined || account.kind === 'service') return refused('52e');
    const { state } = account;
    if (!(await this.#isPassword(account, password))) return refused('52e');
    if (state.disabled) return refused('533');
    if (state.locked) return refused('775');
    if (state.expired) return refused('701');
    if (state.passwordExpired) return refused('532');
    if (state.mustChangePassword) return refused('773');
    return { code: resultCode.success, bound: { account, layer: undefined } };
  }

  /** Passwords are not kept, so the keys are compared. */
  async #isPassword(account: Account, password: Buffer): Promise<boolean> {
    let text: string;
    try {
      text = fromUtf8(password);
    } catch {
      return false;
    }
    const etype = account.etypes[0]!;
    const own = await account.keysAt(this.#context.now()).current.get(etype);
    const given = await AccountKeys.fromPassword(text, account.salt).get(etype);
    return equal(own.value, given.value);
  }

  async #gssapi(credentials: Buffer): Promise<BindOutcome> {
    const more = (token: Uint8Array): BindOutcome => ({ code: resultCode.saslBindInProgress, credentials: token });
    const pending = this.#pending;
    if (pending === undefined) {
      if (credentials.length === 0) return more(new Uint8Array(0));
      const { client, context: gss, reply } = await acceptContext(this.#context, credentials);
      const account = this.#context.directory.findByService(client.nameString);
      if (account === undefined) return refused('525');
      if (account.state.disabled) return refused('533');
      this.#pending = { account, gss, step: reply ? 'offer' : 'choice' };
      return more(reply ?? this.#offer(gss));
    }
    const { account, gss, step } = pending;
    if (step === 'offer') {
      if (credentials.length > 0) return this.#abandon('token where none was due');
      this.#pending = { account, gss, step: 'choice' };
      return more(this.#offer(gss));
    }
    const { plain: choice } = gss.unwrap(credentials);
    this.#pending = undefined;
    if (choice.length < 4) return this.#abandon('choice of layer is cut short');
    const chosen = choice[0]!;
    if (![1, 2, 4].includes(chosen) || (chosen & this.#offered) === 0)
      return this.#abandon(`layer ${chosen} was not offered`);
    const maxToken = choice[1]! * 65536 + choice[2]! * 256 + choice[3]!;
    const confidential = chosen === layer.confidentiality;
    const bound = { account, layer: chosen === layer.none ? undefined : { context: gss, confidential, maxToken } };
    return { code: resultCode.success, bound };
  }

  /** RFC 4752 3.2: the layers and the longest token, "wrapped ... with conf_flag set to FALSE". */
  #offer(gss: CfxContext): Uint8Array {
    const size = this.#offered === layer.none ? 0 : MAX_TOKEN;
    const offer = new Uint8Array([this.#offered, size >> 16, (size >> 8) & 0xff, size & 0xff]);
    return gss.wrap(offer, { confidential: false });
  }

  #abandon(why: string): BindOutcome {
    this.#pending = undefined;
    return { ...refused('57'), text: `${refused('57').text} (${why})` };
  }
}
