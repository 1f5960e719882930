/** Who logs on by PKINIT: a principal with its certificate, or nobody in particular; by whose word a KDC is known. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { wipe } from '../../bytes.ts';
import { AdError, messageOf } from '../../errors.ts';
import { configValues, type Krb5Config } from '../config.ts';
import { readAnchors } from '../files/anchors.ts';
import { type PkinitOptions, PkinitSecret } from '../pkinit/secret.ts';
import type { Signer } from '../pkinit/signed-data.ts';
import { anonymousPrincipal, type Principal } from '../principal.ts';
import { type Environment, permittedEtypes } from './environment.ts';
import type { Proof } from './proof.ts';

/** Where certificates are, in the words of krb5.conf; what is not given is taken from there. */
export interface CertificateOptions {
  /** `FILE:cert.pem,key.pem`, or one file with both (pkinit_identities). */
  readonly identity?: string;
  /** `FILE:`, `DIR:` or `ENV:`, of the authorities that vouch for KDCs (pkinit_anchors). */
  readonly anchors?: readonly string[];
  /** Asked for when the private key is encrypted. @returns UTF-8; the caller of `certificateProof` keeps it */
  readonly passphrase?: (path: string) => Promise<Uint8Array | string>;
}

/**
 * A principal with its certificate.
 * @throws AdError FILE, INVALID_ARGUMENT for settings that cannot be used, or lack anchors or identity
 */
export async function certificateProof(
  { config, env }: Pick<Environment, 'config' | 'env'>,
  principal: Principal,
  options: CertificateOptions = {},
): Promise<Proof> {
  const [identity] = options.identity ? [options.identity] : settings(config, principal.realm, 'pkinit_identities');
  if (identity === undefined)
    throw new AdError('INVALID_ARGUMENT', 'no certificate is named (pkinit_identities, or X509_user_identity)');
  const signer = await readSigner(identity, env, options.passphrase);
  const rules = await pkinitOptions(config, env, principal.realm, options.anchors);
  return { principal, secret: new PkinitSecret({ ...rules, signer }) };
}

/**
 * Nobody in particular, in a realm: its ticket armors the logons of others (RFC 8062).
 * @throws as `certificateProof`
 */
export async function anonymousProof(
  { config, env }: Pick<Environment, 'config' | 'env'>,
  realm: string,
  options: Pick<CertificateOptions, 'anchors'> = {},
): Promise<Proof> {
  const secret = new PkinitSecret(await pkinitOptions(config, env, realm, options.anchors));
  return { principal: anonymousPrincipal(realm), secret };
}

/** The values of the realm's own block, else those for all. */
function settings(config: Krb5Config, realm: string, name: string): string[] {
  const own = [...configValues(config, 'realms', realm, name), ...configValues(config, 'libdefaults', realm, name)];
  return own.length > 0 ? own : configValues(config, 'libdefaults', name);
}

async function pkinitOptions(
  config: Krb5Config,
  env: Environment['env'],
  realm: string,
  given: readonly string[] | undefined,
): Promise<PkinitOptions> {
  const named = given ?? settings(config, realm, 'pkinit_anchors');
  if (named.length === 0)
    throw new AdError(
      'INVALID_ARGUMENT',
      `by which authority is a KDC of ${realm} known? pkinit_anchors in krb5.conf, or X509_anchors, must name its certificate`,
    );
  const pem = await readAnchors(named, env, 'pkinit_anchors');
  const [checking = 'kpKDC'] = settings(config, realm, 'pkinit_eku_checking');
  const [bits = '2048'] = settings(config, realm, 'pkinit_dh_min_bits');
  return {
    anchors: pem.flatMap((text) => certificatesIn(Buffer.from(text), 'pkinit_anchors')),
    kdcHostnames: settings(config, realm, 'pkinit_kdc_hostname'),
    ekuChecking: oneOf(['kpKDC', 'kpServerAuth', 'none'], checking, 'pkinit_eku_checking'),
    // As MIT has it, less than 2048 bits is taken for 2048.
    dhBits: Number(bits) > 2048 ? 4096 : 2048,
    etypes: permittedEtypes(config),
  };
}

