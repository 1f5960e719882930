/** Parameters of the Systems Manager. */
import { utf8 } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import type { SsmReference } from './arn.ts';
import { clientOptions } from './client.ts';
import { asking } from './errors.ts';
import type { AwsKeys } from './types.ts';

export async function readParameter(
  reference: SsmReference,
  keys: AwsKeys | undefined,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { SSMClient, GetParameterCommand } = await import('@aws-sdk/client-ssm');
  const client = new SSMClient(clientOptions(reference.region, keys));
  const doing = `reading ${reference.text}`;
  try {
    const command = new GetParameterCommand({ Name: reference.text, WithDecryption: true });
    const answer = await asking(doing, signal, () => client.send(command, { abortSignal: signal }));
    const value = answer.Parameter?.Value;
    if (!value) throw new AdError('INVALID_ARGUMENT', `AWS: ${doing}: the parameter is empty`);
    return utf8(value);
  } finally {
    client.destroy();
  }
}
