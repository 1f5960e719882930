/** What a KDC tells anyone about a client's keys: encryption types, salts and parameters (RFC 4120 5.2.7.5). */
import { fromDer, toDer } from '../../asn1.ts';
import { AdError, isAdError } from '../../errors.ts';
import { AsRep, AsReq, EtypeInfo2, KdcReqBody, KrbError, type PaData, toPrincipalName } from '../messages.ts';
import { krbError, msgType, paType } from '../numbers.ts';
import { formatPrincipal, krbtgt, type Principal } from '../principal.ts';
import type { KeyHint } from '../secret.ts';
import { wholeSeconds } from './as.ts';
import { type ExchangeContext, kdcNow, newNonce } from './context.ts';
import { krbErrorToAdError, methodData } from './errors.ts';

/** How a client's keys are made from its password, as a KDC tells it. */
export interface KeyRecipes {
  /** In the KDC's order; of permitted types only. */
  readonly hints: readonly KeyHint[];
  /** The KDC's time minus this host's, ms; undefined when it did not tell. Nobody vouches for it. */
  readonly offset: number | undefined;
  /** `host:port` that answered. */
  readonly server: string;
}

/**
 * Asks without pre-authentication. The answer is not authenticated: a key made by it is proved by a logon.
 * @throws AdError UNKNOWN_PRINCIPAL, ACCOUNT_DISABLED, ETYPE, KDC_ERROR, UNREACHABLE, TIMEOUT, ABORTED; MalformedError
 */
export async function askKeyRecipes(
  context: ExchangeContext,
  client: Principal,
  signal?: AbortSignal,
): Promise<KeyRecipes> {
  const now = kdcNow(context);
  const reqBody = toDer(KdcReqBody, {
    kdcOptions: 0,
    cname: toPrincipalName(client),
    realm: client.realm,
    sname: toPrincipalName(krbtgt(client.realm)),
    till: wholeSeconds(now + context.ticketLifetime),
    rtime: undefined,
    nonce: newNonce(context.random),
    etypes: [...context.permittedEtypes],
  });
  const request = toDer(AsReq, { pvno: 5, msgType: msgType.AS_REQ, padata: [], reqBody });
  const { message, server } = await context.transport.exchange(client.realm, request, signal);
  if (message[0] !== 0x60 + msgType.ERROR) {
    // An account that needs no pre-authentication: the ticket comes at once, and cannot be opened without the key.
    const rep = fromDer(AsRep, message);
    return { hints: hintsIn(context, rep.padata ?? []), offset: undefined, server };
  }
  const error = fromDer(KrbError, message);
  const offset = error.stime.getTime() - context.clock();
  if (error.errorCode !== krbError.KDC_ERR_PREAUTH_REQUIRED) {
    const what = `the request for the salt of ${formatPrincipal(client)}`;
    const refused = krbErrorToAdError(error, { what, realm: client.realm, server });
    throw new AdError(refused.code, refused.message, { ...refused.details, offset }, refused);
  }
  return { hints: hintsIn(context, methodData(error)), offset, server };
}

/**
 * As `askKeyRecipes`, for every permitted type: some KDCs name the strongest alone, so each of the others is asked for by
 * itself.
 */
export async function askEveryRecipe(
  context: ExchangeContext,
  client: Principal,
  signal?: AbortSignal,
): Promise<readonly KeyHint[]> {
  const { hints } = await askKeyRecipes(context, client, signal);
  const rest = context.permittedEtypes.filter((etype) => !hints.some((hint) => hint.etype === etype));
  const alone = rest.map(async (etype) => {
    try {
      return (await askKeyRecipes({ ...context, permittedEtypes: [etype] }, client, signal)).hints;
    } catch (e) {
      if (isAdError(e, 'ETYPE', 'KDC_ERROR')) return [];
      throw e;
    }
  });
  return [...hints, ...(await Promise.all(alone)).flat()];
}

function hintsIn(context: ExchangeContext, padata: readonly PaData[]): KeyHint[] {
  const pa = padata.find((p) => p.padataType === paType.ETYPE_INFO2);
  const entries = pa ? fromDer(EtypeInfo2, pa.padataValue) : [];
  return entries
    .filter((entry) => context.permittedEtypes.includes(entry.etype))
    .map((entry) => ({ etype: entry.etype, salt: entry.salt, params: entry.s2kparams }));
}
