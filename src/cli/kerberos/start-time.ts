/** When a postdated ticket begins: after a time, or at one (MIT's "Supported date and time formats"). */
import { UsageError } from '../../flags.ts';
import { parseDuration } from '../../krb5/config.ts';

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

/** `yyyymmddhhmmss`, `yymmddhhmm[ss]`, the same with dots between, `dd-mon-yyyy:hh:mm[:ss]`. */
const FORMS = [
  /^(?<year>\d{4})(?<month>\d\d)(?<day>\d\d)(?<hour>\d\d)(?<minute>\d\d)(?<second>\d\d)$/,
  /^(?<year>\d{4})\.(?<month>\d\d)\.(?<day>\d\d)\.(?<hour>\d\d)\.(?<minute>\d\d)\.(?<second>\d\d)$/,
  /^(?<year>\d\d)(?<month>\d\d)(?<day>\d\d)(?<hour>\d\d)(?<minute>\d\d)(?<second>\d\d)?$/,
  /^(?<year>\d\d)\.(?<month>\d\d)\.(?<day>\d\d)\.(?<hour>\d\d)\.(?<minute>\d\d)\.(?<second>\d\d)$/,
  /^(?<day>\d\d)-(?<month>[a-z]{3})-(?<year>\d{4}):(?<hour>\d\d):(?<minute>\d\d)(?::(?<second>\d\d))?$/i,
];

/**
 * Reads the value of -s. What can be read as a duration is one, as with MIT.
 * @param now ms since 1970
 * @returns a time of whole seconds, in the zone of the process where a date is given
 * @throws UsageError for no time, or one that is over
 */
export function parseStart(text: string, now: number): Date {
  const seconds = parseDuration(text);
  const start = seconds === undefined ? dateOf(text.trim()) : Math.floor(now / 1000) * 1000 + seconds * 1000;
  if (start === undefined)
    throw new UsageError(`--start-time must be a time such as 10h, 08:30 or 20300131083000, not ${text}`);
  if (start <= now) throw new UsageError(`--start-time ${text} is not in the future`);
  return new Date(start);
}

function dateOf(text: string): number | undefined {
  for (const form of FORMS) {
    const found = form.exec(text)?.groups;
    if (!found) continue;
    const { year = '', month = '', day, hour, minute, second = '0' } = found;
    const fullYear = year.length === 4 ? Number(year) : Number(year) + (Number(year) < 69 ? 2000 : 1900);
    const index = /\d/.test(month) ? Number(month) - 1 : MONTHS.indexOf(month.toLowerCase());
    const parts = [index, Number(day), Number(hour), Number(minute), Number(second)];
    const [m, d, h, min, s] = parts as [number, number, number, number, number];
    const date = new Date(fullYear, m, d, h, min, s);
    // 31 February would become another day.
    const same = date.getMonth() === m && date.getDate() === d && h < 24 && min < 60 && s < 60;
    return same ? date.getTime() : undefined;
  }
  return undefined;
}
