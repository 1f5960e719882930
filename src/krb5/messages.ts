/**
 * The messages of RFC 4120 section 5 in the order of the RFC, then the pre-authentication types. Times are Dates with
 * whole seconds, flags and options 32-bit numbers (see numbers.ts), opaque values byte arrays.
 */
import {
  application,
  boolean,
  context,
  field,
  type Infer,
  int32,
  kerberosFlags,
  kerberosString,
  kerberosTime,
  lenientUint32,
  microseconds,
  octets,
  optional,
  raw,
  sequence,
  sequenceOf,
  uint32,
} from '../asn1.ts';
import type { Principal } from './principal.ts';

/** RFC 4120 5.2.2 */
export const PrincipalName = sequence({ nameType: field(0, int32), nameString: field(1, sequenceOf(kerberosString)) });
export type PrincipalName = Infer<typeof PrincipalName>;
/** RFC 4120 5.2.5 */
export const HostAddress = sequence({ addrType: field(0, int32), address: field(1, octets) });
export type HostAddress = Infer<typeof HostAddress>;
/** RFC 4120 5.2.6 */
export const AuthorizationData = sequenceOf(sequence({ adType: field(0, int32), adData: field(1, octets) }));
export type AuthorizationData = Infer<typeof AuthorizationData>;
/** RFC 4120 5.2.7 */
export const PaData = sequence({ padataType: field(1, int32), padataValue: field(2, octets) });
export type PaData = Infer<typeof PaData>;
export const MethodData = sequenceOf(PaData);
/** RFC 4120 5.2.9. Active Directory writes an RODC's kvno as a negative number. */
export const EncryptedData = sequence({
  etype: field(0, int32),
  kvno: optional(1, lenientUint32),
  cipher: field(2, octets),
});
export type EncryptedData = Infer<typeof EncryptedData>;
export const EncryptionKey = sequence({ keytype: field(0, int32), keyvalue: field(1, octets) });
export type EncryptionKey = Infer<typeof EncryptionKey>;
export const Checksum = sequence({ cksumtype: field(0, int32), checksum: field(1, octets) });
export type Checksum = Infer<typeof Checksum>;

/** RFC 4120 5.3 */
export const Ticket = application(
  1,
  sequence({
    tktVno: field(0, int32),
    realm: field(1, kerberosString),
    sname: field(2, PrincipalName),
    encPart: field(3, EncryptedData),
  }),
);
export type Ticket = Infer<typeof Ticket>;
export const TransitedEncoding = sequence({ trType: field(0, int32), contents: field(1, octets) });
export const EncTicketPart = application(
  3,
  sequence({
    flags: field(0, kerberosFlags),
    key: field(1, EncryptionKey),
    crealm: field(2, kerberosString),
    cname: field(3, PrincipalName),
    transited: field(4, TransitedEncoding),
    authtime: field(5, kerberosTime),
    starttime: optional(6, kerberosTime),
    endtime: field(7, kerberosTime),
    renewTill: optional(8, kerberosTime),
    caddr: optional(9, sequenceOf(HostAddress)),
    authorizationData: optional(10, AuthorizationData),
  }),
);
export type EncTicketPart = Infer<typeof EncTicketPart>;

/** RFC 4120 5.4.1 */
export const KdcReqBody = sequence({
  kdcOptions: field(0, kerberosFlags),
  cname: optional(1, PrincipalName),
  realm: field(2, kerberosString),
  sname: optional(3, PrincipalName),
  from: optional(4, kerberosTime),
  till: field(5, kerberosTime),
  rtime: optional(6, kerberosTime),
  nonce: field(7, uint32),
  etypes: field(8, sequenceOf(int32)),
  addresses: optional(9, sequenceOf(HostAddress)),
  encAuthorizationData: optional(10, EncryptedData),
  additionalTickets: optional(11, sequenceOf(raw)),
});
export type KdcReqBody = Infer<typeof KdcReqBody>;
const kdcReq = sequence({
  pvno: field(1, int32),
  msgType: field(2, int32),
  padata: optional(3, sequenceOf(PaData)),
  // Kept as its exact DER: the TGS authenticator's checksum covers these bytes (RFC 4120 5.4.1).
  reqBody: field(4, raw),
});
export const AsReq = application(10, kdcReq);
export const TgsReq = application(12, kdcReq);
export type KdcReq = Infer<typeof AsReq>;

