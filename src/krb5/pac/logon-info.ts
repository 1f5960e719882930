/** KERB_VALIDATION_INFO (MS-PAC 2.5): who the client is to Windows, and the groups it is a member of. */
import { NdrReader, type StringHeader } from './ndr.ts';

/** A group and how the membership counts: masks of SE_GROUP_* (MS-PAC 2.2.1). */
export interface Membership {
  readonly sid: string;
  readonly attributes: number;
}

/** Who a ticket's client is to Active Directory (MS-PAC 2.5 KERB_VALIDATION_INFO). */
export interface LogonInfo {
  /** sAMAccountName. */
  readonly accountName: string;
  readonly fullName: string;
  readonly logonScript: string;
  readonly profilePath: string;
  readonly homeDirectory: string;
  readonly homeDirectoryDrive: string;
  /** NetBIOS names of the controller and the domain that made the PAC. */
  readonly logonServer: string;
  readonly logonDomainName: string;
  readonly logonDomainSid: string;
  readonly userSid: string;
  readonly primaryGroupSid: string;
  /** Groups of the account's domain. */
  readonly groups: readonly Membership[];
  /** SIDs of other kinds: universal groups of other domains, SID history, claims such as S-1-18-1. */
  readonly extraSids: readonly Membership[];
  /** Domain local groups of the service's domain. */
  readonly resourceGroups: readonly Membership[];
  readonly userFlags: number;
  readonly userAccountControl: number;
  readonly logonCount: number;
  readonly badPasswordCount: number;
  /** Undefined: never, or not known. */
  readonly logonTime: Date | undefined;
  readonly logoffTime: Date | undefined;
  readonly kickOffTime: Date | undefined;
  readonly passwordLastSet: Date | undefined;
  readonly passwordCanChange: Date | undefined;
  readonly passwordMustChange: Date | undefined;
}

/** Bits D and H of UserFlags: the extra SIDs, and the resource groups, count (MS-PAC 2.5). */
const EXTRA_SIDS = 0x20;
const RESOURCE_GROUPS = 0x200;
const FORMAT = 'KERB_VALIDATION_INFO';

interface RelativeId {
  readonly rid: number;
  readonly attributes: number;
}

/** @throws MalformedError */
export function parseLogonInfo(bytes: Uint8Array): LogonInfo {
  const r = new NdrReader(bytes, FORMAT);
  r.required('the structure');
  const logonTime = r.fileTime('LogonTime');
  const logoffTime = r.fileTime('LogoffTime');
  const kickOffTime = r.fileTime('KickOffTime');
  const passwordLastSet = r.fileTime('PasswordLastSet');
  const passwordCanChange = r.fileTime('PasswordCanChange');
  const passwordMustChange = r.fileTime('PasswordMustChange');
  const accountHeader = r.string('EffectiveName');
  const fullHeader = r.string('FullName');
  const scriptHeader = r.string('LogonScript');
  const profileHeader = r.string('ProfilePath');
  const homeHeader = r.string('HomeDirectory');
  const driveHeader = r.string('HomeDirectoryDrive');
  const logonCount = r.u16('LogonCount');
  const badPasswordCount = r.u16('BadPasswordCount');
  const userId = r.u32('UserId');
  const primaryGroupId = r.u32('PrimaryGroupId');
  const groupCount = r.u32('GroupCount');
  const groupIds = r.pointer('GroupIds');
  const userFlags = r.u32('UserFlags');
  r.bytes(16, 'UserSessionKey'); // zeros with Kerberos
  const serverHeader = r.string('LogonServer');
  const domainHeader = r.string('LogonDomainName');
  r.required('LogonDomainId');
  r.bytes(8, 'Reserved1');
  const userAccountControl = r.u32('UserAccountControl');
  r.u32('SubAuthStatus');
  r.fileTime('LastSuccessfulILogon');
  r.fileTime('LastFailedILogon');
  r.u32('FailedILogonCount');
  r.u32('Reserved3');
  const sidCount = r.u32('SidCount');
  const extra = r.pointer('ExtraSids');
  const resourceDomain = r.pointer('ResourceGroupDomainSid');
  const resourceCount = r.u32('ResourceGroupCount');
  const resourceIds = r.pointer('ResourceGroupIds');

  // What the pointers lead to follows in their order.
  const text = (header: StringHeader, what: string): string => r.characters(header, what);
  const names = {
    accountName: text(accountHeader, 'EffectiveName'),
    fullName: text(fullHeader, 'FullName'),
    logonScript: text(scriptHeader, 'LogonScript'),
    profilePath: text(profileHeader, 'ProfilePath'),
    homeDirectory: text(homeHeader, 'HomeDirectory'),
    homeDirectoryDrive: text(driveHeader, 'HomeDirectoryDrive'),
  };
  const groups = relativeIds(r, groupIds, groupCount, 'GroupIds');
  const logonServer = text(serverHeader, 'LogonServer');
  const logonDomainName = text(domainHeader, 'LogonDomainName');
  const domain = r.sid('LogonDomainId');
  const extraSids = sidsAndAttributes(r, extra, sidCount);
  const resourceDomainSid = resourceDomain === 0 ? undefined : r.sid('ResourceGroupDomainSid');
  const resources = relativeIds(r, resourceIds, resourceCount, 'ResourceGroupIds');
  r.end();
  if (resources.length > 0 && resourceDomainSid === undefined) r.fail('resource groups without a domain');

  return {
    ...names,
    logonServer,
    logonDomainName,
    logonDomainSid: domain,
    // MS-PAC 2.5: "If the UserId member equals 0x00000000, the first group SID in this member is the SID for this
    // account."
    userSid: userId === 0 ? (extraSids[0]?.sid ?? r.fail('an account without SID')) : `${domain}-${userId}`,
    primaryGroupSid: `${domain}-${primaryGroupId}`,
    groups: within(domain, groups),
    extraSids: userFlags & EXTRA_SIDS ? extraSids.slice(userId === 0 ? 1 : 0) : [],
    resourceGroups: userFlags & RESOURCE_GROUPS ? within(resourceDomainSid ?? '', resources) : [],
    userFlags,
    userAccountControl,
    logonCount,
    badPasswordCount,
    logonTime,
    logoffTime,
    kickOffTime,
    passwordLastSet,
    passwordCanChange,
    passwordMustChange,
  };
}

function within(domain: string, ids: readonly RelativeId[]): Membership[] {
  return ids.map(({ rid, attributes }) => ({ sid: `${domain}-${rid}`, attributes }));
}

/** An array of GROUP_MEMBERSHIP (MS-PAC 2.2.2). */
function relativeIds(r: NdrReader, pointer: number, count: number, what: string): RelativeId[] {
  if (pointer === 0) return count === 0 ? [] : r.fail(`${what} lead nowhere`);
  r.arraySize(count, 8, what);
  return Array.from({ length: count }, () => ({ rid: r.u32(what), attributes: r.u32(what) }));
}

/** An array of KERB_SID_AND_ATTRIBUTES (MS-PAC 2.2.1): pointers first, then the SIDs. */
function sidsAndAttributes(r: NdrReader, pointer: number, count: number): Membership[] {
  if (pointer === 0) return count === 0 ? [] : r.fail('ExtraSids lead nowhere');
  r.arraySize(count, 8, 'ExtraSids');
  const attributes = Array.from({ length: count }, () => {
    r.required('Sid');
    return r.u32('Attributes');
  });
  return attributes.map((attribute) => ({ sid: r.sid('Sid'), attributes: attribute }));
}
