import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isAdError } from '../../../errors.ts';
import { openCaches } from '../../../krb5/files/ccache-collection.ts';
import type { CacheHandle } from '../../../krb5/files/ccache-file.ts';
import { text } from '../../command.ts';
import { cacheName, keytabPath, tgtOf, wipeCache } from '../../kerberos/session.ts';
import { type Check, type Finding, fail, ok, type Patient, skip, warn } from '../check.ts';

const octal = (mode: number): string => (mode & 0o777).toString(8).padStart(4, '0');

/** Whoever reads a ticket cache is the account: nobody but its owner, and a group that was chosen, may. */
function modeFinding(path: string, mode: number, what: string): Finding {
  if (mode & 0o007) return fail(`${what} ${path} is open to everybody (${octal(mode)})`, `chmod 600 ${path}`);
  if (mode & 0o020) return warn(`${what} ${path} can be written by its group (${octal(mode)})`, `chmod g-w ${path}`);
  return ok(`${what} ${path} has mode ${octal(mode)}`);
}

/** Mode and owner of a file that is this user's own, or the machine's. */
async function ownFile(path: string, what: string): Promise<Finding[]> {
  const { mode, uid } = await stat(path);
  const me = process.getuid?.() ?? uid;
  const findings = [modeFinding(path, mode, what)];
  if (uid !== me && uid !== 0)
    findings.push(
      warn(`${what} ${path} belongs to user ${uid}, this is user ${me}`, `chown ${me} ${path}, or run as its owner`),
    );
  return findings;
}

/** The ticket cache of this process. */
export const ticketCache: Check = {
  id: 'ccache',
  title: 'Ticket cache',
  needs: ['config'],
  seconds: 3,
  async run({ session, parsed, terminal }) {
    let handle: CacheHandle;
    try {
      handle = await openCaches(cacheName(text(parsed, 'cache'), session.config, terminal)).primary();
    } catch (e) {
      // Such as KEYRING:, which a distribution's krb5.conf may name; only who reads by the cache is stopped by it.
      if (!isAdError(e, 'INVALID_ARGUMENT')) throw e;
      return [warn(e.message, 'set KRB5CCNAME to FILE:/path, or name the cache with -c')];
    }
    try {
      const cache = await handle.read();
      wipeCache(cache);
      const path = handle.name.replace(/^[A-Z]+::?/, '');
      const findings = handle.name.startsWith('MEMORY:') ? [] : await ownFile(path, 'ticket cache');
      const endtime = tgtOf(cache)?.endtime;
      if (endtime && endtime.getTime() < Date.now())
        findings.push(
          warn(`its ticket-granting ticket expired at ${endtime.toISOString()}`, 'kinit, or krun to keep one fresh'),
        );
      return findings;
    } catch (e) {
      if (isAdError(e, 'NOT_FOUND')) return [skip(`there is none at ${handle.name}`)];
      throw e;
    }
  },
};

/** The keytab that the reader or the machine logs on with. */
export const keytabFile: Check = {
  id: 'keytab',
  title: 'Keytab',
  needs: ['config'],
  seconds: 3,
  async run({ session, parsed, terminal }) {
    const path = keytabPath(text(parsed, 'keytab'), session.config, terminal);
    try {
      return await ownFile(path, 'keytab');
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code !== 'ENOENT') throw e;
      return [skip(`there is none at ${path}`)];
    }
  },
};

const KRB_DIR = '/var/credentials-fetcher/krbdir';

/** The caches of the daemon's leases. */
export const leases: Check = {
  id: 'leases',
  title: 'Leases',
  needs: [],
  seconds: 5,
  async run({ terminal }: Patient) {
    const directory = terminal.env.CF_KRB_DIR || KRB_DIR;
    let files: string[];
    try {
      files = await readdir(directory, { recursive: true, encoding: 'utf8' });
    } catch {
      return [skip(`there is no ${directory} that can be read`)];
    }
    const caches = files.filter((f) => /(^|\/)krb5cc[^/]*$/.test(f)).map((f) => join(directory, f));
    const judge = async (path: string): Promise<Finding[]> => {
      try {
        return [modeFinding(path, (await stat(path)).mode, 'ticket cache')];
      } catch (e) {
        if ((e as NodeJS.ErrnoException).code === 'ENOENT') return []; // its lease has just ended
        throw e;
      }
    };
    const bad = (await Promise.all(caches.map(judge))).flat().filter((f) => f.mark !== 'ok');
    return bad.length > 0 ? bad : [ok(`${caches.length} ticket caches in ${directory}, none open to others`)];
  },
};
