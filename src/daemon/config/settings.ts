/** Every setting of the daemon once: its flag, its variables, its keys in files, its default, its help. */
import { logLevels } from '../log.ts';

export interface Setting {
  /** The variable's name, which is its key in the files too. */
  readonly env: string;
  /** Further names of the variable, which earlier daemons and the ECS agent know. */
  readonly also?: readonly string[];
  /** Further key in /etc/credentials-fetcher.conf, as version 2 of the daemon named it. */
  readonly key?: string;
  readonly value: string;
  readonly short?: string;
  /** '' when there is none. */
  readonly fallback: string;
  readonly help: string;
}

const base = '/var/credentials-fetcher';

/** Only a flag or a variable can say where the files are. */
export const fileSettings = {
  config: {
    env: 'CF_CONFIG',
    value: 'FILE',
    fallback: '/etc/credentials-fetcher.conf',
    help: 'more settings, NAME = VALUE in a line',
  },
  'ecs-config': {
    env: 'CF_ECS_CONFIG',
    value: 'FILE',
    fallback: '/etc/ecs/ecs.config',
    help: "the ECS agent's settings, of which ours are read",
  },
} as const satisfies Record<string, Setting>;

export const settings = {
  'krb-dir': { env: 'CF_KRB_DIR', value: 'DIR', fallback: `${base}/krbdir`, help: 'leases' },
  'socket-dir': {
    env: 'CF_UNIX_DOMAIN_SOCKET_DIR',
    value: 'DIR',
    fallback: `${base}/socket`,
    help: 'where credentials_fetcher.sock is made',
  },
  socket: {
    env: 'CREDENTIALS_FETCHER_HOST',
    also: ['CREDENTIALS_FETCHER_HOST_DIR'],
    value: 'PATH',
    fallback: '',
    help: 'the socket itself, by its path or as unix:///path, in place of --socket-dir',
  },
  'socket-mode': {
    env: 'CF_SOCKET_MODE',
    value: 'MODE',
    fallback: '0660',
    help: 'permissions of the socket, octal',
  },
  'socket-gid': { env: 'CF_SOCKET_GID', value: 'GID', fallback: '', help: "group of the socket, else the daemon's" },
  'logging-dir': {
    env: 'CF_LOGGING_DIR',
    value: 'DIR',
    fallback: `${base}/logging`,
    help: 'where credentials-fetcher.log is written',
  },
  'log-level': { env: 'LOG_LEVEL', value: 'LEVEL', fallback: 'info', help: logLevels.join(', ') },
  'log-format': { env: 'LOG_FORMAT', value: 'FORMAT', fallback: 'auto', help: 'auto, human, json' },
  'domain-controller': {
    env: 'DOMAIN_CONTROLLER_GMSA',
    value: 'NAMES',
    fallback: '',
    help: 'domain controllers to use instead of those in DNS, comma separated',
  },
  site: {
    env: 'CF_SITE',
    value: 'NAME',
    fallback: 'auto',
    help: 'Active Directory site whose servers go first; auto: a domain controller is asked; off: none',
  },
  'gmsa-ou': {
    env: 'CF_GMSA_OU',
    value: 'DN',
    fallback: '',
    help: 'where gMSAs are looked for first: a whole DN, or the part between CN=<account> and the domain',
  },
  'gmsa-dn': {
    env: 'CF_GMSA_DISTINGUISHED_NAME',
    value: 'DN',
    fallback: '',
    help: 'DN of the gMSA, looked for there first',
  },
  'ldap-timeout': {
    env: 'CF_LDAP_SEARCH_TIMEOUT',
    key: 'LDAPSearchTimeout',
    value: 'SECONDS',
    fallback: '5',
    help: 'longest search in the directory, 1 to 60',
  },
  'ldap-tls': {
    env: 'CF_LDAP_TLS',
    value: 'HOW',
    fallback: 'off',
    help: 'off: LDAP sealed by Kerberos; starttls, ldaps: by TLS with channel binding',
  },
  'ldap-ca': {
    env: 'CF_LDAP_CA',
    value: 'FILE',
    fallback: '',
    help: "authorities that domain controllers' certificates are checked with, PEM",
  },
  'krb5-config': { env: 'KRB5_CONFIG', value: 'FILE', fallback: '', help: 'realms and KDCs, as MIT Kerberos reads it' },
  keytab: {
    env: 'KRB5_KTNAME',
    value: 'FILE',
    fallback: '',
    help: "the machine account's keys, else /etc/krb5.keytab",
  },
  aws_sm_secret_name: {
    env: 'CREDENTIALS_FETCHER_SECRET_NAME_FOR_DOMAINLESS_GMSA',
    key: 'CFGmsaSecretName',
    value: 'NAME',
    short: 's',
    fallback: '',
    help: "secret of AWS Secrets Manager with the user that reads in the machine account's place",
  },
  'renew-user-tickets': {
    env: 'CF_RENEW_USER_TICKETS',
    key: 'RunRenewalNonDomainJoined',
    value: 'BOOL',
    fallback: 'true',
    help: 'extend tickets whose reader came with a request',
  },
  'cred-spec-file': {
    env: 'CF_CRED_SPEC_FILE',
    also: ['CF_CRED_FILE'],
    value: 'FILE',
    fallback: '',
    help: 'a credspec whose lease is made at the start, as path or path:lease',
  },
  'krb5cc-mode': {
    env: 'CF_KRB5CC_MODE',
    value: 'MODE',
    fallback: '0600',
    help: 'permissions of tickets, octal',
  },
  'krb5cc-uid': { env: 'CF_KRB5CC_UID', value: 'UID', fallback: '', help: "owner of tickets, else the daemon's user" },
  'krb5cc-gid': { env: 'CF_KRB5CC_GID', value: 'GID', fallback: '', help: "group of tickets, else the daemon's" },
  'dir-mode': {
    env: 'CF_DIR_MODE',
    value: 'MODE',
    fallback: '0755',
    help: 'permissions of the directories of leases, octal',
  },
  'dir-uid': { env: 'CF_DIR_UID', value: 'UID', fallback: '', help: 'owner of those directories' },
  'dir-gid': { env: 'CF_DIR_GID', value: 'GID', fallback: '', help: 'group of those directories' },
  'ccache-name': {
    env: 'CF_CCACHE_NAME',
    value: 'NAME',
    fallback: '',
    help: 'a second name of each ticket beside krb5cc, such as krb5cc_1000',
  },
  'write-keytab': {
    env: 'CF_WRITE_KEYTAB',
    value: 'BOOL',
    fallback: 'false',
    help: "the gMSA's keys as krb5.keytab beside each ticket",
  },
  'write-krb5-conf': {
    env: 'CF_WRITE_KRB5_CONF',
    value: 'BOOL',
    fallback: 'false',
    help: 'a krb5.conf for the container beside each ticket',
  },
  'lease-files': {
    env: 'CF_LEASE_FILES',
    value: 'BOOL',
    fallback: 'false',
    help: 'credspecs may choose owner, mode and files of their tickets',
  },
  metrics: {
    env: 'CF_METRICS',
    value: 'ADDRESS',
    fallback: '',
    help: 'serve Prometheus metrics on a loopback port, such as 9464, or on unix:/path',
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof settings;

export const settingNames = Object.keys(settings) as SettingName[];

/** Names of a setting's variable, the usual one first. */
export function variablesOf(setting: Setting): readonly string[] {
  return [setting.env, ...(setting.also ?? [])];
}

/** The ECS agent's file is the agent's: only names that can be nobody else's are taken from it. */
export const isOurs = (name: string): boolean => /^(CF_|CREDENTIALS_FETCHER|DOMAIN_CONTROLLER_GMSA$)/.test(name);

/** Variables that earlier daemons know, and that say nothing here. */
export const withoutEffect: readonly string[] = [
  'CREDENTIALS_FETCHERD_STARTED_BY_SYSTEMD',
  'CF_TEST_DOMAIN_NAME',
  'CF_TEST_GMSA_ACCOUNT',
];
