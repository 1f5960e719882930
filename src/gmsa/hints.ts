/** Where in the directory an account is looked for before the whole domain. */
import { isAdError } from '../errors.ts';
import { type Dn, escapeDnValue, isWithin, parseDn } from '../ldap/dn.ts';
import { domainBase } from '../ldap/locate.ts';

/** What an operator said about the places of gMSAs. */
export interface PlaceHints {
  /** The gMSA's own distinguished name, or one above it. */
  readonly distinguishedName?: string | undefined;
  /** A distinguished name, or what stands between `CN=<account>` and the domain's components. */
  readonly ou?: string | undefined;
}

/**
 * The bases to search for one account, the first first; the domain's own is not among them. A name that is none, or in
 * another domain, gives no base: a hint can help to find an account and cannot hide it.
 * @param account without its `$`
 */
export function hintedBases(account: string, domain: string, hints: readonly PlaceHints[]): string[] {
  if (hints.length === 0) return [];
  const root = parseDn(domainBase(domain));
  const bases = hints.flatMap(({ distinguishedName, ou }) => [
    ...(distinguishedName ? [distinguishedName] : []),
    ...(ou ? [hasDomain(ou) ? ou : `CN=${escapeDnValue(account)},${ou},${domainBase(domain)}`] : []),
  ]);
  return [...new Set(bases)].filter((base) => {
    const dn = parsed(base);
    return dn !== undefined && dn.length > root.length && isWithin(dn, root);
  });
}

const hasDomain = (text: string): boolean =>
  parsed(text)?.some((rdn) => rdn.some(({ type }) => type.toUpperCase() === 'DC')) ?? false;

function parsed(text: string): Dn | undefined {
  try {
    return parseDn(text);
  } catch (e) {
    if (isAdError(e, 'MALFORMED')) return undefined;
    throw e;
  }
}
