/** A lease against the same done by MIT's and OpenLDAP's programs, `kinit; ldapsearch; kinit -kt`, on the same DC. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseManagedPassword } from '../src/gmsa/blob.ts';
import { deriveKeys } from '../src/gmsa/keys.ts';
import { writeKeytab } from '../src/krb5/files/keytab.ts';
import { activeDirectorySalt, principal } from '../src/krb5/principal.ts';
import { domainBase } from '../src/ldap/locate.ts';
import { needs } from '../test/support/programs.ts';
import { startDaemon } from './daemon.ts';
import { inTurns, timed } from './measure.ts';
import type { Row } from './report.ts';
import { krb5Conf, newReaders, type Scene } from './scene.ts';

export const title = 'a lease against kinit; ldapsearch -Y GSSAPI; kinit -kt as processes (KDC configured, no DNS)';

export const lacking = () => needs('kinit', 'ldapsearch') || undefined;

const ROUNDS = 20;
const execute = promisify(execFile);

export async function run(scene: Scene): Promise<Row[]> {
  const gmsa = scene.gmsas[0]!;
  const chain = await programs(scene, gmsa);
  const daemon = await startDaemon(scene);
  const readers = newReaders(scene);
  const others = scene.gmsas.slice(1).values();
  try {
    const veryFirst = await daemon.lease(readers.next().value, gmsa);
    const rounds = await inTurns(ROUNDS, {
      programs: () => timed(chain),
      'new reader': () => daemon.lease(readers.next().value, gmsa),
      warm: () => daemon.lease(scene.reader, gmsa),
      'other account': () => daemon.lease(scene.reader, others.next().value ?? gmsa),
    });
    return [
      {
        what: "new reader's first lease / programs",
        value: rounds.ratio('new reader', 'programs'),
        unit: 'x',
        limit: { at: '<=', value: 0.75 },
        note: `${rounds.describe('new reader')}, ${rounds.describe('programs')}`,
      },
      {
        what: 'warm lease / programs',
        value: rounds.ratio('warm', 'programs'),
        unit: 'x',
        limit: { at: '<=', value: 0.15 },
        note: rounds.describe('warm'),
      },
      {
        what: 'warm lease of an account not seen before / programs',
        value: rounds.ratio('other account', 'programs'),
        unit: 'x',
        note: `its key has to be derived: ${rounds.describe('other account')}`,
      },
      { what: 'the very first lease after a start', value: veryFirst, unit: 'ms', note: 'once, nothing compiled yet' },
    ];
  } finally {
    await daemon.stop();
  }
}

/** The three programs in one shell, the reader's password from a file; the gMSA's keytab is made beforehand. */
async function programs(scene: Scene, gmsa: string): Promise<() => Promise<string>> {
  const at = (name: string) => join(scene.scratch, name);
  writeFileSync(at('programs.conf'), krb5Conf(scene.realm, scene.domain, scene.kdc));
  writeFileSync(at('password'), `${scene.reader.password}\n`, { mode: 0o600 });
  const search =
    `ldapsearch -Q -LLL -o ldif-wrap=no -N -Y GSSAPI -H ldap://${scene.ldap.host}:${scene.ldap.port} ` +
    `-b ${domainBase(scene.domain)} '(sAMAccountName=${gmsa}$)' msDS-ManagedPassword`;
  const login = `kinit ${scene.reader.username} < ${at('password')} > /dev/null && ${search}`;
  const shell = async (script: string) => {
    const env = {
      PATH: process.env.PATH,
      KRB5_CONFIG: at('programs.conf'),
      KRB5CCNAME: `FILE:${at('programs.cc')}`,
    };
    return (await execute('/bin/sh', ['-ec', script], { env })).stdout;
  };

  const blob = /^msDS-ManagedPassword:: (.+)$/m.exec(await shell(login))?.[1];
  if (!blob) throw new Error(`ldapsearch did not get the managed password of ${gmsa}$`);
  const { current } = parseManagedPassword(Buffer.from(blob, 'base64'));
  const keys = await deriveKeys(current, activeDirectorySalt('computer', `${gmsa}$`, scene.realm), [18, 17]);
  const entries = [...keys].map(([etype, value]) => ({
    principal: principal(scene.realm, `${gmsa}$`),
    timestamp: new Date(),
    kvno: 1,
    key: { etype, value },
  }));
  writeFileSync(at('gmsa.keytab'), writeKeytab(entries), { mode: 0o600 });
  return () => shell(`${login} && kinit -c ${at('gmsa.cc')} -kt ${at('gmsa.keytab')} '${gmsa}$'`);
}
