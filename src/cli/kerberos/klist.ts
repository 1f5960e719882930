/** Lists ticket caches and keytabs. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AdError } from '../../errors.ts';
import { type ParsedFlags, UsageError } from '../../flags.ts';
import { clientKeytabPath } from '../../krb5/environment/environment.ts';
import type { CCache } from '../../krb5/files/ccache.ts';
import { isConfigEntry } from '../../krb5/files/ccache-config.ts';
import type { CacheHandle } from '../../krb5/files/ccache-file.ts';
import { loadKeytab, wipeEntries } from '../../krb5/files/keytab-edit.ts';
import { formatPrincipal, isKrbtgt } from '../../krb5/principal.ts';
import type { Command } from '../command.ts';
import type { Terminal } from '../terminal.ts';
import { namesOf } from './address-text.ts';
import { loadConfig } from './config.ts';
import { describeCache, describeKeytab, formatCache, formatKeytab, formatList, timeStyle } from './klist-format.ts';
import { caches, keytabPath, wipeCache } from './session.ts';

export const klist: Command = {
  name: 'klist',
  summary: 'list the tickets in a ticket cache, or the keys in a keytab',
  description: `Lists a ticket cache or, with -k, a keytab, as klist of MIT Kerberos does. NAME is a file, a name such
as DIR:/run/krb5, or a directory of a lease, whose cache is its krb5cc; without it the cache is that of
KRB5CCNAME, krb5.conf or the user. The daemon is not asked.`,
  flags: {
    cache: { type: 'boolean', short: 'c', help: 'NAME is a ticket cache, as it is without -k' },
    etypes: { type: 'boolean', short: 'e', help: 'show encryption types' },
    flags: { type: 'boolean', short: 'f', help: "show tickets' flags" },
    addresses: { type: 'boolean', short: 'a', help: 'show addresses, by the names of their hosts' },
    numeric: { type: 'boolean', short: 'n', help: 'with -a: as numbers' },
    authdata: { type: 'boolean', short: 'd', help: "show types of tickets' authorization data" },
    config: { type: 'boolean', short: 'C', help: 'show settings among the tickets' },
    all: { type: 'boolean', short: 'A', help: 'all caches of the collection' },
    list: { type: 'boolean', short: 'l', help: 'the caches of the collection, a line each' },
    status: { type: 'boolean', short: 's', help: 'print nothing; exit with 0 when there is a valid ticket, else 1' },
    keytab: { type: 'boolean', short: 'k', help: 'list a keytab' },
    'client-keytab': {
      type: 'boolean',
      short: 'i',
      help: 'with -k: the keytab of clients unless NAME says which\n[KRB5_CLIENT_KTNAME, krb5.conf, /etc/krb5/user/UID/client.keytab]',
    },
    times: { type: 'boolean', short: 't', help: 'with -k: when each key was made' },
    keys: { type: 'boolean', short: 'K', help: 'with -k: the keys themselves' },
    json: { type: 'boolean', help: 'machine-readable output' },
  },
  operands: { synopsis: '[NAME]', most: 1, completes: 'file' },
  async run(parsed, terminal) {
    const { flags } = parsed;
    const given = parsed.positionals[0];
    checkFlags(flags);
    if (flags.keytab) {
      await listKeytab(given, parsed, terminal);
      return 0;
    }
    const config = await loadConfig(terminal);
    const collection = caches(given === undefined ? undefined : await insideLease(given), config, terminal);
    if (flags.status) return hasValid(flags.all ? await collection.list() : [await collection.primary()]);
    if (flags.list) return listAll(await collection.list(), parsed, terminal);
    const handles = flags.all ? await collection.list() : [await collection.primary()];
    const shown: (string | object)[] = [];
    for (const handle of handles) {
      const cache = await handle.read();
      wipeCache(cache);
      const all = cache.credentials.flatMap((c) => c.addresses);
      const names = flags.addresses && !flags.numeric && !flags.json ? await namesOf(all) : undefined;
      shown.push(
        flags.json
          ? describeCache(cache, handle.name)
          : formatCache(cache, handle.name, timeStyle(terminal.env), {
              flags: Boolean(flags.flags),
              etypes: Boolean(flags.etypes),
              addresses: Boolean(flags.addresses),
              ...(names && { names }),
              config: Boolean(flags.config),
              authdata: Boolean(flags.authdata),
            }),
      );
    }
    terminal.out(flags.json ? `${JSON.stringify(flags.all ? shown : shown[0])}\n` : shown.join('\n'));
    return handles.length > 0 ? 0 : 1;
  },
};

/** What excludes what, as with MIT. */
function checkFlags(flags: ParsedFlags['flags']): void {
  if ((flags.times || flags.keys) && !flags.keytab) throw new UsageError('-t and -K go with -k');
  if (flags.numeric && !flags.addresses) throw new UsageError('-n goes with -a');
  for (const flag of ['cache', 'flags', 'addresses', 'all', 'list', 'status'])
    if (flags[flag] && flags.keytab) throw new UsageError(`--${flag} does not go with -k`);
  for (const flag of ['all', 'status'])
    if (flags[flag] && flags.list) throw new UsageError(`--${flag} does not go with -l`);
}

