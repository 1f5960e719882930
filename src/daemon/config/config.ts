/** What the daemon can be told, read from flags, environment and files, checked as a whole. */
import { type FlagOptions, parseFlags, UsageError } from '../../flags.ts';
import type { FilePolicy, Ownership } from '../leases/file-policy.ts';
import { type LogLevel, logLevels } from '../log.ts';
import { commandOptions, type OnceRequest, onceRequest } from './command-line.ts';
import { fileSettings, type SettingName, settings } from './settings.ts';
import { readSettingsFile, writerOf } from './settings-file.ts';
import { type Found, findSettings, type Sources, type Surroundings } from './sources.ts';
import * as values from './values.ts';

export { usage } from './command-line.ts';

export interface DaemonConfig {
  /** Where leases live. */
  readonly krbDir: string;
  /** Where the socket is made. */
  readonly socketDir: string;
  /** The socket itself, when it is not the usual name in `socketDir`. */
  readonly socketPath: string | undefined;
  /** Where the log file is written. */
  readonly loggingDir: string;
  readonly logLevel: LogLevel;
  /** `auto`: for people on a terminal, JSON otherwise. */
  readonly logFormat: 'auto' | 'human' | 'json';
  /** Domain controllers to use instead of those in DNS, in order; empty: ask DNS. */
  readonly domainControllers: readonly string[];
  /** The site whose servers go first: its name, `auto` or `off`. */
  readonly site: string;
  /** Where gMSAs are looked for before the whole domain: a DN, or what stands between `CN=<account>` and the domain. */
  readonly gmsaOu: string | undefined;
  /** The gMSA's own DN, looked at before that. */
  readonly gmsaDistinguishedName: string | undefined;
  /** Longest search in the directory, in seconds. */
  readonly ldapTimeout: number;
  /** krb5.conf, or several with colons between, the earlier wins; undefined: /etc/krb5.conf where it exists. */
  readonly krb5Config: string | undefined;
  /** What seals LDAP: Kerberos (`off`) or TLS. */
  readonly ldapTls: 'off' | 'starttls' | 'ldaps';
  /** PEM file; undefined: the authorities that Node trusts. */
  readonly ldapCa: string | undefined;
  /** Keytab with the machine's account; undefined: the one krb5.conf names, else /etc/krb5.keytab. */
  readonly keytab: string | undefined;
  /** Where metrics are served; undefined: nowhere. */
  readonly metrics: string | undefined;
  /** The secret, by name or ARN, whose user reads for AddKerberosLease instead of the machine; undefined: none. */
  readonly secretId: string | undefined;
  /** Whether tickets read by a user in a request are extended without that user. */
  readonly renewUserTickets: boolean;
  /** A credspec whose lease is made at the start. */
  readonly credspecFile: values.CredspecFile | undefined;
  readonly socketMode: number;
  /** Numeric group of the socket; the daemon's own when undefined. */
  readonly socketGid: number | undefined;
  readonly files: FilePolicy;
}

export interface Configured {
  readonly config: DaemonConfig;
  /** Where each setting came from. */
  readonly found: Sources['found'];
  readonly warnings: readonly string[];
}

export type Command =
  | ({ readonly action: 'run' | 'check-config' | 'healthcheck' } & Configured)
  | ({ readonly action: 'once'; readonly once: OnceRequest } & Configured)
  | { readonly action: 'help' }
  | { readonly action: 'version' };

/** Everything that is wrong with a configuration, each in a line of its own. */
export class ConfigError extends UsageError {
  readonly problems: readonly string[];
  readonly warnings: readonly string[];

  constructor(problems: readonly string[], warnings: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
    this.warnings = warnings;
  }
}

/**
 * Reads command line, environment and files.
 * @param argv without the program's name
 * @param readFile gives a file's text, or undefined when there is none
 * @throws UsageError for the command line, ConfigError for settings
 */
export function parseCommand(
  argv: readonly string[],
  env: Surroundings['env'],
  readFile: Surroundings['readFile'] = readSettingsFile,
): Command {
  const options: FlagOptions = { ...commandOptions };
  for (const [flag, setting] of Object.entries({ ...settings, ...fileSettings })) {
    options[flag] = { type: 'string', ...('short' in setting && { short: setting.short }) };
  }
  const once = argv.includes('--once');
  const { flags, positionals } = parseFlags(argv, options, once ? 256 : 0);
  if (flags.help) return { action: 'help' };
  if (flags.version) return { action: 'version' };
  const configured = configure({ flags, env, readFile, ...(readFile === readSettingsFile && { writerOf }) });
  if (flags['check-config'] || flags.self_test) return { action: 'check-config', ...configured };
  if (flags.healthcheck) return { action: 'healthcheck', ...configured };
  const request = onceRequest(flags, positionals, configured.config.credspecFile);
  return request ? { action: 'once', once: request, ...configured } : { action: 'run', ...configured };
}

