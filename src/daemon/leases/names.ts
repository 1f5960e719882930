/**
 * Which names the daemon accepts. A name from a request ends up as a directory, in an LDAP filter and in a Kerberos
 * principal; each of those escapes for itself, and here, at the door, everything is refused that no Active Directory
 * account is called and some tool could take for syntax. Each function gives the reason for refusing, or undefined.
 */

/** The characters that either of the two earlier daemons refused in user and account names. */
const refused = new Set([...'&:][+|;$*?<>!/\\\'`~"=,(){}']);
const invisible = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Z}]/u;
const label = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]{0,61}[a-zA-Z0-9])';
const domainPattern = new RegExp(`^${label}(?:\\.${label})*$`);

/** Longest user name and password, in UTF-16 code units. */
export const MAX_USER_LENGTH = 104;
export const MAX_PASSWORD_LENGTH = 104;
/** Longest DNS name, in characters (RFC 1035 2.3.4, without the root's dot). */
export const MAX_DOMAIN_LENGTH = 253;
/** Longest account name; Windows stops at 15 and Samba at 20 for names that log on. */
export const MAX_ACCOUNT_LENGTH = 64;

function nameProblem(name: string, longest: number): string | undefined {
  if (name === '') return 'is empty';
  if (name.length > longest) return `is longer than ${longest} characters`;
  // '.' and '..' would name directories that are not the account's.
  if (name === '.' || name === '..') return 'is not a name';
  if (invisible.test(name)) return 'contains a space, a control character or another invisible character';
  for (const c of name) if (refused.has(c)) return `contains the character ${c}`;
  return undefined;
}

/** A gMSA's name without its '$'. */
export function accountNameProblem(name: string): string | undefined {
  return nameProblem(name, MAX_ACCOUNT_LENGTH);
}

/** The name of a user who reads managed passwords. */
export function userNameProblem(name: string): string | undefined {
  return nameProblem(name, MAX_USER_LENGTH);
}

/** Any characters are fine in a password, its length is not. */
export function passwordProblem(password: string): string | undefined {
  if (password === '') return 'is empty';
  if (password.length > MAX_PASSWORD_LENGTH) return `is longer than ${MAX_PASSWORD_LENGTH} characters`;
  return undefined;
}

/** A DNS domain: letters, digits and inner hyphens in labels of up to 63, labels joined by dots. */
export function domainProblem(domain: string): string | undefined {
  if (domain === '') return 'is empty';
  if (domain.length > MAX_DOMAIN_LENGTH) return `is longer than ${MAX_DOMAIN_LENGTH} characters`;
  return domainPattern.test(domain) ? undefined : 'is not a DNS domain name';
}

/**
 * One path component. Ids need not be ours: other daemons let callers choose them. A leading dot is refused because
 * leases in the making have such names.
 */
export function leaseIdProblem(id: string): string | undefined {
  if (id === '') return 'is empty';
  if (Buffer.byteLength(id) > 255) return 'is longer than 255 bytes';
  if (id.startsWith('.')) return 'begins with a dot';
  if (/[/\\]/.test(id) || /[\p{Cc}\p{Cs}]/u.test(id)) return 'is not a single path component';
  return undefined;
}

/** One of the two parts of a mount path: a lease's id, or a directory in it. */
export function mountPartProblem(part: string): string | undefined {
  if (part.includes('_metadata')) return 'is the name of a metadata file';
  return leaseIdProblem(part) ?? nameProblem(part, 255);
}

/** A directory name found in metadata: an account name, or what an older daemon let through as one. */
export function directoryNameProblem(name: string): string | undefined {
  return leaseIdProblem(name);
}