/** The directory of a lease stands for the cache in it. */
async function insideLease(given: string): Promise<string> {
  const isDirectory = await stat(given).then(
    (s) => s.isDirectory(),
    () => false,
  );
  return isDirectory ? join(given, 'krb5cc') : given;
}

async function listKeytab(given: string | undefined, { flags }: ParsedFlags, terminal: Terminal): Promise<void> {
  const config = given === undefined ? await loadConfig(terminal) : undefined;
  const path = flags['client-keytab']
    ? clientKeytabPath(given, config, terminal.env)
    : keytabPath(given, config, terminal);
  const entries = await loadKeytab(path);
  try {
    const name = `FILE:${path}`;
    const details = { etypes: Boolean(flags.etypes), times: Boolean(flags.times), keys: Boolean(flags.keys) };
    terminal.out(
      flags.json
        ? `${JSON.stringify(describeKeytab(entries, name, details.keys))}\n`
        : formatKeytab(entries, name, timeStyle(terminal.env), details),
    );
  } finally {
    wipeEntries(entries);
  }
}

async function listAll(handles: readonly CacheHandle[], { flags }: ParsedFlags, terminal: Terminal): Promise<number> {
  const rows: { name: string; principal: string; expired: boolean }[] = [];
  for (const handle of handles) {
    const cache = await readable(handle);
    if (cache)
      rows.push({ name: handle.name, principal: formatPrincipal(cache.principal), expired: !isCurrent(cache) });
  }
  terminal.out(flags.json ? `${JSON.stringify(rows)}\n` : formatList(rows));
  return rows.length > 0 ? 0 : 1;
}

/** Exit code of `klist -s`. */
async function hasValid(handles: readonly CacheHandle[]): Promise<number> {
  for (const handle of handles) {
    const cache = await readable(handle);
    if (cache && isCurrent(cache)) return 0;
  }
  return 1;
}

async function readable(handle: CacheHandle): Promise<CCache | undefined> {
  try {
    const cache = await handle.read();
    wipeCache(cache);
    return cache;
  } catch (e) {
    if (e instanceof AdError) return undefined;
    throw e;
  }
}

/** As MIT judges: the ticket-granting ticket of the cache's realm counts; where there is none, any ticket. */
function isCurrent(cache: CCache): boolean {
  const tickets = cache.credentials.filter((c) => !isConfigEntry(c));
  const tgts = tickets.filter((c) => isKrbtgt(c.server) && c.server.components[1] === cache.principal.realm);
  const counting = tgts.length > 0 ? tgts : tickets;
  return counting.some((c) => c.endtime.getTime() > Date.now());
}
