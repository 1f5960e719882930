/** Addresses of servers as krb5.conf writes them. */
import { isIPv6 } from 'node:net';

/** A server as krb5.conf writes it: `host`, `tcp/host:port`, `https://host/path`. */
export interface KdcAddress {
  readonly host: string;
  readonly port?: number;
  /** Named by a prefix; 'https' is an MS-KKDCP proxy. */
  readonly protocol?: 'tcp' | 'udp' | 'https';
  /** Of an https URL: without the leading slash. */
  readonly path?: string;
}

/** MIT takes the first word of a value, so that remarks after it do no harm. */
export function firstWord(text: string): string {
  return text.trim().split(/\s/, 1)[0]!;
}

/**
 * Takes `host`, `host:port`, `[v6]`, `[v6]:port`, a bare IPv6 address, any of them after `tcp/` or `udp/`, or an
 * `https://host[:port][/path]` URL apart; undefined when it is none.
 */
export function parseKdcAddress(text: string): KdcAddress | undefined {
  const [, scheme, rest] = /^(?:(https:\/\/|tcp\/|udp\/))?(.*)$/.exec(firstWord(text))!;
  const protocol = scheme === undefined ? undefined : (scheme.replace(/\W/g, '') as 'tcp' | 'udp' | 'https');
  const slash = protocol === 'https' ? rest!.indexOf('/') : -1;
  const authority = slash < 0 ? rest! : rest!.slice(0, slash);
  const extras = { ...(protocol && { protocol }), ...(slash >= 0 && { path: rest!.slice(slash + 1) }) };
  if (isIPv6(authority)) return { host: authority, ...extras };
  const parts = /^(?:\[([^\]]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(authority);
  if (!parts) return undefined;
  const [, v6, name, digits] = parts;
  if (v6 !== undefined && !isIPv6(v6)) return undefined;
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  return { host: (v6 ?? name)!, ...(port !== undefined && { port }), ...extras };
}
