/** The PAC of a ticket (MS-PAC): what Active Directory tells services of a client, signed with the service's key. */
import { toDer } from '../../asn1.ts';
import { Writer } from '../../bytes.ts';
import { type Key, profileOf } from '../../krb5/crypto/index.ts';
import { AuthorizationData } from '../../krb5/messages.ts';
import { adType, keyUsage } from '../../krb5/numbers.ts';
import { pacBuffer } from '../../krb5/pac/index.ts';
import type { Account } from '../accounts.ts';
import type { Directory } from '../directory.ts';

export interface PacInit {
  readonly directory: Directory;
  readonly client: Account;
  /** The client's name as the ticket has it. */
  readonly name: string;
  readonly authtime: Date;
  /** The key that seals the ticket, and that of the ticket-granting service. */
  readonly serviceKey: Key;
  readonly kdcKey: Key;
}

/** Well-known groups, MS-DTYP 2.4.2.4. */
const RID = { DOMAIN_USERS: 513, DOMAIN_COMPUTERS: 515 } as const;
/** SE_GROUP_MANDATORY, ENABLED_BY_DEFAULT, ENABLED (MS-PAC 2.2.1). */
const MEMBER = 7;
const EXTRA_SIDS = 0x20;
/** S-1-18-1: "the client's identity is asserted by an authentication authority". */
const ASSERTED = Uint8Array.of(1, 1, 0, 0, 0, 0, 0, 18, 1, 0, 0, 0);
const NEVER = 0x7fffffffffffffffn;
/** userAccountControl in SAM's own bits (MS-SAMR 2.2.1.12). */
const ACCOUNT = { user: 0x10, workstation: 0x80 } as const;

/** Authorization data with the PAC, for the encrypted part of a ticket. */
export function pacAuthorization(init: PacInit): AuthorizationData {
  const pac = { adType: adType.WIN2K_PAC, adData: makePac(init) };
  return [{ adType: adType.IF_RELEVANT, adData: toDer(AuthorizationData, [pac]) }];
}

function makePac({ directory, client, name, authtime, serviceKey, kdcKey }: PacInit): Uint8Array {
  const buffers: [type: number, data: Uint8Array][] = [
    [pacBuffer.LOGON_INFO, logonInfo(directory, client, authtime)],
    [pacBuffer.CLIENT_INFO, clientInfo(name, authtime)],
    [pacBuffer.UPN_DNS_INFO, upnDnsInfo(directory, client)],
    [pacBuffer.SERVER_CHECKSUM, emptySignature(serviceKey)],
    [pacBuffer.KDC_CHECKSUM, emptySignature(kdcKey)],
  ];
  const w = little();
  w.u32(buffers.length).u32(0);
  const places = new Map<number, number>();
  let at = 8 + 16 * buffers.length;
  for (const [type, { length }] of buffers) {
    places.set(type, at);
    w.u32(type).u32(length).u64(BigInt(at));
    at += length + padding(length);
  }
  for (const [, data] of buffers) w.bytes(data).bytes(new Uint8Array(padding(data.length)));
  const pac = w.finish();
  // MS-PAC 2.8.1: the server's signature with both fields zero, then the KDC's over the server's.
  const signature = serviceKey.checksum(keyUsage.PAC_SIGNATURE, pac);
  pac.set(signature, places.get(pacBuffer.SERVER_CHECKSUM)! + 4);
  pac.set(kdcKey.checksum(keyUsage.PAC_SIGNATURE, signature), places.get(pacBuffer.KDC_CHECKSUM)! + 4);
  return pac;
}

const little = (): Writer => new Writer({ littleEndian: true });
const padding = (length: number): number => (8 - (length % 8)) % 8;
const utf16 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'utf16le'));
/** 100 ns since 1601. */
const fileTime = (date: Date): bigint => (BigInt(date.getTime()) + 11_644_473_600_000n) * 10_000n;

function emptySignature(key: Key): Uint8Array {
  const { cksumType, cksumBytes } = profileOf(key.etype);
  return little().i32(cksumType).bytes(new Uint8Array(cksumBytes)).finish();
}

