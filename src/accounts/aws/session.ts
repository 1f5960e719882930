/** AWS with one identity. Each service's client is loaded and made when it is first needed. */
import { secretRegion } from './arn.ts';
import { openS3, type S3 } from './s3.ts';
import { openSecrets, type Secrets } from './secrets.ts';
import { readParameter } from './ssm.ts';
import { callerAccount } from './sts.ts';
import type { Aws, AwsOptions } from './types.ts';

export function openAws({ keys, region }: AwsOptions): Aws {
  // The SDK's advice about versions of its own to come is for those who build this, not for those who run it.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  let s3: Promise<S3> | undefined;
  let account: Promise<string> | undefined;
  const secrets = new Map<string | undefined, Promise<Secrets>>();

  /** A client that could not be made, for want of a region, is made anew at the next call. */
  const secretsIn = (where: string | undefined): Promise<Secrets> => {
    const kept = secrets.get(where);
    if (kept) return kept;
    const opening = openSecrets(where, keys);
    secrets.set(where, opening);
    opening.catch(() => secrets.delete(where));
    return opening;
  };

  return {
    async object(reference, limit, signal) {
      s3 ??= openS3(region, keys);
      const client = await s3;
      const owner = (): Promise<string> => {
        account ??= callerAccount(region, keys, signal);
        return account;
      };
      return client.object(reference, owner, limit, signal);
    },
    parameter: (reference, signal) => readParameter(reference, keys, signal),
    async secret(id, signal) {
      return (await secretsIn(secretRegion(id) ?? region)).read(id, signal);
    },
    close() {
      const ignore = (): undefined => undefined;
      s3?.then((client) => client.close(), ignore);
      for (const opening of secrets.values()) opening.then((client) => client.close(), ignore);
      secrets.clear();
    },
  };
}
