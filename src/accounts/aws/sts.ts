/** Whose keys are these? */
import { AdError } from '../../errors.ts';
import { clientOptions } from './client.ts';
import { asking } from './errors.ts';
import type { AwsKeys } from './types.ts';

/** @returns the 12 digits of the account. The call needs no permission. */
export async function callerAccount(
  region: string | undefined,
  keys: AwsKeys | undefined,
  signal: AbortSignal,
): Promise<string> {
  const { STSClient, GetCallerIdentityCommand } = await import('@aws-sdk/client-sts');
  const client = new STSClient(clientOptions(region, keys));
  try {
    const doing = 'asking whose keys these are';
    const answer = await asking(doing, signal, () =>
      client.send(new GetCallerIdentityCommand({}), { abortSignal: signal }),
    );
    if (!answer.Account) throw new AdError('UNREACHABLE', `AWS: ${doing}: the answer names no account`);
    return answer.Account;
  } finally {
    client.destroy();
  }
}
