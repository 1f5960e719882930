/** Replacing files that hold secrets, so that no reader ever sees a part of one and no stranger any of it. */
import { randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AdError, messageOf } from '../../errors.ts';

const OWNER_ONLY = 0o600;

export interface AtomicOptions {
  /** Permission bits, whatever the umask; 0o600 when absent. */
  readonly mode?: number;
  /** Owner and group; those of the process when absent. */
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /**
   * True for a file that is not there yet, in a directory that nobody looks into before it is renamed as a whole: written
   * in place and not synced to disk, so after a power failure it may be empty.
   */
  readonly draft?: boolean;
}

export interface AtomicFile extends AtomicOptions {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/**
 * Writes `bytes` beside `path` under an unpredictable name, with the final owner and mode before the first byte, then
 * renames it into place. A symbolic link at `path` is replaced, never followed; the directory stays the same inode.
 * On failure nothing is left behind and what was at `path` is untouched.
 * @throws AdError FILE, with `details.path` and `details.errno`
 */
export async function writeFileAtomic(path: string, bytes: Uint8Array, options: AtomicOptions = {}): Promise<void> {
  await writeFilesAtomic([{ ...options, path, bytes }]);
}

/**
 * As `writeFileAtomic` for files that belong together: all are whole on disk before the first is renamed, and they are
 * renamed in the order given. What cannot be written leaves every one of them as it was.
 * @throws AdError FILE, with `details.path` and `details.errno`
 */
export async function writeFilesAtomic(files: readonly AtomicFile[]): Promise<void> {
  const staged: { file: AtomicFile; temporary: string }[] = [];
  let at = files[0]?.path;
  try {
    for (const file of files) {
      at = file.path;
      const temporary = file.draft ? at : join(dirname(at), `.${randomBytes(16).toString('hex')}.tmp`);
      await stage(file, temporary, () => staged.push({ file, temporary }));
    }
    while (staged.length > 0) {
      const { file, temporary } = staged[0]!;
      at = file.path;
      if (!file.draft) await rename(temporary, at);
      staged.shift();
    }
  } catch (e) {
    for (const { temporary } of staged) await unlink(temporary).catch(() => undefined);
    if (e instanceof AdError) throw e;
    const errno = (e as NodeJS.ErrnoException).code;
    throw new AdError('FILE', `cannot write ${at}: ${messageOf(e)}`, { path: at, errno }, e);
  }
}

/**
 * What is at a path that somebody chose for a file, links followed; undefined for nothing. A rename puts the file in the
 * place of anything that is no directory: whoever names `/dev/stdout` or a pipe means to write into it, and root would
 * take it away from everybody.
 * @throws AdError FILE when it is something else than a file
 */
export async function fileBefore(path: string): Promise<Stats | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found || found.isFile()) return found;
  const what = found.isDirectory() ? 'a directory' : 'a device, pipe or socket';
  throw new AdError('FILE', `${path} is ${what}: only a file can be replaced by another`, { path });
}

/** @param made told once there is a file to be removed again */
async function stage(file: AtomicFile, temporary: string, made: () => void): Promise<void> {
  // O_EXCL makes the file or fails, so it cannot be someone else's; nobody but the owner may open it from here on.
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
  const handle: FileHandle = await open(temporary, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, OWNER_ONLY);
  made();
  try {
    // A file that is as it shall be needs no further word: a lease is waited for.
    const given = file.uid !== undefined || file.gid !== undefined || (file.mode ?? OWNER_ONLY) !== OWNER_ONLY;
    if (given || !umaskSparesOwner())
      await giveAway(file.path, file, {
        chown: (uid, gid) => handle.chown(uid, gid),
        chmod: (mode) => handle.chmod(mode),
      });
    await handle.writeFile(file.bytes);
    if (!file.draft) await handle.sync();
  } finally {
    await handle.close();
  }
}

/** No sane umask takes the owner's own rights away; one that does is met by setting the mode. */
const umaskSparesOwner = (): boolean => (process.umask() & OWNER_ONLY) === 0;

/** chown(2): "If the owner or group is specified as -1, then that ID is not changed." */
const UNCHANGED = -1;

/**
 * Gives a file that only its owner may open its group, its mode, its owner, in this order: the mode opens it to no other
 * group than the one meant, and once it is another's, its mode could be changed with CAP_FOWNER only.
 * @param path for the error
 * @throws AdError FILE that says which capability is missing
 */
export async function giveAway(
  path: string,
  owner: { readonly mode?: number; readonly uid?: number | undefined; readonly gid?: number | undefined },
  file: { chown(uid: number, gid: number): Promise<void>; chmod(mode: number): Promise<void> },
): Promise<void> {
  const chown = async (uid: number, gid: number): Promise<void> => {
    try {
      await file.chown(uid, gid);
    } catch (e) {
      const errno = (e as NodeJS.ErrnoException).code;
      const whom = uid === UNCHANGED ? `group ${gid}` : `user ${uid}`;
      const remedy =
        errno === 'EPERM'
          ? ': giving files away takes CAP_CHOWN, which the daemon has with the drop-in ticket-owner.conf of ' +
            'deploy/systemd; without it leave owner and group alone'
          : errno === 'EINVAL'
            ? ': there is no such user or group in the user namespace of this process'
            : '';
      throw new AdError('FILE', `cannot give ${path} to ${whom}: ${messageOf(e)}${remedy}`, { path, errno }, e);
    }
  };
  if (owner.gid !== undefined) await chown(UNCHANGED, owner.gid);
  await file.chmod(owner.mode ?? 0o600);
  if (owner.uid !== undefined) await chown(owner.uid, UNCHANGED);
}
