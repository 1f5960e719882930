/** Finding group Managed Service Accounts in the directory and reading their managed passwords, several in one search. */
import { AndFilter, EqualityFilter, OrFilter, PresenceFilter } from 'ldapts';
import { mapLimited } from '../async.ts';
import { wipe } from '../bytes.ts';
import { AdError, isAdError } from '../errors.ts';
import type { SealedConnection } from '../ldap/client.ts';
import { domainBase } from '../ldap/locate.ts';
import { childDomains } from '../ldap/referrals.ts';
import type { LdapEntry, SearchResult } from '../ldap/search.ts';
import { type ManagedPassword, parseManagedPassword } from './blob.ts';

/** A gMSA with its managed password. */
export interface ManagedAccount {
  /** As the directory spells it, with its `$`. */
  readonly samAccountName: string;
  readonly distinguishedName: string;
  readonly password: ManagedPassword;
  /** Its service principal names such as `HTTP/www.example.com`, when they were asked for. */
  readonly services?: readonly string[];
}

/** userAccountControl ACCOUNTDISABLE, MS-ADTS 2.2.16. */
const ACCOUNTDISABLE = 0x2;
/** More names than this go into a further search; a DC answers 50 accounts in a few milliseconds. */
const NAMES_A_SEARCH = 50;

const ATTRIBUTES = {
  sAMAccountName: 'text',
  userAccountControl: 'text',
  'msDS-ManagedPassword': 'binary',
} as const;

/** Searches in hinted places that run at a time. */
const PLACES_AT_A_TIME = 8;

/** What is asked for besides, and where first. */
export interface MoreWishes {
  /** `ManagedAccount.services`. */
  readonly services?: boolean;
  /** Bases to search for an account before the whole domain, in order. */
  readonly places?: (name: string) => readonly string[];
  /** Told of each of these where the account was not. */
  readonly notThere?: (name: string, base: string) => void;
}

/** The account name the directory knows: with one `$` at the end. */
export function samAccountName(name: string): string {
  return name.endsWith('$') ? name : `${name}$`;
}

/**
 * Looks accounts up by sAMAccountName: in the places hinted at, then in the domain's own naming context. The name is
 * the account's alone in its domain, so wherever it is found it is the same account.
 * @param names with or without the trailing `$`
 * @returns for each name, in order, the account or why it cannot be used: NO_SUCH_ACCOUNT, ACCOUNT_DISABLED,
 *   NOT_ALLOWED, MALFORMED; NO_SUCH_ACCOUNT has `childDomains`, with blanks between, in its details when the directory named some. The caller
 *   wipes the passwords.
 * @throws AdError NOT_SEALED, LDAP, UNREACHABLE, TIMEOUT, ABORTED when the search itself failed
 */
export async function readManagedAccounts(
  connection: SealedConnection,
  domain: string,
  names: readonly string[],
  signal?: AbortSignal,
  more: MoreWishes = {},
): Promise<(ManagedAccount | AdError)[]> {
  const found = new Map<string, LdapEntry>();
  const references: string[] = [];
  const entryOf = (name: string): LdapEntry | undefined => found.get(samAccountName(name).toLowerCase());
  const searchAt = async (base: string, wanted: readonly string[]): Promise<void> => {
    for (let i = 0; i < wanted.length; i += NAMES_A_SEARCH) {
      const some = wanted.slice(i, i + NAMES_A_SEARCH).map(samAccountName);
      const result = await search(connection, base, some, signal, more);
      references.push(...result.references);
      for (const entry of result.entries) {
        const name = entry.text.get('samaccountname')?.[0];
        if (name !== undefined) found.set(name.toLowerCase(), entry);
      }
    }
  };
  await inPlaces(names, more, searchAt, (name) => entryOf(name) !== undefined);
  await searchAt(
    domainBase(domain),
    names.filter((name) => !entryOf(name)),
  );
  return names.map((name) => {
    const entry = entryOf(name);
    if (entry) return readAccount(entry, connection.server);
    return noSuchAccount(name, domain, connection.server, childDomains(references, domain));
  });
}

/** RFC 4511 4.1.9: referral, noSuchObject, invalidDNSyntax. The base is none of this server's. */
const LEADS_NOWHERE: readonly unknown[] = [10, 32, 34];

