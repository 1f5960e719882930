/**
 * Accounts of another domain than the one asked. Who reads says in which domain to look first, as clients expect; a
 * credspec, or the name an account had in the directory before, may know better: another domain of the forest, or one
 * across a trust.
 */
import { AdError, isAdError, messageOf } from '../errors.ts';
import { domainOfDn, parseDn } from '../ldap/dn.ts';
import { type FetchOutcome, type GmsaRef, isFailure } from './engine.ts';
import { domainProblem } from './names.ts';

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
      const account = accounts[i]!;
      const domain = otherDomain(account);
      if (domain === undefined) return;
      outcomes[i] = await fetchIn([{ ...account, domain }]).then(
        ([found]) => {
          if (isFailure(found!)) return { account, error: nowhere(outcome.error, domain, found.error) };
          return { ...found!, account: { ...found!.account, domain: account.domain } };
        },
        (e: unknown) => {
          // The domain that was asked for has answered; that the other one cannot is no fault of the other accounts.
          if (!(e instanceof AdError) || isAdError(e, 'ABORTED', 'TIMEOUT')) throw e;
          return { account, error: nowhere(outcome.error, domain, e) };
        },
      );
    }),
  );
  return outcomes;
}

function otherDomain(account: GmsaRef): string | undefined {
  const domain = account.otherDomain ?? domainOfName(account.distinguishedName);
  if (domain === undefined || domain.toLowerCase() === account.domain.toLowerCase()) return undefined;
  return domainProblem(domain) === undefined ? domain : undefined;
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
