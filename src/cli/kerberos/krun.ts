/** Runs a program with a ticket cache of its own that is always fresh, as k5start does. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { wipe } from '../../bytes.ts';
import { AdError } from '../../errors.ts';
import { type ParsedFlags, UsageError } from '../../flags.ts';
import type { Credentials } from '../../krb5/credentials.ts';
import { writeFileAtomic } from '../../krb5/files/atomic.ts';
import { writeCCache } from '../../krb5/files/ccache.ts';
import { fileCache } from '../../krb5/files/ccache-file.ts';
import { parseCacheName } from '../../krb5/files/ccache-name.ts';
import { formatPrincipal } from '../../krb5/principal.ts';
import { type Command, text } from '../command.ts';
import type { Terminal } from '../terminal.ts';
import { readerFlags } from './directory.ts';
import { keepFresh } from './fresh-cache.ts';
import { duration, kdcOffset, type Session, withSession } from './session.ts';
import { type TicketSource, ticketSource } from './ticket-source.ts';

export const krun: Command = {
  name: 'krun',
  summary: 'run a program with a ticket cache of its own that is always fresh',
  description: `Gets a ticket with a keytab or password, or that of a gMSA whose password the reader may read, puts it
into a private cache, and runs COMMAND with KRB5CCNAME set. The ticket is replaced when half of its
life is over; SIGALRM does it at once. SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1 and SIGUSR2 are passed on.
Ends with COMMAND's exit status, 128 and the signal's number when a signal ended it; then the cache is
removed.`,
  flags: {
    gmsa: { type: 'string', value: 'NAME', help: 'the ticket of this gMSA, whose password -p or -t or -c reads' },
    ...readerFlags,
    lifetime: { type: 'string', short: 'l', value: 'TIME', help: 'lifetime to ask for, such as 10h' },
    file: {
      type: 'string',
      short: 'k',
      value: 'FILE',
      completes: 'file',
      help: 'where the cache is to be [a new file of TMPDIR]',
    },
    owner: { type: 'string', short: 'o', value: 'USER', help: 'owner of the cache, by name or number' },
    group: { type: 'string', short: 'g', value: 'GROUP', help: 'group of the cache' },
    mode: { type: 'string', short: 'm', value: 'MODE', help: 'permissions of the cache [600]' },
    verbose: { type: 'boolean', short: 'v', help: 'say when a ticket was got' },
  },
  operands: { synopsis: 'COMMAND [ARGUMENT...]', most: 4096, completes: 'command', isCommandLine: true },
  examples: [
    'credentials-fetcher krun -t web.keytab -- ./server --port 8080',
    'credentials-fetcher krun --gmsa WebApp01 -p svc-fetch --password-file pw.txt -- psql -h db.corp.example',
  ],
  async run(parsed, terminal) {
    const [program, ...args] = parsed.positionals;
    if (program === undefined) throw new UsageError('the command to run is required');
    const target = await cacheFile(parsed);
    const work = async (session: Session): Promise<number> => {
      const source = await ticketSource(session, parsed, terminal, duration(parsed, 'lifetime'));
      const say = (line: string): void => terminal.err(`krun: ${line}\n`);
      try {
        const fresh = await keepFresh({
          refresh: (signal) => refresh(source, target, signal, parsed.flags.verbose ? say : () => undefined),
          failed: (message) => say(`no new ticket, the old one stays: ${message}`),
        });
        // Before the program is there, which may tell somebody that it is ready before spawn returns; and until the cache
        // is removed.
        const signals = catchSignals(() => void fresh.refreshNow());
        try {
          return await runProgram(program, args, target.path, terminal, signals);
        } finally {
          fresh.close();
          await fileCache(target.path)
            .destroy()
            .catch(() => undefined); // somebody else removed it
          signals.close();
        }
      } finally {
        source.close();
      }
    };
    return withSession(terminal, work, { sites: parsed.flags.gmsa !== undefined });
  },
};

interface Target {
  readonly path: string;
  readonly mode: number;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

async function cacheFile(parsed: ParsedFlags): Promise<Target> {
  const given = text(parsed, 'file');
  const name = given === undefined ? undefined : parseCacheName(given);
  if (name && name.type !== 'FILE') throw new UsageError('-k must name a file');
  const mode = text(parsed, 'mode') ?? '600';
  if (!/^0?[0-7]{3}$/.test(mode)) throw new UsageError(`--mode must be three octal digits, not ${mode}`);
  return {
    path: name?.path ?? join(tmpdir(), `krb5cc_${process.getuid?.() ?? 0}_${randomBytes(6).toString('hex')}`),
    mode: Number.parseInt(mode, 8),
    uid: await idOf(text(parsed, 'owner'), '/etc/passwd', '--owner'),
    gid: await idOf(text(parsed, 'group'), '/etc/group', '--group'),
  };
}

/** A number, or the third field of a name's line in passwd(5) or group(5). */
async function idOf(given: string | undefined, file: string, flag: string): Promise<number | undefined> {
  if (given === undefined) return undefined;
  if (/^\d{1,10}$/.test(given)) return Number(given);
  const lines = (await readFile(file, 'utf8')).split('\n').map((line) => line.split(':'));
  const id = lines.find(([name]) => name === given)?.[2];
  if (id === undefined) throw new UsageError(`${flag}: ${file} has no ${given}`);
  return Number(id);
}

async function refresh(
  source: TicketSource,
  target: Target,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<number> {
  const ticket: Credentials = await source.get(signal);
  const cache = { principal: ticket.client, kdcOffset: kdcOffset(source.context), credentials: [ticket] };
  const bytes = writeCCache(cache);
  try {
    if (signal.aborted) throw new AdError('ABORTED', 'krun is ending');
    await writeFileAtomic(target.path, bytes, target);
    say(`got a ticket of ${formatPrincipal(ticket.client)} until ${ticket.endtime.toISOString()}`);
    return ticket.endtime.getTime() - source.context.timeOffset;
  } finally {
    wipe(bytes, ticket.key.value);
  }
}

/** Signals that are the program's business. */
const PASSED: readonly NodeJS.Signals[] = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2'];
/** The terminal sends these to the program itself, which is in the same process group. */
const FROM_KEYBOARD: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT'];

interface Signals {
  /** Who gets them; nobody before. */
  to: ChildProcess | undefined;
  /** From here on they end this process again. */
  close(): void;
}

function catchSignals(refreshNow: () => void): Signals {
  const pass = (signal: NodeJS.Signals): void => {
    if (!(process.stdin.isTTY && FROM_KEYBOARD.includes(signal))) signals.to?.kill(signal);
  };
  const signals: Signals = {
    to: undefined,
    close() {
      for (const signal of PASSED) process.off(signal, pass);
      process.off('SIGALRM', refreshNow);
    },
  };
  for (const signal of PASSED) process.on(signal, pass);
  process.on('SIGALRM', refreshNow);
  return signals;
}

/** @returns the exit code; 127 and 126 as shells say, where there is no such program or it cannot be run */
function runProgram(
  program: string,
  args: readonly string[],
  cache: string,
  terminal: Terminal,
  signals: Signals,
): Promise<number> {
  return new Promise((resolve) => {
    const env = { ...terminal.env, KRB5CCNAME: `FILE:${cache}` };
    const child = spawn(program, args, { stdio: 'inherit', env });
    signals.to = child;
    child.on('error', (e: NodeJS.ErrnoException) => {
      terminal.err(`krun: cannot run ${program}: ${e.message}\n`);
      resolve(e.code === 'ENOENT' ? 127 : 126);
    });
    child.on('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}
