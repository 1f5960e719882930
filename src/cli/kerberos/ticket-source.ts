/** Where krun's tickets come from: a keytab, a password, or a gMSA's managed password. */
import { wipe } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import { type ParsedFlags, UsageError } from '../../flags.ts';
import { readManagedAccounts } from '../../gmsa/account.ts';
import { loginManagedAccount } from '../../gmsa/login.ts';
import type { Credentials } from '../../krb5/credentials.ts';
import { asExchange } from '../../krb5/exchanges/as.ts';
import type { ExchangeContext } from '../../krb5/exchanges/context.ts';
import { parsePrincipal } from '../../krb5/principal.ts';
import { text } from '../command.ts';
import type { Terminal } from '../terminal.ts';
import { controllers, domainOf, openDirectory, readerClient, realmOf } from './directory.ts';
import {
  keytabPath,
  keytabProof,
  type Proof,
  passwordProof,
  permittedEtypes,
  type Session,
  sessionContext,
} from './session.ts';

export interface TicketSource {
  /** What the exchanges learned, the clock's offset above all. */
  readonly context: ExchangeContext;
  /** A new ticket-granting ticket; the caller wipes its session key. */
  get(signal: AbortSignal): Promise<Credentials>;
  /** Wipes what is kept. */
  close(): void;
}

/** @param life seconds to ask for */
export async function ticketSource(
  session: Session,
  parsed: ParsedFlags,
  terminal: Terminal,
  life: number | undefined,
): Promise<TicketSource> {
  const context = sessionContext(session, life === undefined ? {} : { life });
  if (parsed.flags.gmsa !== undefined) return managed(session, context, parsed, terminal);
  const [keytab, name] = [text(parsed, 'keytab'), text(parsed, 'principal')];
  const who = name === undefined ? undefined : parsePrincipal(name, session.config.defaultRealm);
  const permitted = permittedEtypes(session.config);
  const file = text(parsed, 'password-file');
  // A keytab or password file is read anew for each ticket: its keys change while the program runs.
  if (keytab !== undefined)
    return byProof(context, () => keytabProof(keytabPath(keytab, session.config, terminal), who, permitted));
  if (!who) throw new UsageError('say whose ticket: -t, -p or --gmsa');
  if (file !== undefined && file !== '-') return byProof(context, () => passwordProof(who, file, terminal, permitted));
  const kept = await passwordProof(who, file, terminal, permitted);
  return { ...byProof(context, async () => ({ ...kept, keep: true })), close: () => kept.secret.destroy() };
}

function byProof(context: ExchangeContext, prove: () => Promise<Proof & { keep?: boolean }>): TicketSource {
  return {
    context,
    close: () => undefined,
    async get(signal) {
      const { principal, secret, keep } = await prove();
      try {
        return await asExchange(context, { client: principal, secret, signal });
      } finally {
        if (!keep) secret.destroy();
      }
    },
  };
}

/** Each ticket costs a search: the password may have rolled, and the reader may have lost its right to it. */
async function managed(
  session: Session,
  context: ExchangeContext,
  parsed: ParsedFlags,
  terminal: Terminal,
): Promise<TicketSource> {
  const name = text(parsed, 'gmsa')!;
  const domain = domainOf(parsed, session);
  const realm = realmOf(domain, session);
  const isKeytab = parsed.flags.keytab !== undefined;
  const open = () => readerClient(session, parsed, terminal, realm);
  const kept = isKeytab ? undefined : await open();
  return {
    context,
    close: () => kept?.close(),
    async get(signal) {
      const client = kept ?? (await open());
      try {
        const connection = await openDirectory(session, client, await controllers(session, parsed, domain), signal);
        try {
          const [account] = await readManagedAccounts(connection, domain, [name]);
          if (account instanceof AdError) throw account;
          try {
            return await loginManagedAccount(context, account!, realm, signal);
          } finally {
            wipe(account!.password.current, ...(account!.password.previous ? [account!.password.previous] : []));
          }
        } finally {
          connection.close();
        }
      } finally {
        if (!kept) client.close();
      }
    },
  };
}
