/**
 * Tokens of SPNEGO, by which two sides agree on a mechanism (RFC 4178 section 4.2), with what MS-SPNG 2.2 adds. Pure
 * encoding and decoding; the two sides are in spnego-initiator.ts and spnego-acceptor.ts.
 */
import {
  context,
  enumerated,
  field,
  fromDer,
  type Infer,
  objectIdentifier,
  octets,
  optional,
  raw,
  sequence,
  sequenceOf,
  toDer,
} from '../../asn1.ts';
import { equal } from '../../bytes.ts';
import { MalformedError } from '../../errors.ts';
import { frameMechanism, mechanism, mechanismDer, unframeMechanism } from './token.ts';

/** RFC 4178 4.2.2. */
export const negState = { ACCEPT_COMPLETED: 0, ACCEPT_INCOMPLETE: 1, REJECT: 2, REQUEST_MIC: 3 } as const;

export const MechTypeList = sequenceOf(objectIdentifier);
/** Kept as its exact DER: the MIC covers these bytes (RFC 4178 section 5). */
const NegTokenInit = sequence({
  mechTypes: field(0, raw),
  // "reqFlags ... This field is not to be used": whatever is there is not looked at.
  reqFlags: optional(1, raw),
  mechToken: optional(2, octets),
  mechListMIC: optional(3, octets),
});
/** MS-SPNG 2.2.1 puts hints at [3], and the MIC at [4]; a client has no use for hints, and Windows sends none. */
const negTokenResp = sequence({
  negState: optional(0, enumerated),
  supportedMech: optional(1, objectIdentifier),
  responseToken: optional(2, octets),
  mechListMIC: optional(3, octets),
});
const NegotiationInit = context(0, NegTokenInit);
const NegotiationResp = context(1, negTokenResp);

export interface SpnegoInit {
  readonly mechTypes: readonly string[];
  /** DER of the list, which the MIC covers. */
  readonly mechList: Uint8Array;
  readonly mechToken: Uint8Array | undefined;
  readonly mechListMic: Uint8Array | undefined;
}
export type SpnegoResp = Infer<typeof negTokenResp>;

export function encodeInit(init: Pick<SpnegoInit, 'mechList' | 'mechToken' | 'mechListMic'>): Uint8Array {
  const der = toDer(NegotiationInit, {
    mechTypes: init.mechList,
    mechToken: init.mechToken,
    mechListMIC: init.mechListMic,
  });
  return frameMechanism(mechanismDer.SPNEGO, der);
}

/** Mechanisms looked at in a list: nobody has as many. */
const MAX_MECHANISMS = 64;

/** The first token of an initiator. @throws MalformedError */
export function decodeInit(token: Uint8Array): SpnegoInit {
  const { mechanism: der, body } = unframeMechanism(token);
  if (!equal(der, mechanismDer.SPNEGO)) throw new MalformedError('SPNEGO', 'another mechanism than SPNEGO');
  const init = fromDer(NegotiationInit, body);
  const mechTypes = fromDer(MechTypeList, init.mechTypes);
  if (mechTypes.length < 1 || mechTypes.length > MAX_MECHANISMS)
    throw new MalformedError('SPNEGO', `a list of ${mechTypes.length} mechanisms`);
  return { mechTypes, mechList: init.mechTypes, mechToken: init.mechToken, mechListMic: init.mechListMIC };
}

/** Every token but the first, of either side: bare, without a frame. */
export function encodeResp(resp: SpnegoResp): Uint8Array {
  return toDer(NegotiationResp, resp);
}

/** @throws MalformedError */
export function decodeResp(token: Uint8Array): SpnegoResp {
  const resp = fromDer(NegotiationResp, token);
  if (resp.negState !== undefined && resp.negState > negState.REQUEST_MIC)
    throw new MalformedError('SPNEGO', `negState ${resp.negState}`);
  return resp;
}

/** Both names of the one mechanism spoken here. */
export function isKerberos(oid: string | undefined): boolean {
  return oid === mechanism.KRB5 || oid === mechanism.MS_KRB5;
}
