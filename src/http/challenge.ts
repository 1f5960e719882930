/** The headers of HTTP's Negotiate scheme (RFC 4559 section 4) among those of other schemes (RFC 9110 11.6.1). */
import { MalformedError } from '../errors.ts';

export interface Challenge {
  /** True where Negotiate is among the schemes. */
  readonly offered: boolean;
  readonly token: Uint8Array | undefined;
}

/** Base64 characters of a token at most: a ticket with a large PAC has some 64 KiB. */
const MAX_TOKEN = 1 << 17;

/**
 * Looks for Negotiate in `WWW-Authenticate`, whose challenges may come in several headers or in one.
 * @param header undefined or null where there is none
 * @throws MalformedError when what follows Negotiate is no Base64
 */
export function parseChallenge(header: string | null | undefined): Challenge {
  let offered = false;
  for (const part of outsideQuotes(header ?? '')) {
    const match = /^negotiate(?:[ \t]+(\S+))?$/i.exec(part);
    if (!match) continue;
    offered = true;
    if (match[1] !== undefined) return { offered, token: fromBase64(match[1]) };
  }
  return { offered, token: undefined };
}

/**
 * The token of `Authorization: Negotiate …`.
 * @returns undefined for another scheme or no header
 * @throws MalformedError when it is no Base64
 */
export function parseAuthorization(header: string | undefined): Uint8Array | undefined {
  const match = /^negotiate[ \t]+(\S+)[ \t]*$/i.exec(header ?? '');
  return match ? fromBase64(match[1]!) : undefined;
}

export function negotiateHeader(token: Uint8Array | undefined): string {
  return token ? `Negotiate ${Buffer.from(token).toString('base64')}` : 'Negotiate';
}

/** The parts of a list between commas that are not in a quoted string. */
function outsideQuotes(header: string): string[] {
  const parts: string[] = [];
  let quoted = false;
  let start = 0;
  for (let i = 0; i < header.length; i++) {
    const c = header[i];
    if (quoted && c === '\\') i++;
    else if (c === '"') quoted = !quoted;
    else if (c === ',' && !quoted) {
      parts.push(header.slice(start, i).trim());
      start = i + 1;
    }
  }
  return [...parts, header.slice(start).trim()];
}

/** RFC 4648 section 4, padding and all. */
function fromBase64(text: string): Uint8Array {
  if (text.length > MAX_TOKEN || text.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text))
    throw new MalformedError('Negotiate', 'the token is not Base64');
  return new Uint8Array(Buffer.from(text, 'base64'));
}
