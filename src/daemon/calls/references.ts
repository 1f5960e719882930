/** Credspecs by reference: where each is, where its ticket goes, and its text. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { type CredspecReference, parseReference } from '../../accounts/aws/arn.ts';
import type { Aws } from '../../accounts/aws/types.ts';
import { fromUtf8 } from '../../bytes.ts';
import { AdError, isAdError, messageOf } from '../../errors.ts';
import { mountPartProblem } from '../leases/names.ts';
import { type Credspec, parseCredspec } from './credspec.ts';
import { StepError } from './status.ts';

/** A credspec and the place of its ticket: `reference#lease/directory`. */
export interface MountedReference {
  readonly reference: CredspecReference;
  readonly leaseId: string;
  readonly directory: string;
}

/** The largest object of S3 that is taken for a credspec, in bytes. */
export const MAX_S3_CREDSPEC = 4000;
/** The largest file. */
const MAX_FILE_CREDSPEC = 65_536;

const refuse = (text: string): never => {
  throw new AdError('INVALID_ARGUMENT', text);
};

/** @throws AdError INVALID_ARGUMENT */
export function parseMounted(text: string): MountedReference {
  if (text === '') refuse('credentialspec arn should not be empty');
  const parts = text.split('#');
  if (parts.length !== 2) refuse("credentialspec arn is not valid: it must have one '#' with a mount path after it");
  const reference = parseReference(parts[0]!);
  const mount = parts[1]!.split('/');
  if (mount.length !== 2) refuse('mount path is invalid: it must be a task, a slash and a directory');
  const [leaseId, directory] = mount as [string, string];
  const problem = mountPartProblem(leaseId) ?? mountPartProblem(directory);
  if (problem) refuse(`mount path is invalid: a part of it ${problem}`);
  return { reference, leaseId, directory };
}

/**
 * Fetches a credspec.
 * @throws StepError; AdError TIMEOUT or ABORTED by the signal
 */
export async function fetchCredspec(reference: CredspecReference, aws: Aws, signal: AbortSignal): Promise<Credspec> {
  let bytes: Uint8Array;
  try {
    bytes = await fetchBytes(reference, aws, signal);
  } catch (e) {
    if (signal.aborted || !(e instanceof AdError)) throw e;
    const sizeOrForm = reference.kind === 's3' && isAdError(e, 'INVALID_ARGUMENT');
    throw new StepError(sizeOrForm ? 'ERROR: invalid object for credentialspec in s3' : notHad[reference.kind], e);
  }
  try {
    return parseCredspec(fromUtf8(bytes));
  } catch (e) {
    // A reference may name any file of this machine: whether it is there, and what is in it, is not told.
    throw reference.kind === 'file'
      ? new StepError(notHad.file, unreadable(reference.text, e))
      : new StepError('ERROR: invalid credentialspec fields', wrong(reference.text, e));
  }
}

const notHad = {
  s3: 'ERROR: credentialspec cannot be retrieved from s3',
  ssm: 'ERROR: credentialspec cannot be retrieved from ssm',
  file: 'ERROR: credentialspec cannot be retrieved',
} as const;

const wrong = (where: string, e: unknown): AdError =>
  new AdError('INVALID_ARGUMENT', `${where}: ${e instanceof AdError ? messageOf(e) : 'credspec: is not UTF-8'}`, {}, e);

const unreadable = (where: string, e: unknown): AdError =>
  new AdError('INVALID_ARGUMENT', `${where} is no credentialspec that can be read, see the log of the daemon`, {}, e);

function fetchBytes(reference: CredspecReference, aws: Aws, signal: AbortSignal): Promise<Uint8Array> {
  switch (reference.kind) {
    case 's3':
      return aws.object(reference, MAX_S3_CREDSPEC, signal);
    case 'ssm':
      return aws.parameter(reference, signal);
    case 'file':
      return readCredspecFile(reference.text, reference.path);
  }
}

/** A regular file and nothing that could hang or stand for something else. */
async function readCredspecFile(text: string, path: string): Promise<Uint8Array> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stat = await file.stat();
      if (!stat.isFile()) throw new Error('not a file');
      if (stat.size === 0 || stat.size > MAX_FILE_CREDSPEC) throw new Error(`a file of ${stat.size} bytes`);
      const { bytesRead, buffer } = await file.read(new Uint8Array(stat.size), 0, stat.size, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (e) {
    throw unreadable(text, e);
  }
}
