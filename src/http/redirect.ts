/** A request in the form in which it can be sent again, here or where a redirect leads (Fetch standard, 4.4 and 5.4). */
import { AdError } from '../errors.ts';
import type { Outgoing } from './exchange.ts';

/** Reads whatever `fetch` takes, its body into memory. @throws AdError INVALID_ARGUMENT for another scheme than HTTP's */
export async function outgoingOf(
  input: string | URL | Request,
  init: RequestInit | undefined,
): Promise<{ out: Outgoing; redirect: Request['redirect'] }> {
  const request = new Request(input, { ...init, ...(init?.body instanceof ReadableStream && { duplex: 'half' }) });
  const url = new URL(request.url);
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw new AdError('INVALID_ARGUMENT', `negotiate() cannot fetch ${url.protocol}`);
  url.hash = '';
  const headers = new Headers(request.headers);
  // A logon by another scheme in the same request could not be told from ours.
  if (headers.has('authorization'))
    throw new AdError('INVALID_ARGUMENT', 'the request has an Authorization header of its own');
  if (!headers.has('accept')) headers.set('accept', '*/*');
  const body = request.body ? new Uint8Array(await request.arrayBuffer()) : undefined;
  const empty = ['POST', 'PUT', 'PATCH'].includes(request.method) ? new Uint8Array(0) : undefined;
  const { method, signal, redirect } = request;
  return { out: { url, method, headers, body: body ?? empty, signal }, redirect };
}

/** Headers that say something of a body (Fetch standard, request-body-header name). */
const BODY_HEADERS = ['content-encoding', 'content-language', 'content-location', 'content-type', 'content-length'];

/**
 * The request that a redirect asks for.
 * @throws AdError NOT_ALLOWED for one to another scheme, or out of TLS
 */
export function redirected(out: Outgoing, location: string, status: number): Outgoing {
  let url: URL;
  try {
    url = new URL(location, out.url);
  } catch (e) {
    throw new AdError('NOT_ALLOWED', `${out.url.origin} redirects to what is no URL`, {}, e);
  }
  if (url.protocol !== 'https:' && (url.protocol !== 'http:' || out.url.protocol === 'https:'))
    throw new AdError(
      'NOT_ALLOWED',
      `${out.url.origin} redirects to ${url.protocol}//${url.host}, which is not followed`,
    );
  url.hash = '';
  const headers = new Headers(out.headers);
  if (url.origin !== out.url.origin) for (const name of ['cookie', 'host']) headers.delete(name);
  const changes =
    (status === 303 && out.method !== 'GET' && out.method !== 'HEAD') ||
    ((status === 301 || status === 302) && out.method === 'POST');
  if (!changes) return { ...out, url, headers };
  for (const name of BODY_HEADERS) headers.delete(name);
  return { ...out, url, headers, method: 'GET', body: undefined };
}
