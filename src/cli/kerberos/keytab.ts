/** Makes and changes keytabs. */
import { fromDer } from '../../asn1.ts';
import { wipe } from '../../bytes.ts';
import { isAdError } from '../../errors.ts';
import { type ParsedFlags, UsageError } from '../../flags.ts';
import type { Credentials } from '../../krb5/credentials.ts';
import { etypeByName, etypeName, stringToKey } from '../../krb5/crypto/index.ts';
import { asExchange } from '../../krb5/exchanges/as.ts';
import type { ExchangeContext } from '../../krb5/exchanges/context.ts';
import { askEveryRecipe } from '../../krb5/exchanges/salt.ts';
import { tgsExchange } from '../../krb5/exchanges/tgs.ts';
import type { KeytabEntry } from '../../krb5/files/keytab.ts';
import {
  addEntries,
  loadKeytab,
  mergeEntries,
  removeEntries,
  saveKeytab,
  wipeEntries,
} from '../../krb5/files/keytab-edit.ts';
import { AsRep, Ticket } from '../../krb5/messages.ts';
import type { KdcTransport } from '../../krb5/network/transport.ts';
import { msgType } from '../../krb5/numbers.ts';
import { formatPrincipal, type Principal } from '../../krb5/principal.ts';
import { type KeyHint, PasswordSecret } from '../../krb5/secret.ts';
import { type Command, required, text } from '../command.ts';
import { readPassword, type Terminal } from '../terminal.ts';
import { loadConfig } from './config.ts';
import { describeKeytab, formatKeytab, timeStyle } from './klist-format.ts';
import { keytabPath, permittedEtypes, principalOf, type Session, sessionContext, withSession } from './session.ts';

export const keytab: Command = {
  name: 'keytab',
  summary: 'list, add, remove and merge keys in keytabs',
  description: `  list                the keys, as klist -kte does
  add -p PRINCIPAL    keys made of the account's password. The KDC is asked for salts, proves the
                      password and tells the key version; with --kvno and --salt it is not asked.
  remove              the keys that -p, --kvno, -e and --old choose together
  merge FILE...       the keys of other keytabs; any that contradict each other are refused
The file is replaced as a whole and keeps its owner and mode; a new one is for its owner only.`,
  flags: {
    keytab: {
      type: 'string',
      short: 'k',
      value: 'FILE',
      completes: 'file',
      help: 'the keytab [KRB5_KTNAME, krb5.conf, /etc/krb5.keytab]',
    },
    principal: { type: 'string', short: 'p', value: 'PRINCIPAL', help: 'whose keys' },
    account: {
      type: 'string',
      value: 'NAME',
      help: 'add: the account whose password it is, where PRINCIPAL is one of\nits service names (SPN)',
    },
    kvno: { type: 'string', value: 'NUMBER', help: 'key version' },
    etypes: {
      type: 'string',
      short: 'e',
      value: 'NAMES',
      help: 'encryption types, with commas between [all the KDC offers]',
    },
    salt: { type: 'string', value: 'TEXT', help: 'add: the salt, instead of asking the KDC' },
    'password-file': {
      type: 'string',
      value: 'FILE',
      completes: 'file',
      help: 'add: file with the password, - for standard input',
    },
    old: { type: 'boolean', help: "remove: all but each principal's newest version" },
    keys: { type: 'boolean', short: 'K', help: 'list: show the keys themselves' },
    json: { type: 'boolean', help: 'machine-readable output' },
  },
  operands: {
    synopsis: 'list|add|remove|merge [FILE...]',
    most: 64,
    completes: 'file',
    words: ['list', 'add', 'remove', 'merge'],
  },
  examples: [
    'credentials-fetcher keytab add -k web.keytab -p HTTP/web.corp.example --account svc-web',
    'credentials-fetcher keytab remove -k web.keytab --old',
  ],
  async run(parsed, terminal) {
    const [what = '', ...files] = parsed.positionals;
    const action = Object.hasOwn(actions, what) ? actions[what] : undefined;
    if (!action) throw new UsageError('say what to do: list, add, remove or merge');
    if (what !== 'merge' && what !== 'list' && files.length > 0)
      throw new UsageError(`unexpected argument ${files[0]}`);
    await action(parsed, files, terminal);
  },
};

