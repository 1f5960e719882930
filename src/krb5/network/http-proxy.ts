/** Which HTTP proxy leads to a host, by the variables that curl and others read. */
import { AdError } from '../../errors.ts';
import type { Endpoint } from './locate.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy of `HTTPS_PROXY` or `ALL_PROXY` (small letters go first), unless `NO_PROXY` names the host or a domain above
 * it, with or without a leading dot, or is `*`.
 * @throws AdError INVALID_ARGUMENT for a value that is no http URL
 */
export function proxyFor(target: Endpoint, env: Environment): URL | undefined {
  const value = env.https_proxy || env.HTTPS_PROXY || env.all_proxy || env.ALL_PROXY;
  if (!value || isExempt(target, env.no_proxy || env.NO_PROXY || '')) return undefined;
  let url: URL;
  try {
    url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`);
  } catch {
    // The value may hold a password.
    throw new AdError('INVALID_ARGUMENT', 'HTTPS_PROXY is no URL');
  }
  if (url.protocol === 'http:') return url;
  throw new AdError('INVALID_ARGUMENT', `HTTPS_PROXY: only http:// proxies can be used, not ${url.protocol}//`);
}

function isExempt({ host, port }: Endpoint, list: string): boolean {
  const name = host.toLowerCase();
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => {
      if (entry === '*') return true;
      const [, domain = entry, only] = /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(entry) ?? [];
      if (only !== undefined && Number(only) !== port && !domain.includes(':')) return false;
      const bare = domain.replace(/^\*?\./, '');
      return name === bare || name.endsWith(`.${bare}`);
    });
}
