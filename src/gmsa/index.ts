/** Group Managed Service Accounts: reading their passwords, the keys that come of them, and logging on with them. */
export { AdError, type ErrorCode, MalformedError } from '../errors.ts';
export {
  type ManagedAccount,
  type MoreWishes,
  readKeyVersion,
  readManagedAccounts,
  samAccountName,
} from './account.ts';
export { type ManagedPassword, parseManagedPassword } from './blob.ts';
export { KeyMemory } from './key-memory.ts';
export { deriveKeys, utf16ToUtf8, validPasswords } from './keys.ts';
export { type ManagedKeytab, type ManagedKeytabOptions, managedKeytab } from './keytab.ts';
export { loginManagedAccount } from './login.ts';