type Action = (parsed: ParsedFlags, files: readonly string[], terminal: Terminal) => Promise<void>;
const actions: Readonly<Record<string, Action>> = { list, add, remove, merge };

async function pathOf(parsed: ParsedFlags, terminal: Terminal, operand?: string): Promise<string> {
  return keytabPath(text(parsed, 'keytab') ?? operand, await loadConfig(terminal), terminal);
}

/** The entries there are; none where there is no file yet. */
async function existing(path: string): Promise<KeytabEntry[]> {
  try {
    return await loadKeytab(path);
  } catch (e) {
    if (isAdError(e, 'NOT_FOUND')) return [];
    throw e;
  }
}

async function list(parsed: ParsedFlags, [file]: readonly string[], terminal: Terminal): Promise<void> {
  const path = await pathOf(parsed, terminal, file);
  const entries = await loadKeytab(path);
  const keys = Boolean(parsed.flags.keys);
  const name = `FILE:${path}`;
  terminal.out(
    parsed.flags.json
      ? `${JSON.stringify(describeKeytab(entries, name, keys))}\n`
      : formatKeytab(entries, name, timeStyle(terminal.env), { etypes: true, times: true, keys }),
  );
  wipeEntries(entries);
}

async function remove(parsed: ParsedFlags, _files: readonly string[], terminal: Terminal): Promise<void> {
  const config = await loadConfig(terminal);
  const who = text(parsed, 'principal');
  const etypes = namedEtypes(parsed);
  const choice = {
    principal: who === undefined ? undefined : principalOf(who, config),
    kvno: kvnoOf(parsed),
    old: Boolean(parsed.flags.old),
  };
  if (who === undefined && choice.kvno === undefined && !etypes && !choice.old)
    throw new UsageError('say which keys: -p, --kvno, -e or --old');
  const path = await pathOf(parsed, terminal);
  const entries = await loadKeytab(path);
  try {
    const { removed } = removeEntries(entries, choice);
    const gone = removed.filter((e) => !etypes || etypes.includes(e.key.etype));
    await saveKeytab(
      path,
      entries.filter((e) => !gone.includes(e)),
    );
    report(parsed, terminal, 'removed', gone);
  } finally {
    wipeEntries(entries);
  }
}

async function merge(parsed: ParsedFlags, files: readonly string[], terminal: Terminal): Promise<void> {
  if (files.length === 0) throw new UsageError('name the keytabs to merge');
  const path = await pathOf(parsed, terminal);
  const lists: KeytabEntry[][] = [await existing(path)];
  try {
    for (const file of files) lists.push(await loadKeytab(file));
    const merged = mergeEntries(lists);
    await saveKeytab(path, merged);
    report(parsed, terminal, 'added', merged.slice(lists[0]!.length));
  } finally {
    for (const entries of lists) wipeEntries(entries);
  }
}

async function add(parsed: ParsedFlags, _files: readonly string[], terminal: Terminal): Promise<void> {
  const path = await pathOf(parsed, terminal);
  await withSession(terminal, async (session) => {
    const principal = principalOf(required(parsed, 'principal'), session.config);
    const account = text(parsed, 'account');
    const owner =
      account === undefined ? principal : principalOf(account, { ...session.config, defaultRealm: principal.realm });
    const typed = await readPassword(
      text(parsed, 'password-file'),
      terminal,
      `Password for ${formatPrincipal(owner)}: `,
    );
    const password = Buffer.from(typed, 'utf8');
    const before = await existing(path);
    const added: KeytabEntry[] = [];
    try {
      const { hints, kvno } = await recipes(session, owner, password, parsed);
      for (const hint of hints) {
        const key = await stringToKey(hint.etype, password, hint.salt ?? defaultSalt(owner), hint.params);
        const value = Uint8Array.from(key.value);
        key.destroy();
        added.push({ principal, timestamp: new Date(), kvno, key: { etype: hint.etype, value } });
      }
      await saveKeytab(path, addEntries(before, added));
      report(parsed, terminal, 'added', added);
    } finally {
      wipe(password);
      wipeEntries(before);
      wipeEntries(added);
    }
  });
}

