/** Values of krb5.conf's relations; undefined stands for text that is none. */

/** MIT's words for yes and no, in any case. */
export function parseBoolean(text: string): boolean | undefined {
  const word = text.toLowerCase();
  if (['y', 'yes', 'true', 't', '1', 'on'].includes(word)) return true;
  if (['n', 'no', 'false', 'nil', '0', 'off'].includes(word)) return false;
  return undefined;
}

/** A number in MIT, of which zero is no; the words are understood too. */
export function parseTimesync(text: string): boolean | undefined {
  const count = parseCount(text);
  return count === undefined ? parseBoolean(text) : count !== 0;
}

export function parseCanonicalize(text: string): 'true' | 'false' | 'fallback' | undefined {
  if (text.toLowerCase() === 'fallback') return 'fallback';
  const yes = parseBoolean(text);
  return yes === undefined ? undefined : yes ? 'true' : 'false';
}

export function parseCount(text: string): number | undefined {
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/**
 * Seconds of a duration in MIT's forms (its documentation, "Supported date and time formats", "Time duration"):
 * `36000`, `10h`, `1d 12h 30m 5s`, `h:m`, `h:m:s`, `d-h:m:s`; undefined for others, for negative ones and for those beyond
 * 31 bits.
 */
export function parseDuration(text: string): number | undefined {
  const t = text.trim();
  const clock = /^(?:(\d+)-(?=\d+:\d+:))?(\d+):(\d+)(?::(\d+))?$/.exec(t);
  const units = /^(?:(\d+)d)?(?:\s*(\d+)h)?(?:\s*(\d+)m)?(?:\s*(\d+)s)?$/.exec(/^\d+$/.test(t) ? `${t}s` : t);
  const parts = t === '' ? null : (clock ?? units);
  if (!parts) return undefined;
  const [d, h, m, s] = parts.slice(1).map((digits) => Number(digits ?? 0));
  const seconds = d! * 86_400 + h! * 3600 + m! * 60 + s!;
  return seconds <= 0x7fffffff ? seconds : undefined;
}