/** @throws ConfigError with every problem there is */
function configure(around: Surroundings): Configured {
  const sources = findSettings(around);
  const { found } = sources;
  const problems = [...sources.problems];
  const warnings = [...sources.warnings];
  if (around.flags.verbosity !== undefined) warnings.push('--verbosity has no effect, use --log-level');

  /** A value checked, or the setting's default when it makes no sense: so that every problem is found in one go. */
  const get = <T>(name: SettingName, parse: (text: string) => T): T => {
    try {
      return parse(found[name].text);
    } catch (e) {
      if (!(e instanceof values.Nonsense)) throw e;
      problems.push(`${found[name].label} ${e.message}`);
      return settings[name].fallback === '' ? (undefined as T) : parse(settings[name].fallback);
    }
  };
  const optional = <T>(name: SettingName, parse: (text: string) => T): T | undefined =>
    found[name].text === '' ? undefined : get(name, parse);
  const asIs = (text: string): string => text;
  const owner = (of: 'krb5cc' | 'dir', kind: values.ModeOf): Ownership => {
    const uid = optional(`${of}-uid`, (t) => values.numericId(t, 'uid'));
    const gid = optional(`${of}-gid`, (t) => values.numericId(t, 'gid'));
    const mode = get(`${of}-mode`, (t) => values.mode(t, kind));
    return { mode, ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) };
  };
  const secondName = optional('ccache-name', values.secondName);
  const config: DaemonConfig = {
    krbDir: get('krb-dir', values.directory),
    socketDir: get('socket-dir', values.directory),
    socketPath: outranks(found.socket, found['socket-dir'])
      ? optional('socket', (text) => values.socketPath(text, 'credentials_fetcher.sock'))
      : undefined,
    loggingDir: get('logging-dir', values.directory),
    logLevel: get('log-level', (text) => values.choice(text, logLevels)),
    logFormat: get('log-format', (text) => values.choice(text, ['auto', 'human', 'json'])),
    domainControllers: get('domain-controller', values.servers) ?? [],
    site: get('site', values.site),
    gmsaOu: optional('gmsa-ou', values.distinguishedName),
    gmsaDistinguishedName: optional('gmsa-dn', values.distinguishedName),
    ldapTimeout: get('ldap-timeout', values.seconds),
    ldapTls: get('ldap-tls', (text) => values.choice(text, ['off', 'starttls', 'ldaps'])),
    ldapCa: optional('ldap-ca', asIs),
    krb5Config: optional('krb5-config', asIs),
    keytab: optional('keytab', asIs),
    metrics: optional('metrics', asIs),
    secretId: optional('aws_sm_secret_name', values.secretId),
    renewUserTickets: get('renew-user-tickets', values.boolean),
    credspecFile: optional('cred-spec-file', values.credspecFile),
    socketMode: get('socket-mode', (text) => values.mode(text, 'socket')),
    socketGid: optional('socket-gid', (text) => values.numericId(text, 'gid')),
    files: {
      ccache: owner('krb5cc', 'file'),
      directory: owner('dir', 'directory'),
      keytab: get('write-keytab', values.boolean),
      krb5Conf: get('write-krb5-conf', values.boolean),
      ...(secondName !== undefined && { secondName }),
      wishes: get('lease-files', values.boolean),
    },
  };
  if (problems.length > 0) throw new ConfigError(problems, warnings);
  warnings.push(...doubts(config, found));
  return { config: { ...config, ldapTimeout: Math.min(config.ldapTimeout, MAX_LDAP_TIMEOUT) }, found, warnings };
}

/** As version 2 had it, in seconds. */
const MAX_LDAP_TIMEOUT = 60;

/** What can be done, and is probably not meant. */
function doubts(config: DaemonConfig, found: Sources['found']): string[] {
  const warnings: string[] = [];
  if (config.ldapTimeout > MAX_LDAP_TIMEOUT) {
    warnings.push(`${found['ldap-timeout'].label} is more than ${MAX_LDAP_TIMEOUT} seconds, which is what counts`);
  }
  if (config.files.ccache.mode & 0o004) {
    warnings.push(`${found['krb5cc-mode'].label} lets every user of this host be the gMSAs`);
  }
  return warnings;
}

/** A whole path says more than a directory, unless the directory was given in a place that goes before. */
const outranks = (path: Found, directory: Found): boolean => path.text !== '' && path.rank <= directory.rank;
