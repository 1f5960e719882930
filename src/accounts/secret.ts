/**
 * A user's name, password and domain in one secret: a JSON object with strings. The password becomes bytes at once; the
 * string that JSON.parse made of it is dropped, which is all that can be done about a string.
 */
import { fromUtf8, utf8 } from '../bytes.ts';
import { MalformedError } from '../errors.ts';

export interface UserSecret {
  readonly username: string;
  /** DNS name of the user's domain. */
  readonly domain: string;
  /** UTF-8; whoever takes it wipes it. */
  readonly password: Uint8Array;
  /** Where the gMSA is in the directory, for those who know it. */
  readonly distinguishedName?: string;
}

/** The largest secret that Secrets Manager keeps. */
const MAX_SECRET_BYTES = 65_536;

/** Each field under its two names. */
const fields = {
  username: ['username', 'usernameOfStandardUserAccount'],
  password: ['password', 'passwordOfStandardUserAccount'],
  domainName: ['domainName'],
  distinguishedName: ['distinguishedName', 'distinguishedNameOfgMSA'],
} as const;

const fail = (message: string): never => {
  throw new MalformedError('secret', message);
};

/**
 * @param bytes UTF-8, with or without a byte order mark; left as they are
 * @throws MalformedError that names the field, and never quotes anything
 */
export function parseUserSecret(bytes: Uint8Array): UserSecret {
  if (bytes.length > MAX_SECRET_BYTES) return fail(`has more than ${MAX_SECRET_BYTES} bytes`);
  const value = parseObject(bytes);
  const text = (field: keyof typeof fields): string | undefined => {
    for (const name of fields[field]) {
      const found = Object.hasOwn(value, name) ? value[name] : undefined;
      if (found === undefined || found === null || found === '') continue;
      return typeof found === 'string' ? found : fail(`${name} is not a string`);
    }
    return undefined;
  };
  const required = (field: keyof typeof fields): string =>
    text(field) ?? fail(`${fields[field].join(' or ')} is missing or empty`);
  const username = required('username');
  const domain = required('domainName');
  const distinguishedName = text('distinguishedName');
  const password = utf8(required('password'));
  return { username, domain, password, ...(distinguishedName === undefined ? {} : { distinguishedName }) };
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(bytes).replace(/^\uFEFF/, ''));
  } catch {
    // No cause: the parser's message quotes what it read.
    return fail('is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail('is not a JSON object');
  return value as Record<string, unknown>;
}
