/** Accounts that are in another domain than the one asked first. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { orElsewhere } from '../../../src/daemon/tickets/elsewhere.ts';
import type { FetchOutcome, GmsaRef } from '../../../src/daemon/tickets/engine.ts';
import { isFailure } from '../../../src/daemon/tickets/engine.ts';
import { AdError } from '../../../src/errors.ts';

const there: Readonly<Record<string, readonly string[]>> = { 'a.example': ['One'], 'b.example': ['Two', 'One'] };

/** Tickets for the accounts in `there`; `asked` gets what each call was for. */
function directory(asked: string[] = [], fault?: AdError) {
  return async (accounts: readonly GmsaRef[]): Promise<FetchOutcome[]> => {
    asked.push(accounts.map((a) => `${a.name}@${a.domain}`).join(' '));
    if (fault && accounts[0]!.domain === 'b.example') throw fault;
    return accounts.map((account) => {
      if (!there[account.domain]?.includes(account.name))
        return { account, error: new AdError('NO_SUCH_ACCOUNT', `no ${account.name} in ${account.domain}`) };
      const distinguishedName = `CN=${account.name},DC=${account.domain.split('.').join(',DC=')}`;
      return { account: { ...account, distinguishedName }, ccache: new Uint8Array(), endtime: new Date(0) };
    });
  };
}
const refusal = (outcome: FetchOutcome | undefined): AdError => {
  assert.ok(outcome && isFailure(outcome));
  return outcome.error;
};

describe('an account that is not in the domain asked', () => {
  test('is looked for where the credspec says, and stays what was asked for', async () => {
    const asked: string[] = [];
    const account = { name: 'Two', domain: 'a.example', otherDomain: 'b.example' };
    const [one, two] = await orElsewhere([{ name: 'One', domain: 'a.example' }, account], directory(asked));
    assert.deepEqual(asked, ['One@a.example Two@a.example', 'Two@b.example']);
    assert.equal(one!.account.distinguishedName, 'CN=One,DC=a,DC=example');
    assert.deepEqual(two!.account, { ...account, distinguishedName: 'CN=Two,DC=b,DC=example' });
  });

  test('is looked for where the directory had it before', async () => {
    const asked: string[] = [];
    const account = { name: 'Two', domain: 'a.example', distinguishedName: 'CN=Two,OU=x,DC=b,DC=example' };
    const [outcome] = await orElsewhere([account], directory(asked));
    assert.ok(outcome && !isFailure(outcome));
    assert.equal(asked[1], 'Two@b.example');
  });

  test('is looked for in the child domains that the directory names, until one has it', async () => {
    const asked: string[] = [];
    const there = directory(asked);
    const fetchIn = async (accounts: readonly GmsaRef[]): Promise<FetchOutcome[]> =>
      (await there(accounts)).map((outcome) => {
        if (!isFailure(outcome) || outcome.account.domain !== 'a.example') return outcome;
        const childDomains = 'x.a.example b.example y.a.example';
        return { ...outcome, error: new AdError('NO_SUCH_ACCOUNT', outcome.error.message, { childDomains }) };
      });
    const [outcome] = await orElsewhere([{ name: 'Two', domain: 'a.example' }], fetchIn);
    assert.ok(outcome && !isFailure(outcome));
    assert.deepEqual(asked, ['Two@a.example', 'Two@x.a.example', 'Two@b.example']);
  });

  test('is not looked for when it is there, nor twice in one domain, nor in what is no domain', async () => {
    const asked: string[] = [];
    const accounts = [
      { name: 'One', domain: 'a.example', otherDomain: 'b.example' },
      { name: 'Two', domain: 'a.example', otherDomain: 'A.example' },
      { name: 'Two', domain: 'a.example', distinguishedName: 'CN=Two,DC=b\\2Fc' },
      { name: 'Two', domain: 'a.example', distinguishedName: 'no name' },
    ];
    const outcomes = await orElsewhere(accounts, directory(asked));
    assert.equal(asked.length, 1);
    assert.deepEqual(outcomes.map(isFailure), [false, true, true, true]);
  });

  test('and is nowhere, is told with both answers', async () => {
    const account = { name: 'Three', domain: 'a.example', otherDomain: 'b.example' };
    const [outcome] = await orElsewhere([account], directory());
    const error = refusal(outcome);
    assert.equal(error.code, 'NO_SUCH_ACCOUNT');
    assert.match(error.message, /no Three in a\.example; and in b\.example.*no Three in b\.example/);
    assert.deepEqual(outcome!.account, account);
  });

  test('harms no other account when the other domain does not answer', async () => {
    const accounts = [
      { name: 'One', domain: 'a.example' },
      { name: 'Two', domain: 'a.example', otherDomain: 'b.example' },
    ];
    const [one, two] = await orElsewhere(accounts, directory([], new AdError('UNREACHABLE', 'nobody there')));
    assert.ok(one && !isFailure(one));
    assert.equal(refusal(two).code, 'UNREACHABLE');
  });
});
