/** What a lease's directory holds besides the credential cache, and who may read it. */

export interface Ownership {
  /** Permission bits. */
  readonly mode: number;
  /** Numeric owner; the daemon's own when absent. */
  readonly uid?: number;
  readonly gid?: number;
}

export interface FilePolicy {
  /** Of credential caches, and of what lies beside them. */
  readonly ccache: Ownership;
  /** Of the directories of leases and accounts. */
  readonly directory: Ownership;
  /** Writes `krb5.keytab` with the account's keys beside the cache. */
  readonly keytab: boolean;
  /** Writes a `krb5.conf` for the container beside the cache. */
  readonly krb5Conf: boolean;
  /** A second name of the cache, such as `krb5cc_1000`; undefined: none. */
  readonly secondName?: string;
  /**
   * Lets credential specifications choose all that for their tickets. Whoever may ask for a lease may then have its ticket
   * made readable to any user of the host.
   */
  readonly wishes: boolean;
}

/** For the daemon's own user alone, as upstream's: others may go through the directories, but read no ticket. */
export const DEFAULT_FILE_POLICY: FilePolicy = {
  ccache: { mode: 0o600 },
  directory: { mode: 0o755 },
  keytab: false,
  krb5Conf: false,
  wishes: false,
};

/** What a lease asks for in the place of the daemon's own policy. */
export interface FileWishes {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly keytab?: boolean;
  readonly krb5Conf?: boolean;
  readonly secondName?: string;
}

/** The policy of one lease: what it wishes, where wishes are let through. Its directories stay the daemon's to decide. */
export function withWishes(policy: FilePolicy, wishes: FileWishes = {}): FilePolicy {
  if (!policy.wishes) return policy;
  const { keytab, krb5Conf, secondName, ...ccache } = wishes;
  return {
    ...policy,
    ccache: { ...policy.ccache, ...ccache },
    ...(keytab !== undefined && { keytab }),
    ...(krb5Conf !== undefined && { krb5Conf }),
    ...(secondName !== undefined && { secondName }),
  };
}

/**
 * The directory above those of the accounts. It stays the daemon's, and nobody else may write to it: whoever could would
 * put a link to other places where an account's directory was. Whom an account's directory is given to may go through.
 */
export function leaseDirectory({ directory: { mode, uid, gid } }: FilePolicy): Ownership {
  return { mode: (mode & ~0o022) | (uid === undefined ? 0 : 0o011), ...(gid !== undefined && { gid }) };
}

/** Names in the directory of a ticket. */
export const CCACHE = 'krb5cc';
export const KEYTAB = 'krb5.keytab';
export const KRB5_CONF = 'krb5.conf';

/** Why a text cannot be the second name of a cache; undefined when it can. */
export function secondNameProblem(name: string): string | undefined {
  if ([CCACHE, KEYTAB, KRB5_CONF].includes(name)) return `is the name of another file there: ${name}`;
  if (/^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/.test(name)) return undefined;
  return 'must be a file name of up to 64 letters, digits, dots, hyphens and underscores, and begin with no dot';
}
