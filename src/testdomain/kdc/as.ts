/** The authentication service (RFC 4120 3.1.3 and 3.1.4), answering as an Active Directory KDC does. */
import { fromDer, toDer } from '../../asn1.ts';
import { isAdError } from '../../errors.ts';
import { Key, profileOf } from '../../krb5/crypto/index.ts';
import {
  AsRep,
  Checksum,
  EncAsRepPart,
  EncryptedData,
  EtypeInfo2,
  type KdcReq,
  type KdcReqBody,
  MethodData,
  PaEncTsEnc,
  type PrincipalName,
} from '../../krb5/messages.ts';
import { etype, kdcOption, keyUsage, msgType, nameType, paType, ticketFlag } from '../../krb5/numbers.ts';
import type { Account } from '../accounts.ts';
import { ntStatus, Refusal } from './refusal.ts';
import {
  chooseEtype,
  grantFlags,
  grantTimes,
  type KdcContext,
  MAX_SKEW_MS,
  seal,
  sealTicket,
  sessionEtype,
} from './tickets.ts';

/** RFC 6806 section 11: the usage of the checksum over the AS-REQ in PA-REQ-ENC-PA-REP. */
const USAGE_AS_REQ = 56;
/** Active Directory's word for a password that never expires. */
const NEVER = new Date('2037-09-14T02:48:05Z');

/** @param der the whole AS-REQ, which RFC 6806 has the KDC sign. @throws Refusal */
export async function asExchange(
  context: KdcContext,
  req: KdcReq,
  body: KdcReqBody,
  der: Uint8Array,
): Promise<Uint8Array> {
  const { directory } = context;
  if (body.kdcOptions & kdcOption.POSTDATED) {
    throw new Refusal('KDC_ERR_CANNOT_POSTDATE', 'postdated tickets are not issued');
  }
  const client = findClient(context, body.cname);
  const server = body.sname === undefined ? undefined : directory.findByService(body.sname.nameString);
  if (server === undefined || body.sname === undefined)
    throw new Refusal('KDC_ERR_S_PRINCIPAL_UNKNOWN', 'no such service');
  refuseRevoked(client);

  const keyEtype = chooseEtype(client.etypes, body.etypes);
  const { key, kvno } = await preAuthenticate(context, client, req, body);
  // The password was right, so it may be said that it has expired. A ticket to change it with is still to be had.
  if (body.sname.nameString[0] !== 'kadmin') refuseExpired(client);

  const session = Key.generate(sessionEtype(context, server, body.etypes));
  try {
    const canonical = (body.kdcOptions & kdcOption.CANONICALIZE) !== 0;
    const cname = canonical ? { nameType: nameType.PRINCIPAL, nameString: [client.name] } : body.cname!;
    const sname =
      canonical && server === directory.krbtgt && body.sname.nameString[0] !== 'kadmin'
        ? { nameType: nameType.SRV_INST, nameString: ['krbtgt', directory.realm] }
        : body.sname;
    const signed = req.padata?.some((p) => p.padataType === paType.REQ_ENC_PA_REP) ?? false;
    const times = grantTimes(context, body);
    const flags =
      grantFlags(body.kdcOptions, times) |
      ticketFlag.INITIAL |
      ticketFlag.PRE_AUTHENT |
      (signed ? ticketFlag.ENC_PA_REP : 0);
    const crealm = directory.realm;
    const ticket = await sealTicket(context, { server, sname, crealm, cname, flags, session, times });
    const encryptedPaData = signed ? [signRequest(key, der), supportedEtypes(client)] : undefined;
    const part = toDer(EncAsRepPart, {
      key: { keytype: session.etype, keyvalue: session.value },
      lastReq: [{ lrType: 0, lrValue: times.starttime }],
      nonce: body.nonce,
      keyExpiration: NEVER,
      flags,
      ...times,
      srealm: crealm,
      sname,
      encryptedPaData,
    });
    return toDer(AsRep, {
      pvno: 5,
      msgType: msgType.AS_REP,
      padata: [{ padataType: paType.ETYPE_INFO2, padataValue: etypeInfo2(client, [keyEtype]) }],
      crealm,
      cname,
      ticket,
      encPart: seal(key, keyUsage.AS_REP_ENC_PART, part, kvno),
    });
  } finally {
    session.destroy();
  }
}

function findClient({ directory }: KdcContext, cname: PrincipalName | undefined): Account {
  const name = cname?.nameString ?? [];
  // RFC 6806 section 5: an enterprise name is a user principal name in one component. Active Directory takes plain
  // names that hold an @ likewise, and a service principal name for its account.
  const found = name.length === 1 ? directory.findByUserName(name[0]!) : directory.findByService(name);
  if (found === undefined || found.kind === 'service')
    throw new Refusal('KDC_ERR_C_PRINCIPAL_UNKNOWN', 'no such client');
  return found;
}

