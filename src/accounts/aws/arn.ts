/**
 * References to credspecs and secrets, as tasks carry them:
 *
 *   arn:aws:s3:::bucket/key                             an object of S3
 *   arn:aws:ssm:region:account:parameter/name           a parameter of the Systems Manager
 *   file:///path/credspec.json                          a file of this machine
 *   arn:aws:secretsmanager:region:account:secret:name   a user's password
 *
 * A region becomes a part of a host name, so nothing but a region's characters passes for one.
 */
import { AdError } from '../../errors.ts';

export interface S3Reference {
  readonly kind: 's3';
  readonly text: string;
  readonly bucket: string;
  readonly key: string;
}

export interface SsmReference {
  readonly kind: 'ssm';
  /** The whole ARN, which SSM takes as the parameter's name: no doubt about a leading slash, or the account. */
  readonly text: string;
  readonly region: string;
}

export interface FileReference {
  readonly kind: 'file';
  readonly text: string;
  readonly path: string;
}

export type CredspecReference = S3Reference | SsmReference | FileReference;

/** Longest reference, in UTF-16 code units: an S3 key has up to 1024 bytes. */
const MAX_REFERENCE = 1400;

const region = '[a-z]{2,4}(?:-[a-z]+){1,3}-[0-9]{1,2}';
const partition = 'arn:aws(?:-[a-z]+)*';
/** Bucket names: 3 to 63 of these, beginning and ending with a letter or digit; old ones have up to 255 and `_`. */
const s3Arn = new RegExp(`^${partition}:s3:::([A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9])/(.+)$`, 's');
const ssmArn = new RegExp(`^${partition}:ssm:(${region}):[0-9]{12}:parameter/[A-Za-z0-9_./-]{1,1011}$`);
const secretArn = new RegExp(`^${partition}:secretsmanager:(${region}):[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]{1,519}$`);
const wholeRegion = new RegExp(`^${region}$`);
const secretName = /^[A-Za-z0-9/_+=.@!-]{1,512}$/;

/** @throws AdError INVALID_ARGUMENT */
export function parseReference(text: string): CredspecReference {
  if (text === '') throw invalid('is empty');
  if (text.length > MAX_REFERENCE) throw invalid(`is longer than ${MAX_REFERENCE} characters`);
  if (/[\p{Cc}\p{Cs}]/u.test(text)) throw invalid('contains a control character');
  if (text.startsWith('file://')) {
    const path = text.slice('file://'.length);
    if (!path.startsWith('/')) throw invalid('is a file URL without an absolute path');
    return { kind: 'file', text, path };
  }
  const [, bucket, key] = s3Arn.exec(text) ?? [];
  if (bucket !== undefined && key !== undefined && !bucket.includes('..')) return { kind: 's3', text, bucket, key };
  const parameter = ssmArn.exec(text)?.[1];
  if (parameter !== undefined) return { kind: 'ssm', text, region: parameter };
  throw invalid('is neither an S3 object, nor an SSM parameter, nor a file');
}

const invalid = (what: string): AdError =>
  new AdError('INVALID_ARGUMENT', `credentialspec arn is not valid: it ${what}`);

export const isRegion = (text: string): boolean => wholeRegion.test(text);

/** The region in a Secrets Manager ARN; undefined for whatever is none. */
export const secretRegion = (text: string): string | undefined => secretArn.exec(text)?.[1];

/** An ARN or a plain name, in the characters Secrets Manager allows. */
export const isSecretId = (text: string): boolean => secretRegion(text) !== undefined || secretName.test(text);
