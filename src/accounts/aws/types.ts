/** What the rest knows of AWS. The implementation, with the SDK behind it, is loaded when it is first asked. */
import type { S3Reference, SsmReference } from './arn.ts';

/** Keys of an IAM role, as a request brings them. Strings, as gRPC and the SDK have it. */
export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

export interface AwsOptions {
  /** These keys and no others; absent: the default chain, which ends at the instance's role. */
  readonly keys?: AwsKeys;
  /** For what names no region of its own; absent: the environment's, else the instance's. */
  readonly region?: string;
}

/**
 * Reads with one identity. All methods throw AdError: NOT_FOUND, NOT_ALLOWED (access denied, or the keys are not
 * accepted), UNREACHABLE (no connection, or AWS asks to come again), TIMEOUT, ABORTED, INVALID_ARGUMENT.
 */
export interface Aws {
  /**
   * An object of a bucket that belongs to the account of the identity itself.
   * @throws AdError INVALID_ARGUMENT also when it has no bytes or more than `limit`
   */
  object(reference: S3Reference, limit: number, signal: AbortSignal): Promise<Uint8Array>;
  parameter(reference: SsmReference, signal: AbortSignal): Promise<Uint8Array>;
  /** @param id ARN or name. The caller wipes the result. */
  secret(id: string, signal: AbortSignal): Promise<Uint8Array>;
  /** Ends its connections. */
  close(): void;
}

export type OpenAws = (options: AwsOptions) => Aws;
