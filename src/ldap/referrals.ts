/** What a domain controller says about the naming contexts that it does not hold itself (RFC 4511 4.5.3, RFC 4516). */
import { isAdError } from '../errors.ts';
import { domainOfDn, parseDn } from './dn.ts';

/** Application partitions look like child domains, and hold no accounts. */
const PARTITIONS = ['domaindnszones', 'forestdnszones'];
/** More domains than a forest is likely to have below one of its own. */
const MOST = 16;

/**
 * The child domains that the references of a search name. Only domains below the one that was asked count: a
 * controller can say what is in its own tree, and nothing of others.
 * @param references LDAP URLs as they came
 * @param domain DNS name
 * @returns DNS names, each once, in the order of the references
 */
export function childDomains(references: readonly string[], domain: string): string[] {
  const names = references.flatMap((url) => domainOf(url) ?? []);
  const below = names.filter((name) => {
    const lower = name.toLowerCase();
    return lower.endsWith(`.${domain.toLowerCase()}`) && !PARTITIONS.includes(lower.split('.')[0]!);
  });
  return [...new Set(below)].slice(0, MOST);
}

/** The domain whose root the URL's distinguished name is. */
function domainOf(url: string): string | undefined {
  const encoded = /^ldaps?:\/\/[^/?]*\/([^?]*)/i.exec(url)?.[1];
  if (encoded === undefined) return undefined;
  try {
    const dn = parseDn(decodeURIComponent(encoded));
    const isRoot = dn.every((rdn) => rdn.length === 1 && rdn[0]!.type.toUpperCase() === 'DC');
    return isRoot ? domainOfDn(dn) : undefined;
  } catch (e) {
    if (isAdError(e, 'MALFORMED') || e instanceof URIError) return undefined;
    throw e;
  }
}