/** RFC 4120 4: realm and name components run together. */
const defaultSalt = (p: Principal): string => p.realm + p.components.join('');

/** How to make the keys and which version they are: as told on the command line, else as the KDC says and proves. */
async function recipes(
  session: Session,
  owner: Principal,
  password: Uint8Array,
  parsed: ParsedFlags,
): Promise<{ hints: readonly KeyHint[]; kvno: number }> {
  const wanted = namedEtypes(parsed);
  const [salt, given] = [text(parsed, 'salt'), kvnoOf(parsed)];
  const permitted = permittedEtypes(session.config);
  if (salt !== undefined && given !== undefined)
    return { hints: (wanted ?? permitted).map((etype) => ({ etype, salt, params: undefined })), kvno: given };
  const asked = { ...sessionContext(session), ...(wanted && { permittedEtypes: wanted }) };
  const hints = (await askEveryRecipe(asked, owner)).map((hint) => ({ ...hint, salt: salt ?? hint.salt }));
  if (hints.length === 0)
    throw new UsageError(`the KDC names no key of ${formatPrincipal(owner)} of the types asked for`);
  // A wrong password would make a keytab that fails later, elsewhere: the KDC judges it now.
  const secret = new PasswordSecret(password, defaultSalt(owner), asked.permittedEtypes);
  const tap = tapped(session.transport);
  let kvno = given;
  try {
    const ticket = await asExchange({ ...asked, transport: tap.transport }, { client: owner, secret, kdcOptions: 0 });
    kvno ??= tap.kvno() ?? (await kvnoByTicket(asked, ticket, owner));
    wipe(ticket.key.value);
  } finally {
    secret.destroy();
  }
  if (kvno === undefined) throw new UsageError('the KDC does not tell the key version: give it with --kvno');
  return { hints, kvno };
}

/** MIT's KDC does not say with which version of the client's key it sealed its reply, but gives tickets for clients. */
async function kvnoByTicket(context: ExchangeContext, tgt: Credentials, owner: Principal): Promise<number | undefined> {
  try {
    const ticket = await tgsExchange(context, { tgt, server: owner });
    wipe(ticket.key.value);
    return fromDer(Ticket, ticket.ticket).encPart.kvno;
  } catch (e) {
    if (isAdError(e, 'UNKNOWN_SERVICE', 'KDC_ERROR')) return undefined;
    throw e;
  }
}

/** A transport that remembers which version of the client's key the last AS-REP was sealed with. */
function tapped(transport: KdcTransport): { transport: KdcTransport; kvno(): number | undefined } {
  let kvno: number | undefined;
  return {
    kvno: () => kvno,
    transport: {
      close: () => undefined,
      async exchange(...args) {
        const reply = await transport.exchange(...args);
        if (reply.message[0] === 0x60 + msgType.AS_REP) kvno = fromDer(AsRep, reply.message).encPart.kvno;
        return reply;
      },
    },
  };
}

function kvnoOf(parsed: ParsedFlags): number | undefined {
  const given = text(parsed, 'kvno');
  if (given === undefined) return undefined;
  const kvno = Number(given);
  if (!/^\d+$/.test(given) || kvno > 0xffffffff)
    throw new UsageError(`--kvno must be a number up to 4294967295, not ${given}`);
  return kvno;
}

function namedEtypes(parsed: ParsedFlags): number[] | undefined {
  const names = text(parsed, 'etypes')
    ?.split(/[\s,]+/)
    .filter(Boolean);
  return names?.map((name) => {
    const etype = etypeByName(name.toLowerCase());
    if (etype === undefined) throw new UsageError(`there is no encryption type ${name}`);
    return etype;
  });
}

function report(parsed: ParsedFlags, terminal: Terminal, done: string, entries: readonly KeytabEntry[]): void {
  const rows = entries.map((e) => ({
    principal: formatPrincipal(e.principal),
    kvno: e.kvno,
    etype: etypeName(e.key.etype),
  }));
  terminal.out(
    parsed.flags.json
      ? `${JSON.stringify({ [done]: rows })}\n`
      : rows.map((r) => `${done} ${r.principal} kvno ${r.kvno} ${r.etype}\n`).join('') || `nothing ${done}\n`,
  );
}
