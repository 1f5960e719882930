/** The lists of encryption types in [libdefaults], read as MIT reads them (kdc.conf, "Encryption types"). */
import { DEFAULT_ETYPES, etypeByName, etypeName, findProfile } from '../crypto/index.ts';
import { etype } from '../numbers.ts';
import { configError, findNodes, type ProfileNode } from './profile.ts';

export interface EtypeSettings {
  /**
   * The only types to be asked for and accepted, the most wanted first; absent: the library's own. Weak ones are in it
   * where the file names them and allows them by `allow_weak_crypto`, or RC4 by `allow_rc4`.
   */
  readonly permittedEtypes?: readonly number[];
  /** Those of them to list in requests for initial tickets (`default_tkt_enctypes`); absent: all. */
  readonly tktEtypes?: readonly number[];
  /** Those of them to list in requests for other tickets (`default_tgs_enctypes`); absent: all. */
  readonly tgsEtypes?: readonly number[];
}

/** Words that stand for several types, in MIT's order; MIT has `des`, `des3` and `camellia` besides, of which none is here. */
const FAMILIES: Readonly<Record<string, readonly number[]>> = {
  aes: [
    etype.AES256_CTS_HMAC_SHA1_96,
    etype.AES128_CTS_HMAC_SHA1_96,
    etype.AES256_CTS_HMAC_SHA384_192,
    etype.AES128_CTS_HMAC_SHA256_128,
  ],
  rc4: [etype.RC4_HMAC],
};

/**
 * @param allow what the file says of `allow_weak_crypto` and `allow_rc4`. With the latter RC4 belongs to the default, the
 *   least wanted, as in MIT, where the default has it still.
 * @throws AdError INVALID_ARGUMENT with file and line when a list leaves nothing
 */
export function etypeSettings(
  settings: readonly ProfileNode[],
  allow: { readonly weak: boolean; readonly rc4: boolean },
): EtypeSettings {
  const allowed = (type: number) => allow.weak || !findProfile(type)?.weak || (allow.rc4 && type === etype.RC4_HMAC);
  const byDefault = allow.rc4 ? [...DEFAULT_ETYPES, etype.RC4_HMAC] : DEFAULT_ETYPES;

  const list = (name: string, among?: readonly number[]): readonly number[] | undefined => {
    const node = findNodes(settings, ['libdefaults', name]).find((n) => n.value !== undefined);
    if (node?.value === undefined) return undefined;
    const named = etypesByNames(node.value, byDefault);
    const kept = named.filter((type) => allowed(type) && (among?.includes(type) ?? true));
    if (kept.length > 0) return kept;
    const why = named.length === 0 ? 'no type that is known here' : `${named.map(etypeName).join(', ')}: not allowed`;
    const advice =
      among && named.some(allowed)
        ? 'add them to permitted_enctypes'
        : 'name one of the aes types, or set allow_rc4 or allow_weak_crypto';
    throw configError(node, `${name} ${JSON.stringify(node.value)} leaves ${why}; ${advice}`);
  };

  const named = list('permitted_enctypes');
  const permittedEtypes = named ?? (allow.rc4 ? byDefault : undefined);
  const among = permittedEtypes ?? byDefault;
  const tktEtypes = list('default_tkt_enctypes', among);
  const tgsEtypes = list('default_tgs_enctypes', among);
  return {
    ...(permittedEtypes && { permittedEtypes }),
    ...(tktEtypes && { tktEtypes }),
    ...(tgsEtypes && { tgsEtypes }),
  };
}

/**
 * Names and families with blanks or commas between, in the order of preference; `-` takes out again, `+` changes nothing.
 * Names of types this library lacks are passed over, as MIT does.
 */
function etypesByNames(text: string, byDefault: readonly number[]): number[] {
  const list = new Set<number>();
  for (const word of text.split(/[\s,]+/).filter(Boolean)) {
    const name = word.replace(/^[+-]/, '').toLowerCase();
    for (const type of typesOf(name, byDefault)) {
      if (word.startsWith('-')) list.delete(type);
      else list.add(type);
    }
  }
  return [...list];
}

function typesOf(name: string, byDefault: readonly number[]): readonly number[] {
  if (name === 'default') return byDefault;
  if (Object.hasOwn(FAMILIES, name)) return FAMILIES[name]!;
  const one = etypeByName(name);
  return one === undefined ? [] : [one];
}
