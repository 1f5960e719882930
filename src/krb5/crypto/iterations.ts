/** How much stretching of a password is accepted from a KDC. The count arrives in clear text before the KDC has proved anything. */
import { AdError } from '../../errors.ts';

/**
 * Fewest iterations. Whoever forges the answer could ask for 1, catch the encrypted timestamp, and guess passwords
 * thousands of times faster. 4,096 is the default of RFC 3962 section 6, what Active Directory always uses and what
 * MIT's KDC sends. RFC 3962 section 8: "implementations may seek to enforce lower bounds".
 */
export const MIN_ITERATIONS = 4096;

/**
 * Most iterations: some 0.4 s of one thread. A forged four billion would hold a thread for half an hour; RFC 3962
 * section 8 calls that "a form of denial of service attack". Real domains are at 4,096 (RFC 3962) or 32,768 (RFC 8009).
 */
export const MAX_ITERATIONS = 1_000_000;

/**
 * The iteration count in string-to-key parameters: four octets, big endian, where 0 means 2^32 (RFC 3962 section 4).
 * @param params undefined gives `fallback`, which is not measured against the limits
 * @throws AdError ETYPE for another length or a count outside `minimum`..MAX_ITERATIONS
 */
export function iterationCount(
  params: Uint8Array | undefined,
  fallback: number,
  minimum: number = MIN_ITERATIONS,
): number {
  if (params === undefined) return fallback;
  if (params.length !== 4) {
    throw new AdError('ETYPE', `string-to-key parameters have ${params.length} bytes instead of 4`);
  }
  const iterations = new DataView(params.buffer, params.byteOffset).getUint32(0) || 2 ** 32;
  if (iterations < minimum || iterations > MAX_ITERATIONS) {
    throw new AdError(
      'ETYPE',
      `refusing ${iterations} string-to-key iterations (${minimum} to ${MAX_ITERATIONS} are accepted): the answer that names them is not authenticated and may be forged`,
      { iterations, minimum, maximum: MAX_ITERATIONS },
    );
  }
  return iterations;
}
