/**
 * Configuration entries of a ccache (MIT krb5 documentation, "Credential cache file format", last section): settings
 * stored as credentials whose server is `krb5_ccache_conf_data/KEY[/PRINCIPAL]@X-CACHECONF:` and whose ticket holds
 * the value. To readers that do not know them they are tickets of a realm that cannot exist.
 */
import { fromUtf8, utf8 } from '../../bytes.ts';
import type { Credentials } from '../credentials.ts';
import { nameType } from '../numbers.ts';
import { formatPrincipal, type Principal } from '../principal.ts';

const CONF_REALM = 'X-CACHECONF:';
const CONF_NAME = 'krb5_ccache_conf_data';

/** Settings MIT's programs use; any other key is as good. Values are ASCII. */
export const configKey = {
  /** About a TGS: the number of the pre-authentication type that got its ticket. */
  PA_TYPE: 'pa_type',
  /** About a TGS: "yes" when its KDC offers FAST. */
  FAST_AVAIL: 'fast_avail',
  /** Seconds since 1970 after which a client holding the keytab gets a new TGT. */
  REFRESH_TIME: 'refresh_time',
  /** The principal whose TGT this is when the cache is made for S4U2Proxy. */
  PROXY_IMPERSONATOR: 'proxy_impersonator',
  /** The realm to ask first when the client's TGT is of another one. */
  START_REALM: 'start_realm',
} as const;

/** A setting that stands among the tickets of a cache (`X-CACHECONF:`). */
export interface ConfigEntry {
  key: string;
  /** Text form of the principal the setting is about, such as `krbtgt/EXAMPLE.COM@EXAMPLE.COM`; absent: the cache. */
  principal?: string;
  value: Uint8Array;
}

/** True for a setting, which is no ticket and must not be listed, used or renewed as one. */
export function isConfigEntry(c: { readonly server: Principal }): boolean {
  return c.server.realm === CONF_REALM && c.server.components[0] === CONF_NAME;
}

/**
 * True for an entry that MIT's `krb5_cc_remove_cred` has struck out in place: it cannot shorten the file, so it sets
 * endtime to 0 and authtime to the last second, and renames settings' realm.
 */
export function isRemoved(c: Credentials): boolean {
  return c.endtime.getTime() === 0 && c.authtime.getTime() === 0xffffffff * 1000;
}

/** The setting that an entry holds; undefined when it is a ticket. */
export function configEntryOf(c: Credentials): ConfigEntry | undefined {
  const [, key, principal] = c.server.components;
  if (!isConfigEntry(c) || key === undefined) return undefined;
  return { key, ...(principal !== undefined && { principal }), value: c.ticket };
}

/** The text of the last setting of that key (and principal) in a cache; undefined when there is none. */
export function configValue(credentials: readonly Credentials[], key: string, about?: Principal): string | undefined {
  const principal = about && formatPrincipal(about);
  const found = credentials.findLast((c) => {
    const entry = isRemoved(c) ? undefined : configEntryOf(c);
    return entry?.key === key && entry.principal === principal;
  });
  if (!found) return undefined;
  try {
    return fromUtf8(found.ticket);
  } catch {
    return undefined;
  }
}

/** Makes a setting for the cache of `client`, about the server `about` or, without one, about the whole cache. */
export function makeConfigEntry(
  client: Principal,
  key: string,
  value: string | Uint8Array,
  about?: Principal,
): Credentials {
  const components = [CONF_NAME, key, ...(about ? [formatPrincipal(about)] : [])];
  return {
    client,
    server: { nameType: nameType.PRINCIPAL, components, realm: CONF_REALM },
    key: { etype: 0, value: new Uint8Array(0) },
    authtime: new Date(0),
    endtime: new Date(0),
    flags: 0,
    isSkey: false,
    addresses: [],
    authorizationData: [],
    ticket: typeof value === 'string' ? utf8(value) : value,
    secondTicket: new Uint8Array(0),
  };
}
