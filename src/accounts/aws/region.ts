/** The region of the EC2 instance this runs on, from its metadata service (IMDSv2). */
import { AdError, messageOf } from '../../errors.ts';
import { isRegion } from './arn.ts';

const DEFAULT_ENDPOINT = 'http://169.254.169.254';
/** It is a hop away, or not there at all. */
const PATIENCE_MS = 1000;

/** @throws AdError NOT_FOUND, with what to set instead */
export async function instanceRegion(env: Readonly<Record<string, string | undefined>>): Promise<string> {
  const give = (why: string, cause?: unknown): never => {
    throw new AdError('NOT_FOUND', `no AWS region is known: set AWS_REGION (${why})`, {}, cause);
  };
  if (env.AWS_EC2_METADATA_DISABLED?.toLowerCase() === 'true') return give('the instance metadata service is disabled');
  const base = (env.AWS_EC2_METADATA_SERVICE_ENDPOINT || DEFAULT_ENDPOINT).replace(/\/+$/, '');
  let region: string;
  try {
    const token = await ask(`${base}/latest/api/token`, 'PUT', { 'x-aws-ec2-metadata-token-ttl-seconds': '60' });
    const headers = { 'x-aws-ec2-metadata-token': token };
    region = (await ask(`${base}/latest/meta-data/placement/region`, 'GET', headers)).trim();
  } catch (e) {
    return give(`the instance metadata service does not tell: ${messageOf(e)}`, e);
  }
  return isRegion(region) ? region : give('the instance metadata service names none');
}

async function ask(url: string, method: string, headers: Record<string, string>): Promise<string> {
  const response = await fetch(url, { method, headers, redirect: 'error', signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!response.ok) throw new Error(`${method} ${url}: status ${response.status}`);
  return (await response.text()).slice(0, 4096);
}
