import { isAdError } from '../../../errors.ts';
import { askKeyRecipes } from '../../../krb5/exchanges/salt.ts';
import { principal } from '../../../krb5/principal.ts';
import { sessionContext } from '../../kerberos/session.ts';
import { type Check, fail, ok, skip, warn } from '../check.ts';

/** Beyond this a clock is badly kept, although Kerberos still takes it, s. */
const NOTABLE = 60;
const TODO = "set this host's clock, or the KDC's (chrony, ntpd, systemd-timesyncd)";

/** A KDC tells its time in every refusal: here of an account that need not exist. */
export const clock: Check = {
  id: 'clock',
  title: 'Clock',
  needs: ['kdc-records'],
  seconds: 8,
  async run({ session, realm }, signal) {
    const offset = await kdcOffset(session, realm, signal);
    if (offset === undefined) return [skip('the KDC does not tell its time')];
    const seconds = Math.trunc(offset / 1000); // the KDC tells whole seconds
    const limit = session.config.clockskewSeconds;
    if (seconds === 0) return [ok("the KDC's clock agrees with this host's")];
    const text = `the KDC's clock is ${Math.abs(seconds)} s ${seconds < 0 ? 'behind' : 'ahead of'} this host's`;
    if (Math.abs(seconds) > limit) return [fail(`${text}; ${limit} s are allowed`, TODO)];
    return [Math.abs(seconds) > NOTABLE ? warn(text, TODO) : ok(text)];
  },
};

async function kdcOffset(
  session: Parameters<typeof sessionContext>[0],
  realm: string,
  signal: AbortSignal,
): Promise<number | undefined> {
  try {
    return (await askKeyRecipes(sessionContext(session), principal(realm, 'credentials-fetcher-doctor'), signal))
      .offset;
  } catch (e) {
    if (isAdError(e) && typeof e.details.offset === 'number') return e.details.offset;
    throw e;
  }
}
