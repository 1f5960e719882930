/** Requests checked: from the wire's strings to values that the rest may rely on. All errors are INVALID_ARGUMENT. */
import type { UserSecret } from '../../accounts/secret.ts';
import { wipe } from '../../bytes.ts';
import { AdError, messageOf } from '../../errors.ts';
import type { FileWishes } from '../leases/file-policy.ts';
import { formatWishes, WISHES_FIELD } from '../leases/file-wishes.ts';
import { domainProblem, MAX_PASSWORD_LENGTH, passwordProblem, userNameProblem } from '../leases/names.ts';
import type { GmsaRef } from '../tickets/engine.ts';
import { type Credspec, parseCredspec } from './credspec.ts';

const MAX_CREDSPECS = 256;
/** A password of the longest, in UTF-8: a UTF-16 code unit takes three bytes at most. */
const MAX_PASSWORD_BYTES = 3 * MAX_PASSWORD_LENGTH;

/** A gMSA asked for, with what the lease's record keeps of its credspec. */
export interface RequestedAccount extends GmsaRef {
  readonly credentialArn: string;
  readonly files?: FileWishes;
}

const refuse = (text: string): never => {
  throw new AdError('INVALID_ARGUMENT', text);
};

/**
 * The gMSAs of a request, each once.
 * @param domain the domain to use instead of the one in each credspec, when the request names one
 */
export function parseAccounts(contents: readonly string[], domain?: string): RequestedAccount[] {
  if (contents.length === 0) refuse('credspec_contents is empty: at least one credentialspec is required');
  if (contents.length > MAX_CREDSPECS) refuse(`credspec_contents has more than ${MAX_CREDSPECS} entries`);
  const accounts = new Map<string, RequestedAccount>();
  contents.forEach((content, index) => {
    const field = `credspec_contents[${index}]`;
    const spec = parseField(field, content);
    const account = {
      name: spec.accountName,
      domain: domain ?? spec.domain,
      ...(domain !== undefined && spec.domain.toLowerCase() !== domain.toLowerCase() && { otherDomain: spec.domain }),
      credentialArn: spec.credentialArn ?? '',
      ...(spec.files && { files: spec.files }),
    };
    // Account names are case-insensitive in the directory, and so must be their directories' names here.
    const key = account.name.toLowerCase();
    const other = accounts.get(key);
    if (!other) accounts.set(key, account);
    else if (other.domain.toLowerCase() !== account.domain.toLowerCase()) {
      refuse(
        `invalid credentialspec fields: ${field}: ${account.name} is in another domain there than in an earlier one`,
      );
    } else if (!sameWishes(other.files, account.files)) {
      refuse(
        `invalid credentialspec fields: ${field}: ${WISHES_FIELD} of ${account.name} differs from that in an earlier one`,
      );
    }
  });
  return [...accounts.values()];
}

/** Two credspecs of one account share a directory, which can be as one of them wishes only. */
const sameWishes = (a: FileWishes = {}, b: FileWishes = {}): boolean =>
  JSON.stringify(formatWishes(a)) === JSON.stringify(formatWishes(b));

function parseField(field: string, content: string): Credspec {
  try {
    return parseCredspec(content);
  } catch (e) {
    throw new AdError('INVALID_ARGUMENT', `invalid credentialspec fields: ${field}: ${messageOf(e)}`, { field }, e);
  }
}

/** Checks who reads: user name, domain, password, in this order. */
export function checkReader(request: {
  readonly username: string;
  readonly domain: string;
  readonly password: string;
}): void {
  const user = userNameProblem(request.username);
  if (user) refuse(`invalid domainName/username: username ${user}`);
  const domain = domainProblem(request.domain);
  if (domain) refuse(`invalid domainName/username: domain ${domain}`);
  const password = passwordProblem(request.password);
  if (password) refuse(`domainless AD user credentials is not valid: password ${password}`);
}

/**
 * The user in a secret, by the rules for users in requests.
 * @throws AdError INVALID_ARGUMENT that names the secret and never quotes it
 */
export function checkedSecret(id: string, parse: () => UserSecret): UserSecret {
  let user: UserSecret;
  try {
    user = parse();
  } catch (e) {
    throw new AdError('INVALID_ARGUMENT', `${messageOf(e)} (${id})`, { secret: id });
  }
  const name = userNameProblem(user.username);
  const domain = domainProblem(user.domain);
  const length = user.password.length > MAX_PASSWORD_BYTES ? 'password is too long' : undefined;
  const problem = length ?? (name ? `username ${name}` : domain && `domainName ${domain}`);
  if (!problem) return user;
  wipe(user.password);
  throw new AdError('INVALID_ARGUMENT', `invalid domainName/username: ${problem} (secret ${id})`, { secret: id });
}

/**
 * `old:new` in a Renew: the leases of one user go over to another, as when two accounts take turns. The same name twice
 * is the plain name.
 * @throws AdError INVALID_ARGUMENT when a side is empty or the old name is none
 */
export function splitRotation(username: string): { formerName?: string; username: string } {
  const colon = username.indexOf(':');
  if (colon === -1) return { username };
  const [formerName, next] = [username.slice(0, colon), username.slice(colon + 1)];
  if (formerName === '' || next === '') {
    refuse('blue/green rotation format requires both old and new usernames ("oldUser:newUser")');
  }
  const problem = userNameProblem(formerName);
  if (problem) refuse(`invalid old username: username ${problem}`);
  return formerName === next ? { username: next } : { formerName, username: next };
}
