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
}

/** For the daemon's own user alone, as upstream's: others may go through the directories, but read no ticket. */
export const DEFAULT_FILE_POLICY: FilePolicy = {
  ccache: { mode: 0o600 },
  directory: { mode: 0o755 },
  keytab: false,
  krb5Conf: false,
};
