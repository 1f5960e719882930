/** What to do about an error, by its code. */
import { type ErrorCode, isAdError } from '../../errors.ts';

/** In place of the general advice, where a check knows better. */
export type Advice = Partial<Readonly<Record<ErrorCode, string>>>;

const advice: Readonly<Record<ErrorCode, string>> = {
  UNREACHABLE: 'check DNS, routes and firewalls between this host and the server',
  TIMEOUT: 'the server is there but slow or hung: look at it, or remove it from DNS until it is well',
  ABORTED: 'run it again',
  CLOCK_SKEW: "set this host's clock (chrony, ntpd, systemd-timesyncd)",
  WRONG_PASSWORD: 'set the password or keytab anew; after a password change a keytab has old keys',
  UNKNOWN_PRINCIPAL: 'check the spelling of the account and its realm',
  UNKNOWN_SERVICE: "the server's name has no account: use the name that is in the directory, not an alias or address",
  ACCOUNT_DISABLED: 'enable the account (Enable-ADAccount), unlock it (Unlock-ADAccount), or move its expiry',
  PASSWORD_EXPIRED: 'change the password, or mark the service account as never expiring',
  ETYPE:
    "set the account's password again to give it AES keys; see msDS-SupportedEncryptionTypes and permitted_enctypes",
  NOT_ALLOWED:
    'add the reader, or a group it is in, to PrincipalsAllowedToRetrieveManagedPassword (Set-ADServiceAccount)',
  NO_SUCH_ACCOUNT: 'check the name (Get-ADServiceAccount) and the domain',
  NOT_SEALED: 'the connection must be sealed: look at what stands between this host and the server',
  NOT_FOUND: 'make the file, or name another',
  FILE: 'check owner and permissions of the file',
  INVALID_ARGUMENT: 'mend the setting',
  MALFORMED: 'the file or answer is damaged: make it anew, or look at what answers there',
  REPLY_REJECTED: 'what answers there is not a KDC of this realm, or something changes messages on the way',
  INTEGRITY: 'the keys of both sides differ: set the password or keytab anew, and let the controllers replicate',
  KDC_ERROR: 'look at the event log of the domain controller (System, Kerberos-Key-Distribution-Center)',
  LDAP: 'look at the event log of the domain controller (Directory Service), or ask another with --server',
};

/** For an error of any kind: what the check advises, else what is advised in general. */
export function adviceFor(e: unknown, special: Advice = {}): string {
  if (isAdError(e)) return special[e.code] ?? advice[e.code];
  // An error of the operating system, such as EACCES.
  const { code, syscall } = e as NodeJS.ErrnoException;
  if (typeof syscall === 'string') return code === 'ENOENT' ? advice.NOT_FOUND : advice.FILE;
  return 'report this as a fault of the program';
}
