/** The text of MIT's klist, line for line, and the same facts for machines. */
import { fromDer } from '../../asn1.ts';
import { hex } from '../../bytes.ts';
import type { Credentials } from '../../krb5/credentials.ts';
import { etypeName } from '../../krb5/crypto/index.ts';
import type { CCache } from '../../krb5/files/ccache.ts';
import { configEntryOf, isConfigEntry, isRemoved } from '../../krb5/files/ccache-config.ts';
import type { KeytabEntry } from '../../krb5/files/keytab.ts';
import { Ticket } from '../../krb5/messages.ts';
import { ticketFlagLetters } from '../../krb5/numbers.ts';
import { formatPrincipal, samePrincipal } from '../../krb5/principal.ts';
import { type AddressNames, addressText } from './address-text.ts';

/** How klist writes times: in the C locale with two digits of the year, elsewhere with four. */
export interface TimeStyle {
  readonly width: number;
  format(time: Date): string;
}

const two = (n: number): string => String(n).padStart(2, '0');

/** By LC_ALL, LC_TIME, LANG; the zone is that of the process. */
export function timeStyle(env: Readonly<Record<string, string | undefined>>): TimeStyle {
  const locale = env.LC_ALL || env.LC_TIME || env.LANG || 'C';
  const short = /^(C|POSIX)([._]|$)/.test(locale);
  return {
    width: short ? 17 : 19,
    format: (t) => {
      const year = short ? two(t.getFullYear() % 100) : t.getFullYear();
      const date = `${two(t.getMonth() + 1)}/${two(t.getDate())}/${year}`;
      return `${date} ${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
    },
  };
}

export interface CacheDetails {
  readonly flags?: boolean;
  readonly etypes?: boolean;
  readonly addresses?: boolean;
  /** What addresses are called, where they are not shown as numbers. */
  readonly names?: AddressNames;
  readonly config?: boolean;
  /** Types of authorization data. */
  readonly authdata?: boolean;
}

/** @param name as `FILE:/tmp/krb5cc_0` */
export function formatCache(cache: CCache, name: string, times: TimeStyle, details: CacheDetails): string {
  const head = [
    `Ticket cache: ${name}`,
    `Default principal: ${formatPrincipal(cache.principal)}`,
    '',
    `${'Valid starting'.padEnd(times.width + 2)}${'Expires'.padEnd(times.width + 2)}Service principal`,
  ];
  const shown = cache.credentials.filter((c) => !isRemoved(c) && (details.config || !isConfigEntry(c)));
  const body = shown.flatMap((c) =>
    isConfigEntry(c) ? formatSetting(c, details) : formatTicket(c, cache, times, details),
  );
  return `${[...head, ...body].join('\n')}\n`;
}

function formatSetting(c: Credentials, details: CacheDetails): string[] {
  const entry = configEntryOf(c);
  if (!entry) return [];
  const about = entry.principal === undefined ? '' : `(${entry.principal})`;
  const value = [...entry.value].map((b) =>
    b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : `\\${b.toString(8).padStart(3, '0')}`,
  );
  return [
    `config: ${entry.key}${about} = ${value.join('')}`,
    ...(details.authdata ? [`\t${authdataTypes(c)}`] : []),
    ...(details.addresses ? ['\tAddresses: (none)'] : []),
  ];
}

function formatTicket(c: Credentials, cache: CCache, times: TimeStyle, details: CacheDetails): string[] {
  const when = (t: Date): string => times.format(t);
  const out = [`${when(c.starttime ?? c.authtime)}  ${when(c.endtime)}  ${formatPrincipal(c.server)}`];
  const flags = details.flags ? flagLetters(c.flags) : '';
  const facts = [
    ...(samePrincipal(c.client, cache.principal) ? [] : [`for client ${formatPrincipal(c.client)}`]),
    ...(c.renewTill ? [`renew until ${when(c.renewTill)}`] : []),
    ...(flags ? [`Flags: ${flags}`] : []),
  ];
  const rest = [
    ...(details.etypes ? [`Etype (skey, tkt): ${etypeName(c.key.etype)}, ${ticketEtype(c)} `] : []),
    ...(details.authdata ? [authdataTypes(c)] : []),
  ];
  // As klist wraps: a time and one more fact fill a line.
  const lines = c.renewTill && facts.length > 1 ? [facts, rest] : [[...facts, ...rest]];
  for (const line of lines) if (line.length > 0) out.push(`\t${line.join(', ')}`);
  if (details.addresses) {
    const texts = c.addresses.map((address) => addressText(address, details.names));
    out.push(`\tAddresses: ${texts.join(', ') || '(none)'}`);
  }
  return out;
}

const authdataTypes = (c: Credentials): string =>
  `AD types: ${c.authorizationData.map(({ adType }) => adType).join(', ')}`;

/** The table of `klist -l`. */
export function formatList(caches: readonly { name: string; principal: string; expired: boolean }[]): string {
  const row = (principal: string, name: string): string => `${principal.slice(0, 30).padEnd(30)} ${name}\n`;
  const rows = caches.map((c) => row(c.principal, `${c.name}${c.expired ? ' (Expired)' : ''}`));
  return row('Principal name', 'Cache name') + row('--------------', '----------') + rows.join('');
}

export interface KeytabDetails {
  readonly etypes?: boolean;
  readonly times?: boolean;
  readonly keys?: boolean;
}

const LINE = 78;

/** The text of `klist -k`. */
export function formatKeytab(
  entries: readonly KeytabEntry[],
  name: string,
  times: TimeStyle,
  details: KeytabDetails,
): string {
  const column = details.times ? times.width + 1 : 0;
  const head = [
    `Keytab name: ${name}`,
    `KVNO ${details.times ? 'Timestamp'.padEnd(column) : ''}Principal`,
    `---- ${details.times ? `${'-'.repeat(times.width)} ` : ''}${'-'.repeat(LINE - 4 - column)}`,
  ];
  const rows = entries.map((e) => {
    const time = details.times ? `${times.format(e.timestamp)} ` : '';
    const type = details.etypes ? ` (${etypeName(e.key.etype)}) ` : '';
    const key = details.keys ? ` (0x${hex(e.key.value)})` : '';
    return `${String(e.kvno).padStart(4)} ${time}${formatPrincipal(e.principal)}${type}${key}`;
  });
  return `${[...head, ...rows].join('\n')}\n`;
}

/** A cache for machines, without keys and settings. */
export function describeCache(cache: CCache, name: string): object {
  return {
    cache: name,
    principal: formatPrincipal(cache.principal),
    tickets: cache.credentials
      .filter((c) => !isConfigEntry(c) && !isRemoved(c))
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

/** A keytab for machines. */
export function describeKeytab(entries: readonly KeytabEntry[], name: string, keys: boolean): object {
  return {
    keytab: name,
    entries: entries.map((e) => ({
      principal: formatPrincipal(e.principal),
      kvno: e.kvno,
      etype: etypeName(e.key.etype),
      made: e.timestamp.toISOString(),
      ...(keys && { key: hex(e.key.value) }),
    })),
  };
}

export const flagLetters = (flags: number): string =>
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
