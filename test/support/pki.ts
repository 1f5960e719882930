/** Authorities, and certificates of KDCs and users as PKINIT wants them, made by openssl in a directory of their own. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasProgram, mustRun } from './programs.ts';

/** The `skip` option of tests of MIT's programs with certificates. */
export const needsPkinitPlugin: false | string = pluginIsThere() ? false : 'needs pkinit.so (Debian: krb5-pkinit)';

function pluginIsThere(): boolean {
  return readdirSync('/usr/lib').some((arch) => existsSync(`/usr/lib/${arch}/krb5/plugins/preauth/pkinit.so`));
}

export interface Issued {
  /** Paths of PEM files. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

export interface IssueOptions {
  /** The subject's common name. */
  readonly name: string;
  /** Absent: it signs itself. */
  readonly by?: Issued;
  /** Lines of an extension section. */
  readonly extensions: readonly string[];
  /** Lines that the extensions refer to. */
  readonly sections?: readonly string[];
  /** 'rsa' unless told otherwise. */
  readonly algorithm?: 'rsa' | 'ec';
  /** 'sha256' unless told otherwise. */
  readonly digest?: string;
  /** How long it is good: 2 unless told otherwise. */
  readonly days?: number;
}

export class Pki {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async open(): Promise<Pki> {
    return new Pki(await mkdtemp(join(tmpdir(), 'pki-')));
  }

  async issue({
    name,
    by,
    extensions,
    sections = [],
    algorithm = 'rsa',
    digest = 'sha256',
    days = 2,
  }: IssueOptions): Promise<Issued> {
    const number = serial++;
    const at = (ending: string) => join(this.directory, `${name}-${number}.${ending}`);
    await writeFile(at('cnf'), ['[ext]', ...extensions, ...sections, ''].join('\n'));
    const kind = algorithm === 'rsa' ? ['rsa:2048'] : ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    const keyOut = ['-newkey', ...kind, '-nodes', '-keyout', at('key')];
    await mustRun('openssl', ['req', '-new', ...keyOut, '-subj', `/CN=${name}`, '-out', at('csr')]);
    const signer = by ? ['-CA', by.certFile, '-CAkey', by.keyFile] : ['-key', at('key')];
    const from = ['-in', at('csr'), '-extfile', at('cnf'), '-extensions', 'ext', '-set_serial', `${number}`];
    await mustRun('openssl', ['x509', '-req', ...from, ...signer, `-${digest}`, '-days', `${days}`, '-out', at('pem')]);
    const [pem, key] = await Promise.all([readFile(at('pem')), readFile(at('key'))]);
    return {
      certFile: at('pem'),
      keyFile: at('key'),
      certificate: new X509Certificate(pem),
      key: createPrivateKey(key),
    };
  }

  authority(name = 'authority', more: Partial<IssueOptions> = {}): Promise<Issued> {
    const extensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'];
    return this.issue({ name, extensions, ...more });
  }

  /** A KDC's, with the name of its realm's ticket-granting service. */
  kdc(realm: string, by: Issued, more: Partial<IssueOptions> = {}): Promise<Issued> {
    const extensions = ['extendedKeyUsage=1.3.6.1.5.2.3.5', 'keyUsage=critical,digitalSignature', kerberosName];
    return this.issue({ name: 'kdc', by, extensions, sections: nameSections(realm, 2, 'krbtgt', realm), ...more });
  }

  /** A user's. */
  user(realm: string, user: string, by: Issued, more: Partial<IssueOptions> = {}): Promise<Issued> {
    const extensions = ['extendedKeyUsage=1.3.6.1.5.2.3.4', 'keyUsage=critical,digitalSignature', kerberosName];
    return this.issue({ name: user, by, extensions, sections: nameSections(realm, 1, user), ...more });
  }

  close(): Promise<void> {
    return rm(this.directory, { recursive: true, force: true });
  }
}

let serial = 4096;

/** id-pkinit-san, RFC 4556 3.2.2, as openssl's configuration writes it. */
export const kerberosName = 'subjectAltName=otherName:1.3.6.1.5.2.2;SEQUENCE:krb5';

export function nameSections(realm: string, type: number, ...components: string[]): string[] {
  return [
    '[krb5]',
    `realm=EXP:0,GeneralString:${realm}`,
    'name=EXP:1,SEQUENCE:krb5name',
    '[krb5name]',
    `type=EXP:0,INTEGER:${type}`,
    'string=EXP:1,SEQUENCE:krb5string',
    '[krb5string]',
    ...components.map((c, i) => `s${i}=GeneralString:${c}`),
  ];
}

export const needsOpenssl: false | string = hasProgram('openssl') ? false : 'needs openssl';
