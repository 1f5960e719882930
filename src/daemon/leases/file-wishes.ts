/**
 * What a credential specification says about the files of its lease, in an object of its own that other programs pass
 * over, and as the metadata keeps it over restarts:
 *
 *   "CredentialsFetcher": { "CcacheMode": "0640", "CcacheUid": 1000, "CcacheGid": 1000, "CcacheName": "krb5cc_1000",
 *                           "Keytab": true, "Krb5Conf": true }
 */
import { MalformedError } from '../../errors.ts';
import { type FileWishes, secondNameProblem } from './file-policy.ts';

/** Name of the object in a credential specification. */
export const WISHES_FIELD = 'CredentialsFetcher';

/** The largest is (uid_t) -1, which means "leave it" to chown(2). */
const MAX_ID = 0xffff_fffe;

type Json = Readonly<Record<string, unknown>>;
/** Returns the value as it is kept, or what is wrong with it. */
type Check = (value: unknown) => { readonly value: unknown } | { readonly problem: string };

const id: Check = (value) =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_ID
    ? { value }
    : { problem: `must be a number from 0 to ${MAX_ID}` };

const flag: Check = (value) => (typeof value === 'boolean' ? { value } : { problem: 'must be true or false' });

/** A caller decides about its own ticket, but not that anybody may write it, run it, or run it as another user. */
const mode: Check = (value) => {
  if (typeof value !== 'string' || !/^[0-7]{3,5}$/.test(value)) {
    return { problem: 'must be a string of octal digits such as "0640"' };
  }
  const bits = Number.parseInt(value, 8);
  if (bits & 0o002) return { problem: 'must not let everybody write' };
  if (bits & ~0o664) return { problem: 'may only let its owner and group read and write, and others read' };
  return (bits & 0o400) !== 0 ? { value: bits } : { problem: 'must let its owner read' };
};

const name: Check = (value) => {
  if (typeof value !== 'string') return { problem: 'must be a string' };
  const problem = secondNameProblem(value);
  return problem === undefined ? { value } : { problem };
};

/** Each field once. */
const fields = {
  CcacheGid: ['gid', id],
  CcacheMode: ['mode', mode],
  CcacheName: ['secondName', name],
  CcacheUid: ['uid', id],
  Keytab: ['keytab', flag],
  Krb5Conf: ['krb5Conf', flag],
} as const satisfies Record<string, readonly [keyof FileWishes, Check]>;

/**
 * Reads the object.
 * @param where names it in errors
 * @param lenient passes over fields that a later version may have written
 * @throws MalformedError that names the field, never its value
 */
export function parseWishes(value: unknown, where: string, format: string, lenient = false): FileWishes {
  const fail = (message: string): never => {
    throw new MalformedError(format, message);
  };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail(`${where} must be an object`);
  const wishes: Record<string, unknown> = {};
  for (const [key, given] of Object.entries(value as Json)) {
    if (!Object.hasOwn(fields, key)) {
      if (lenient) continue;
      const known = Object.keys(fields).join(', ');
      return fail(`${where} has an unknown field ${JSON.stringify(key.slice(0, 40))}; there are ${known}`);
    }
    const [wish, check] = fields[key as keyof typeof fields];
    const result = check(given);
    if ('problem' in result) return fail(`${where}.${key} ${result.problem}`);
    wishes[wish] = result.value;
  }
  return wishes;
}

/** The object that `parseWishes` reads; undefined when nothing is wished for. */
export function formatWishes(wishes: FileWishes): Json | undefined {
  const entries = Object.entries(fields).flatMap(([key, [wish]]) => {
    const value = wishes[wish];
    if (value === undefined) return [];
    return [[key, wish === 'mode' ? `0${(value as number).toString(8).padStart(3, '0')}` : value]];
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}