/** RFC 4120 5.4.2. The ticket is kept as its exact DER. */
const kdcRep = sequence({
  pvno: field(0, int32),
  msgType: field(1, int32),
  padata: optional(2, sequenceOf(PaData)),
  crealm: field(3, kerberosString),
  cname: field(4, PrincipalName),
  ticket: field(5, raw),
  encPart: field(6, EncryptedData),
});
export const AsRep = application(11, kdcRep);
export const TgsRep = application(13, kdcRep);
/** An AS-REP or TGS-REP, as it came (RFC 4120 5.4.2). */
export type KdcRep = Infer<typeof AsRep>;
export const LastReq = sequenceOf(sequence({ lrType: field(0, int32), lrValue: field(1, kerberosTime) }));
const encKdcRepPart = sequence({
  key: field(0, EncryptionKey),
  lastReq: field(1, LastReq),
  nonce: field(2, lenientUint32),
  keyExpiration: optional(3, kerberosTime),
  flags: field(4, kerberosFlags),
  authtime: field(5, kerberosTime),
  starttime: optional(6, kerberosTime),
  endtime: field(7, kerberosTime),
  renewTill: optional(8, kerberosTime),
  srealm: field(9, kerberosString),
  sname: field(10, PrincipalName),
  caddr: optional(11, sequenceOf(HostAddress)),
  encryptedPaData: optional(12, MethodData),
});
/** RFC 4120 5.4.2: "compatibility note: some implementations unconditionally send ... tag [APPLICATION 26]". */
export const EncAsRepPart = application(25, encKdcRepPart, [26]);
export const EncTgsRepPart = application(26, encKdcRepPart);
export type EncKdcRepPart = Infer<typeof EncAsRepPart>;

/** RFC 4120 5.5.1 */
export const ApReq = application(
  14,
  sequence({
    pvno: field(0, int32),
    msgType: field(1, int32),
    apOptions: field(2, kerberosFlags),
    ticket: field(3, raw),
    authenticator: field(4, EncryptedData),
  }),
);
export type ApReq = Infer<typeof ApReq>;
export const Authenticator = application(
  2,
  sequence({
    authenticatorVno: field(0, int32),
    crealm: field(1, kerberosString),
    cname: field(2, PrincipalName),
    cksum: optional(3, Checksum),
    cusec: field(4, microseconds),
    ctime: field(5, kerberosTime),
    subkey: optional(6, EncryptionKey),
    seqNumber: optional(7, lenientUint32),
    authorizationData: optional(8, AuthorizationData),
  }),
);
export type Authenticator = Infer<typeof Authenticator>;
/** RFC 4120 5.5.2 */
export const ApRep = application(
  15,
  sequence({ pvno: field(0, int32), msgType: field(1, int32), encPart: field(2, EncryptedData) }),
);
export const EncApRepPart = application(
  27,
  sequence({
    ctime: field(0, kerberosTime),
    cusec: field(1, microseconds),
    subkey: optional(2, EncryptionKey),
    seqNumber: optional(3, lenientUint32),
  }),
);
export type EncApRepPart = Infer<typeof EncApRepPart>;

/** RFC 4120 5.6.1 and 5.7.1: what KRB-SAFE signs and KRB-PRIV seals is the same. */
const messageBody = sequence({
  userData: field(0, octets),
  timestamp: optional(1, kerberosTime),
  usec: optional(2, microseconds),
  seqNumber: optional(3, lenientUint32),
  sAddress: field(4, HostAddress),
  rAddress: optional(5, HostAddress),
});
export const KrbSafe = application(
  20,
  sequence({
    pvno: field(0, int32),
    msgType: field(1, int32),
    safeBody: field(2, messageBody),
    cksum: field(3, Checksum),
  }),
);
export const KrbPriv = application(
  21,
  sequence({ pvno: field(0, int32), msgType: field(1, int32), encPart: field(3, EncryptedData) }),
);
export type KrbPriv = Infer<typeof KrbPriv>;
export const EncKrbPrivPart = application(28, messageBody);
export type EncKrbPrivPart = Infer<typeof EncKrbPrivPart>;

/** RFC 4120 5.8.1. The tickets are kept as their exact DER. */
export const KrbCred = application(
  22,
  sequence({
    pvno: field(0, int32),
    msgType: field(1, int32),
    tickets: field(2, sequenceOf(raw)),
    encPart: field(3, EncryptedData),
  }),
);
export const KrbCredInfo = sequence({
  key: field(0, EncryptionKey),
  prealm: optional(1, kerberosString),
  pname: optional(2, PrincipalName),
  flags: optional(3, kerberosFlags),
  authtime: optional(4, kerberosTime),
  starttime: optional(5, kerberosTime),
  endtime: optional(6, kerberosTime),
  renewTill: optional(7, kerberosTime),
  srealm: optional(8, kerberosString),
  sname: optional(9, PrincipalName),
  caddr: optional(10, sequenceOf(HostAddress)),
});
export type KrbCredInfo = Infer<typeof KrbCredInfo>;
export const EncKrbCredPart = application(
  29,
  sequence({
    ticketInfo: field(0, sequenceOf(KrbCredInfo)),
    nonce: optional(1, lenientUint32),
    timestamp: optional(2, kerberosTime),
    usec: optional(3, microseconds),
    sAddress: optional(4, HostAddress),
    rAddress: optional(5, HostAddress),
  }),
);

