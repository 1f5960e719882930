/** Objects of S3. */
import { AdError } from '../../errors.ts';
import type { S3Reference } from './arn.ts';
import { clientOptions } from './client.ts';
import { asking } from './errors.ts';
import type { AwsKeys } from './types.ts';

export interface S3 {
  /**
   * @param owner gives the account that must own the bucket; asked while the object's size is looked at
   */
  object(reference: S3Reference, owner: () => Promise<string>, limit: number, signal: AbortSignal): Promise<Uint8Array>;
  close(): void;
}

export async function openS3(region: string | undefined, keys: AwsKeys | undefined): Promise<S3> {
  const { S3Client, HeadObjectCommand, GetObjectCommand } = await import('@aws-sdk/client-s3');
  // A bucket may be in another region than the task: S3 says where, once.
  const client = new S3Client({ ...clientOptions(region, keys), followRegionRedirects: true });
  return {
    async object({ bucket: Bucket, key: Key }, owner, limit, signal) {
      const doing = `reading s3://${Bucket}/${Key}`;
      const looking = asking(doing, signal, () =>
        client.send(new HeadObjectCommand({ Bucket, Key }), { abortSignal: signal }),
      );
      const [head, ExpectedBucketOwner] = await Promise.all([looking, owner()]);
      checkSize(head.ContentLength, limit, doing);
      return asking(doing, signal, async () => {
        // The object that was looked at, and no other that took its name meanwhile.
        const IfMatch = head.ETag === undefined ? {} : { IfMatch: head.ETag };
        const command = new GetObjectCommand({ Bucket, Key, ExpectedBucketOwner, ...IfMatch });
        const { ContentLength, Body } = await client.send(command, { abortSignal: signal });
        checkSize(ContentLength, limit, doing);
        const bytes = await Body!.transformToByteArray();
        checkSize(bytes.length, limit, doing);
        return bytes;
      });
    },
    close: () => client.destroy(),
  };
}

function checkSize(size: number | undefined, limit: number, doing: string): void {
  if (size !== undefined && size > 0 && size <= limit) return;
  throw new AdError(
    'INVALID_ARGUMENT',
    `AWS: ${doing}: it has ${size ?? 'an unknown number of'} bytes, a credentialspec has 1 to ${limit}`,
  );
}
