/** Kerberos logons over HTTP in pure TypeScript, `credentials-fetcher/http`: both sides of `Negotiate` (RFC 4559). */
export { AdError, type ErrorCode, MalformedError } from '../errors.ts';
export type { AcceptedContext, BindingPolicy, PacPolicy } from '../krb5/gss/acceptor.ts';
export { GssError, type MajorStatus } from '../krb5/gss/errors.ts';
export { KeytabFileKeys, KeytabKeys, type ServiceKeys } from '../krb5/gss/service-keys.ts';
export { type AcceptNegotiateOptions, type Authenticate, acceptNegotiate, type HttpUser } from './accept.ts';
export type { TlsOptions } from './exchange.ts';
export { type NegotiateFetch, type NegotiateOptions, negotiate } from './negotiate.ts';