/** RFC 4120 5.9.1 */
export const KrbError = application(
  30,
  sequence({
    pvno: field(0, int32),
    msgType: field(1, int32),
    ctime: optional(2, kerberosTime),
    cusec: optional(3, microseconds),
    stime: field(4, kerberosTime),
    susec: field(5, microseconds),
    errorCode: field(6, int32),
    crealm: optional(7, kerberosString),
    cname: optional(8, PrincipalName),
    realm: field(9, kerberosString),
    sname: field(10, PrincipalName),
    eText: optional(11, kerberosString),
    eData: optional(12, octets),
  }),
);
export type KrbError = Infer<typeof KrbError>;

/** RFC 4120 5.2.7.2 */
export const PaEncTsEnc = sequence({ patimestamp: field(0, kerberosTime), pausec: optional(1, microseconds) });
/** RFC 4120 5.2.7.4 */
export const EtypeInfo = sequenceOf(sequence({ etype: field(0, int32), salt: optional(1, octets) }));
/** RFC 4120 5.2.7.5 */
export const EtypeInfo2 = sequenceOf(
  sequence({ etype: field(0, int32), salt: optional(1, kerberosString), s2kparams: optional(2, octets) }),
);
export type EtypeInfo2 = Infer<typeof EtypeInfo2>;
/** MS-KILE 2.2.3 KERB-PA-PAC-REQUEST */
export const PaPacRequest = sequence({ includePac: field(0, boolean) });
/** MS-SFU 2.2.1 PA-FOR-USER: in whose name a service wants a ticket for itself. */
export const PaForUser = sequence({
  userName: field(0, PrincipalName),
  userRealm: field(1, kerberosString),
  cksum: field(2, Checksum),
  authPackage: field(3, kerberosString),
});
/** MS-SFU 2.2.2 PA-S4U-X509-USER. The user is kept as its exact DER, which the checksum covers. */
export const S4uUserId = sequence({
  nonce: field(0, uint32),
  cname: optional(1, PrincipalName),
  crealm: field(2, kerberosString),
  subjectCertificate: optional(3, octets),
  options: optional(4, kerberosFlags),
});
export const PaS4uX509User = sequence({ userId: field(0, raw), checksum: field(1, Checksum) });
/** MS-SFU 2.2.5 PA-PAC-OPTIONS */
export const PaPacOptions = sequence({ flags: field(0, kerberosFlags) });
/** RFC 3244 section 2 ChangePasswdData */
export const ChangePasswdData = sequence({
  newPasswd: field(0, octets),
  targName: optional(1, PrincipalName),
  targRealm: optional(2, kerberosString),
});

/** RFC 6113 5.4.1 */
export const KrbFastArmor = sequence({ armorType: field(0, int32), armorValue: field(1, octets) });
/** RFC 6113 5.4.2 */
export const PaFxFastRequest = context(
  0,
  sequence({
    armor: optional(0, KrbFastArmor),
    reqChecksum: field(1, Checksum),
    encFastReq: field(2, EncryptedData),
  }),
);
export const KrbFastReq = sequence({
  fastOptions: field(0, kerberosFlags),
  padata: field(1, MethodData),
  reqBody: field(2, raw),
});
/** RFC 6113 5.4.3 */
export const PaFxFastReply = context(0, sequence({ encFastRep: field(0, EncryptedData) }));
export const KrbFastFinished = sequence({
  timestamp: field(0, kerberosTime),
  usec: field(1, microseconds),
  crealm: field(2, kerberosString),
  cname: field(3, PrincipalName),
  ticketChecksum: field(4, Checksum),
});
export type KrbFastFinished = Infer<typeof KrbFastFinished>;
export const KrbFastResponse = sequence({
  padata: field(0, MethodData),
  strengthenKey: optional(1, EncryptionKey),
  finished: optional(2, KrbFastFinished),
  nonce: field(3, lenientUint32),
});
export type KrbFastResponse = Infer<typeof KrbFastResponse>;

/** MS-KILE 2.2.2 KERB-ERROR-DATA: data-type 3 carries a KERB_EXT_ERROR (NTSTATUS first, little endian). */
export const KerbErrorData = sequence({ dataType: field(1, int32), dataValue: optional(2, octets) });

/** The wire form of a principal's name. */
export function toPrincipalName(p: Principal): PrincipalName {
  return { nameType: p.nameType, nameString: [...p.components] };
}
/** A principal from its wire parts. */
export function fromPrincipalName(name: PrincipalName, realm: string): Principal {
  return { nameType: name.nameType, components: name.nameString, realm };
}
