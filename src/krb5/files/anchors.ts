/** Certificates as krb5.conf's http_anchors and pkinit_anchors name them. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AdError, messageOf } from '../../errors.ts';

/**
 * The PEM certificates of `FILE:path`, `DIR:path` (files that end in .crt, .pem or .0 to .9) and `ENV:variable` (the name of
 * a variable that holds one of the other forms).
 * @param setting its name, for errors
 * @throws AdError INVALID_ARGUMENT for another form, FILE for what cannot be read or holds no certificate
 */
export async function readAnchors(
  anchors: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  setting: string,
): Promise<string[]> {
  const found: string[] = [];
  for (const anchor of anchors) {
    const files = await filesOf(anchor, env, setting);
    const texts = await Promise.all(files.map((path) => read(path, setting)));
    const certificates = texts.filter((text) => text.includes('-----BEGIN CERTIFICATE-----'));
    if (certificates.length === 0) throw new AdError('FILE', `${setting}: no certificate in ${anchor}`);
    found.push(...certificates);
  }
  return found;
}

async function filesOf(
  anchor: string,
  env: Readonly<Record<string, string | undefined>>,
  setting: string,
): Promise<string[]> {
  const [, kind, rest = ''] = /^(FILE|DIR|ENV):(.+)$/.exec(anchor) ?? [];
  if (kind === 'FILE') return [rest];
  if (kind === 'ENV') {
    const value = env[rest];
    if (value && !value.startsWith('ENV:')) return filesOf(value, env, setting);
    throw new AdError('INVALID_ARGUMENT', `${setting}: the variable ${rest} names no certificate`);
  }
  if (kind !== 'DIR') {
    throw new AdError('INVALID_ARGUMENT', `${setting}: FILE:, DIR: or ENV: is missing before ${anchor}`);
  }
  const names = await readdir(rest).catch((e: unknown) => {
    throw new AdError('FILE', `${setting}: cannot read ${rest}: ${messageOf(e)}`, { path: rest }, e);
  });
  return names
    .filter((name) => /\.(crt|pem|[0-9])$/.test(name))
    .sort()
    .map((name) => join(rest, name));
}

function read(path: string, setting: string): Promise<string> {
  return readFile(path, 'utf8').catch((e: unknown) => {
    throw new AdError('FILE', `${setting}: cannot read ${path}: ${messageOf(e)}`, { path }, e);
  });
}
