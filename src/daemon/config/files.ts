/**
 * The two files of settings, read as tolerantly as the daemons before this one did: NAME = VALUE in a line, blanks around
 * either, quotes around the value, lines that begin with '#', a byte order mark, Windows line ends.
 */

/** Larger files are somebody else's. */
export const MAX_SETTINGS_FILE = 256 * 1024;

export interface FileLine {
  readonly key: string;
  readonly value: string;
  /** From 1. */
  readonly line: number;
}

export interface SettingsFile {
  readonly lines: readonly FileLine[];
  /** Numbers of the lines that say nothing: without '=', or without a name before it. */
  readonly strange: readonly number[];
}

/** Never fails: what makes no sense is left to the caller to report, by the number of its line alone. */
export function parseSettingsFile(text: string): SettingsFile {
  const lines: FileLine[] = [];
  const strange: number[] = [];
  for (const [i, raw] of text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\n|\r/)
    .entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const equals = line.indexOf('=');
    const key = line.slice(0, Math.max(equals, 0)).trim();
    if (key === '') strange.push(i + 1);
    else lines.push({ key, value: unquoted(line.slice(equals + 1).trim()), line: i + 1 });
  }
  return { lines, strange };
}

function unquoted(text: string): string {
  const quote = text[0];
  const quoted = text.length >= 2 && (quote === '"' || quote === "'") && text.endsWith(quote);
  return quoted ? text.slice(1, -1) : text;
}
