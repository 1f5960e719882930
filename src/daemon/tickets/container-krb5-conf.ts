/** The krb5.conf beside a ticket: how Kerberos in the container finds the domain, and the ticket. */
import { utf8 } from '../../bytes.ts';
import { CCACHE, KEYTAB } from '../leases/file-policy.ts';

/** Where a container mounts the directory of its ticket; the Amazon ECS agent does so without being asked. */
export const MOUNT_POINT = '/var/credentials-fetcher/krbdir';

export interface RealmFacts {
  readonly realm: string;
  /** DNS name of the domain. */
  readonly domain: string;
  /** KDCs as krb5.conf has them; empty: DNS is asked. */
  readonly kdcs: readonly string[];
  /** More hosts and, with a leading dot, domains of the realm. */
  readonly hosts: readonly string[];
  readonly keytab: boolean;
}

/** MIT krb5 documentation, "krb5.conf". Host names are taken as they are: what DNS makes of them proves nothing. */
export function containerKrb5Conf(facts: RealmFacts): Uint8Array {
  const { realm, kdcs } = facts;
  const domain = facts.domain.toLowerCase();
  const hosts = new Set([`.${domain}`, domain, ...facts.hosts]);
  const lines = [
    '# Written by credentials-fetcher, and anew with each ticket.',
    '[libdefaults]',
    `    default_realm = ${realm}`,
    `    default_ccache_name = FILE:${MOUNT_POINT}/${CCACHE}`,
    ...(facts.keytab ? [`    default_keytab_name = FILE:${MOUNT_POINT}/${KEYTAB}`] : []),
    '    dns_lookup_realm = false',
    `    dns_lookup_kdc = ${kdcs.length === 0}`,
    '    rdns = false',
    '',
    '[realms]',
    `    ${realm} = {`,
    ...kdcs.map((kdc) => `        kdc = ${kdc}`),
    '    }',
    '',
    '[domain_realm]',
    ...[...hosts].map((host) => `    ${host} = ${realm}`),
  ];
  return utf8(`${lines.join('\n')}\n`);
}
