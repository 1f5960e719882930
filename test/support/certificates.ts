/** Certificates for servers of tests, made by openssl in a directory of their own. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasProgram, mustRun } from './programs.ts';

export const needsOpenssl: false | string = hasProgram('openssl') ? false : 'needs openssl';

export interface TestCertificate {
  /** Paths of PEM files. */
  readonly ca: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

/**
 * An authority, and a server's certificate by it.
 * @param directory where the files are made
 * @param names subject alternative names as openssl writes them, such as 'DNS:localhost,IP:127.0.0.1'
 */
export async function makeCertificate(directory: string, names: string, label = 'web'): Promise<TestCertificate> {
  const at = (name: string) => join(directory, `${label}-${name}`);
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const ca = ['-keyout', at('ca.key'), '-out', at('ca.pem'), '-subj', `/CN=${label} authority`, '-days', '2'];
  await mustRun('openssl', ['req', '-x509', ...ec, ...ca]);
  const signed = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-addext', `subjectAltName=${names}`];
  const leaf = ['-addext', 'basicConstraints=CA:FALSE', '-keyout', at('web.key'), '-out', at('web.pem'), '-days', '2'];
  await mustRun('openssl', ['req', '-x509', ...ec, ...signed, ...leaf, '-subj', `/CN=${label}`]);
  const [cert, key] = await Promise.all([readFile(at('web.pem'), 'utf8'), readFile(at('web.key'), 'utf8')]);
  return { ca: at('ca.pem'), certFile: at('web.pem'), keyFile: at('web.key'), cert, key };
}
