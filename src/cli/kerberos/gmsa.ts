/** Shows what the directory says about a gMSA and its managed password. */
import { EqualityFilter } from 'ldapts';
import { hex, wipe } from '../../bytes.ts';
import { AdError, isAdError } from '../../errors.ts';
import { UsageError } from '../../flags.ts';
import { type ManagedAccount, readManagedAccounts, samAccountName } from '../../gmsa/account.ts';
import { deriveKeys, validPasswords } from '../../gmsa/keys.ts';
import { loginManagedAccount } from '../../gmsa/login.ts';
import { etypeName } from '../../krb5/crypto/index.ts';
import { askEveryRecipe } from '../../krb5/exchanges/salt.ts';
import { activeDirectorySalt, principal } from '../../krb5/principal.ts';
import type { SealedConnection } from '../../ldap/client.ts';
import { domainBase } from '../../ldap/locate.ts';
import type { Command } from '../command.ts';
import { controllers, domainOf, openDirectory, readerClient, readerFlags, realmOf } from './directory.ts';
import { type Session, sessionContext, withSession } from './session.ts';

export const gmsa: Command = {
  name: 'gmsa',
  summary: 'show what a managed password says: dates, versions, keys on request',
  description: `Reads the managed password of the gMSA NAME as a reader that may, and shows when it changes, its key
version, its salt, and whether the account can log on with it. The reader is a principal with its password
or keytab, or whoever the ticket cache is of.`,
  flags: {
    ...readerFlags,
    keys: { type: 'boolean', help: "print the account's keys: whoever has them is the account" },
    json: { type: 'boolean', help: 'machine-readable output' },
  },
  operands: { synopsis: 'NAME', most: 1, completes: 'word' },
  examples: ['credentials-fetcher gmsa -p svc-fetch -d corp.example WebApp01'],
  async run(parsed, terminal) {
    const name = parsed.positionals[0];
    if (name === undefined) throw new UsageError('the name of a gMSA is required');
    const show = async (session: Session): Promise<void> => {
      const domain = domainOf(parsed, session);
      const realm = realmOf(domain, session);
      const client = await readerClient(session, parsed, terminal, realm);
      try {
        const connection = await openDirectory(session, client, await controllers(session, parsed, domain));
        try {
          const facts = await describe(session, connection, domain, realm, name, Boolean(parsed.flags.keys));
          terminal.out(parsed.flags.json ? `${JSON.stringify(facts)}\n` : formatFacts(facts));
        } finally {
          connection.close();
        }
      } finally {
        client.close();
      }
    };
    await withSession(terminal, show, { sites: true });
  },
};

interface Facts {
  account: string;
  distinguishedName: string;
  server: string;
  read: string;
  /** When the password should be read anew, and until when it is sure to stay. */
  changes: string;
  sureUntil: string;
  previous: boolean;
  /** Which of the two passwords is valid now. */
  valid: 'current' | 'previous';
  kvno?: number;
  lastSet?: string;
  intervalDays?: number;
  etypes: string[];
  salt: string;
  logon: string;
  keys?: { password: 'current' | 'previous'; etype: string; key: string }[];
}

async function describe(
  session: Session,
  connection: SealedConnection,
  domain: string,
  realm: string,
  name: string,
  withKeys: boolean,
): Promise<Facts> {
  const read = Date.now();
  const [account] = await readManagedAccounts(connection, domain, [name]);
  if (account instanceof AdError) throw account;
  const { password } = account!;
  try {
    // In a search of its own, after the password was read: reading it may roll it, and the number with it.
    const attributes = await searchFacts(connection, domain, account!.samAccountName);
    const context = sessionContext(session);
    const hints = await askEveryRecipe(context, principal(realm, account!.samAccountName));
    const salt =
      hints.find((hint) => hint.salt !== undefined)?.salt ??
      activeDirectorySalt('computer', account!.samAccountName, realm);
    const valid = validPasswords(password)[0] === password.current ? 'current' : 'previous';
    const etypes = hints.map((hint) => hint.etype);
    return {
      account: account!.samAccountName,
      distinguishedName: account!.distinguishedName,
      server: connection.server,
      read: new Date(read).toISOString(),
      changes: later(read, password.queryPasswordInterval),
      sureUntil: later(read, password.unchangedPasswordInterval),
      previous: password.previous !== undefined,
      valid,
      ...attributes,
      etypes: etypes.map(etypeName),
      salt,
      logon: await tryLogon(session, account!, realm),
      ...(withKeys && { keys: await keysOf(account!, salt, etypes) }),
    };
  } finally {
    wipe(password.current, ...(password.previous ? [password.previous] : []));
  }
}

