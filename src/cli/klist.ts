/** Lists a ticket cache as MIT's `klist -ef` does. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fromDer } from '../asn1.ts';
import { wipe } from '../bytes.ts';
import { AdError, messageOf } from '../errors.ts';
import { parseFlags, UsageError } from '../flags.ts';
import type { Credentials } from '../krb5/credentials.ts';
import { etypeName } from '../krb5/crypto/index.ts';
import { type CCache, readCCache } from '../krb5/files/ccache.ts';
import { isConfigEntry } from '../krb5/files/ccache-config.ts';
import { Ticket } from '../krb5/messages.ts';
import { ticketFlagLetters } from '../krb5/numbers.ts';
import { formatPrincipal, samePrincipal } from '../krb5/principal.ts';
import type { Command } from './command.ts';

export const klist: Command = {
  name: 'klist',
  summary: 'list the tickets in a ticket cache',
  usage: `Usage: credentials-fetcher klist [--json] [FILE|DIRECTORY]

Lists a ticket cache with flags and encryption types; a directory's is its krb5cc. Without an
argument the cache is the one KRB5CCNAME names. The daemon is not asked.

      --json                machine-readable output
  -h, --help                this text
`,
  async run(argv, terminal) {
    const { flags, positionals } = parseFlags(argv, { json: { type: 'boolean' } }, 1);
    const given = positionals[0] ?? terminal.env.KRB5CCNAME?.replace(/^FILE:/, '');
    if (!given) throw new UsageError('name a ticket cache, or set KRB5CCNAME');
    const path = await cachePath(given);
    const cache = readCCache(await readCacheFile(path));
    for (const c of cache.credentials) wipe(c.key.value);
    terminal.out(flags.json ? `${JSON.stringify(describeCache(cache, path))}\n` : formatCache(cache, path));
  },
};

async function cachePath(given: string): Promise<string> {
  const isDirectory = await stat(given).then(
    (s) => s.isDirectory(),
    () => false,
  );
  return isDirectory ? join(given, 'krb5cc') : given;
}

async function readCacheFile(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (e) {
    throw new AdError('FILE', `cannot read ${path}: ${messageOf(e)}`, { path }, e);
  }
}

/**
 * The text of `klist -ef`, times in the local zone.
 * @param path shown as the cache's name
 */
export function formatCache(cache: CCache, path: string): string {
  const head = [
    `Ticket cache: FILE:${path}`,
    `Default principal: ${formatPrincipal(cache.principal)}`,
    '',
    'Valid starting       Expires              Service principal',
  ];
  const tickets = cache.credentials.filter((c) => !isConfigEntry(c)).flatMap((c) => formatTicket(c, cache));
  return `${[...head, ...tickets].join('\n')}\n`;
}

function formatTicket(c: Credentials, cache: CCache): string[] {
  const out = [`${localTime(c.starttime ?? c.authtime)}  ${localTime(c.endtime)}  ${formatPrincipal(c.server)}`];
  const flags = flagLetters(c.flags);
  const stranger = !samePrincipal(c.client, cache.principal);
  const facts = [
    ...(stranger ? [`for client ${formatPrincipal(c.client)}`] : []),
    ...(c.renewTill ? [`renew until ${localTime(c.renewTill)}`] : []),
    ...(flags ? [`Flags: ${flags}`] : []),
  ];
  const etypes = `Etype (skey, tkt): ${etypeName(c.key.etype)}, ${ticketEtype(c)} `;
  // As klist wraps: a time and one more fact fill a line.
  if (c.renewTill && facts.length > 1) out.push(`\t${facts.join(', ')}`, `\t${etypes}`);
  else out.push(`\t${[...facts, etypes].join(', ')}`);
  return out;
}

/** The same for machines. */
export function describeCache(cache: CCache, path: string): object {
  return {
    cache: path,
    principal: formatPrincipal(cache.principal),
    tickets: cache.credentials
      .filter((c) => !isConfigEntry(c))
      .map((c) => ({
        client: formatPrincipal(c.client),
        server: formatPrincipal(c.server),
        starts: (c.starttime ?? c.authtime).toISOString(),
        expires: c.endtime.toISOString(),
        renewUntil: c.renewTill?.toISOString(),
        flags: flagLetters(c.flags),
        sessionKeyEtype: etypeName(c.key.etype),
        ticketEtype: ticketEtype(c),
      })),
  };
}

const flagLetters = (flags: number): string =>
  ticketFlagLetters
    .filter(([mask]) => flags & mask)
    .map(([, letter]) => letter)
    .join('');

function ticketEtype(c: Credentials): string {
  try {
    return etypeName(fromDer(Ticket, c.ticket).encPart.etype);
  } catch {
    return 'unreadable';
  }
}

function localTime(t: Date): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const date = `${two(t.getMonth() + 1)}/${two(t.getDate())}/${t.getFullYear()}`;
  return `${date} ${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
}
