/**
 * Names of ticket caches (MIT krb5 documentation, "ccache types"): `TYPE:residual`, or a bare path for a file. Types that
 * live in the kernel or in another process need their owner's help and are refused with advice.
 */
import { AdError } from '../../errors.ts';

/** Where a ticket cache is. */
export type CacheName =
  | { readonly type: 'FILE'; readonly path: string }
  /** The collection in a directory. */
  | { readonly type: 'DIR'; readonly directory: string }
  /** One cache of such a collection, `DIR::/directory/tktNAME`. */
  | { readonly type: 'DIR'; readonly directory: string; readonly file: string }
  | { readonly type: 'MEMORY'; readonly name: string };

/** Types of other implementations, and what each is. */
const elsewhere: Readonly<Record<string, string>> = {
  KEYRING: "the kernel's keyring",
  KCM: 'the memory of a KCM daemon (sssd-kcm)',
  API: "macOS's credential server",
  MSLSA: "Windows' logon session",
};

/**
 * @throws AdError INVALID_ARGUMENT for a type that cannot be had here, with what to do instead, and for a path that is
 *   empty or holds a zero byte
 */
export function parseCacheName(text: string): CacheName {
  const [, type, residual] = /^([A-Za-z][A-Za-z0-9]*):(.*)$/s.exec(text) ?? [undefined, 'FILE', text];
  switch (type) {
    case 'FILE':
      return { type, path: checkedPath(residual!, text) };
    case 'MEMORY':
      return { type, name: residual! };
    case 'DIR':
      return residual!.startsWith(':') ? subsidiary(residual!.slice(1), text) : directory(residual!, text);
    default: {
      const where = Object.hasOwn(elsewhere, type!) ? `lives in ${elsewhere[type!]}` : 'is of a type nobody knows';
      throw new AdError(
        'INVALID_ARGUMENT',
        `the ticket cache ${text} ${where}, which other containers and this program cannot read: ` +
          'set KRB5CCNAME, or default_ccache_name in krb5.conf, to a file such as FILE:/tmp/krb5cc_%{uid}',
        { cache: text },
      );
    }
  }
}

function directory(path: string, text: string): CacheName {
  return { type: 'DIR', directory: trimmed(checkedPath(path, text)) };
}

/** "Subsidiary caches within the directory ... their names must begin with tkt". */
function subsidiary(path: string, text: string): CacheName {
  const at = checkedPath(path, text).lastIndexOf('/');
  const file = path.slice(at + 1);
  if (at < 0 || !isSubsidiaryFile(file)) {
    throw new AdError('INVALID_ARGUMENT', `${text} must be DIR::/directory/tktNAME`, { cache: text });
  }
  return { type: 'DIR', directory: path.slice(0, at) || '/', file };
}

export function isSubsidiaryFile(name: string): boolean {
  return name.startsWith('tkt') && !name.includes('/');
}

function checkedPath(path: string, text: string): string {
  if (path === '' || path.includes('\0'))
    throw new AdError('INVALID_ARGUMENT', `${JSON.stringify(text)} names no ticket cache`);
  return path;
}

const trimmed = (path: string): string => path.replace(/(?<=.)\/+$/, '');

/** The name as klist prints it. */
export function formatCacheName(name: CacheName): string {
  if (name.type === 'FILE') return `FILE:${name.path}`;
  if (name.type === 'MEMORY') return `MEMORY:${name.name}`;
  return 'file' in name ? `DIR::${name.directory}/${name.file}` : `DIR:${name.directory}`;
}

/** What the name of a process's own cache comes from. */
export interface DefaultNameSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** default_ccache_name of krb5.conf. */
  readonly configured?: string | undefined;
  readonly uid: number;
  /** The user's name, for `%{username}`. */
  readonly username?: string;
}

/**
 * The cache of this process: KRB5CCNAME, else krb5.conf's default_ccache_name, else /tmp/krb5cc_UID.
 * @throws AdError INVALID_ARGUMENT as `parseCacheName`, and for a `%{...}` of krb5.conf that means nothing here
 */
export function defaultCacheName(sources: DefaultNameSources): CacheName {
  const given = sources.env.KRB5CCNAME;
  if (given) return parseCacheName(given);
  return parseCacheName(expandTokens(sources.configured ?? 'FILE:/tmp/krb5cc_%{uid}', sources));
}

/** "Parameter expansion" of krb5.conf(5). */
export function expandTokens(text: string, sources: DefaultNameSources): string {
  const uid = String(sources.uid);
  const tokens: Record<string, string | undefined> = {
    uid,
    euid: uid,
    USERID: uid,
    username: sources.username ?? uid,
    TEMP: sources.env.TMPDIR || '/tmp',
    null: '',
    LIBDIR: '/usr/lib',
    BINDIR: '/usr/bin',
    SBINDIR: '/usr/sbin',
  };
  return text.replace(/%\{([^}]*)\}/g, (whole, token: string) => {
    const value = Object.hasOwn(tokens, token) ? tokens[token] : undefined;
    if (value === undefined) throw new AdError('INVALID_ARGUMENT', `krb5.conf: ${whole} in ${text} means nothing here`);
    return value;
  });
}
