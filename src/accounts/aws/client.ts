/** What all clients of the SDK are told. Endpoints come from the SDK itself, which reads AWS_ENDPOINT_URL*. */
import type { AwsKeys } from './types.ts';

/** A call of the daemon may take 15 s and its domain controllers want some of them: two tries of 4 s at most. */
const CONNECT_MS = 2000;
const ANSWER_MS = 4000;

export function clientOptions(region: string | undefined, keys: AwsKeys | undefined) {
  return {
    ...(region === undefined ? {} : { region }),
    ...(keys === undefined
      ? {}
      : {
          credentials: {
            accessKeyId: keys.accessKeyId,
            secretAccessKey: keys.secretAccessKey,
            sessionToken: keys.sessionToken,
          },
        }),
    maxAttempts: 2,
    requestHandler: { connectionTimeout: CONNECT_MS, requestTimeout: ANSWER_MS, throwOnRequestTimeout: true },
  };
}