/** Intervals are in units of 100 ns. */
const later = (from: number, interval: bigint): string => new Date(from + Number(interval / 10_000n)).toISOString();

async function searchFacts(
  connection: SealedConnection,
  domain: string,
  samName: string,
): Promise<Pick<Facts, 'kvno' | 'lastSet' | 'intervalDays'>> {
  const [entry] = await connection.search({
    base: domainBase(domain),
    scope: 'sub',
    filter: new EqualityFilter({ attribute: 'sAMAccountName', value: samAccountName(samName) }),
    attributes: { 'msDS-KeyVersionNumber': 'text', pwdLastSet: 'text', 'msDS-ManagedPasswordInterval': 'text' },
  });
  const value = (attribute: string): string | undefined => entry?.text.get(attribute.toLowerCase())?.[0];
  const [kvno, lastSet, interval] = ['msDS-KeyVersionNumber', 'pwdLastSet', 'msDS-ManagedPasswordInterval'].map(value);
  return {
    ...(kvno !== undefined && { kvno: Number(kvno) }),
    ...(Number(lastSet) > 0 && { lastSet: fromFileTime(BigInt(lastSet!)) }),
    ...(interval !== undefined && { intervalDays: Number(interval) }),
  };
}

/** FILETIME counts 100 ns since 1601 (MS-DTYP 2.3.3). */
const fromFileTime = (time: bigint): string => new Date(Number(time / 10_000n) - 11_644_473_600_000).toISOString();

async function tryLogon(session: Session, account: ManagedAccount, realm: string): Promise<string> {
  try {
    const tgt = await loginManagedAccount(sessionContext(session), account, realm);
    wipe(tgt.key.value);
    return 'ok';
  } catch (e) {
    if (isAdError(e)) return `${e.message} (${e.code})`;
    throw e;
  }
}

async function keysOf(
  account: ManagedAccount,
  salt: string,
  etypes: readonly number[],
): Promise<NonNullable<Facts['keys']>> {
  const { current, previous } = account.password;
  const rows: NonNullable<Facts['keys']> = [];
  for (const [password, which] of [
    [current, 'current'],
    [previous, 'previous'],
  ] as const) {
    if (!password) continue;
    for (const [etype, key] of await deriveKeys(password, salt, etypes)) {
      rows.push({ password: which, etype: etypeName(etype), key: hex(key) });
      wipe(key);
    }
  }
  return rows;
}

function formatFacts(f: Facts): string {
  const rows: [string, string | undefined][] = [
    ['Account', f.account],
    ['In the directory', f.distinguishedName],
    ['Asked', `${f.server}, ${f.read}`],
    ['Password changes', `${f.changes}${f.intervalDays === undefined ? '' : ` (every ${f.intervalDays} days)`}`],
    ['Sure to stay until', f.sureUntil],
    ['Last set', f.lastSet],
    ['Previous password', f.previous ? 'yes' : 'none'],
    ['Valid now', `the ${f.valid} one`],
    ['Key version', f.kvno?.toString()],
    ['Encryption types', f.etypes.join(', ') || 'none that is permitted here'],
    ['Salt', f.salt],
    ['Logon', f.logon],
    ...(f.keys ?? []).map((k): [string, string] => [`Key, ${k.password}`, `${k.etype} ${k.key}`]),
  ];
  return rows
    .filter((row): row is [string, string] => row[1] !== undefined)
    .map(([name, value]) => `${`${name}:`.padEnd(20)}${value}\n`)
    .join('');
}
