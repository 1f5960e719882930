/** The SDK's errors in our words. */
import { AdError, abortError, type ErrorCode } from '../../errors.ts';

/** What errors of the SDK's clients have in common. */
interface SdkError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

const missing =
  /^(NotFound|NoSuchKey|NoSuchBucket|ResourceNotFoundException|ParameterNotFound|ParameterVersionNotFound)$/;
const denied =
  /AccessDenied|UnauthorizedOperation|UnrecognizedClient|ExpiredToken|InvalidToken|InvalidClientTokenId|InvalidAccessKeyId|Signature|NotAuthorized|MissingAuthenticationToken|RequestTimeTooSkewed|RequestExpired/;
const again = /Throttl|TooManyRequests|SlowDown|ServiceUnavailable|InternalService|InternalError|RequestTimeout$/;

/**
 * Runs one request.
 * @param doing such as `reading s3://bucket/key`
 * @throws AdError as `Aws` says
 */
export async function asking<T>(doing: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (e) {
    if (signal.aborted) throw abortError(signal, doing);
    throw e instanceof AdError ? e : toAdError(e as SdkError, doing);
  }
}

/**
 * The SDK's error is not kept as the cause: the text that goes with a wrong signature quotes the request with its
 * session token. Only the first line of it, which does not, is repeated.
 */
function toAdError(e: SdkError, doing: string): AdError {
  const name = e.name ?? 'Error';
  const status = e.$metadata?.httpStatusCode;
  const code = codeOf(name, status);
  const line = (e.message ?? '').split('\n', 1)[0]!.slice(0, 300);
  const words = line === '' || line === 'UnknownError' ? '' : `: ${line}`;
  const what = name === 'Error' ? (e.code ?? 'Error') : name;
  return new AdError(code, `AWS: ${doing}: ${what}${words}${hint(code, status)}`, {
    awsError: name,
    ...(status === undefined ? {} : { status }),
  });
}

function codeOf(name: string, status: number | undefined): ErrorCode {
  if (name === 'CredentialsProviderError') return 'NOT_ALLOWED';
  if (name === 'TimeoutError') return 'TIMEOUT';
  if (missing.test(name)) return 'NOT_FOUND';
  if (denied.test(name)) return 'NOT_ALLOWED';
  // 412: the object was replaced between the look at its size and the reading.
  if (status === undefined || status >= 500 || status === 429 || status === 412 || again.test(name))
    return 'UNREACHABLE';
  if (status === 404) return 'NOT_FOUND';
  return status === 401 || status === 403 ? 'NOT_ALLOWED' : 'INVALID_ARGUMENT';
}

/** A HEAD has no body to say why: S3 answers 403 also for what does not exist, where the bucket may not be listed. */
function hint(code: ErrorCode, status: number | undefined): string {
  return code === 'NOT_ALLOWED' && status === 403 ? ' (denied by a policy, or of another account)' : '';
}