/** The first place of every account, then the second of those not found, and so on; accounts with one place share a search. */
async function inPlaces(
  names: readonly string[],
  { places, notThere }: MoreWishes,
  searchAt: (base: string, wanted: readonly string[]) => Promise<void>,
  isFound: (name: string) => boolean,
): Promise<void> {
  for (let n = 0; places; n++) {
    const byBase = new Map<string, string[]>();
    for (const name of names.filter((name) => !isFound(name))) {
      const base = places(name)[n];
      if (base !== undefined) byBase.set(base, [...(byBase.get(base) ?? []), name]);
    }
    if (byBase.size === 0) return;
    await mapLimited([...byBase], PLACES_AT_A_TIME, async ([base, wanted]) => {
      try {
        await searchAt(base, wanted);
      } catch (e) {
        if (!isAdError(e) || !LEADS_NOWHERE.includes(e.details.ldapStatus)) throw e;
      }
      for (const name of wanted) if (!isFound(name)) notThere?.(name, base);
    });
  }
}

/** Filter objects carry names as data, so no character of a name can change the filter (RFC 4515 section 3). */
function search(
  connection: SealedConnection,
  base: string,
  samNames: readonly string[],
  signal: AbortSignal | undefined,
  more: MoreWishes,
): Promise<SearchResult> {
  const byName = samNames.map((value) => new EqualityFilter({ attribute: 'sAMAccountName', value }));
  const isGmsa = new EqualityFilter({ attribute: 'objectClass', value: 'msDS-GroupManagedServiceAccount' });
  return connection.searchReferring({
    base,
    scope: 'sub',
    filter: new AndFilter({ filters: [isGmsa, byName.length === 1 ? byName[0]! : new OrFilter({ filters: byName })] }),
    attributes: { ...ATTRIBUTES, ...(more.services && { servicePrincipalName: 'text' }) },
    signal,
  });
}

function readAccount(entry: LdapEntry, server: string): ManagedAccount | AdError {
  const name = entry.text.get('samaccountname')![0]!;
  const control = Number(entry.text.get('useraccountcontrol')?.[0] ?? 0);
  if (control & ACCOUNTDISABLE) {
    return new AdError('ACCOUNT_DISABLED', `the gMSA ${name} is disabled in the directory: enable it`, {
      account: name,
      server,
    });
  }
  const blob = entry.binary.get('msds-managedpassword')?.[0];
  // A DC hands the entry out without the attribute to those who may not read it (MS-ADTS 3.1.1.4.4).
  if (!blob) {
    return new AdError(
      'NOT_ALLOWED',
      `${server} does not let this identity read the managed password of ${name}: ` +
        'add it, or a group it is in, to PrincipalsAllowedToRetrieveManagedPassword (msDS-GroupMSAMembership)',
      { account: name, server },
    );
  }
  try {
    const services = entry.text.get('serviceprincipalname');
    const password = parseManagedPassword(blob);
    return { samAccountName: name, distinguishedName: entry.dn, password, ...(services && { services }) };
  } catch (e) {
    if (e instanceof AdError) return e;
    throw e;
  } finally {
    wipe(blob);
  }
}

/**
 * msDS-KeyVersionNumber of an account: the number of its newest key. It is to be read in a search of its own: reading the
 * password may roll it, and the answer that comes with it still has the number before.
 * @throws AdError LDAP, UNREACHABLE, TIMEOUT, ABORTED
 */
export async function readKeyVersion(
  connection: SealedConnection,
  distinguishedName: string,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const [entry] = await connection.search({
    base: distinguishedName,
    scope: 'base',
    filter: new PresenceFilter({ attribute: 'objectClass' }),
    attributes: { 'msDS-KeyVersionNumber': 'text' },
    signal,
  });
  const text = entry?.text.get('msds-keyversionnumber')?.[0] ?? '';
  return /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

/** With the domains below, where it may be. */
function noSuchAccount(name: string, domain: string, server: string, children: readonly string[]): AdError {
  return new AdError(
    'NO_SUCH_ACCOUNT',
    `no gMSA ${samAccountName(name)} in ${domain} (asked ${server}): check its name`,
    {
      account: name,
      domain,
      server,
      ...(children.length > 0 && { childDomains: children.join(' ') }),
    },
  );
}