/** MS-PAC 2.7. */
function clientInfo(name: string, authtime: Date): Uint8Array {
  const text = utf16(name);
  return little().u64(fileTime(authtime)).u16(text.length).bytes(text).finish();
}

/** MS-PAC 2.10, with account name and SID (flag 2); flag 1 where the account has no UPN of its own. */
function upnDnsInfo({ domain, realm }: Directory, client: Account): Uint8Array {
  const own = client.userPrincipalName;
  const parts = [utf16(own ?? `${client.name}@${domain}`), utf16(realm), utf16(client.name), client.sid];
  const head = little();
  const body = little();
  const start = 24;
  for (const [i, part] of parts.entries()) {
    head.u16(part.length).u16(start + body.length);
    body.bytes(part).bytes(new Uint8Array(padding(part.length)));
    if (i === 1) head.u32(2 | (own ? 0 : 1));
  }
  return head
    .bytes(new Uint8Array(start - head.length))
    .bytes(body.finish())
    .finish();
}

/** KERB_VALIDATION_INFO (MS-PAC 2.5) in NDR, with the header of type serialization (MS-RPCE 2.2.6). */
function logonInfo(directory: Directory, client: Account, authtime: Date): Uint8Array {
  const isUser = client.kind === 'user';
  const primary = isUser ? RID.DOMAIN_USERS : RID.DOMAIN_COMPUTERS;
  const names = new Set([...client.groups].map((name) => name.toLowerCase()));
  const groups = directory.groups.filter((group) => names.has(group.name.toLowerCase()));
  const rids = [primary, ...groups.map(({ sid }) => Buffer.from(sid).readUInt32LE(sid.length - 4))];

  const w = little();
  const behind = little();
  let referents = 0;
  const align = (): void => void behind.bytes(new Uint8Array((4 - (behind.length % 4)) % 4));
  /** A pointer; what it leads to is written behind the structure, in the order of the pointers. */
  const pointer = (referent: () => void): void => {
    w.u32(0x20000 + 4 * referents++);
    align();
    referent();
  };
  const string = (text: string): void => {
    const bytes = utf16(text);
    w.u16(bytes.length).u16(bytes.length);
    pointer(() =>
      behind
        .u32(bytes.length / 2)
        .u32(0)
        .u32(bytes.length / 2)
        .bytes(bytes),
    );
  };
  const sid = (value: Uint8Array): void => void behind.u32(value[1]!).bytes(value);

  w.u32(0x20000 + 4 * referents++);
  w.u64(fileTime(authtime)).u64(NEVER).u64(NEVER).u64(0n).u64(0n).u64(NEVER);
  for (const text of [client.name, client.cn, '', '', '', '']) string(text);
  w.u16(0).u16(0); // logon and bad password counts
  w.u32(client.rid).u32(primary).u32(rids.length);
  pointer(() => {
    behind.u32(rids.length);
    for (const rid of rids) behind.u32(rid).u32(MEMBER);
  });
  w.u32(EXTRA_SIDS).bytes(new Uint8Array(16));
  string(directory.controllerName.split('.')[0]!.toUpperCase());
  string(directory.netbios);
  pointer(() => sid(directory.sid));
  w.bytes(new Uint8Array(8));
  w.u32(isUser ? ACCOUNT.user : ACCOUNT.workstation);
  w.bytes(new Uint8Array(28)); // what other packages than Kerberos use
  w.u32(1); // extra SIDs
  pointer(() => {
    behind
      .u32(1)
      .u32(0x20000 + 4 * referents++)
      .u32(MEMBER);
    sid(ASSERTED);
  });
  w.u32(0).u32(0).u32(0); // resource groups

  w.bytes(behind.finish());
  w.bytes(new Uint8Array(padding(w.length)));
  const body = w.finish();
  const head = little()
    .bytes(Uint8Array.of(1, 0x10, 8, 0))
    .bytes(new Uint8Array(4).fill(0xcc));
  return head.u32(body.length).u32(0).bytes(body).finish();
}