function oneOf<T extends string>(words: readonly T[], word: string, setting: string): T {
  const found = words.find((w) => w === word);
  if (!found) throw new AdError('INVALID_ARGUMENT', `${setting} must be ${words.join(', ')}, not ${word}`);
  return found;
}

/** `FILE:cert.pem,key.pem`: the certificate first, then those that lead to its authority. */
async function readSigner(
  identity: string,
  env: Environment['env'],
  passphrase: CertificateOptions['passphrase'],
  depth = 0,
): Promise<Signer> {
  const [, kind, rest = ''] = /^(FILE|ENV):(.+)$/.exec(identity) ?? [];
  const variable = kind === 'ENV' ? env[rest] : undefined;
  if (variable && depth === 0) return readSigner(variable, env, passphrase, 1);
  if (kind !== 'FILE')
    throw new AdError('INVALID_ARGUMENT', 'pkinit_identities: FILE:cert.pem,key.pem is read here, nothing else');
  const [certFile = '', keyFile = certFile] = rest.split(',');
  const certificates = await ownCertificates(certFile);
  const key = await privateKey(keyFile, passphrase);
  const own = certificates.find((c) => c.checkPrivateKey(key));
  if (!own) throw new AdError('INVALID_ARGUMENT', `the private key in ${keyFile} is of no certificate in ${certFile}`);
  return { certificates: [own, ...certificates.filter((c) => c !== own)], key };
}

/** The file may hold the private key as well. */
async function ownCertificates(path: string): Promise<X509Certificate[]> {
  const pem = await bytes(path);
  try {
    return certificatesIn(pem, 'pkinit_identities');
  } finally {
    wipe(pem);
  }
}

async function privateKey(path: string, passphrase: CertificateOptions['passphrase']): Promise<KeyObject> {
  const pem = await bytes(path);
  const read = (words?: Uint8Array | string): KeyObject => {
    const passphrase = words === undefined ? undefined : Buffer.from(words);
    try {
      const key = createPrivateKey({ key: pem, ...(passphrase && { passphrase }) });
      if (key.asymmetricKeyType !== 'rsa' && key.asymmetricKeyType !== 'ec')
        throw new Error(`it is of type ${key.asymmetricKeyType}, and RSA and EC are spoken here`);
      return key;
    } catch (e) {
      throw new AdError('FILE', `the private key in ${path} cannot be used: ${messageOf(e)}`, { path }, e);
    } finally {
      wipe(passphrase);
    }
  };
  const encrypted = ENCRYPTED.some((mark) => pem.includes(mark));
  try {
    return read(encrypted && passphrase ? await passphrase(path) : undefined);
  } finally {
    wipe(pem);
  }
}

/** PKCS #8, and what OpenSSL wrote before. */
const ENCRYPTED = ['-----BEGIN ENCRYPTED', 'Proc-Type: 4,ENCRYPTED'];

const BEGIN = '-----BEGIN CERTIFICATE-----';
const END = '-----END CERTIFICATE-----';

function certificatesIn(pem: Buffer, setting: string): X509Certificate[] {
  const found: X509Certificate[] = [];
  for (let from = pem.indexOf(BEGIN); from >= 0; ) {
    const end = pem.indexOf(END, from);
    if (end < 0) break;
    try {
      found.push(new X509Certificate(pem.subarray(from, end + END.length)));
    } catch (e) {
      throw new AdError('FILE', `${setting}: a certificate that cannot be read: ${messageOf(e)}`, {}, e);
    }
    from = pem.indexOf(BEGIN, end);
  }
  return found;
}

/** No text: of a string nothing could be wiped. */
function bytes(path: string): Promise<Buffer> {
  return readFile(path).catch((e: unknown) => {
    throw new AdError('FILE', `cannot read ${path}: ${messageOf(e)}`, { path }, e);
  });
}