function refuseRevoked({ state }: Account): void {
  if (state.disabled) throw new Refusal('KDC_ERR_CLIENT_REVOKED', 'account is disabled', ntStatus('ACCOUNT_DISABLED'));
  if (state.locked) throw new Refusal('KDC_ERR_CLIENT_REVOKED', 'account is locked', ntStatus('ACCOUNT_LOCKED_OUT'));
  if (state.expired) throw new Refusal('KDC_ERR_CLIENT_REVOKED', 'account has expired', ntStatus('ACCOUNT_EXPIRED'));
}

function refuseExpired({ state }: Account): void {
  const why = state.mustChangePassword
    ? 'PASSWORD_MUST_CHANGE'
    : state.passwordExpired
      ? 'PASSWORD_EXPIRED'
      : undefined;
  if (why) throw new Refusal('KDC_ERR_KEY_EXPIRED', 'password has expired', ntStatus(why));
}

/** The salts a client needs, strongest first; RC4 has none (RFC 4757 section 2). */
function etypeInfo2(client: Account, etypes: readonly number[]): Uint8Array {
  return toDer(
    EtypeInfo2,
    etypes.map((e) => (e === etype.RC4_HMAC ? { etype: e } : { etype: e, salt: client.salt })),
  );
}

function hints(client: Account, body: KdcReqBody): Uint8Array {
  const common = client.etypes.filter((e) => body.etypes.includes(e));
  return toDer(MethodData, [
    { padataType: paType.ETYPE_INFO2, padataValue: etypeInfo2(client, common) },
    { padataType: paType.ENC_TIMESTAMP, padataValue: new Uint8Array(0) },
  ]);
}

/** PA-ENC-TIMESTAMP (RFC 4120 5.2.7.2): gives the key that opened it, which also seals the reply. */
async function preAuthenticate(
  context: KdcContext,
  client: Account,
  req: KdcReq,
  body: KdcReqBody,
): Promise<{ key: Key; kvno: number }> {
  const given = req.padata?.find((p) => p.padataType === paType.ENC_TIMESTAMP);
  if (given === undefined)
    throw new Refusal('KDC_ERR_PREAUTH_REQUIRED', 'pre-authentication required', hints(client, body));
  const sealed = fromDer(EncryptedData, given.padataValue);
  if (!client.etypes.includes(sealed.etype) || !body.etypes.includes(sealed.etype)) {
    throw new Refusal('KDC_ERR_ETYPE_NOSUPP', 'encryption type of the timestamp is not supported');
  }
  const { current, alsoAccepted, kvno } = client.keysAt(context.now());
  for (const [age, keys] of [current, ...alsoAccepted].entries()) {
    const key = await keys.get(sealed.etype);
    const stamp = open(key, sealed.cipher);
    if (stamp === undefined) continue;
    const sent = fromDer(PaEncTsEnc, stamp).patimestamp.getTime();
    if (Math.abs(sent - context.now()) > MAX_SKEW_MS) throw new Refusal('KRB_AP_ERR_SKEW', 'clock skew too great');
    return { key, kvno: kvno - age };
  }
  throw new Refusal('KDC_ERR_PREAUTH_FAILED', 'pre-authentication failed', hints(client, body));
}

function open(key: Key, cipher: Uint8Array): Uint8Array | undefined {
  try {
    return key.decrypt(keyUsage.AS_REQ_PA_ENC_TIMESTAMP, cipher);
  } catch (e) {
    if (isAdError(e, 'INTEGRITY', 'MALFORMED')) return undefined;
    throw e;
  }
}

/** RFC 6806 section 11: proves to the client that its request was not altered on the way. */
function signRequest(key: Key, request: Uint8Array): { padataType: number; padataValue: Uint8Array } {
  const checksum = { cksumtype: profileOf(key.etype).cksumType, checksum: key.checksum(USAGE_AS_REQ, request) };
  return { padataType: paType.REQ_ENC_PA_REP, padataValue: toDer(Checksum, checksum) };
}

/** PA-SUPPORTED-ENCTYPES (MS-KILE 2.2.8): a little-endian bit field. */
function supportedEtypes(client: Account): { padataType: number; padataValue: Uint8Array } {
  const bits = supportedEncryptionTypes(client);
  return { padataType: paType.SUPPORTED_ETYPES, padataValue: new Uint8Array([bits, 0, 0, 0]) };
}

/** The bits of msDS-SupportedEncryptionTypes (MS-KILE 2.2.7). */
export function supportedEncryptionTypes(account: Account): number {
  const bit: Record<number, number> = {
    [etype.RC4_HMAC]: 0x04,
    [etype.AES128_CTS_HMAC_SHA1_96]: 0x08,
    [etype.AES256_CTS_HMAC_SHA1_96]: 0x10,
  };
  return account.etypes.reduce((bits, e) => bits | (bit[e] ?? 0), 0);
}
