/** What is made for a gMSA beside its ticket: a keytab and a krb5.conf, where they are asked for. */
import type { ManagedAccount } from '../../gmsa/account.ts';
import type { KeyMemory } from '../../gmsa/key-memory.ts';
import { managedKeytab } from '../../gmsa/keytab.ts';
import type { Credentials } from '../../krb5/credentials.ts';
import type { ExchangeContext } from '../../krb5/exchanges/context.ts';
import type { Log } from '../log.ts';
import { containerKrb5Conf } from './container-krb5-conf.ts';
import type { FetchedTicket, GmsaRef } from './engine.ts';

/** What the machine's krb5.conf says about a realm. */
export interface ConfiguredRealm {
  readonly kdcs: readonly string[];
  readonly hosts: readonly string[];
}

export interface BesideParts {
  readonly context: ExchangeContext;
  readonly keys: KeyMemory;
  readonly managed: ManagedAccount;
  readonly tgt: Credentials;
  readonly directoryKvno: () => Promise<number | undefined>;
  readonly configured: ConfiguredRealm;
  readonly log: Log | undefined;
  readonly signal: AbortSignal;
}

/** @throws as `managedKeytab` */
export async function filesBeside(
  { name, domain, keytab = false, krb5Conf = false }: GmsaRef,
  parts: BesideParts,
): Promise<Pick<FetchedTicket, 'keytab' | 'krb5Conf'>> {
  const { managed: account, context, log, ...rest } = parts;
  const conf = krb5Conf && containerKrb5Conf({ realm: rest.tgt.client.realm, domain, keytab, ...rest.configured });
  const made = keytab ? await managedKeytab(context, { account, ...rest }) : undefined;
  if (made?.missing !== undefined) {
    const what = `tickets for the account are sealed with ${made.missing}, which its keytab has no key of`;
    log?.warn(`${what}: set msDS-SupportedEncryptionTypes in the directory`, { account: name });
  }
  return { ...(made && { keytab: made.bytes }), ...(conf && { krb5Conf: conf }) };
}
