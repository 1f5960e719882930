/** The fields ccache and keytab files share: times as unsigned 32-bit seconds since 1970, and owned byte arrays. */
import { AdError } from '../../errors.ts';

/** 2106-02-07T06:28:15Z, the last second the files can name. */
const LAST_SECOND = 0xffffffff;

/** A Date of a u32 of seconds; MIT reads them unsigned too, so that times after 2038 keep their meaning. */
export function fromSeconds(seconds: number): Date {
  return new Date(seconds * 1000);
}

/** As `fromSeconds`, where zero means that there is no such time. */
export function optionalFromSeconds(seconds: number): Date | undefined {
  return seconds === 0 ? undefined : fromSeconds(seconds);
}

/**
 * Whole seconds of a Date, rounded down; 0 when absent. What lies beyond 2106 becomes the last second there is: for an
 * end time that is the earlier, safe side.
 * @throws AdError INVALID_ARGUMENT for an invalid Date or one before 1970
 */
export function toSeconds(time: Date | undefined, what: string): number {
  if (time === undefined) return 0;
  const seconds = Math.floor(time.getTime() / 1000);
  if (!(seconds >= 0)) throw new AdError('INVALID_ARGUMENT', `${what} is not a time after 1970`, { field: what });
  return Math.min(seconds, LAST_SECOND);
}
