/** Secrets of the Secrets Manager. */
import { utf8 } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import { clientOptions } from './client.ts';
import { asking } from './errors.ts';
import { instanceRegion } from './region.ts';
import type { AwsKeys } from './types.ts';

export interface Secrets {
  read(id: string, signal: AbortSignal): Promise<Uint8Array>;
  close(): void;
}

/** @param region undefined: the SDK's own choice, and where it has none, the instance's region */
export async function openSecrets(region: string | undefined, keys: AwsKeys | undefined): Promise<Secrets> {
  const { SecretsManagerClient, GetSecretValueCommand } = await import('@aws-sdk/client-secrets-manager');
  let client = new SecretsManagerClient(clientOptions(region, keys));
  const known = await client.config.region().then(Boolean, () => false);
  if (!known) {
    client.destroy();
    client = new SecretsManagerClient(clientOptions(await instanceRegion(process.env), keys));
  }
  return {
    async read(SecretId, signal) {
      const doing = `reading the secret ${SecretId}`;
      const command = new GetSecretValueCommand({ SecretId });
      const answer = await asking(doing, signal, () => client.send(command, { abortSignal: signal }));
      if (answer.SecretBinary) return answer.SecretBinary;
      if (!answer.SecretString) throw new AdError('INVALID_ARGUMENT', `AWS: ${doing}: it is empty`);
      return utf8(answer.SecretString);
    },
    close: () => client.destroy(),
  };
}
