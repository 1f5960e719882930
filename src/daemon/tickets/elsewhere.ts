/**
 * Accounts of another domain than the one asked. Who reads says in which domain to look first, as clients expect; a
 * credspec, or the name an account had in the directory before, may know better: another domain of the forest, or one
 * across a trust. Where nobody does, the domains are asked that the directory itself names below its own.
 */
import { AdError, isAdError, messageOf } from '../../errors.ts';
import { domainOfDn, parseDn } from '../../ldap/dn.ts';
import { domainProblem } from '../leases/names.ts';
import { type FetchOutcome, type GmsaRef, isFailure } from './engine.ts';

/**
 * Fetches for all accounts, and once more in their other domain for those that were not there.
 * @returns outcomes with the accounts as they were asked for
 * @throws what the first `fetchIn` throws
 */
export async function orElsewhere(
  accounts: readonly GmsaRef[],
  fetchIn: (accounts: readonly GmsaRef[]) => Promise<FetchOutcome[]>,
): Promise<FetchOutcome[]> {
  const outcomes = await fetchIn(accounts);
  await Promise.all(
    outcomes.map(async (outcome, i) => {
      if (!isFailure(outcome) || !isAdError(outcome.error, 'NO_SUCH_ACCOUNT')) return;
      outcomes[i] = await lookElsewhere(accounts[i]!, outcome.error, fetchIn);
    }),
  );
  return outcomes;
}

/** @param error that the account is not in its own domain */
async function lookElsewhere(
  account: GmsaRef,
  error: AdError,
  fetchIn: (accounts: readonly GmsaRef[]) => Promise<FetchOutcome[]>,
): Promise<FetchOutcome> {
  let failure = error;
  for (const domain of otherDomains(account, error)) {
    try {
      const [found] = await fetchIn([{ ...account, domain }]);
      if (!isFailure(found!)) return { ...found!, account: { ...found!.account, domain: account.domain } };
      failure = nowhere(failure, domain, found.error);
      if (!isAdError(found.error, 'NO_SUCH_ACCOUNT')) break; // it is there, and cannot be used
    } catch (e) {
      // The domain that was asked for has answered; that another one cannot is no fault of the other accounts.
      if (!(e instanceof AdError) || isAdError(e, 'ABORTED', 'TIMEOUT')) throw e;
      failure = nowhere(failure, domain, e);
    }
  }
  return { account, error: failure };
}

function otherDomains(account: GmsaRef, error: AdError): string[] {
  const named = account.otherDomain ?? domainOfName(account.distinguishedName);
  const children = String(error.details.childDomains ?? '').split(' ');
  const candidates = [...(named === undefined ? [] : [named]), ...children];
  const others = candidates.filter((domain) => domain.toLowerCase() !== account.domain.toLowerCase());
  return [...new Set(others)].filter((domain) => domainProblem(domain) === undefined);
}

function domainOfName(distinguishedName: string | undefined): string | undefined {
  if (!distinguishedName) return undefined;
  try {
    return domainOfDn(parseDn(distinguishedName));
  } catch (e) {
    if (isAdError(e, 'MALFORMED')) return undefined;
    throw e;
  }
}

/** Both answers, under the code of the one that is worth more: that a domain has no such account says the least. */
function nowhere(first: AdError, domain: string, second: AdError): AdError {
  const message = `${first.message}; and in ${domain}, where it may be: ${messageOf(second)}`;
  return new AdError(second.code, message, second.details, second);
}
