/**
 * Logons of HTTP clients with Kerberos (RFC 4559): `Authorization: Negotiate` of browsers, curl and others, for any
 * server that hands out node:http's requests.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isAdError } from '../errors.ts';
import type { AcceptedContext, BindingPolicy, PacPolicy } from '../krb5/gss/acceptor.ts';
import { GssError } from '../krb5/gss/errors.ts';
import { ReplayCache } from '../krb5/gss/replay-cache.ts';
import { KeytabFileKeys, type ServiceKeys } from '../krb5/gss/service-keys.ts';
import { NegotiateAcceptor } from '../krb5/gss/spnego-acceptor.ts';
import { groupSids } from '../krb5/pac/index.ts';
import { formatPrincipal, type Principal } from '../krb5/principal.ts';
import { negotiateHeader, parseAuthorization } from './challenge.ts';
import { certificateBindings, serverChannel } from './channel.ts';

/** A server's keys, and what it asks of clients. */
export interface AcceptNegotiateOptions {
  /** A keytab's path, read anew when the file is replaced, or keys from elsewhere. */
  readonly keytab: string | ServiceKeys;
  /**
   * Services that tickets may be for; any whose key is held unless told otherwise. Services of one account share a key, by
   * which alone they are told apart: see `AcceptorOptions`.
   */
  readonly services?: readonly Principal[];
  /**
   * Whether clients must name the TLS connection they come through. `allow-absent`: if they name one it must be this.
   * `require`: they must; `ignore`: whatever they name, for servers behind a proxy whose certificate is not known.
   */
  readonly channelBinding?: BindingPolicy | 'ignore';
  /** Certificate that clients see (DER) where TLS ends before this server; this server's own unless told otherwise. */
  readonly certificate?: Uint8Array;
  /** `verify` unless told otherwise; `require` where every client is of Active Directory. */
  readonly pac?: PacPolicy;
  /** Takes tickets that clients hand on: `context.delegated`. Passed over unless told otherwise. */
  readonly delegation?: boolean;
  readonly permittedEtypes?: readonly number[];
  /** Milliseconds. */
  readonly clockSkew?: number;
  readonly clock?: () => number;
  /** Told of each logon that is refused, with its reason, which the client does not learn. */
  readonly onRefused?: (error: GssError, request: IncomingMessage) => void;
  /** Told when a keytab that was replaced cannot be read; the keys of before go on being used. */
  readonly onKeytabError?: (error: unknown) => void;
}

/** Who made a request. */
export interface HttpUser {
  /** `alice@EXAMPLE.COM` */
  readonly principal: string;
  /** From the PAC, where the ticket has one of Active Directory. */
  readonly sid: string | undefined;
  /** SIDs of the groups to decide by; empty without a PAC. */
  readonly groups: readonly string[];
  /** `alice@example.com` */
  readonly upn: string | undefined;
  /** sAMAccountName and NetBIOS name of the domain. */
  readonly accountName: string | undefined;
  readonly domain: string | undefined;
  /** True when the client named the TLS connection it came through. */
  readonly channelBound: boolean;
  /** Everything the ticket said. */
  readonly context: AcceptedContext;
}

/**
 * Says who made a request, or answers it with 401 and returns undefined. Headers that prove this server to the client
 * are set on the response before it returns.
 */
export type Authenticate = (request: IncomingMessage, response: ServerResponse) => Promise<HttpUser | undefined>;

/** The tag that a client's first token begins with, and no later one (RFC 2743 3.1). */
const FIRST_TOKEN = 0x60;

/**
 * Makes the check that a handler begins with. One serves a whole server: it remembers authenticators. Tickets of users
 * with many groups are long: give `createServer` a `maxHeaderSize` of 64 KiB.
 * @throws AdError FILE or MalformedError from its calls, while the keytab could never be read
 */
export function acceptNegotiate(options: AcceptNegotiateOptions): Authenticate {
  const replays = new ReplayCache();
  /** Negotiations that need another round are those of their connection. */
  const unfinished = new WeakMap<object, NegotiateAcceptor>();
  let file: Promise<KeytabFileKeys> | undefined;
  const keysNow = async (): Promise<ServiceKeys> => {
    if (typeof options.keytab !== 'string') return options.keytab;
    file ??= KeytabFileKeys.open(options.keytab);
    const keys = await file.catch((e: unknown) => {
      file = undefined; // the next request tries again
      throw e;
    });
    await keys.refresh().catch((e: unknown) => options.onKeytabError?.(e));
    return keys;
  };

  return async (request, response) => {
    const { socket } = request;
    try {
      const token = parseAuthorization(request.headers.authorization);
      if (!token) return challenge(response, undefined);
      // A first token begins anew, whatever was left open: proxies lead many clients over one connection.
      const open = token[0] === FIRST_TOKEN ? undefined : unfinished.get(socket);
      const acceptor = open ?? new NegotiateAcceptor(acceptorOptions(await keysNow(), request));
      unfinished.delete(socket);
      const reply = acceptor.step(token);
      const { context } = acceptor;
      if (!context) {
        unfinished.set(socket, acceptor);
        return challenge(response, reply);
      }
      context.destroy(); // nothing is wrapped in HTTP
      if (reply) response.setHeader('WWW-Authenticate', negotiateHeader(reply));
      return userOf(context);
    } catch (e) {
      if (!isAdError(e) || (!(e instanceof GssError) && e.code !== 'MALFORMED')) throw e;
      const error = e instanceof GssError ? e : new GssError(e, 'DEFECTIVE_TOKEN', undefined);
      options.onRefused?.(error, request);
      return challenge(response, error.token);
    }
  };

  function acceptorOptions(keys: ServiceKeys, { socket }: IncomingMessage) {
    const { services, channelBinding = 'allow-absent', certificate, pac, delegation } = options;
    const { permittedEtypes, clockSkew, clock } = options;
    const channel = certificate ? certificateBindings(certificate) : serverChannel(socket);
    return {
      keys,
      replays,
      ...(services && { services }),
      ...(channelBinding !== 'ignore' && { bindings: channel, bindingPolicy: channelBinding }),
      ...(pac && { pac }),
      ...(delegation && { delegation }),
      ...(permittedEtypes && { permittedEtypes }),
      ...(clockSkew !== undefined && { clockSkew }),
      ...(clock && { clock }),
    };
  }
}

/** RFC 4559 section 4.1: 401, and the token of a negotiation that goes on or was refused. */
function challenge(response: ServerResponse, token: Uint8Array | undefined): undefined {
  const headers = {
    'WWW-Authenticate': negotiateHeader(token),
    'Content-Type': 'text/plain',
    'Cache-Control': 'no-store',
  };
  response.writeHead(401, headers).end('Log on with Kerberos.\n');
}

function userOf(context: AcceptedContext): HttpUser {
  const { logon, upn } = context.pac ?? {};
  return {
    principal: formatPrincipal(context.initiator),
    sid: logon?.userSid,
    groups: logon ? groupSids(logon) : [],
    upn: upn?.upn,
    accountName: logon?.accountName,
    domain: logon?.logonDomainName,
    channelBound: context.channelBound,
    context,
  };
}
