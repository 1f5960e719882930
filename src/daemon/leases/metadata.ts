/**
 * The record of a lease, `<lease>_metadata.json`, as the two earlier daemons wrote it: so that leases survive an
 * upgrade, and a downgrade. We write the first of the three forms that are found on disks and read all of them:
 *   { "krb_ticket_info": [ entry, … ] }    tab or two-space indented; null instead of an empty list
 *   [ entry, … ]                           a bare list
 *   [ { "KrbFilePath": …, … }, … ]         a bare list with Go's field names
 * What only this daemon knows stands in `credentials_fetcher`, which the others pass over.
 */
import * as v from 'valibot';
import { MalformedError } from '../../errors.ts';
import type { FileWishes } from './file-policy.ts';
import { formatWishes, parseWishes } from './file-wishes.ts';

/** One gMSA of a lease. */
export interface TicketRecord {
  /** S3 ARN of the credspec, or ''. */
  readonly credspecInfo: string;
  /** Where the account is in the directory, or ''. */
  readonly distinguishedName: string;
  readonly domainName: string;
  /** '' when the machine's account reads, a user name, or 'awsdomainlessusersecret:' and a secret's name. */
  readonly domainlessUser: string;
  /** Absolute path of the ticket cache. */
  readonly krbFilePath: string;
  /** Without '$'. */
  readonly serviceAccountName: string;
  /** Where the reader's password is, or ''. */
  readonly credentialArn: string;
  /** What the lease wishes for its files, where that is not the daemon's policy. */
  readonly files?: FileWishes;
}

const MAX_LENGTH = 4 * 1024 * 1024;
const MAX_TICKETS = 4096;
const text = v.optional(v.string(), '');
const short = v.object({
  credspec_info: text,
  distinguished_name: text,
  domain_name: text,
  domainless_user: text,
  krb_file_path: v.string(),
  service_account_name: v.string(),
  credential_arn: text,
  credentials_fetcher: v.optional(v.unknown()),
});
const goNamed = v.object({
  CredspecInfo: text,
  DistinguishedName: text,
  DomainName: text,
  DomainlessUser: text,
  KrbFilePath: v.string(),
  ServiceAccountName: v.string(),
  CredentialArn: text,
});

/**
 * Reads the content of a metadata file.
 * @throws MalformedError when it is none of the three forms
 */
export function parseMetadata(content: string): TicketRecord[] {
  if (content.length > MAX_LENGTH) throw new MalformedError('lease metadata', 'too large');
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (e) {
    throw new MalformedError('lease metadata', 'not JSON', e);
  }
  const list = Array.isArray(value) ? value : (value as { krb_ticket_info?: unknown } | null)?.krb_ticket_info;
  if (list === null) return [];
  if (!Array.isArray(list)) throw new MalformedError('lease metadata', 'krb_ticket_info is not a list');
  if (list.length > MAX_TICKETS) throw new MalformedError('lease metadata', 'too many tickets');
  return list.map(parseEntry);
}

function parseEntry(entry: unknown, index: number): TicketRecord {
  const plain = v.safeParse(short, entry);
  if (plain.success) {
    const e = plain.output;
    return {
      credspecInfo: e.credspec_info,
      distinguishedName: e.distinguished_name,
      domainName: e.domain_name,
      domainlessUser: e.domainless_user,
      krbFilePath: e.krb_file_path,
      serviceAccountName: e.service_account_name,
      credentialArn: e.credential_arn,
      ...(e.credentials_fetcher !== undefined && {
        files: parseWishes(e.credentials_fetcher, `entry ${index}: credentials_fetcher`, 'lease metadata', true),
      }),
    };
  }
  const go = v.safeParse(goNamed, entry);
  if (!go.success) throw new MalformedError('lease metadata', `entry ${index} is not a ticket`);
  const e = go.output;
  return {
    credspecInfo: e.CredspecInfo,
    distinguishedName: e.DistinguishedName,
    domainName: e.DomainName,
    domainlessUser: e.DomainlessUser,
    krbFilePath: e.KrbFilePath,
    serviceAccountName: e.ServiceAccountName,
    credentialArn: e.CredentialArn,
  };
}

/** The content of a metadata file: the first form, keys sorted, tab indented, as v1 wrote it. */
export function formatMetadata(tickets: readonly TicketRecord[]): string {
  const entries = tickets.map((t) => ({
    ...(t.credentialArn ? { credential_arn: t.credentialArn } : {}),
    ...(t.files && formatWishes(t.files) ? { credentials_fetcher: formatWishes(t.files) } : {}),
    credspec_info: t.credspecInfo,
    distinguished_name: t.distinguishedName,
    domain_name: t.domainName,
    domainless_user: t.domainlessUser,
    krb_file_path: t.krbFilePath,
    service_account_name: t.serviceAccountName,
  }));
  return `${JSON.stringify({ krb_ticket_info: entries }, null, '\t')}\n`;
}
