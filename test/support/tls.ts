/** A certificate for localhost, by OpenSSL's program. */
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mustRun } from './programs.ts';

export interface TestCertificate {
  /** PEM. */
  readonly key: string;
  /** PEM; its own certificate authority. */
  readonly cert: string;
  readonly der: Uint8Array;
}

/** @param options of `openssl req`, such as `-sha384` */
export async function testCertificate(...options: string[]): Promise<TestCertificate> {
  const directory = await mkdtemp(join(tmpdir(), 'cf-tls-'));
  const at = (name: string) => join(directory, name);
  try {
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-days', '2'];
    const files = ['-keyout', at('key.pem'), '-out', at('cert.pem')];
    await mustRun('openssl', ['req', '-x509', '-nodes', ...subject, ...kind, ...files, ...options]);
    const [key, cert] = await Promise.all([readFile(at('key.pem'), 'utf8'), readFile(at('cert.pem'), 'utf8')]);
    return { key, cert, der: new Uint8Array(new X509Certificate(cert).raw) };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
