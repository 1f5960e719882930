/** What both exchanges share: the KDC's facts, the choice of encryption types and times, and sealing a ticket. */
import { toDer } from '../../asn1.ts';
import { findProfile, type Key } from '../../krb5/crypto/index.ts';
import { type EncryptedData, EncTicketPart, type KdcReqBody, type PrincipalName, Ticket } from '../../krb5/messages.ts';
import { etype, kdcOption, keyUsage, ticketFlag } from '../../krb5/numbers.ts';
import type { Account } from '../accounts.ts';
import type { Directory } from '../directory.ts';
import { pacAuthorization } from './pac.ts';
import { Refusal } from './refusal.ts';

export interface KdcContext {
  readonly directory: Directory;
  /** Milliseconds since 1970, by the KDC's own clock. */
  readonly now: () => number;
  /** Longest life and longest renewable life of a ticket, in milliseconds. */
  readonly maxLifeMs: number;
  readonly maxRenewMs: number;
}

export const MAX_SKEW_MS = 5 * 60_000;

/** RFC 4120 3.1.3: a type the client listed; the strongest of the account's. @throws Refusal KDC_ERR_ETYPE_NOSUPP */
export function chooseEtype(supported: readonly number[], listed: readonly number[]): number {
  const found = supported.find((e) => listed.includes(e) && findProfile(e) !== undefined);
  if (found === undefined) throw new Refusal('KDC_ERR_ETYPE_NOSUPP', 'no encryption type in common');
  return found;
}

/** Of a session with the KDC itself: what krbtgt's own key is made for says nothing of it. */
const KDC_SESSION_ETYPES: readonly number[] = [
  etype.AES256_CTS_HMAC_SHA1_96,
  etype.AES128_CTS_HMAC_SHA1_96,
  etype.RC4_HMAC,
];

export function sessionEtype(context: KdcContext, server: Account, listed: readonly number[]): number {
  return chooseEtype(server === context.directory.krbtgt ? KDC_SESSION_ETYPES : server.etypes, listed);
}

export interface Times {
  readonly authtime: Date;
  readonly starttime: Date;
  readonly endtime: Date;
  readonly renewTill?: Date | undefined;
}

const wholeSeconds = (ms: number): Date => new Date(Math.floor(ms / 1000) * 1000);

/**
 * Times of a new ticket: as asked for, within the domain's limits and `endLimit` / `renewLimit`, the ticket's that was
 * presented. RENEWABLE-OK turns a till beyond reach into a renewable ticket (RFC 4120 3.1.3).
 */
export function grantTimes(
  context: KdcContext,
  body: KdcReqBody,
  from?: { readonly authtime: Date; readonly endtime: Date; readonly renewTill?: Date | undefined },
): Times {
  const now = wholeSeconds(context.now());
  // A till of the epoch asks for as long as may be (RFC 4120 5.4.1).
  const asked = body.till.getTime() === 0 ? Number.MAX_SAFE_INTEGER : body.till.getTime();
  const end = Math.min(asked, now.getTime() + context.maxLifeMs, from?.endtime.getTime() ?? Number.MAX_SAFE_INTEGER);
  if (end <= now.getTime()) throw new Refusal('KDC_ERR_NEVER_VALID', 'the ticket would end before it begins');
  const renewLimit = from === undefined ? now.getTime() + context.maxRenewMs : (from.renewTill?.getTime() ?? 0);
  const renewable = (body.kdcOptions & kdcOption.RENEWABLE) !== 0;
  const renewableOk = (body.kdcOptions & kdcOption.RENEWABLE_OK) !== 0 && asked > end && from === undefined;
  const rtime = renewable ? body.rtime?.getTime() || Number.MAX_SAFE_INTEGER : renewableOk ? asked : 0;
  const renewTill = Math.min(rtime, renewLimit);
  const times = { authtime: from?.authtime ?? now, starttime: now, endtime: wholeSeconds(end) };
  return renewTill > now.getTime() ? { ...times, renewTill: wholeSeconds(renewTill) } : times;
}

/** The flags a request may simply have for the asking. */
export function grantFlags(options: number, times: Times): number {
  const asked = options & (ticketFlag.FORWARDABLE | ticketFlag.PROXIABLE);
  return times.renewTill === undefined ? asked : asked | ticketFlag.RENEWABLE;
}

export interface TicketInit {
  readonly server: Account;
  readonly sname: PrincipalName;
  readonly crealm: string;
  readonly cname: PrincipalName;
  readonly flags: number;
  readonly session: Key;
  readonly times: Times;
  /** User-to-user: the ticket is sealed with this session key instead of the server's own. */
  readonly sealWith?: Key | undefined;
}

/** A Ticket (RFC 4120 5.3) as DER, with its client's PAC, sealed with the server account's strongest current key. */
export async function sealTicket(context: KdcContext, init: TicketInit): Promise<Uint8Array> {
  const { directory } = context;
  const { current, kvno } = init.server.keysAt(context.now());
  const key = init.sealWith ?? (await current.get(init.server.etypes[0]!));
  const client =
    init.crealm === directory.realm ? directory.findByUserName(init.cname.nameString.join('/')) : undefined;
  const kdcKeys = directory.krbtgt.keysAt(context.now()).current;
  const authorizationData =
    client &&
    pacAuthorization({
      directory,
      client,
      name: init.cname.nameString.join('/'),
      authtime: init.times.authtime,
      serviceKey: key,
      kdcKey: await kdcKeys.get(directory.krbtgt.etypes[0]!),
    });
  const part = toDer(EncTicketPart, {
    flags: init.flags,
    key: { keytype: init.session.etype, keyvalue: init.session.value },
    crealm: init.crealm,
    cname: init.cname,
    transited: { trType: 0, contents: new Uint8Array(0) },
    ...init.times,
    authorizationData,
  });
  return toDer(Ticket, {
    tktVno: 5,
    realm: directory.realm,
    sname: init.sname,
    encPart: seal(key, keyUsage.KDC_REP_TICKET, part, init.sealWith === undefined ? kvno : undefined),
  });
}

export function seal(key: Key, usage: number, plain: Uint8Array, kvno?: number): EncryptedData {
  return { etype: key.etype, kvno, cipher: key.encrypt(usage, plain) };
}
