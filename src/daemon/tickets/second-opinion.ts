/**
 * A gMSA's password that a KDC refuses although the directory handed it out. One of them has not heard of the roll yet:
 * replication between domain controllers takes its time. So the password is read again at another domain controller and
 * tried at another KDC, with what was read before behind it, a bounded number of times.
 */
import { wipe } from '../../bytes.ts';
import { type AdError, isAdError, messageOf } from '../../errors.ts';
import { type ManagedAccount, readManagedAccounts } from '../../gmsa/account.ts';
import { loginManagedAccount } from '../../gmsa/login.ts';
import type { Credentials } from '../../krb5/credentials.ts';
import type { ExchangeContext } from '../../krb5/exchanges/context.ts';
import type { Log } from '../log.ts';
import type { Reader } from './readers.ts';

/** Domain controllers asked at most after the first. Every wrong guess counts towards the account's lockout. */
const MOST_OTHERS = 2;

export interface ManagedLogin {
  readonly tgt: Credentials;
  /** As the directory that was right has it. */
  readonly account: ManagedAccount;
}

/**
 * Logs a gMSA on with the password read, or with what other domain controllers say it is.
 * @param read the account and the domain controller it was read at
 * @param reread gets the accounts read besides; the caller wipes their passwords
 * @throws as `loginManagedAccount`: the first refusal, where every one was refused
 */
export async function loginBySeveral(
  read: { readonly account: ManagedAccount; readonly server: string },
  reread: ManagedAccount[],
  parts: {
    readonly reader: Reader;
    readonly domain: string;
    readonly realm: string;
    readonly log: Log | undefined;
    readonly signal: AbortSignal;
  },
): Promise<ManagedLogin> {
  const { reader, domain, realm, log, signal } = parts;
  const asked = new Set([read.server]);
  /** KDCs that refused: whoever is in another realm, or has no other KDC, is still asked there. */
  const refused = new Set<string>();
  const { transport, ...rest } = reader.client.context;
  const context: ExchangeContext = {
    ...rest,
    transport: {
      exchange: (to, request, until, service) => transport.exchange(to, request, until, service, refused),
      close: () => undefined,
    },
  };
  let { account } = read;
  let refusal: AdError | undefined;
  for (;;) {
    const before = [read.account, ...reread].filter((one) => one !== account).map((one) => one.password);
    try {
      const tgt = await loginManagedAccount(context, account, realm, signal, reader.keys, before);
      return { tgt, account };
    } catch (e) {
      if (!isAdError(e, 'WRONG_PASSWORD')) throw e;
      refusal ??= e;
      if (typeof e.details.server === 'string') refused.add(e.details.server);
    }
    const next = asked.size > MOST_OTHERS ? undefined : await readElsewhere();
    if (!next) throw refusal;
    reread.push(next);
    account = next;
  }

  async function readElsewhere(): Promise<ManagedAccount | undefined> {
    const name = read.account.samAccountName;
    try {
      const connection = await reader.another(domain, asked, signal);
      if (!connection) return undefined;
      try {
        const { server } = connection;
        log?.warn('the KDC does not take the password, reading it elsewhere', {
          account: name,
          server,
          error: refusal,
        });
        asked.add(server);
        const [again] = await readManagedAccounts(connection, domain, [name], signal, { services: true });
        if (again instanceof Error) throw again;
        return again;
      } finally {
        connection.close();
      }
    } catch (e) {
      if (!isAdError(e) || isAdError(e, 'TIMEOUT', 'ABORTED')) throw e;
      // The refusal says more than this.
      log?.warn('the password cannot be read elsewhere', { account: name, error: messageOf(e) });
      return undefined;
    }
  }
}

/** Wipes what was read of an account. */
export const forgetAccount = ({ password }: ManagedAccount): void => wipe(password.current, password.previous);
