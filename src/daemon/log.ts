/**
 * The log: one line an event, for people on a terminal and as JSON otherwise, on standard error and in a file.
 * A line holds a fixed text and the fields below, nothing else: an object with a password in it cannot slip in,
 * because no field takes objects and none is called so.
 */
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { AdError, messageOf } from '../errors.ts';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';
export const logLevels: readonly LogLevel[] = ['error', 'warn', 'info', 'debug'];

/** Everything a log line may say besides its text. */
export interface LogFields {
  readonly request?: string;
  readonly method?: string;
  readonly status?: string;
  readonly ms?: number;
  readonly lease?: string;
  readonly account?: string;
  readonly accounts?: number;
  readonly domain?: string;
  readonly user?: string;
  readonly server?: string;
  readonly principal?: string;
  readonly path?: string;
  readonly address?: string;
  readonly count?: number;
  readonly version?: string;
  readonly pid?: number;
  readonly expires?: Date;
  /** Its message, and the code of an AdError; never its stack or other properties. */
  readonly error?: unknown;
}

export interface Log {
  error(text: string, fields?: LogFields): void;
  warn(text: string, fields?: LogFields): void;
  info(text: string, fields?: LogFields): void;
  debug(text: string, fields?: LogFields): void;
}

/** Where lines go. Must not throw. */
export type LogSink = (line: string) => void;

const known: readonly (keyof LogFields)[] = [
  ...(['request', 'method', 'status', 'ms', 'lease', 'account', 'accounts', 'domain', 'user', 'server'] as const),
  ...(['principal', 'path', 'address', 'count', 'version', 'pid', 'expires', 'error'] as const),
];

const MAX_TEXT = 2000;

function clean(fields: LogFields): Record<string, string | number> {
  const out: Record<string, string | number> = {};
  for (const key of known) {
    const value = fields[key];
    if (value === undefined) continue;
    if (value instanceof Date) out[key] = value.toISOString();
    else if (key === 'error') {
      out[key] = messageOf(value).slice(0, MAX_TEXT);
      if (value instanceof AdError) out.code = value.code;
    } else if (typeof value === 'number') out[key] = value;
    else if (typeof value === 'string') out[key] = value.slice(0, MAX_TEXT);
  }
  return out;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: a name from outside must not command a terminal
const quotable = /[\s"=\\\u0000-\u001f\u007f-\u009f]/;

function human(time: Date, level: LogLevel, text: string, fields: Record<string, string | number>): string {
  const pairs = Object.entries(fields).map(([key, value]) => {
    const plain = String(value);
    return `${key}=${plain === '' || quotable.test(plain) ? JSON.stringify(plain) : plain}`;
  });
  const stamp = time.toISOString().replace('T', ' ').replace('Z', '');
  return [stamp, level.toUpperCase().padEnd(5), text, ...pairs].join(' ');
}

/** `journal`: JSON behind a priority, which journald takes off and files the line under (sd-daemon(3)). */
export type LogFormat = 'human' | 'json' | 'journal';

/** Syslog's severities (RFC 5424 6.2.1). */
const priority: Record<LogLevel, number> = { error: 3, warn: 4, info: 6, debug: 7 };

/** True when standard error is the journal: systemd says which file that is (systemd.exec(5), JOURNAL_STREAM). */
export function isJournal(stream: string | undefined, fd = 2): boolean {
  if (!stream) return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/** A log that writes lines of `level` and above to every sink, in the sink's own format. */
export function createLog(options: {
  readonly level: LogLevel;
  readonly sinks: readonly { readonly write: LogSink; readonly format: LogFormat }[];
  readonly now?: () => Date;
}): Log {
  const now = options.now ?? (() => new Date());
  const enabled = logLevels.indexOf(options.level);
  const at =
    (level: LogLevel) =>
    (text: string, fields: LogFields = {}): void => {
      if (logLevels.indexOf(level) > enabled) return;
      const time = now();
      const values = clean(fields);
      for (const sink of options.sinks) {
        const json = () => JSON.stringify({ time: time.toISOString(), level, text, ...values });
        if (sink.format === 'human') sink.write(`${human(time, level, text, values)}\n`);
        else sink.write(`${sink.format === 'journal' ? `<${priority[level]}>` : ''}${json()}\n`);
      }
    };
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}

/** A log that says nothing. */
export const silentLog: Log = createLog({ level: 'error', sinks: [] });

/** Standard error. A reader that went away must not take the daemon with it. */
export function stderrSink(): LogSink {
  process.stderr.on('error', () => undefined);
  return (line) => void process.stderr.write(line);
}

const MAX_FILE = 10 * 1024 * 1024;

/**
 * Appends to `<directory>/credentials-fetcher.log`, makes the directory when it is missing, and moves a full file
 * aside to `….log.1`. A log that cannot be written is reported once and then done without.
 */
export function fileSink(
  directory: string,
  report: (e: unknown) => void,
  limit = MAX_FILE,
): LogSink & { close(): void } {
  const path = join(directory, 'credentials-fetcher.log');
  let fd: number | undefined;
  let size = 0;
  let broken = false;
  const open = (): number => {
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    const opened = openSync(path, 'a', 0o640);
    size = fstatSync(opened).size;
    return opened;
  };
  const write = (line: string): void => {
    if (broken) return;
    try {
      fd ??= open();
      if (size > 0 && size + line.length > limit) {
        closeSync(fd);
        fd = undefined;
        renameSync(path, `${path}.1`);
        fd = open();
      }
      size += writeSync(fd, line);
    } catch (e) {
      broken = true;
      report(e);
    }
  };
  const close = (): void => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
  };
  return Object.assign(write, { close });
}
