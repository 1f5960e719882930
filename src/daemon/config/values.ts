/** Values of settings: from text to what the daemon works with. Each function throws `Nonsense` with what is wrong. */
import { isSecretId } from '../../accounts/aws/arn.ts';
import { parseDn } from '../../ldap/dn.ts';
import { secondNameProblem } from '../leases/file-policy.ts';
import { leaseIdProblem } from '../leases/names.ts';

/** What is wrong with a value, to be read after the setting's name: `must be …`. */
export class Nonsense extends Error {
  override readonly name = 'Nonsense';
}

const fail = (why: string): never => {
  throw new Nonsense(why);
};

export const quote = (text: string): string => JSON.stringify(text.slice(0, 200));

export function directory(text: string): string {
  if (!text.startsWith('/')) fail(`must be an absolute path, not ${quote(text)}`);
  return text.replace(/\/+$/, '') || '/';
}

/** `/path/of.sock`, `unix:/path/of.sock` or `unix:///path/of.sock`; a path that ends in '/' is a directory for `name`. */
export function socketPath(text: string, name: string): string {
  const path = text.replace(/^unix:(\/\/(?=\/))?/, '');
  if (!path.startsWith('/')) fail(`must be an absolute path or unix:///path, not ${quote(text)}`);
  return path.endsWith('/') ? `${directory(path).replace(/\/$/, '')}/${name}` : path;
}

export function choice<T extends string>(text: string, choices: readonly T[]): T {
  return (
    choices.find((c) => c === text.toLowerCase()) ?? fail(`is ${quote(text)}, but must be one of ${choices.join(', ')}`)
  );
}

const yes = ['true', 'yes', 'on', '1', 't'];
const no = ['false', 'no', 'off', '0', 'f'];

export function boolean(text: string): boolean {
  if (yes.includes(text.toLowerCase())) return true;
  return no.includes(text.toLowerCase()) ? false : fail(`is ${quote(text)}, but must be true or false`);
}

export function seconds(text: string): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  return value > 0 ? value : fail(`is ${quote(text)}, but must be a number of seconds from 1`);
}

/** What a mode is for decides what it may say. */
export type ModeOf = 'file' | 'directory' | 'socket';

/** Bits that each must have for the daemon itself, and those it may have at all. */
const bits: Record<ModeOf, { needed: number; allowed: number; owner: string }> = {
  file: { needed: 0o600, allowed: 0o664, owner: 'read and write it' },
  directory: { needed: 0o700, allowed: 0o775, owner: 'read, write and enter it' },
  socket: { needed: 0o600, allowed: 0o775, owner: 'read and write it' },
};

/** Octal permissions. */
export function mode(text: string, of: ModeOf): number {
  const given = quote(text);
  if (!/^(0o?)?[0-7]{3,}$/.test(text)) return fail(`is ${given}, but must be octal permissions such as 0640`);
  const value = Number.parseInt(text.replace(/^0o/, ''), 8);
  const { needed, allowed, owner } = bits[of];
  if (value > 0o777) fail(`is ${given}: there is no set-user-id, set-group-id or sticky bit here, 0777 is the most`);
  if (value & 0o002) fail(`is ${given}: nobody but owner and group may write to it`);
  if (value & ~allowed) {
    const what =
      of === 'file' ? 'a ticket is not executed' : 'others can do nothing with it unless they may write to it';
    fail(`is ${given}: ${what}`);
  }
  if ((value & needed) !== needed) fail(`is ${given}: its owner must be able to ${owner}`);
  return value;
}

/** The largest that is a user or group: chown(2) takes 2^32 - 1 for "leave it". */
const MAX_ID = 0xffff_fffe;

export function numericId(text: string, of: 'uid' | 'gid'): number {
  if (/^\d{1,10}$/.test(text) && Number(text) <= MAX_ID) return Number(text);
  const how = of === 'uid' ? 'id -u NAME' : 'getent group NAME';
  return fail(`is ${quote(text)}, but must be a number from 0 to ${MAX_ID}; ${how} tells it`);
}

/** Domain controllers, `host`, `host:port` or `[v6]:port`, in order. */
export function servers(text: string): string[] {
  const names = text
    .split(/[\s,]+/)
    .map((name) => name.replace(/\.$/, ''))
    .filter((name) => name !== '');
  for (const name of names) {
    const [, port] =
      /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(name) ?? fail(`${quote(name)} is no host name`);
    if (port !== undefined && (Number(port) === 0 || Number(port) > 65_535)) fail(`${quote(name)} has no port of TCP`);
  }
  return names;
}

/** A site's name, which becomes a label of a DNS name, or `auto` or `off`. */
export function site(text: string): string {
  return /^[^\s.]{1,63}$/u.test(text) ? text : fail(`is ${quote(text)}, which is no name of a site`);
}

/** A distinguished name, or the part of one above the account and below the domain. */
export function distinguishedName(text: string): string {
  try {
    parseDn(text);
    return text;
  } catch {
    return fail(`is ${quote(text)}, which is no distinguished name`);
  }
}

export function secretId(text: string): string {
  return isSecretId(text) ? text : fail(`is ${quote(text)}, which is neither a secret's name nor its ARN`);
}

export function secondName(text: string): string {
  const problem = secondNameProblem(text);
  return problem === undefined ? text : fail(problem);
}

/** A credspec on disk and the lease it is for. */
export interface CredspecFile {
  readonly path: string;
  readonly leaseId: string;
}

/** Lease of a credspec file that names none. */
export const DEFAULT_LEASE = 'credspec';

/** `path` or `path:lease`. What follows the last colon is a lease unless it has a slash. */
export function credspecFile(text: string): CredspecFile {
  const [, path = text, lease] = /^(.+):([^/]*)$/s.exec(text) ?? [];
  const leaseId = lease ?? DEFAULT_LEASE;
  const problem = leaseIdProblem(leaseId);
  if (problem !== undefined || leaseId.includes('_metadata')) {
    return fail(`names the lease ${quote(leaseId)}, which ${problem ?? 'is the name of a metadata file'}`);
  }
  return { path, leaseId };
}
